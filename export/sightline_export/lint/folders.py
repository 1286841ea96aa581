"""A model repository as it lies on the disk, read once for all rules."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from google.protobuf import text_format

from sightline import contract
from sightline.detector_info import DetectorInfo
from sightline.errors import ContractMismatchError, InvalidOptionError
from sightline.preprocessing import Preprocessing
from sightline_export.config import parse
from sightline_export.lint.onnx_graph import OnnxGraph

CONFIG_FILE = "config.pbtxt"
PYTHON_BACKEND = "python"
INITIAL_STATE_FOLDER = "initial_state"
CUSTOM_CONFIGS_FOLDER = "configs"

_BACKEND_OF_PLATFORM = {
    "onnxruntime_onnx": contract.ONNX_BACKEND,
    "tensorrt_plan": contract.TENSORRT_BACKEND,
}
_USUAL_FILE = {
    contract.ONNX_BACKEND: contract.ONNX_FILE,
    contract.TENSORRT_BACKEND: contract.TENSORRT_FILE,
    # Where nothing is named, the native DALI backend looks for `model.dali` and then falls back to this.
    contract.DALI_BACKEND: contract.DALI_FILE,
    PYTHON_BACKEND: "model.py",
}


@dataclass(frozen=True)
class BadConfig:
    """Why `config.pbtxt` could not be used."""

    reason: str
    line: int | None = None


class ModelFolder:
    """One subfolder of the repository: a model, or what Triton will take for one."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.config_path = path / CONFIG_FILE

    @cached_property
    def config_text(self) -> str:
        """Text of `config.pbtxt`; empty where there is none or it is not readable text."""
        return "" if isinstance(self._read, BadConfig) else self._read[0]

    @property
    def config(self) -> Any:
        """The parsed `ModelConfig`; only for rules that need one."""
        if isinstance(self._read, BadConfig):
            raise TypeError(f"{self.config_path} has no usable configuration: {self._read.reason}")
        return self._read[1]

    @property
    def bad_config(self) -> BadConfig | None:
        """Why there is no `config`, or None."""
        return self._read if isinstance(self._read, BadConfig) else None

    @cached_property
    def _read(self) -> tuple[str, Any] | BadConfig:
        try:
            text = self.config_path.read_text(encoding="utf-8")
            return text, parse(text)
        except text_format.ParseError as error:
            return BadConfig(str(error), error.GetLine())
        except (OSError, UnicodeDecodeError) as error:
            return BadConfig(str(error))

    def line_of(self, *needles: str) -> int | None:
        """Line of the last of `needles`, each searched after the one before it, in `config.pbtxt`; None if absent."""
        position = 0
        for needle in needles:
            position = self.config_text.find(needle, position)
            if position < 0:
                return None
        return self.config_text.count("\n", 0, position) + 1

    # --- what kind of model it is
    @property
    def backend(self) -> str:
        """`dali`, `onnxruntime`, `tensorrt`, `ensemble`, or whatever else stands there; empty if nothing does."""
        platform = str(self.config.platform)
        return str(self.config.backend) or _BACKEND_OF_PLATFORM.get(platform, platform)

    @property
    def is_ensemble(self) -> bool:
        """Whether it joins other models."""
        return self.backend == contract.ENSEMBLE_PLATFORM or bool(self.config.HasField("ensemble_scheduling"))

    @property
    def is_preprocessing(self) -> bool:
        """Whether its name says that it is a preprocessing model."""
        return self.name.startswith(contract.PREPROCESSING_PREFIXES)

    @property
    def is_network(self) -> bool:
        """Whether its name says that it is a detector's network."""
        return self.name.endswith(contract.NETWORK_SUFFIX) and not self.is_preprocessing

    @property
    def is_group(self) -> bool:
        """Whether it is an ensemble that says that it is a group of detectors."""
        return self.is_ensemble and contract.MEMBERS_PARAMETER in self.config.parameters

    @property
    def is_detector(self) -> bool:
        """Whether it is an ensemble that begins with one of our preprocessing models or says that it is ours."""
        if not self.is_ensemble or self.is_group:
            return False
        steps = [step.model_name for step in self.config.ensemble_scheduling.step]
        return any(name.startswith(contract.PREPROCESSING_PREFIXES) for name in steps) or any(
            key.startswith(contract.PARAMETER_PREFIX) for key in self.config.parameters
        )

    @property
    def preprocessing(self) -> Preprocessing | None:
        """What a preprocessing model does, as its name states it, or None."""
        try:
            return Preprocessing.parse(self.name)
        except InvalidOptionError:
            return None

    @property
    def parameters(self) -> dict[str, str]:
        """`parameters` of the configuration."""
        return {key: value.string_value for key, value in self.config.parameters.items()}

    @cached_property
    def info(self) -> DetectorInfo | ContractMismatchError:
        """What a detector or its network tells about itself, or why that cannot be read."""
        try:
            return DetectorInfo.from_parameters(self.parameters)
        except ContractMismatchError as error:
            return error

    # --- versions and files
    @cached_property
    def versions(self) -> tuple[int, ...]:
        """Numbers of the version folders, as Triton counts them: decimal, without leading zeros."""
        names = [entry.name for entry in self.path.iterdir() if entry.is_dir()]
        return tuple(sorted(int(n) for n in names if n.isascii() and n.isdecimal() and str(int(n)) == n))

    @property
    def served_versions(self) -> tuple[int, ...]:
        """The versions that the version policy loads."""
        policy = self.config.version_policy
        if policy.HasField("specific"):
            return tuple(version for version in self.versions if version in policy.specific.versions)
        if policy.HasField("all"):
            return self.versions
        return self.versions[-max(1, policy.latest.num_versions) :]

    @property
    def model_filename(self) -> str:
        """Name of the file that each version folder must hold; empty for ensembles and unknown backends."""
        return str(self.config.default_model_filename) or _USUAL_FILE.get(self.backend, "")

    @property
    def model_files(self) -> Iterator[Path]:
        """The model file of every served version that has it."""
        if self.is_ensemble or not self.model_filename:
            return
        for version in self.served_versions:
            path = self.path / str(version) / self.model_filename
            if path.is_file():
                yield path

    @cached_property
    def dali_trees(self) -> dict[Path, ast.Module | SyntaxError]:
        """Syntax tree of every served DALI pipeline that is Python source; nothing is executed."""
        if self.backend != contract.DALI_BACKEND:
            return {}
        return {path: _parse_python(path) for path in self.model_files if path.suffix == ".py"}

    @cached_property
    def onnx_graphs(self) -> dict[Path, OnnxGraph]:
        """Every served ONNX file, read when it is first asked."""
        if self.backend != contract.ONNX_BACKEND:
            return {}
        return {path: OnnxGraph(path) for path in self.model_files}


def _parse_python(path: Path) -> ast.Module | SyntaxError:
    try:
        source = path.read_bytes()
        compile(source, str(path), "exec", dont_inherit=True)
        return ast.parse(source, str(path))
    except SyntaxError as error:
        return error
    except ValueError as error:  # null bytes
        return SyntaxError(str(error))


@dataclass(frozen=True)
class Repository:
    """All models, by folder name."""

    path: Path
    models: Mapping[str, ModelFolder]

    def find(self, name: str) -> ModelFolder | None:
        """The model of that name if it is there and its configuration could be read."""
        model = self.models.get(name)
        return model if model is not None and model.bad_config is None else None


def read_repository(path: Path) -> Repository:
    """Every subfolder of `path`: Triton takes each for a model, hidden ones too."""
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir())
    return Repository(path, {folder.name: ModelFolder(folder) for folder in folders})
