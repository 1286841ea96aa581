"""What the admin key is for: models that join, change and come back while a server runs, and what a broken one does."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import skip_or_fail
from tests.deploy.conftest import ADMIN_KEY
from tests.deploy.triton_process import Answer, TritonProcess

from sightline import Client
from sightline.contract import network_name
from sightline.errors import MissingDependencyError, ModelNotFoundError
from sightline_export.sample import BUNDLED_FOLDER

DETECTOR = "demo"
NETWORK = network_name(DETECTOR)
PICTURE = BUNDLED_FOLDER / "crowd.jpg"


def copy_models(source: Path, target: Path) -> Path:
    for name in (DETECTOR, NETWORK, "letterbox_640"):
        shutil.copytree(source / name, target / name)
    return target


def start(models: Path, admin_key_file: Path) -> TritonProcess:
    settings = {"TRACE_RATE": "1000", "ADMIN_KEY_FILE": str(admin_key_file)}
    try:
        return TritonProcess(models, models.with_name("triton.log"), **settings)
    except MissingDependencyError as error:
        skip_or_fail(str(error))
        raise


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, demo_repository: Path) -> Path:
    """A repository that tests may change; each leaves it as it was."""
    return copy_models(demo_repository, tmp_path_factory.mktemp("control") / "models")


@pytest.fixture(scope="module")
def own(models: Path, admin_key_file: Path) -> Iterator[TritonProcess]:
    """A server on it."""
    running = start(models, admin_key_file)
    yield running
    # Until its time to end is up, this version waits for every model that failed to load.
    running.kill()


def load(server: TritonProcess, name: str) -> Answer:
    return server.ask(f"/v2/repository/models/{name}/load", method="POST", key=ADMIN_KEY)


def replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_a_model_joins_while_it_runs_and_on_sigterm_it_ends_by_itself(
    tmp_path: Path, demo_repository: Path, admin_key_file: Path
) -> None:
    models = copy_models(demo_repository, tmp_path / "models")
    with start(models, admin_key_file) as running:
        assert "trace" in json.loads(running.ask("/v2").text)["extensions"]
        for part in ("", "_net"):
            shutil.copytree(models / f"demo{part}", models / f"twin{part}")
            replace(models / f"twin{part}" / "config.pbtxt", '"demo', '"twin')
        assert running.ask("/v2/models/twin/ready").status == 400
        assert load(running, "twin").status == 200
        assert running.ask("/v2/models/twin/ready").status == running.ask("/v2/models/demo/ready").status == 200
        assert running.stop() == 0
        assert "Found 0 live models" in running.log


def test_a_new_version_takes_over_and_a_broken_one_leaves_the_old_one_serving(own: TritonProcess, models: Path) -> None:
    onnx = models / NETWORK / "1" / "model.onnx"
    good = onnx.read_bytes()
    with Client(own.grpc_url, model=DETECTOR) as client:
        before = client.detect(PICTURE).scores
        onnx.write_bytes(b"no graph")
        # Why the network is to be loaded by its own name too, after the detector.
        assert load(own, DETECTOR).status == 200
        refused = load(own, NETWORK)
        assert refused.status == 400
        assert "model.onnx failed" in refused.text
        assert (client.detect(PICTURE).scores == before).all()
        assert own.ask("/v2/health/ready").status == 200

        onnx.write_bytes(good)
        replace(models / NETWORK / "config.pbtxt", "count: 2", "count: 1")
        assert load(own, DETECTOR).status == load(own, NETWORK).status == 200
        (group,) = json.loads(own.ask(f"/v2/models/{NETWORK}/config").text)["instance_group"]
        assert group["count"] == 1
        assert (client.detect(PICTURE).scores == before).all()
        replace(models / NETWORK / "config.pbtxt", "count: 1", "count: 2")


def test_a_detector_whose_own_configuration_is_broken_is_gone_until_it_is_repaired(
    own: TritonProcess, models: Path
) -> None:
    config = models / DETECTOR / "config.pbtxt"
    with Client(own.grpc_url, model=DETECTOR) as client:
        before = client.detect(PICTURE).scores
        replace(config, f'"{NETWORK}"', '"nowhere_net"')
        refused = load(own, DETECTOR)
        assert refused.status == 400
        assert "not available or ambiguous: nowhere_net" in refused.text
        with pytest.raises(ModelNotFoundError):
            client.detect(PICTURE)
        replace(config, '"nowhere_net"', f'"{NETWORK}"')
        assert load(own, DETECTOR).status == 200
        assert (client.detect(PICTURE).scores == before).all()
