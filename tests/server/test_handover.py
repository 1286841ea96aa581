"""Tensors handed to Triton and taken from it by DLPack, as the stand-ins do on a GPU, from this process's memory."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tritonclient.grpc
from tests.server.letterbox_reference import encode, largest_difference, picture, reference

from sightline.preprocessing import Preprocessing
from sightline_export.preprocessing import render_dali
from sightline_server.launcher import EmbeddedServer

NAME = "handing_over"

# The `dali` stand-in's way on a GPU, but for where DALI decodes; an answer is read again as a network would read it.
MODEL = """
import numpy as np
import triton_python_backend_utils as pb_utils
from nvidia.dali import fn, pipeline_def, types
from sightline_server import dlpack
from sightline_server.dlpack import adjoining, raw_array
from sightline_server.pipeline import load_model_file, rows_of

class TritonPythonModel:
    def initialize(self, args):
        module = load_model_file(FILE)
        self.pipeline = module.preprocess(batch_size=16, num_threads=1, device_id=None)
        self.pipeline.build()

    def execute(self, requests):
        held = np.array([[len(dlpack._handed_out)]], np.int32)
        batches = []
        for request in requests:
            encoded = raw_array(pb_utils.get_input_tensor_by_name(request, "encoded"))
            batches.append([row.copy() for row in np.from_dlpack(encoded)])
        images, shapes = self.pipeline.run(encoded=[data for files in batches for data in files])
        rows = rows_of(images)
        del images
        self.pipeline.run(encoded=[batches[0][0]])  # what was given before must not change
        responses = []
        for files in batches:
            mine, rows = rows[: len(files)], rows[len(files) :]
            tensors = [pb_utils.Tensor.from_dlpack("images", adjoining(mine)), pb_utils.Tensor("held", held)]
            responses.append(pb_utils.InferenceResponse(tensors))
        return responses
"""


@pytest.fixture(scope="module")
def model(repository: Path, load_model: Callable[[str], None]) -> str:
    folder = repository / NAME
    (folder / "1").mkdir(parents=True)
    file = folder / "1" / "dali.py"
    file.write_text(render_dali(Preprocessing.letterbox(320)))
    (folder / "1" / "model.py").write_text(f"from pathlib import Path\nFILE = Path({str(file)!r})\n{MODEL}")
    (folder / "config.pbtxt").write_text(
        'backend: "python" max_batch_size: 16 input [{name: "encoded" data_type: TYPE_UINT8 dims: [-1] '
        'allow_ragged_batch: true}] output [{name: "images" data_type: TYPE_UINT8 dims: [320, 320, 3]}, '
        '{name: "held" data_type: TYPE_INT32 dims: [1]}] '
        "dynamic_batching {max_queue_delay_microseconds: 50000} instance_group [{count: 1 kind: KIND_CPU}]"
    )
    load_model(NAME)
    return NAME


def test_pictures_arrive_as_dali_made_them(server: EmbeddedServer, model: str) -> None:
    sizes = [(300, 200), (100, 400), (320, 320), (37, 21), (640, 480), (200, 200), (321, 319)]
    counts = [1, 3, 1, 2]

    def ask(index: int) -> None:
        chosen = [sizes[(index + k) % len(sizes)] for k in range(counts[index % len(counts)])]
        files = [encode(".png", picture(height=h, width=w, seed=index)) for h, w in chosen]
        longest = max(map(len, files))
        encoded = np.stack([np.frombuffer(data.ljust(longest, b"\0"), np.uint8) for data in files])
        given = tritonclient.grpc.InferInput("encoded", encoded.shape, "UINT8")
        given.set_data_from_numpy(encoded)
        with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
            answer = client.infer(model, [given])
        images, held = answer.as_numpy("images"), answer.as_numpy("held")
        assert images is not None
        assert held is not None
        assert held.item() == 0, "what was handed over before was never let go"
        assert images.shape == (len(files), 320, 320, 3)
        for image, data in zip(images, files, strict=True):
            expected = reference(data, 320)
            assert expected is not None
            assert largest_difference(image, expected) <= 1

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(24)))
    with tritonclient.grpc.InferenceServerClient(server.grpc_url) as client:
        statistics = client.get_inference_statistics(model).model_stats[0]
    assert statistics.execution_count < 24, "no two requests were run together"
