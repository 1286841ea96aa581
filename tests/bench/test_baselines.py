"""The scripts of bench/baselines, each started as `sightline bench` starts it."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import CHECKOUT

from sightline_bench.contestants import catalogue
from sightline_bench.contestants.program import Program
from sightline_bench.contestants.race import Course, Race, run_race
from sightline_bench.material.detecto import make_detecto
from sightline_bench.material.exports import Exported
from sightline_bench.material.photos import Photos, photos_of_size, take
from sightline_bench.material.weights import Weights
from sightline_bench.material.workshop import Workshop
from sightline_bench.measure.rounds import LEAST_ROUNDS
from sightline_export.sample import BUNDLED_FOLDER

COURSE = Course(name="scripts", title="scripts", setting="a few pictures", rounds=LEAST_ROUNDS)
DEMO = Exported(repository=CHECKOUT / "model_repository", model="demo", precision="fp32")


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    return Workshop(tmp_path_factory.mktemp("work"), lambda line: None)


@pytest.fixture(scope="module")
def drawn(workshop: Workshop) -> Photos:
    return take(workshop, sorted(BUNDLED_FOLDER.glob("*.jpg")), 4)


def found(race: Race, name: str) -> list[int | None]:
    return [each.found for each in race.of(name)]


def test_the_parts_find_what_the_server_finds(workshop: Workshop, drawn: Photos, tmp_path: Path) -> None:
    recipes = [
        catalogue.served(drawn, DEMO),
        catalogue.served(drawn, DEMO, name="annotated", output=tmp_path),
        catalogue.in_process(drawn, DEMO),
        catalogue.engine(drawn, DEMO).having(workers=2, batch=3),
        catalogue.decoder(drawn).having(batch=3),
        catalogue.letterbox(drawn, DEMO, "letterbox"),
    ]
    race = run_race(COURSE, recipes, tell=lambda line: None)
    assert not race.failures
    (objects,) = set(found(race, "served"))
    assert objects
    for name in ("annotated", "in process", "engine"):
        assert found(race, name) == [objects] * LEAST_ROUNDS
    assert found(race, "decoder") == [None] * LEAST_ROUNDS
    assert len(list((tmp_path / "annotated").glob("*.jpg"))) == drawn.count
    served = {each.name for each in race.processes["served"]}
    assert {"tritonserver", "model demo_net", "model letterbox_640"} <= served
    assert all(each.details["decode_ms"] > 0 for each in race.of("letterbox"))
    assert all("letterbox_ms" in each.details for each in race.of("letterbox"))


def test_ways_to_run_ultralytics_agree(workshop: Workshop, shared_data: Path, tmp_path: Path) -> None:
    weights = Weights(shared_data / "weights" / "yolov8n.pt")
    photos = take(workshop, sorted((shared_data / "coco" / "images").glob("*.jpg"))[:3], 3)
    recipes = [
        catalogue.loop(photos, weights).having(threads=3),
        catalogue.thread_pool(photos, weights, workers=2).having(threads=1),
        catalogue.process_pool(photos, weights, workers=2).having(threads=1),
        catalogue.data_loader(photos, weights).having(batch=2, threads=1),
        catalogue.five_models(photos, [weights], tmp_path).having(threads=3),
    ]
    race = run_race(COURSE, recipes, tell=lambda line: None)
    assert not race.failures
    (objects,) = set(found(race, "Ultralytics"))
    assert objects
    assert found(race, "threads") == found(race, "processes") == [objects] * LEAST_ROUNDS
    # Whatever Ultralytics makes of it when it loads a network.
    assert all(each.details["torch_threads"] == 3 for name in ("Ultralytics", "script") for each in race.of(name))
    # These see squares, with more border than the rectangles of the others.
    assert found(race, "DataLoader") == found(race, "script")
    assert len(list((tmp_path / "yolov8n").glob("*.jpg"))) == photos.count


@pytest.mark.timeout(900)
def test_detecto_predicts(workshop: Workshop) -> None:
    images = photos_of_size(workshop, sorted(BUNDLED_FOLDER.glob("*.jpg")), 1, size_hw=(48, 64))
    recipe = catalogue.detecto_loop(take(workshop, images, 1), make_detecto(workshop)).having(threads=1)
    with Program(recipe) as program:
        program.wait_until_ready()
        assert program.one_pass().found
