"""The models of a detector whose settings are searched, as they lie in a model repository."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from sightline.contract import NETWORK_SUFFIX, network_name
from sightline.errors import ContractMismatchError, InvalidOptionError
from sightline_export.config import CONFIG_FILE, parse
from sightline_export.group_config import groups_in, is_group
from sightline_export.pixel_limit import detectors_behind
from sightline_export.schedule import Schedule, read_schedule


@dataclass(frozen=True)
class Detector:
    """A detector and the configurations of what computes for it.

    Attributes:
        repository: folder of models.
        name: the detector's.
        parts: text of `config.pbtxt` of its preprocessing and its network, by model, in this order.
    """

    repository: Path
    name: str
    parts: dict[str, str]

    @property
    def network(self) -> str:
        """The model that runs the network."""
        return network_name(self.name)

    @property
    def preprocessing(self) -> str:
        """The model that decodes and resizes."""
        return next(model for model in self.parts if model != self.network)

    def config(self, model: str) -> pb.ModelConfig:
        """The configuration of one of the parts."""
        return parse(self.parts[model])

    def schedules(self) -> dict[str, Schedule]:
        """What stands in the parts' configurations.

        Raises:
            InvalidOptionError: a value is out of range.
        """
        return {model: read_schedule(self.config(model)) for model in self.parts}

    def others_behind(self, model: str) -> tuple[str, ...]:
        """The other detectors, and the groups, whose pictures go through one of the parts."""
        return tuple(name for name in detectors_behind(self.repository, model) if name != self.name)


def read_detector(repository: Path, name: str) -> Detector:
    """The detector `name` of a repository.

    Raises:
        InvalidOptionError: there is no such detector, or it is a group.
        ContractMismatchError: a part of it is missing, or cannot be read.
    """
    if is_group(repository / name):
        members = ", ".join(groups_in(repository).get(name, ()))
        raise InvalidOptionError(
            f"{name} is a group and has no settings of its own: tune its members ({members}); the group uses their "
            "models"
        )
    steps = [step.model_name for step in _read(repository, name)[1].ensemble_scheduling.step]
    if network_name(name) not in steps or len(steps) != 2:
        hint = f"; ask for {name.removesuffix(NETWORK_SUFFIX)}" if name.endswith(NETWORK_SUFFIX) else ""
        raise InvalidOptionError(f"{repository / name} is no detector of ours{hint}: `sightline check` says more")
    return Detector(repository, name, {step: _read(repository, step)[0] for step in steps})


def _read(repository: Path, model: str) -> tuple[str, pb.ModelConfig]:
    file = repository / model / CONFIG_FILE
    if not file.is_file():
        there = sorted(path.parent.name for path in repository.glob(f"*/{CONFIG_FILE}"))
        raise InvalidOptionError(
            f"there is no model {model!r} in {repository}; there are {', '.join(there) or 'none'}. `sightline export` "
            "makes one; --repository names another folder"
        )
    try:
        text = file.read_text(encoding="utf-8")
        return text, parse(text)
    except (OSError, UnicodeDecodeError, text_format.ParseError) as error:
        raise ContractMismatchError(f"{file} cannot be read: {error}") from error
