"""Original checkpoints are untrusted input: whatever a file says, nothing of it runs, and it is told what is wrong."""

from __future__ import annotations

import builtins
import io
import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.export.original_files import as_original, original_classes, save_original, tiny_network

from sightline.errors import CheckpointError
from sightline_export.options import ExportOptions
from sightline_export.sources import load
from sightline_export.sources.yolov5.checkpoint import read_checkpoint

QUICK = ExportOptions(image_size=320)
MARKER = "ran"
HEADER = b"\x80\x02"
AN_ORIGINAL = b"cmodels.yolo\nDetectionModel\n0"
"""Names an original class and forgets it, so that the file is taken for an original checkpoint."""


def with_pickle(path: Path, pickled: bytes, *, of: Path | None = None) -> Path:
    """A checkpoint, of the members of another one, with this pickle."""
    with zipfile.ZipFile(path, "w") as target:
        if of is not None:
            with zipfile.ZipFile(of) as source:
                for name in source.namelist():
                    if not name.endswith("data.pkl"):
                        target.writestr(name, source.read(name))
                folder = next(name for name in source.namelist() if name.endswith("data.pkl")).removesuffix("data.pkl")
        else:
            folder = "archive/"
        target.writestr(f"{folder}data.pkl", pickled)
    return path


def pickle_of(path: Path) -> bytes:
    with zipfile.ZipFile(path) as members:
        return members.read(next(name for name in members.namelist() if name.endswith("data.pkl")))


def text(value: str) -> bytes:
    data = value.encode()
    return b"X" + len(data).to_bytes(4, "little") + data


CALLS: dict[str, tuple[bytes, str]] = {
    "os.system": (b"cos\nsystem\n", "os.system"),
    "posix.system": (b"cposix\nsystem\n", "posix.system"),
    "eval": (b"c__builtin__\neval\n", "__builtin__.eval"),
    "getattr": (b"cbuiltins\ngetattr\n", "builtins.getattr"),
    "torch.load": (b"ctorch\nload\n", "torch.load"),
    "torch.hub": (b"ctorch.hub\nload\n", "torch.hub.load"),
    "a function of torch.nn": (b"ctorch.nn.init\nnormal_\n", "torch.nn.init.normal_"),
    "a module in models.common": (b"cmodels.common\nos\n", "models.common.os"),
    "a dotted name": (b"cmodels.common\nConv.__init__.__globals__\n", "models.common.Conv.__init__"),
}


@pytest.mark.parametrize("case", CALLS)
def test_nothing_else_is_called(case: str, tmp_path: Path) -> None:
    marker = tmp_path / MARKER
    named, shown = CALLS[case]
    call = named + b"(" + text(f"touch {marker}") + b"tR"
    path = with_pickle(tmp_path / "evil.pt", HEADER + AN_ORIGINAL + call + b".")
    for read in (lambda: load(path, QUICK), lambda: read_checkpoint(path)):
        with pytest.raises(CheckpointError) as caught:
            read()
        assert shown in str(caught.value)
        assert "evil.pt" in str(caught.value)
    assert not marker.exists()


@pytest.mark.parametrize(
    "instruction",
    [
        b"\x8c\x02os\x8c\x06system\x93",  # STACK_GLOBAL
        b"(S'touch x'\nios\nsystem\n",  # INST
        b"(cmodels.common\nConv\no",  # OBJ
        b"\x82\x01",  # EXT1
        b"Psomething\n",  # PERSID
        b"\x97",  # NEXT_BUFFER
    ],
    ids=["STACK_GLOBAL", "INST", "OBJ", "EXT1", "PERSID", "NEXT_BUFFER"],
)
def test_instructions_that_torch_does_not_write(instruction: bytes, tmp_path: Path) -> None:
    path = with_pickle(tmp_path / "odd.pt", HEADER + AN_ORIGINAL + instruction + b".")
    with pytest.raises(CheckpointError, match=r"odd.pt holds a pickle with the instruction|odd.pt.*damaged|names code"):
        read_checkpoint(path)


class _RunsCode:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {self.marker}",)


class _Evaluates(_RunsCode):
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return builtins.eval, (f"open({str(self.marker)!r}, 'w')",)


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("kind", [_RunsCode, _Evaluates])
def test_a_real_checkpoint_with_a_passenger(kind: type[_RunsCode], legacy: bool, tmp_path: Path) -> None:
    marker = tmp_path / MARKER
    path = save_original(tmp_path / "best.pt", legacy=legacy, optimizer=kind(marker))
    with pytest.raises(
        CheckpointError, match=r"best.pt names code that is not run from an untrusted file: .*\.(system|eval)"
    ):
        load(path, QUICK)
    assert not marker.exists()


def test_attributes_of_the_file_hide_no_method(tmp_path: Path) -> None:
    """What a file calls `forward` or a hook stays data."""
    plain = load(save_original(tmp_path / "plain.pt"), QUICK).reference
    model = as_original(tiny_network(), names=["alien", "bat"]).half()
    for layer in model.modules():
        layer.__dict__.update(forward=1, __call__=2, training="yes", _forward_hooks=OrderedDict({0: "hook"}))
    with original_classes(model):
        torch.save({"model": model}, tmp_path / "odd.pt")
    odd = load(tmp_path / "odd.pt", QUICK).reference
    picture = torch.rand(1, 3, 64, 64).numpy()
    assert plain is not None
    assert odd is not None
    assert (plain.raw(picture) == odd.raw(picture)).all()


@pytest.mark.parametrize("name", ["_rebuild_tensor_v2", "_rebuild_parameter"])
def test_what_stands_in_for_a_function_cannot_be_changed(name: str, tmp_path: Path) -> None:
    """A function's attributes would outlast the file."""
    build = b"ctorch._utils\n%s\nN}" % name.encode() + text("__defaults__") + b"K\x01\x85s\x86b."
    with pytest.raises(CheckpointError, match="holds a damaged pickle"):
        read_checkpoint(with_pickle(tmp_path / "changing.pt", HEADER + build))


def test_a_value_that_is_too_long_to_be_told(tmp_path: Path) -> None:
    """Forty pairs within each other: written out, a million millions of them."""
    nested: Any = (1,)
    for _ in range(40):
        nested = (nested, nested)
    model = as_original(tiny_network(), names=["alien", "bat"])
    model.model[0].conv.stride = nested
    with original_classes(model):
        torch.save({"model": model}, tmp_path / "odd.pt")
    with pytest.raises(CheckpointError, match=r"stride is \(.*\.\.\..*, not 2 whole numbers") as caught:
        load(tmp_path / "odd.pt", QUICK)
    assert len(str(caught.value)) < 2000


def _first_layer(model: Any) -> Any:
    return model.model[0]


def _set(name: str, value: Any, find: Callable[[Any], Any]) -> Callable[[Any], None]:
    return lambda model: find(model).__dict__.update({name: value})


ODDITIES: dict[str, tuple[Callable[[Any], None], str]] = {
    "a stride of 0": (_set("stride", (0, 2), lambda model: model.model[0].conv), r"stride is \(0, 2\)"),
    "a padding that fills memory": (
        _set("padding", (1 << 40, 2), lambda model: model.model[0].conv),
        r"model.0.conv .*padding is \(1099511627776, 2\), not 2 whole numbers from 0 to 128",
    ),
    "a fraction of groups": (_set("groups", 0.5, lambda model: model.model[0].conv), "groups is 0.5"),
    "no epsilon": (_set("eps", float("nan"), lambda model: model.model[0].bn), "eps is nan"),
    "inputs from nowhere": (_set("f", 99, _first_layer), "it takes its input from 99"),
    "inputs from later": (_set("f", [3, 4], _first_layer), r"it takes its input from \[3, 4\]"),
    "an unknown shortcut": (_set("add", "yes", lambda model: model.model[5]), "add is 'yes'"),
    "classes beyond its channels": (_set("nc", 7, lambda model: model.model[-1]), "do not give 36 channels"),
    "negative classes": (_set("nc", -1, lambda model: model.model[-1]), "nc is -1"),
    "odd strides": (
        _set("stride", torch.tensor([8.0, float("nan")]), lambda model: model.model[-1]),
        "its strides are",
    ),
    "a last layer that is no head": (lambda model: model.model.pop(-1) and None, "the last layer of a detector is its"),
    "a layer in two places": (
        lambda model: model.model.__setitem__(2, model.model[1]),
        "it stands in two places",
    ),
    "a layer in itself": (
        lambda model: model.model[0]._modules.update(act=model.model[0]),
        "it stands in two places",
    ),
    "a part too many": (
        lambda model: model.model[0].add_module("attention", torch.nn.Identity()),
        "it has the parts conv, bn, act, attention, where conv, bn, act are known",
    ),
    "layers that do not fit": (
        lambda model: model.model[1].__setattr__("bn", torch.nn.BatchNorm2d(5)),
        "its layers do not fit together",
    ),
}


@pytest.mark.parametrize("case", ODDITIES)
def test_odd_values_are_named(case: str, tmp_path: Path) -> None:
    change, match = ODDITIES[case]
    model = as_original(tiny_network(), names=["alien", "bat"])
    change(model)
    with original_classes(model):
        torch.save({"model": model}, tmp_path / "odd.pt")
    with pytest.raises(CheckpointError, match=match) as caught:
        load(tmp_path / "odd.pt", QUICK)
    assert "odd.pt" in str(caught.value)


def test_tensors_stay_within_their_numbers(tmp_path: Path) -> None:
    """The shape of a tensor is enlarged in the pickle, without any numbers more."""
    whole = save_original(tmp_path / "whole.pt")
    pickled = pickle_of(whole)
    shape, huge = b"(K\x08K\x03K\x06K\x06t", b"(K\x08K\x03M\xff\xffM\xff\xfft"
    assert pickled.count(shape) == 1
    path = with_pickle(tmp_path / "huge.pt", pickled.replace(shape, huge), of=whole)
    with pytest.raises(CheckpointError, match=r"huge.pt: .*conv.* weight has shape \(8, 3, 65535, 65535\)"):
        load(path, QUICK)


def test_a_number_of_notes_that_fills_memory(tmp_path: Path) -> None:
    pickled = HEADER + AN_ORIGINAL + b"Nr" + (0xFFFFFFF0).to_bytes(4, "little") + b"."
    with pytest.raises(CheckpointError, match="truncated or damaged"):
        read_checkpoint(with_pickle(tmp_path / "notes.pt", pickled))


@pytest.mark.parametrize(
    ("classes", "task"),
    [
        (("models.yolo.SegmentationModel", "models.common.Proto", "models.yolo.Segment"), "segmentation"),
        (
            ("models.yolo.ClassificationModel", "models.common.Classify", "torch.nn.modules.linear.Linear"),
            "classification",
        ),
    ],
)
def test_other_tasks(classes: tuple[str, ...], task: str, tmp_path: Path) -> None:
    named = b"".join(b"c%s\n%s\n0" % tuple(part.encode() for part in name.rsplit(".", 1)) for name in classes)
    path = with_pickle(tmp_path / "other.pt", HEADER + named + b"}.")
    with pytest.raises(CheckpointError, match=f"other.pt is a YOLOv5 model for {task}; only detectors"):
        load(path, QUICK)


def test_layers_of_other_repositories_are_named(tmp_path: Path) -> None:
    path = with_pickle(tmp_path / "yolov7.pt", HEADER + AN_ORIGINAL + b"cmodels.common\nRepConv\n0}.")
    with pytest.raises(
        CheckpointError, match=r"layers that are not known here: models.common.RepConv; .*export it to ONNX"
    ):
        load(path, QUICK)


def test_checkpoints_without_a_model(tmp_path: Path) -> None:
    bare = b"".join([HEADER, AN_ORIGINAL, b"}(", text("model"), b"N", text("ema"), b"Nu."])
    with pytest.raises(CheckpointError, match=r"bare\.pt holds no model .*give the best\.pt or last\.pt"):
        load(with_pickle(tmp_path / "bare.pt", bare), QUICK)
    weights = tiny_network().state_dict()
    path = save_original(tmp_path / "weights.pt", ema=weights)
    with pytest.raises(CheckpointError, match=r"weights\.pt holds .* where a whole model is expected; weights alone"):
        load(path, QUICK)


def test_damaged_files(tmp_path: Path) -> None:
    whole = save_original(tmp_path / "whole.pt").read_bytes()
    middle = len(whole) // 2
    names = {
        "empty.pt": b"",
        "half.pt": whole[:middle],
        "text.pt": b"not a checkpoint at all",
        "flipped.pt": whole[:middle] + bytes([whole[middle] ^ 255]) + whole[middle + 1 :],
    }
    for name, content in names.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(CheckpointError, match=f"{name} is (empty|truncated|damaged).*copy it again"):
            load(tmp_path / name, QUICK)


@pytest.mark.filterwarnings("ignore:Couldn't retrieve source code")
def test_truncated_files_of_the_old_format(tmp_path: Path) -> None:
    whole = save_original(tmp_path / "whole.pt", legacy=True).read_bytes()
    for part in (40, 500, len(whole) // 2, len(whole) - 10):
        path = tmp_path / "cut.pt"
        path.write_bytes(whole[:part])
        with pytest.raises(CheckpointError, match=r"cut\.pt"):
            load(path, QUICK)


def test_missing_numbers(tmp_path: Path) -> None:
    whole = save_original(tmp_path / "whole.pt")
    path = with_pickle(tmp_path / "numberless.pt", pickle_of(whole))
    with pytest.raises(CheckpointError, match=r"numberless\.pt is damaged"):
        load(path, QUICK)


def test_pickles_that_make_no_sense(tmp_path: Path) -> None:
    for number, body in enumerate(
        (b"R.", b"}}b.", b"(l.", b"h\x07.", b"cmodels.common\nConv\n)\x81Nb.", b"}" * 9, b"")
    ):
        path = with_pickle(tmp_path / f"senseless{number}.pt", HEADER + AN_ORIGINAL + body)
        with pytest.raises(CheckpointError, match=f"senseless{number}.pt"):
            read_checkpoint(path)


def test_the_marker_would_be_seen(tmp_path: Path) -> None:
    """The attack of these tests works where nobody stops it."""
    pickle.load(io.BytesIO(pickle.dumps(_Evaluates(tmp_path / MARKER), protocol=2)))
    assert (tmp_path / MARKER).exists()
