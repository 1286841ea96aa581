"""What this machine can do at most: large matrix products and a copy in memory, as contestants of `rounds`."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from sightline_bench.measure.rounds import Contestant, Pass, Passes
from sightline_bench.profile.engine_process import Job
from sightline_bench.profile.engines import EngineProcess
from sightline_bench.profile.roofline import Roof
from sightline_export.graph.settings import IR_VERSION, OPSET
from sightline_server.engines import openvino_precisions

SIDE = 2048
"""Of the square matrices: 17 GFLOP, 50 MB, more than caches hold."""
PRODUCT_FLOPS = 2 * SIDE**3
COPY_BYTES = 256 * 2**20
"""What is copied, and so read; as much is written."""
_RUNS = 3
"""Of each in a pass."""
_SEED = 8
_INPUT = "left"


class Peak(Contestant, Protocol):
    """A contestant that remembers the best it did.

    Attributes:
        fastest_seconds: of a run in all passes so far.
    """

    fastest_seconds: float


@dataclass(frozen=True)
class Product:
    """A way to multiply matrices.

    Attributes:
        contestant: a run of it is one product.
        precision: of its factors.
    """

    contestant: Peak
    precision: str


class _Repeated:
    """A pass is the median of a few runs."""

    fastest_seconds = math.inf

    def _run(self) -> None:
        raise NotImplementedError

    def one_pass(self) -> Pass:
        """A few runs."""
        busy, taken = time.process_time(), []
        for _ in range(_RUNS):
            started = time.perf_counter()
            self._run()
            taken.append(time.perf_counter() - started)
        self.fastest_seconds = min(self.fastest_seconds, *taken)
        used = (time.process_time() - busy) / _RUNS
        return Pass(images=1, seconds=statistics.median(taken), cpu_seconds=used)


class NumpyProduct(_Repeated):
    """float32, by the BLAS library of numpy with as many threads as it takes."""

    name = "matrix product, numpy fp32"

    def __init__(self) -> None:
        rng = np.random.default_rng(_SEED)
        self._left, self._right = (rng.standard_normal((SIDE, SIDE), dtype=np.float32) for _ in range(2))
        self._product = np.empty_like(self._left)

    def _run(self) -> None:
        np.matmul(self._left, self._right, out=self._product)


class MemoryCopy(_Repeated):
    """A copy of an array that no cache holds, each thread with its part."""

    name = "copy in memory"

    def __init__(self, threads: int) -> None:
        source = np.ones(COPY_BYTES, np.uint8)
        target = np.zeros_like(source)
        self._parts = list(zip(np.array_split(target, threads), np.array_split(source, threads), strict=True))
        self._pool = ThreadPoolExecutor(threads)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def _run(self) -> None:
        list(self._pool.map(lambda part: np.copyto(*part), self._parts))


class Peaks:
    """Everything that shows what the machine can do. Use it as a context manager.

    Args:
        folder: for graphs, which are made.
        threads: that engines and the copy use.
    """

    def __init__(self, folder: Path, *, threads: int) -> None:
        self.copy = MemoryCopy(threads)
        self.products: list[Product] = [Product(NumpyProduct(), "fp32")]
        self._stack = ExitStack()
        self._stack.callback(self.copy.close)
        write_inputs(folder / "left.npz")
        write_product(folder / "product.onnx")
        write_product(folder / "product_int8.onnx", quantised=True)
        for precision in (*openvino_precisions(), "int8"):
            file = folder / ("product_int8.onnx" if precision == "int8" else "product.onnx")
            job = Job(
                file=str(file),
                engine="openvino",
                precision="bf16" if precision == "bf16" else "fp32",
                threads=threads,
                inputs=str(folder / "left.npz"),
            )
            engine = self._stack.enter_context(EngineProcess(f"matrix product, openvino {precision}", job, runs=_RUNS))
            self.products.append(Product(engine, precision))

    def __enter__(self) -> Peaks:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def contestants(self) -> Sequence[Peak]:
        """All of them."""
        return [self.copy, *(product.contestant for product in self.products)]

    def roof(self) -> Roof:
        """The most of what they have reached in any run."""
        reached: dict[str, float] = {}
        for product in self.products:
            rate = PRODUCT_FLOPS / product.contestant.fastest_seconds
            reached[product.precision] = max(rate, reached.get(product.precision, 0.0))
        return Roof(at_least_fp32(reached), 2 * COPY_BYTES / self.copy.fastest_seconds)

    def rates(self, passes: Passes) -> list[dict[str, float]]:
        """Operations a second of the best product of each precision, round by round."""
        rounds = []
        for number in range(len(passes[self.copy.name])):
            reached: dict[str, float] = {}
            for product in self.products:
                rate = PRODUCT_FLOPS / passes[product.contestant.name][number].seconds
                reached[product.precision] = max(rate, reached.get(product.precision, 0.0))
            rounds.append(at_least_fp32(reached))
        return rounds


def at_least_fp32(reached: Mapping[str, float]) -> dict[str, float]:
    """Nothing is slower than fp32, in which everything can be computed."""
    return {precision: max(rate, reached["fp32"]) for precision, rate in reached.items()}


def write_inputs(file: Path) -> None:
    """The left factor; its rows are what an engine takes for pictures, so that a batch of one is the whole matrix."""
    left = np.random.default_rng(_SEED).standard_normal((1, SIDE, SIDE), dtype=np.float32)
    np.savez(file, allow_pickle=False, **{_INPUT: left})


def write_product(file: Path, *, quantised: bool = False) -> None:
    """A graph that multiplies a matrix with another, with both factors rounded to 8 bits on request."""
    right = np.random.default_rng(_SEED + 1).standard_normal((SIDE, SIDE), dtype=np.float32)
    nodes, constants = [], [numpy_helper.from_array(right, "right")]
    factors = [_INPUT, "right"]
    if quantised:
        scales = {"left_scale": np.float32(0.03), "left_zero": np.uint8(128)}
        scales |= {"right_scale": np.float32(0.03), "right_zero": np.int8(0)}
        stored = np.clip(np.round(right / 0.03), -127, 127).astype(np.int8)
        constants = [numpy_helper.from_array(stored, "right_stored")]
        constants += [numpy_helper.from_array(np.asarray(value), name) for name, value in scales.items()]
        nodes = [
            helper.make_node("QuantizeLinear", [_INPUT, "left_scale", "left_zero"], ["left_stored"]),
            helper.make_node("DequantizeLinear", ["left_stored", "left_scale", "left_zero"], ["left_rounded"]),
            helper.make_node("DequantizeLinear", ["right_stored", "right_scale", "right_zero"], ["right_rounded"]),
        ]
        factors = ["left_rounded", "right_rounded"]
    nodes.append(helper.make_node("MatMul", factors, ["product"]))
    shape: list[str | int | None] = ["batch", "rows", SIDE]
    graph = helper.make_graph(
        nodes,
        "product",
        [helper.make_tensor_value_info(_INPUT, TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("product", TensorProto.FLOAT, shape)],
        constants,
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION), file)
