"""Arrays cross the border between Triton and Python models unchanged, whatever numpy is installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import tritonclient.grpc
from tritonclient.utils import np_to_triton_dtype

from sightline_server.launcher import EmbeddedServer

TYPES = ("uint8", "int32", "int64", "float32")

MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        values = [pb_utils.get_input_tensor_by_name(request, "x_" + name).as_numpy() for name in TYPES]
        values = [value[:, ::-1] for value in values]  # not contiguous
        values[0] = np.ascontiguousarray(values[0])
        values[0].flags.writeable = False
        return pb_utils.InferenceResponse([pb_utils.Tensor("y_" + n, v) for n, v in zip(TYPES, values)])
"""


def write_reversing_model(repository: Path) -> str:
    def tensor(letter: str, name: str) -> str:
        return f'{{name: "{letter}_{name}" data_type: TYPE_{np_to_triton_dtype(np.dtype(name).type)} dims: [4, 3]}}'

    folder = repository / "reversing"
    (folder / "1").mkdir(parents=True)
    (folder / "1" / "model.py").write_text(f"TYPES = {TYPES!r}\n{MODEL}")
    inputs, outputs = (", ".join(tensor(letter, name) for name in TYPES) for letter in "xy")
    (folder / "config.pbtxt").write_text(
        f'backend: "python" max_batch_size: 4 input [{inputs}] output [{outputs}] dynamic_batching {{}}'
    )
    return folder.name


@pytest.mark.parametrize("batch_size", [1, 3])
def test_arrays_arrive_whole(
    server: EmbeddedServer, repository: Path, load_model: Callable[[str], None], batch_size: int
) -> None:
    if not (repository / "reversing").exists():
        load_model(write_reversing_model(repository))
    rng = np.random.default_rng(batch_size)
    sent: dict[str, npt.NDArray[np.generic]] = {
        name: rng.integers(0, 200, (batch_size, 4, 3)).astype(name) for name in TYPES
    }
    inputs = []
    for name, value in sent.items():
        inputs.append(tritonclient.grpc.InferInput(f"x_{name}", value.shape, np_to_triton_dtype(value.dtype.type)))
        inputs[-1].set_data_from_numpy(value)
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        answer = client.infer("reversing", inputs)
    for name, value in sent.items():
        received = answer.as_numpy(f"y_{name}")
        assert received.dtype == value.dtype
        np.testing.assert_array_equal(received, value[:, ::-1])
