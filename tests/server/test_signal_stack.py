"""A process that had OpenVINO in it can still be told to stop."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "model_repository" / "demo_net" / "1" / "model.onnx"
LET_GO_ELSEWHERE = """
import faulthandler, signal, sys, threading
from pathlib import Path
from sightline_server.engines import OpenVinoEngine, openvino_precisions

if sys.argv[2] == "with":
    faulthandler.enable()  # which gives the main thread a stack for signals
told = []
signal.signal(signal.SIGTERM, lambda *_: told.append("told"))
openvino_precisions()
kept = [OpenVinoEngine(Path(sys.argv[1]), precision="fp32", threads=1)]
another = threading.Thread(target=kept.clear)
another.start()
another.join()
signal.raise_signal(signal.SIGTERM)
print(*told)
"""


@pytest.mark.parametrize("own_stack", ["with", "without"])
def test_a_signal_is_handled_after_another_thread_let_go_of_openvino(own_stack: str) -> None:
    command = [sys.executable, "-c", LET_GO_ELSEWHERE, str(DEMO), own_stack]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout) == (0, "told\n"), done.stderr
