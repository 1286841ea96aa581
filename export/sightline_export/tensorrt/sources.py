"""The detectors of a model repository that could become plans."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format

from sightline import contract
from sightline.detector_info import DetectorInfo
from sightline.errors import ContractMismatchError, ExportError, InvalidOptionError
from sightline_export.config import CONFIG_FILE, parse


@dataclass(frozen=True)
class Source:
    """A detector in a model repository."""

    repository: Path
    name: str
    info: DetectorInfo

    @property
    def onnx(self) -> Path:
        """The network's file."""
        folder = self.repository / contract.network_name(self.name) / str(contract.MODEL_VERSION)
        return folder / contract.ONNX_FILE


def find_sources(repository: Path, names: Sequence[str] = ()) -> list[Source]:
    """The detectors of these names; () finds all.

    Raises:
        InvalidOptionError: there is none, or none of such a name.
        ExportError: a configuration cannot be read.
    """
    found = {source.name: source for source in _read(repository)} if repository.is_dir() else {}
    unknown = [name for name in names if name not in found]
    if unknown or not found:
        raise InvalidOptionError(
            f"{repository} has no detector {unknown[0] if unknown else 'at all'} that `sightline export` wrote; "
            f"it has {', '.join(found) or 'none'}"
        )
    return [found[name] for name in names or found]


def _read(repository: Path) -> Iterator[Source]:
    for config in sorted(repository.glob(f"*{contract.NETWORK_SUFFIX}/{CONFIG_FILE}")):
        name = config.parent.name.removesuffix(contract.NETWORK_SUFFIX)
        try:
            parsed = parse(config.read_text(encoding="utf-8"))
            parameters = {key: value.string_value for key, value in parsed.parameters.items()}
            source = Source(repository, name, DetectorInfo.from_parameters(parameters))
        except (OSError, UnicodeDecodeError, text_format.ParseError, ContractMismatchError) as error:
            raise ExportError(f"{config} cannot be read: {error}; see `sightline check {repository}`") from error
        if source.onnx.is_file():
            yield source
