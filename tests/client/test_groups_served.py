"""A group behind a real server: what each member finds, what fails, and that it was decoded once."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import tritonclient.grpc
from click.testing import CliRunner
from tests.export.lint_repository import network_graph
from tests.server import tiny_detector

from sightline import AsyncClient, Client, Detections, EncodedImage
from sightline.cli import cli
from sightline.detector_info import DetectorInfo
from sightline.errors import ContractMismatchError, CorruptImageError, InferenceError, InvalidOptionError
from sightline.preprocessing import Preprocessing
from sightline.served import list_served
from sightline_export.groups import install_group
from sightline_export.repository import install_detector
from sightline_server.launcher import EmbeddedServer, ServerOptions

BRIGHT = tiny_detector.detector_info()
LIGHT = replace(BRIGHT, class_names=("light", "unused"))
LARGE = replace(BRIGHT, class_names=("day",), preprocessing=Preprocessing.letterbox(640))
TOO_HIGH = 700
"""Rows; more than the picture that warms the network up has."""
GROUPS = {"fleet": ("bright", "light.v2"), "mixed": ("bright", "large"), "fragile": ("bright", "picky")}


def of_size(model: onnx.ModelProto, info: DetectorInfo) -> bytes:
    """The tiny detector for pictures of another size, to which it does the same."""
    for dim, size in zip(
        model.graph.input[0].type.tensor_type.shape.dim[1:3], info.preprocessing.picture_hw, strict=True
    ):
        dim.dim_value = size
    return model.SerializeToString()


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, server: EmbeddedServer) -> Iterator[EmbeddedServer]:
    """A server that was asked for three groups, and for one member alone."""
    del server  # it skips this module's tests where no server can run
    repository = tmp_path_factory.mktemp("groups")
    install_detector(repository, "bright", tiny_detector.graph().SerializeToString(), BRIGHT)
    install_detector(repository, "light.v2", tiny_detector.graph().SerializeToString(), LIGHT)
    install_detector(repository, "large", of_size(tiny_detector.graph(), LARGE), LARGE)
    install_detector(repository, "picky", tiny_detector.failing_above(TOO_HIGH).SerializeToString(), BRIGHT)
    for name, members in GROUPS.items():
        install_group(repository, name, members)
    models = (*GROUPS, "bright")
    options = ServerOptions(repository=repository, models=models, grpc_port=0, http_port=0, metrics_port=0)
    with EmbeddedServer(options) as running:
        yield running


def grey(level: int, *, rows: int = 30) -> EncodedImage:
    return EncodedImage.from_array(np.full((rows, 40, 3), level, np.uint8), source=f"{level}")


def decoded(url: str, model: str) -> int:
    with tritonclient.grpc.InferenceServerClient(url) as client:
        (statistics,) = client.get_inference_statistics(model).model_stats
    return int(statistics.inference_count)


def test_what_a_group_depends_on_is_served_with_it(served: EmbeddedServer) -> None:
    assert served.model_names() == sorted(
        [*GROUPS, "bright", "bright_net", "large_net", "letterbox_320", "letterbox_640", "light.v2_net", "picky_net"]
    )


def test_one_detections_per_model_and_one_decode(served: EmbeddedServer) -> None:
    before = decoded(served.grpc_url, "letterbox_320")
    with Client(served.grpc_url, model="fleet") as client:
        assert {name: info.class_names for name, info in client.members.items()} == {
            "bright": ("bright",),
            "light.v2": ("light", "unused"),
        }
        found = client.detect_group(grey(200))
        dark = client.detect_group(grey(200), score_threshold=0.9)
    assert decoded(served.grpc_url, "letterbox_320") == before + 2
    assert [(name, each.class_names, len(each)) for name, each in found.items()] == [
        ("bright", ("bright",), 1),
        ("light.v2", ("light", "unused"), 1),
    ]
    assert found["bright"].boxes_xyxy.tolist() == [[0, 0, 40, 30]]
    assert found.image_size_hw == (30, 40)
    assert [len(each) for each in dark.values()] == [0, 0]


@pytest.mark.parametrize("group", ["fleet", "mixed"])
def test_it_finds_what_its_member_finds_alone(served: EmbeddedServer, group: str) -> None:
    images = [grey(level, rows=20 + level) for level in range(0, 250, 23)]
    with Client(served.grpc_url, model="bright") as alone, Client(served.grpc_url, model=group) as together:
        expected = [result.unwrap() for result in alone.stream(images, score_threshold=0.2)]
        results = list(together.stream(images, score_threshold=0.2))
    assert [result.source for result in results] == [image.source for image in images]
    assert all(result.detections is None and result.milliseconds for result in results)
    for result, wanted in zip(results, expected, strict=True):
        assert_same(result.unwrap_group()["bright"], wanted)
    assert 0 < sum(map(len, expected)) < len(images)


def assert_same(came: Detections, wanted: Detections) -> None:
    assert came.class_ids.tolist() == wanted.class_ids.tolist()
    assert np.array_equal(came.boxes_xyxy, wanted.boxes_xyxy)
    assert np.array_equal(came.scores, wanted.scores)
    assert (came.class_names, came.image_size_hw) == (wanted.class_names, wanted.image_size_hw)


def test_members_of_different_size_see_pictures_of_their_own(served: EmbeddedServer) -> None:
    before = [decoded(served.grpc_url, f"letterbox_{side}") for side in (320, 640)]
    with Client(served.grpc_url, model="mixed") as client:
        found = client.detect_group(grey(255))
    assert [decoded(served.grpc_url, f"letterbox_{side}") for side in (320, 640)] == [count + 1 for count in before]
    assert found["large"].class_names == ("day",)
    # The letterbox's border counts in both, and the picture has the same share of the square.
    assert found["large"].scores[0] == pytest.approx(found["bright"].scores[0], abs=1e-3)


def test_the_same_with_asyncio(served: EmbeddedServer) -> None:
    async def ask() -> None:
        async with AsyncClient(served.grpc_url, model="fleet") as client:
            assert list(await client.members()) == list(GROUPS["fleet"])
            found = await client.detect_group(grey(200))
            assert [len(each) for each in found.values()] == [1, 1]
            results = [result async for result in client.stream([grey(200), grey(0)], score_threshold=0.5)]
            assert [[len(each) for each in result.unwrap_group().values()] for result in results] == [[1, 1], [0, 0]]
            with pytest.raises(InvalidOptionError, match="is a group"):
                await client.detect(grey(1))

    asyncio.run(ask())


def test_what_is_for_one_detector_only(served: EmbeddedServer) -> None:
    with Client(served.grpc_url, model="fleet") as group, Client(served.grpc_url, model="bright") as detector:
        with pytest.raises(InvalidOptionError, match=r"is a group.*\(bright, light\.v2\): call detect_group\(\)"):
            group.detect(grey(1))
        with pytest.raises(InvalidOptionError, match=r"is a group: name one of its members \(bright, light\.v2\)"):
            _ = group.info
        with pytest.raises(InvalidOptionError, match=r"is a single detector, not a group: call detect\(\)"):
            detector.detect_group(grey(1))
        assert detector.members == {"bright": detector.info}


def test_one_bad_image_costs_the_others_nothing(served: EmbeddedServer) -> None:
    broken = EncodedImage("broken", grey(200).data[:60])
    with Client(served.grpc_url, model="fleet") as client:
        first, bad, last = client.stream([grey(200), broken, grey(200)], batch_size=3)
    assert isinstance(bad.error, CorruptImageError)
    assert [len(each) for each in (*first.unwrap_group().values(), *last.unwrap_group().values())] == [1, 1, 1, 1]


def test_a_member_that_fails_fails_the_image_and_is_named(served: EmbeddedServer) -> None:
    images = [grey(200), grey(200, rows=TOO_HIGH), grey(200)]
    with Client(served.grpc_url, model="fragile") as client:
        first, bad, last = client.stream(images, batch_size=3)
    assert isinstance(bad.error, InferenceError)
    assert "picky" in str(bad.error)
    assert [len(each) for each in (*first.unwrap_group().values(), *last.unwrap_group().values())] == [1, 1, 1, 1]


def test_the_list_of_models_knows_groups(served: EmbeddedServer) -> None:
    models = {model.name: model for model in list_served(served.grpc_url)}
    assert sorted(models) == ["bright", "fleet", "fragile", "mixed"]
    assert [(member.name, member.detector) for member in models["fleet"].members] == [
        ("bright", BRIGHT),
        ("light.v2", LIGHT),
    ]
    assert models["mixed"].decoders == ("letterbox_320", "letterbox_640")
    assert models["bright"].members == ()
    shown = CliRunner().invoke(cli, ["models", "--url", served.grpc_url])
    assert "fleet: ready, a group of 2" in shown.output
    assert "decodes    2 for each picture: letterbox_320, letterbox_640" in shown.output
    assert "light.v2: 2 classes, 320 x 320, at most 4 detections; fp32; openvino" in shown.output
    as_json = json.loads(CliRunner().invoke(cli, ["models", "--url", served.grpc_url, "--json"]).stdout)
    (fleet,) = [model for model in as_json if model["name"] == "fleet"]
    assert fleet["detector"] is None
    assert [member["detector"]["class_count"] for member in fleet["members"]] == [1, 2]


def test_detect_writes_for_every_member(served: EmbeddedServer, tmp_path: Path) -> None:
    photos, out = tmp_path / "photos", tmp_path / "photos" / "out"
    photos.mkdir()
    assert cv2.imwrite(str(photos / "a.png"), np.full((30, 40, 3), 200, np.uint8))
    words = [str(photos), "--url", served.grpc_url, "--model", "fleet", "-o", str(out)]
    done = detect(*words, "--format", "jsonl,coco,yolo,annotated")
    assert done.exit_code == 0, done.output
    assert "1 done in" in done.output
    assert "2 objects: 1 by bright, 1 by light.v2" in done.output
    (line,) = map(json.loads, (out / "results.jsonl").read_text().splitlines())
    assert {model: len(found) for model, found in line["models"].items()} == {"bright": 1, "light.v2": 1}
    for model in GROUPS["fleet"]:
        for file in ("labels/a.txt", "classes.txt", "annotated/a.jpg", "coco_results.json"):
            assert (out / model / file).is_file()
    # The pictures of the first run are no input of the second.
    again = detect(*words, "--classes", "light")
    assert "1 done in" in again.output
    assert "1 objects: 0 by bright, 1 by light.v2" in again.output
    assert "no class 'bus'" in detect(*words, "--classes", "bus").output


def detect(*words: str) -> Any:
    return CliRunner().invoke(cli, ["detect", *words])


def test_an_evaluation_wants_a_member(served: EmbeddedServer, tmp_path: Path) -> None:
    truth = tmp_path / "truth.json"
    truth.write_text(json.dumps({"images": [], "annotations": [], "categories": []}))
    words = ["evaluate", str(tmp_path), "--url", served.grpc_url, "--model", "fleet", "--annotations", str(truth)]
    refused = CliRunner().invoke(cli, words)
    assert refused.exit_code == 2
    assert "is a group: name one of its members (bright, light.v2)" in refused.output


def test_a_client_goes_on_when_a_member_is_exported_again(
    repository: Path, server: EmbeddedServer, load_model: Callable[[str], None]
) -> None:
    first = replace(BRIGHT, class_names=("old",))
    second = replace(BRIGHT, class_names=("new", "newer"), max_detections=9)
    install_detector(repository, "changing", network_graph(first).SerializeToString(), first)
    install_detector(repository, "staying", network_graph(BRIGHT).SerializeToString(), BRIGHT)
    install_group(repository, "renewed", ["changing", "staying"])
    load_model("renewed")
    with Client(server.grpc_url, model="renewed") as client:
        assert client.detect_group(grey(1))["changing"].class_names == ("old",)
        install_detector(repository, "changing", network_graph(second).SerializeToString(), second)
        load_model("changing_net")
        load_model("renewed")
        assert client.detect_group(grey(1))["changing"].class_names == ("new", "newer")


def test_pictures_made_in_another_way_are_refused(
    repository: Path, server: EmbeddedServer, load_model: Callable[[str], None]
) -> None:
    """A member that somebody replaced by hand by one that sees stretched pictures of the same size."""
    install_detector(repository, "upright", network_graph(BRIGHT).SerializeToString(), BRIGHT)
    install_detector(repository, "swapped", network_graph(BRIGHT).SerializeToString(), BRIGHT)
    folder = install_group(repository, "crooked", ["upright", "swapped"]).folder
    standing = (folder / "config.pbtxt").read_bytes()
    stretched = replace(BRIGHT, preprocessing=Preprocessing.stretch(320))
    install_detector(repository, "swapped", network_graph(stretched).SerializeToString(), stretched)
    (folder / "config.pbtxt").write_bytes(standing)
    load_model("crooked")
    reason = "does not give member 'swapped' the pictures of stretch_320"
    with Client(server.grpc_url, model="crooked") as client, pytest.raises(ContractMismatchError, match=reason):
        client.detect_group(grey(1))
    models = {model.name: model for model in list_served(server.grpc_url)}
    assert "make the group again" in models["crooked"].reason


def test_real_detectors_find_the_same_together(
    server: EmbeddedServer,
    repository: Path,
    serve_detector: Callable[[str], str],
    load_model: Callable[[str], None],
    photos: list[Path],
) -> None:
    members = [serve_detector(name) for name in ("yolov8n", "yolov8n_foreign", "yolo26n_foreign")]
    install_group(repository, "real", members)
    load_model("real")
    some = photos[:6]
    with Client(server.grpc_url, model="real") as client:
        together = [result.unwrap_group() for result in client.stream(some)]
    for member in members:
        with Client(server.grpc_url, model=member) as client:
            for result, group in zip(client.stream(some), together, strict=True):
                assert_same(group[member], result.unwrap())
