"""What the log tells about a failure, from lines that Triton 2.51 wrote."""

from __future__ import annotations

import logging
import os

import pytest

from sightline_server.log import ModelFailure, ServerLog, last_words, model_failures, taken_port

FRAME = "E1121 12:56:13.527566 8074 model_lifecycle.cc:642] "
PYTHON = (
    FRAME + "\"failed to load 'a_net' version 1: Internal: ValueError: model.onnx is\\nbroken\\n\\nAt:\\n"
    '  /tmp/b/onnxruntime/model.py(14): initialize\\n"'
)
PARSE = (
    "[libprotobuf ERROR /tmp/text_format.cc:337] Error parsing text-format inference.ModelConfig: 1:25: Message type "
    '"inference.ModelConfig" has no field named "nonsense".'
)
POLL = FRAME + "\"Poll failed for model directory 'b': failed to read text proto from /r/b/config.pbtxt\""
ENSEMBLE = FRAME + '"Invalid argument: ensemble c contains models that are not available or ambiguous: d"'


def test_nothing_failed() -> None:
    assert model_failures([]) == []
    assert model_failures(["I1121 12:56:13.527566 8074 x.cc:1] \"successfully loaded 'a'\""]) == []


def test_failures_are_readable_and_told_once() -> None:
    assert model_failures([PYTHON, PYTHON, PARSE, POLL, ENSEMBLE]) == [
        ModelFailure("a_net", "ValueError: model.onnx is broken"),
        ModelFailure("b", '1:25: Message type "inference.ModelConfig" has no field named "nonsense".'),
        ModelFailure("c", "contains models that are not available or ambiguous: d"),
    ]


def test_an_ensemble_that_triton_quotes() -> None:
    line = FRAME + "\"Invalid argument: ensemble 'c' depends on 'd' which has no loaded version\""
    assert model_failures([line]) == [ModelFailure("c", "depends on 'd' which has no loaded version")]


def test_taken_port() -> None:
    line = FRAME + "\"failed to start GRPC service: Unavailable - Socket '127.0.0.1:18001' already in use \""
    assert taken_port(["other", line]) == 18001
    assert taken_port(["other"]) is None


def test_a_handler_that_fails_is_told_once_and_reading_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    given: list[str] = []

    def handler(line: str) -> None:
        given.append(line)
        raise OSError(28, "No space left on device")

    reading, writing = os.pipe()
    log = ServerLog(os.fdopen(reading, "rb"), handler)
    with os.fdopen(writing, "wb") as stream:
        stream.write(b"one\ntwo\nerror: creating server: no\n")
    log.join(timeout_seconds=10)
    assert log.tail() == ["one", "two", "error: creating server: no"]
    assert log.gave_up
    assert given == ["one"]
    (warning,) = [record for record in caplog.records if record.levelno == logging.WARNING]
    assert "No space left on device" in warning.getMessage()


def test_last_words() -> None:
    harmless = FRAME + '"CudaDriverHelper has not been initialized."'
    table = ["+----+", "| a  |", ""]
    assert last_words([]) == ""
    assert last_words([FRAME + '"an error"', 'I1121 12:56:13.527566 8074 x.cc:1] "fine"', *table]) == "an error"
    assert last_words([FRAME + '"an error"', harmless]) == "an error"
    assert last_words([harmless, "the end"]) == "the end"
    assert last_words([*table, "error: creating server: Internal - no"]) == "error: creating server: Internal - no"
    assert last_words(["tritonserver: symbol lookup error"]) == "tritonserver: symbol lookup error"
