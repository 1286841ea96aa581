"""What is planned where some of it is missing, and the arithmetic of what came out."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from sightline.errors import InvalidOptionError, MeasurementError
from sightline_bench.gpu.figures import ChainRace, Limits, Row, find_limits, letterbox_milliseconds, rates
from sightline_bench.gpu.plan import (
    Alone,
    Arrangement,
    Chain,
    Choices,
    DecoderAlone,
    EngineAlone,
    LetterboxAlone,
    make_plan,
    parse_arrangement,
    parse_numbers,
)
from sightline_bench.gpu.survey import DALI, DRIVER, ENGINE, TENSORRT, TRITON, Survey
from sightline_bench.measure.rounds import Pass

OWN, WIDE = Arrangement(max_batch=16, decoders=1, networks=2), Arrangement(max_batch=64, decoders=2, networks=2)
CHOICES = Choices(models=("n", "m"), photos=("coco",), batches=(1, 64), request_batches=(8, 64), clients=3)
ALL = Survey(place="gpu", there={}, lacks={})


def lacking(*parts: str) -> Survey:
    return Survey(place="gpu", there={}, lacks={part: f"no {part} here" for part in parts})


def test_everything_is_planned_where_everything_is_there() -> None:
    plan = make_plan(CHOICES, ALL)
    engines = [each for each in plan.alone if isinstance(each, EngineAlone)]
    for model in ("n", "m"):
        for engine in ("onnxruntime", "tensorrt"):
            for batch in (1, 64):
                found = {
                    (each.suppression, each.cuda_graph, each.streams)
                    for each in engines
                    if (each.model, each.engine, each.batch) == (model, engine, batch)
                }
                alone = {(nms, graph, 1) for nms in (True, False) for graph in (True, False)}
                assert found == alone | {(True, False, 2)}
    assert {each.hardware_load for each in plan.alone if isinstance(each, DecoderAlone)} == {1.0, 0.65, 0.0}
    assert sum(isinstance(each, LetterboxAlone) for each in plan.alone) == 2
    assert {(each.arrangement, each.batch) for each in plan.chains} == {(OWN, 8), (WIDE, 8), (WIDE, 64)}
    names = [each.name for each in (*plan.alone, *plan.chains)]
    assert len(set(names)) == len(names)
    assert not plan.left_out


@pytest.mark.parametrize(
    ("missing", "engines", "decoders", "chains"),
    [
        ((TENSORRT,), True, True, True),
        ((ENGINE,), True, True, False),
        ((ENGINE, TENSORRT), False, True, False),
        ((DALI, TENSORRT), True, False, False),
        ((TRITON, TENSORRT), True, True, False),
    ],
)
def test_what_is_there_is_measured(missing: tuple[str, ...], engines: bool, decoders: bool, chains: bool) -> None:
    plan = make_plan(CHOICES, lacking(*missing))
    assert any(isinstance(each, EngineAlone) for each in plan.alone) is engines
    assert any(isinstance(each, DecoderAlone) for each in plan.alone) is decoders
    assert bool(plan.chains) is chains
    for part in missing:
        assert any(f"no {part} here" in reason for reason in plan.left_out)


def test_nothing_can_be_done_without_a_driver() -> None:
    assert lacking(DRIVER, TENSORRT).hopeless == "no driver here"
    assert not lacking(TENSORRT).hopeless


def test_a_rehearsal_has_no_cuda_graphs() -> None:
    plan = make_plan(CHOICES, Survey(place="cpu", there={}, lacks={}))
    assert not [each for each in plan.alone if isinstance(each, EngineAlone) and each.cuda_graph]
    assert "CUDA graphs: this is a processor" in plan.left_out


@pytest.mark.parametrize("text", ["16x1", "16x1x0", "axbxc", "16x1x2x3", ""])
def test_no_arrangement(text: str) -> None:
    with pytest.raises(InvalidOptionError, match="such as 16x1x2"):
        parse_arrangement(text)
    assert parse_arrangement("64x2x3") == Arrangement(max_batch=64, decoders=2, networks=3)


@pytest.mark.parametrize("text", ["0", "1,,2", "x", "-1"])
def test_no_numbers(text: str) -> None:
    with pytest.raises(InvalidOptionError, match="such as 1,8,64"):
        parse_numbers(text)
    assert parse_numbers("8, 1,8") == (1, 8)


def passes(*images_per_second: float, images: int = 100) -> list[Pass]:
    return [Pass(images=images, seconds=images / rate, cpu_seconds=0.0) for rate in images_per_second]


ENGINE_1 = EngineAlone(model="n", engine="onnxruntime", suppression=True, cuda_graph=False, batch=1)
ENGINE_8 = EngineAlone(model="n", engine="onnxruntime", suppression=True, cuda_graph=False, batch=8)
WITHOUT_NMS = EngineAlone(model="n", engine="onnxruntime", suppression=False, cuda_graph=False, batch=8)
GRAPH = EngineAlone(model="n", engine="onnxruntime", suppression=True, cuda_graph=True, batch=8)
OTHER = EngineAlone(model="m", engine="onnxruntime", suppression=True, cuda_graph=False, batch=8)
DECODER = DecoderAlone(photos="coco", batch=8)
MIXED = DecoderAlone(photos="coco", batch=8, hardware_load=0.65)
LARGE = DecoderAlone(photos="1080p", batch=8)
LETTERBOX = LetterboxAlone(photos="coco", batch=8)
RATES: dict[Alone, list[Pass]] = {
    ENGINE_1: passes(100, 100, 100),
    ENGINE_8: passes(400, 500, 400),
    WITHOUT_NMS: passes(900, 900, 900),
    GRAPH: passes(800, 800, 800),
    OTHER: passes(9000, 9000, 9000),
    DECODER: passes(500, 500, 500),
    MIXED: passes(600, 625, 600),
    LARGE: passes(9000, 9000, 9000),
    LETTERBOX: passes(400, 250, 500),
}
BY_NAME = {each.name: came for each, came in RATES.items()}
SERVED = Chain(model="n", photos="coco", arrangement=OWN, batch=8, clients=2)
BETTER = Chain(model="n", photos="coco", arrangement=WIDE, batch=8, clients=2)


def test_limits_are_the_fastest_of_what_is_served() -> None:
    limits = find_limits(list(RATES), BY_NAME, "n", "coco")
    assert limits == Limits(engine=ENGINE_8.name, captured=GRAPH.name, decoder=MIXED.name)
    assert find_limits(list(RATES), {}, "n", "coco").names == frozenset()


def race(served: Sequence[Pass], better: Sequence[Pass] | None, **left_out: None) -> ChainRace:
    came = {**BY_NAME, SERVED.name: served}
    rows = [Row(variant=SERVED, rates=rates(served))]
    if better is None:
        rows.append(Row(variant=BETTER, rates=None, failure="its server did not start"))
    else:
        came[BETTER.name] = better
        rows.append(Row(variant=BETTER, rates=rates(better)))
    limits = find_limits(list(RATES), BY_NAME, "n", "coco")
    return ChainRace(model="n", photos="coco", limits=limits, passes=came, rows=tuple(rows))


def test_served_by_the_smaller_limit_round_by_round() -> None:
    one = race(passes(360, 400, 300), passes(390, 490, 390))
    assert one.ratio(one.best(OWN)).runs == pytest.approx((360 / 400, 400 / 500, 300 / 400))
    assert one.ratio(one.best()).runs == pytest.approx((390 / 400, 490 / 500, 390 / 400))
    # With the graph the engine is faster than the decoder, which then is the limit.
    assert one.ratio(one.best(OWN), captured=True).runs == pytest.approx((360 / 600, 400 / 625, 300 / 600))
    assert one.smaller() == ENGINE_8.name
    assert one.best().variant == BETTER


def test_no_ratio_without_both_limits() -> None:
    one = race(passes(1, 1, 1), None)
    assert one.best().variant == SERVED
    with pytest.raises(MeasurementError, match="its server did not start"):
        one.ratio(one.rows[1])
    lame = ChainRace(
        model="n",
        photos="coco",
        limits=Limits(engine=None, captured=None, decoder=MIXED.name),
        passes=one.passes,
        rows=one.rows,
    )
    with pytest.raises(MeasurementError, match="the engine alone did not run"):
        lame.ratio(one.rows[0])


def test_the_letterbox_is_beyond_the_decoder_with_the_same_settings() -> None:
    found = letterbox_milliseconds(list(RATES), BY_NAME)
    assert found.keys() == {LETTERBOX.name}
    assert found[LETTERBOX.name].runs == pytest.approx((2.5 - 2.0, 4.0 - 2.0, 2.0 - 2.0))
