"""The letterbox through Triton, by the stand-in for the DALI backend."""

from __future__ import annotations

import math
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import tritonclient.grpc as triton
from tests.server import failing_pipeline
from tests.server.letterbox_reference import encode, largest_difference, picture, reference
from tritonclient.utils import InferenceServerException

from sightline import contract
from sightline._translate import from_message
from sightline.cores import usable_cores
from sightline.errors import InferenceError
from sightline.preprocessing import Preprocessing
from sightline_export.config import WARMUP_JPEG, preprocessing_config, render
from sightline_export.preprocessing import render_dali
from sightline_server.launcher import EmbeddedServer, ServerOptions

IMAGE_SIZE = 416
LETTERBOX = Preprocessing.letterbox(IMAGE_SIZE)
NAME = LETTERBOX.model_name
MAX_PIXELS = 4_000_000
ATTEMPTS = 5  # on a busy machine requests sent together may arrive too far apart
# The header of a BMP of 2**62 pixels.
BOMB = b"BM" + struct.pack("<IHHIIiiHHIIiiII", 0, 0, 0, 54, 40, 2**31 - 1, 2**31 - 1, 1, 24, 0, 0, 0, 0, 0, 0)


def install_letterbox(repository: Path) -> None:
    """A letterbox model of a size and a pixel limit that no other test uses."""
    jpeg = encode(".jpg", picture(height=48, width=64))
    folder = repository / NAME
    config = preprocessing_config(LETTERBOX, max_pixels=MAX_PIXELS, warmup_jpeg_bytes=len(jpeg))
    # Long enough that requests sent together meet in one batch.
    config.dynamic_batching.max_queue_delay_microseconds = 300_000
    config.dynamic_batching.preferred_batch_size.append(4)
    (folder / "1").mkdir(parents=True)
    (folder / contract.WARMUP_FOLDER).mkdir()
    (folder / contract.WARMUP_FOLDER / WARMUP_JPEG).write_bytes(jpeg)
    (folder / "1" / contract.DALI_FILE).write_text(render_dali(Preprocessing.letterbox(IMAGE_SIZE)))
    (folder / "config.pbtxt").write_text(render(config))


@pytest.fixture(scope="module")
def client(
    server: EmbeddedServer, repository: Path, load_model: Callable[[str], None]
) -> Iterator[triton.InferenceServerClient]:
    install_letterbox(repository)
    load_model(NAME)
    with triton.InferenceServerClient(server.grpc_url) as opened:
        yield opened


@pytest.fixture(scope="module")
def strict_client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[triton.InferenceServerClient]:
    """A server whose stand-in behaves like the native backend."""
    repository = tmp_path_factory.mktemp("model_repository")
    install_letterbox(repository)
    options = ServerOptions(repository=repository, grpc_port=0, http_port=0, metrics_port=0, isolate_images=False)
    with EmbeddedServer(options) as running, triton.InferenceServerClient(running.grpc_url) as opened:
        yield opened


def letterboxed(
    client: triton.InferenceServerClient, files: Sequence[bytes], model: str = NAME
) -> tuple[npt.NDArray[np.uint8], Any]:
    """`images` and `original_shape` of one request of several images."""
    padded = np.zeros((len(files), max(map(len, files))), np.uint8)
    for row, data in zip(padded, files, strict=True):
        row[: len(data)] = np.frombuffer(data, np.uint8)
    encoded = triton.InferInput(contract.ENCODED.name, list(padded.shape), contract.ENCODED.datatype)
    encoded.set_data_from_numpy(padded)
    images, shapes = (spec.name for spec in LETTERBOX.outputs)
    result = client.infer(model, [encoded])
    return result.as_numpy(images), result.as_numpy(shapes).tolist()


def together(client: triton.InferenceServerClient, files: Sequence[bytes]) -> list[npt.NDArray[np.uint8] | str]:
    """Picture or error text of each file, each in a request of its own, all in one dynamic batch."""

    def send(data: bytes) -> npt.NDArray[np.uint8] | str:
        try:
            image, _ = letterboxed(client, [data])
        except InferenceServerException as error:
            return str(error.message())
        return image

    for _ in range(ATTEMPTS):
        before = executions(client)
        with ThreadPoolExecutor(len(files)) as threads:
            results = list(threads.map(send, files))
        # Triton counts a batch a moment after its last answer has gone.
        deadline = time.monotonic() + 5
        while executions(client) == before and time.monotonic() < deadline:
            time.sleep(0.01)
        if executions(client) == before + 1:
            return results
    raise AssertionError(f"the requests did not meet in one batch, {ATTEMPTS} times")


def executions(client: triton.InferenceServerClient) -> int:
    statistics = client.get_inference_statistics(NAME)
    return sum(int(batch.compute_infer.count) for batch in statistics.model_stats[0].batch_stats)


def files_of(*sizes_hw: tuple[int, int], extension: str = ".jpg") -> list[bytes]:
    return [encode(extension, picture(height=h, width=w, seed=h)) for h, w in sizes_hw]


def assert_is_reference(image: npt.NDArray[np.uint8], data: bytes) -> None:
    expected = reference(data, IMAGE_SIZE)
    assert expected is not None
    assert largest_difference(image, expected) <= 1


def damaged(data: bytes) -> bytes:
    """Passes the header check; only the decoder finds that the quantization tables are gone."""
    return data.replace(b"\xff\xdb", b"\xff\xfe")


@pytest.mark.parametrize("extension", [".jpg", ".png", ".webp", ".bmp", ".tiff"])
def test_one_request_of_several_images(client: triton.InferenceServerClient, extension: str) -> None:
    large = [(853, 1280), (1500, 999)] if extension == ".jpg" else []  # the others take long to encode
    sizes = [(240, 320), (1, 641), (641, 1), (213, 320), (5, 7), (320, 320), *large]
    files = files_of(*sizes, extension=extension)
    images, shapes = letterboxed(client, files)
    assert images.shape == (len(files), IMAGE_SIZE, IMAGE_SIZE, 3)
    assert shapes == [[height, width, 3] for height, width in sizes]
    for image, data in zip(images, files, strict=True):
        assert_is_reference(image, data)


def test_the_largest_batch(client: triton.InferenceServerClient) -> None:
    files = files_of(*[(40 + n, 60) for n in range(LETTERBOX.max_batch_size)])
    images, _ = letterboxed(client, files)
    assert len(images) == len(files)
    assert_is_reference(images[-1], files[-1])


def test_requests_of_one_batch(client: triton.InferenceServerClient) -> None:
    files = files_of((300, 200), (100, 900), (853, 1280), (31, 33))
    for image, data in zip(together(client, files), files, strict=True):
        assert not isinstance(image, str), image
        assert_is_reference(image[0], data)


@pytest.mark.parametrize(
    ("spoil", "kind", "words"),
    [
        (damaged, "corrupt", "JPEG of 900 x 100 pixels cannot be decoded"),
        (lambda data: data[:-9], "corrupt", "truncated JPEG"),
        (lambda data: b"GIF89a" + bytes([9, 0] * 9), "unsupported", "GIF files are not decoded"),
        (
            lambda data: b"BM" + bytes(8) + bytes([54, 0, 0, 0, 40, 0, 0, 0]) + b"\xff\xff\xff\x7f" * 5,
            "too-large",
            "limit",
        ),
    ],
)
def test_a_bad_image_fails_its_own_request_only(
    client: triton.InferenceServerClient, spoil: Callable[[bytes], bytes], kind: str, words: str
) -> None:
    files = files_of((300, 200), (100, 900), (853, 1280), (31, 33))
    clean = [letterboxed(client, [data])[0] for data in files]
    results = together(client, [files[0], spoil(files[1]), files[2], files[3]])
    error = results[1]
    assert isinstance(error, str)
    found = contract.parse_image_error(error)
    assert found is not None, error
    assert (found[0], words in found[1]) == (kind, True), error
    for index in (0, 2, 3):
        assert np.array_equal(results[index], clean[index])


def test_an_error_says_which_image_of_a_request(client: triton.InferenceServerClient) -> None:
    files = files_of((30, 20), (10, 90), (85, 12))
    with pytest.raises(InferenceServerException, match=r"error\[corrupt\]: image 2 of 3: truncated JPEG"):
        letterboxed(client, [files[0], files[1][:-40], files[2]])
    with pytest.raises(InferenceServerException, match=r"image 1 of 3: .* \(and 1 more of them cannot be used\)"):
        letterboxed(client, [files[0][:-40], files[1][:-40], files[2]])


def test_nothing_appears_beside_the_models_file(client: triton.InferenceServerClient, repository: Path) -> None:
    letterboxed(client, files_of((5, 7)))
    assert [entry.name for entry in (repository / NAME / "1").iterdir()] == [contract.DALI_FILE]


def test_an_empty_image(client: triton.InferenceServerClient) -> None:
    with pytest.raises(InferenceServerException, match=r"\[unsupported\]: not an image"):
        letterboxed(client, [bytes(4)])


def test_the_models_own_pixel_limit(client: triton.InferenceServerClient) -> None:
    with pytest.raises(
        InferenceServerException, match=r"\[too-large\].*2001 x 2000 pixels .* limit of 4\.0 megapixels"
    ):
        letterboxed(client, [encode(".png", np.zeros((2000, 2001, 3), np.uint8))])
    assert letterboxed(client, [encode(".png", np.zeros((2000, 2000, 3), np.uint8))])[1] == [[2000, 2000, 3]]


def test_a_gpu_that_fails_is_the_servers_failure(
    server: EmbeddedServer, repository: Path, load_model: Callable[[str], None]
) -> None:
    preprocessing = Preprocessing.letterbox(352)
    small = encode(".png", picture(height=20, width=20))
    config = preprocessing_config(preprocessing, max_pixels=MAX_PIXELS, warmup_jpeg_bytes=1)
    del config.model_warmup[:]
    folder = repository / preprocessing.model_name
    (folder / "1").mkdir(parents=True)
    words = "CUDA driver API error CUDA_ERROR_OUT_OF_MEMORY (2): out of memory"
    failing_pipeline.write(folder / "1" / contract.DALI_FILE, words=words, above_bytes=len(small), side=352)
    (folder / "config.pbtxt").write_text(render(config))
    load_model(preprocessing.model_name)
    with triton.InferenceServerClient(server.grpc_url) as connection:
        letterboxed(connection, [small], preprocessing.model_name)
        with pytest.raises(InferenceServerException, match="out of memory") as failure:
            letterboxed(connection, [small, encode(".png", picture(height=200, width=200))], preprocessing.model_name)
    assert failure.value.status() == "StatusCode.INTERNAL"
    error = from_message(failure.value.message())
    assert type(error) is InferenceError, "the client blames no picture"
    assert words in str(error)


def test_tells_its_engine_and_shares_the_cores(client: triton.InferenceServerClient, server: EmbeddedServer) -> None:
    import nvidia.dali

    instances = client.get_model_config(NAME).config.instance_group
    cores = math.ceil(usable_cores())
    assert server.engines()[NAME] == contract.EngineInfo(
        engine="dali",
        version=nvidia.dali.__version__,
        precision="uint8",
        threads=max(1, cores // sum(group.count for group in instances)),
    )


def test_the_switch_fails_whole_batches_and_recovers(strict_client: triton.InferenceServerClient) -> None:
    files = files_of((300, 200), (100, 900), (853, 1280), (31, 33))
    results = together(strict_client, [files[0], damaged(files[1]), files[2], files[3]])
    for error in results:
        assert isinstance(error, str), "the native backend would have failed this one too"
        assert "no longer valid" in error
        assert contract.parse_image_error(error) is None
    for image, data in zip(together(strict_client, files), files, strict=True):
        assert not isinstance(image, str), image
        assert_is_reference(image[0], data)
