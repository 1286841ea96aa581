"""Networks that answer every picture alike are refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from tests.export.tiny import prediction, tiny_model

from sightline.errors import VerificationError
from sightline_export.alive import check_alive
from sightline_export.exporter import export
from sightline_export.heads import ANCHORS_LAST, END_TO_END

Save = Callable[..., Path]
Raw = npt.NDArray[np.float32]
V8 = prediction("anchors_last", classes=3, candidates=50)
NO_SCORES = np.vstack([V8[:4], np.zeros_like(V8[4:])])


def blind(output: Raw) -> onnx.ModelProto:
    model = tiny_model(output)
    (slope,) = [tensor for tensor in model.graph.initializer if tensor.name == "slope"]
    slope.CopyFrom(onnx.numpy_helper.from_array(np.float32(0), "slope"))
    return model


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (blind(V8), "exactly the same numbers for 6 different pictures"),
        (tiny_model(np.zeros_like(V8)), "nothing but zeros for 6 different pictures"),
        (tiny_model(NO_SCORES), r"each of the network's 300 scores for 6 different pictures is 0\."),
    ],
    ids=["constant", "zero", "no scores"],
)
def test_a_blind_network_is_refused(model: onnx.ModelProto, reason: str, save: Save, tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=f"{reason}.*Quantising a model badly.*--sample"):
        export(save(model), repository=tmp_path / "repository", chain=None)
    assert not (tmp_path / "repository").exists()


def test_finding_nothing_is_legal_where_the_network_leaves_weak_detections_out() -> None:
    empty = np.zeros((100, 6), np.float32)
    check_alive([empty, empty], END_TO_END, may_be_empty=True)
    with pytest.raises(VerificationError, match="nothing but zeros"):
        check_alive([empty, empty], END_TO_END)
    constant = np.full((100, 6), 0.5, np.float32)
    with pytest.raises(VerificationError, match="exactly the same numbers"):
        check_alive([constant, constant], END_TO_END, may_be_empty=True)


def test_boxes_that_do_not_depend_on_the_picture() -> None:
    other = np.vstack([V8[:4], V8[4:] * np.float32(0.9)])
    with pytest.raises(VerificationError, match="the same boxes, with other scores"):
        check_alive([V8, other], ANCHORS_LAST)
    check_alive([V8, V8 * np.float32(0.9)], ANCHORS_LAST)
