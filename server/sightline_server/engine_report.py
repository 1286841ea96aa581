"""Which engine runs each model: the stand-ins write it into the run's folder, one more model tells it to clients."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import asdict
from pathlib import Path

from sightline.contract import ENGINES, ENGINES_MODEL, MODEL_VERSION, EngineInfo
from sightline_server import environment

_FOLDER = "engines"


def record_engine(model: str, info: EngineInfo) -> None:
    """Tell what runs a model; instances of one model write the same. Does nothing outside a run of the launcher."""
    run_folder = environment.run_folder()
    if run_folder is None:
        return
    folder = run_folder / _FOLDER
    folder.mkdir(exist_ok=True)
    draft = folder / f".{uuid.uuid4().hex}"
    draft.write_text(json.dumps(asdict(info)), encoding="utf-8")
    os.replace(draft, folder / f"{model}.json")  # noqa: PTH105 - the file is whole at every moment


def recorded_engines(run_folder: Path) -> dict[str, EngineInfo]:
    """What was recorded so far, by model name."""
    files = sorted((run_folder / _FOLDER).glob("*.json"))
    return {file.stem: EngineInfo(**json.loads(file.read_text(encoding="utf-8"))) for file in files}


def stage_report_model(repository: Path) -> None:
    """Write the model that tells clients into an empty model repository."""
    source = Path(__file__).with_name("report_model.py")
    version = repository / ENGINES_MODEL / str(MODEL_VERSION)
    version.mkdir(parents=True)
    (version / "model.py").write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    dims = ", ".join(map(str, ENGINES.dims))
    config = (
        f'name: "{ENGINES_MODEL}"\nbackend: "python"\nmax_batch_size: 0\ninstance_group [{{count: 1 kind: KIND_CPU}}]\n'
        f'output [{{name: "{ENGINES.name}" data_type: TYPE_{ENGINES.datatype} dims: [{dims}]}}]\n'
    )
    (repository / ENGINES_MODEL / "config.pbtxt").write_text(config, encoding="utf-8")
