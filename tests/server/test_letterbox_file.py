"""The text of `dali.py`, and that Triton's DALI backend can take it."""

from __future__ import annotations

import difflib
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from tests.server.letterbox_reference import encode, largest_difference, picture, reference

from sightline import contract
from sightline.errors import InvalidOptionError
from sightline.preprocessing import Preprocessing
from sightline_export.preprocessing import render_dali

# What the backend runs to get a serialised pipeline, with its own names.
AUTOSERIALIZE = """
import importlib.util, sys
from nvidia.dali._utils.autoserialize import invoke_autoserialize
spec = importlib.util.spec_from_file_location("autoserialize_mod", sys.argv[1])
module = importlib.util.module_from_spec(spec)
sys.modules["autoserialize_mod"] = module
spec.loader.exec_module(module)
invoke_autoserialize(module, sys.argv[2])
print(sorted(name.partition(".")[0] for name in sys.modules if name.startswith(("sightline", "cv2"))))
"""


@pytest.mark.parametrize(
    "name", ["letterbox_320", "letterbox_1920", "rect_640_32", "stretch_320", "stretch_float_320", "resize_800_1333"]
)
def test_only_kind_and_sides_differ(name: str) -> None:
    preprocessing = Preprocessing.parse(name)
    ours = render_dali(Preprocessing.letterbox(640)).splitlines()
    other = render_dali(preprocessing).splitlines()
    changed = {line for line in difflib.ndiff(ours, other) if line.startswith(("-", "+"))}
    stated = {"- SIDES = (640,)", f"+ SIDES = {preprocessing.sides}"}
    kinds = {'- KIND = "letterbox"', f'+ KIND = "{preprocessing.kind}"'}
    assert changed == stated | (kinds if preprocessing.kind != "letterbox" else set())
    compile("\n".join(other), "dali.py", "exec")


def test_constants_are_those_of_the_contract() -> None:
    text = render_dali(Preprocessing.letterbox())
    assert f"SIDES = ({contract.DEFAULT_IMAGE_SIZE},)\n" in text
    assert f"PAD_VALUE = {contract.PAD_VALUE}\n" in text
    assert f"MAX_BATCH_SIZE = {contract.MAX_BATCH_SIZE}\n" in text
    assert f'name="{contract.ENCODED.name}"' in text


@pytest.mark.parametrize("image_size", [0, 300, 650, 1952])
def test_other_sizes_are_refused(image_size: int) -> None:
    with pytest.raises(InvalidOptionError, match="multiples of 32"):
        render_dali(Preprocessing.letterbox(image_size))


@pytest.mark.parametrize("name", ["letterbox_640", "rect_640_32", "resize_800_1333", "stretch_320"])
def test_the_backend_can_serialise_and_run_it(tmp_path: Path, name: str) -> None:
    dali = pytest.importorskip("nvidia.dali")
    source, target = tmp_path / "dali.py", tmp_path / "model.dali"
    source.write_text(render_dali(Preprocessing.parse(name)))
    done = subprocess.run(
        [sys.executable, "-c", AUTOSERIALIZE, source, target], check=True, capture_output=True, text=True, timeout=60
    )
    assert done.stdout.strip() == "[]", "it imports nothing that a stock Triton lacks"

    # Thread count and batch size are the backend's own choice.
    pipeline = dali.pipeline.Pipeline.deserialize(filename=str(target), batch_size=4, num_threads=1, device_id=None)
    pipeline.build()
    data = encode(".jpg", picture(height=853, width=1280))
    images, shapes, *rectangles = pipeline.run(encoded=[np.frombuffer(data, np.uint8)])
    image = np.asarray(images.as_tensor())[0]
    assert [each.shape() for each in rectangles] == ([[(14, 20)]] if name == "rect_640_32" else [])
    if name in ("letterbox_640", "rect_640_32"):
        expected = reference(data, 640)
        assert expected is not None
        assert largest_difference(image, expected) <= 1
    else:
        assert image.shape == {"resize_800_1333": (800, 1200, 3), "stretch_320": (320, 320, 3)}[name]
    assert np.asarray(shapes.as_tensor()).tolist() == [[853, 1280, 3]]
