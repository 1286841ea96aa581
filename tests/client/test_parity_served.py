"""The served chain against Ultralytics' own predictions, on real photos: the reason to trust it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tests.client.conftest import Found, Labels

from sightline import Client, ClientOptions
from sightline.contract import DEFAULT_SCORE_THRESHOLD, Precision
from sightline.parity import BF16_PARITY, FP32_PARITY, Bar, compare
from sightline_server.launcher import EmbeddedServer

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="module")
def reference(ultralytics_found: dict[Labels, Found]) -> Found:
    """What Ultralytics finds in them: what a higher threshold drops suppresses nothing that it keeps."""
    found = ultralytics_found["best class"]
    return {name: each.only(each.scores > DEFAULT_SCORE_THRESHOLD) for name, each in found.items()}


@pytest.mark.parametrize(
    ("name", "precision", "bar"), [("yolov8n", "fp32", FP32_PARITY), ("yolov8n_bf16", "bf16", BF16_PARITY)]
)
def test_yolov8n_is_still_itself(
    name: str,
    precision: Precision,
    bar: Bar,
    *,
    photos: list[Path],
    reference: Found,
    server: EmbeddedServer,
    serve_in: Callable[[str, str], str],
) -> None:
    model = serve_in(name, precision)
    with Client(server.grpc_url, model=model, options=ClientOptions(timeout_seconds=300)) as client:
        served = {Path(str(result.source)).name: result.unwrap() for result in client.stream(photos)}
    report = compare(reference, served)
    print(f"{name}: {report.summary()}")
    verdict = report.judge(bar)
    assert verdict.outcome == "passed", "\n".join((report.summary(), *verdict.reasons))
