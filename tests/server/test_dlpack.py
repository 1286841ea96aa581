"""Arrays by address: described to others and taken from them without a copy, and let go when nobody holds them."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from sightline_server import dlpack
from sightline_server.dlpack import CPU, RawArray, adjoining, raw_array


class Owner:
    """Something that can be watched while it is kept."""

    def __init__(self, values: npt.NDArray[Any]) -> None:
        self.values = values


def raw(values: npt.NDArray[Any]) -> RawArray:
    return RawArray(
        pointer=values.ctypes.data, shape=values.shape, dtype=values.dtype, device=(CPU, 0), owner=Owner(values)
    )


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64", "float16", "float32", "bool"])
@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (2, 3, 4)])
def test_numpy_reads_it_where_it_lies(dtype: str, shape: tuple[int, ...]) -> None:
    values = np.asarray(np.random.default_rng(1).integers(0, 2, shape)).astype(dtype)
    given = raw(values)
    assert given.nbytes == values.nbytes
    received = np.from_dlpack(given)  # type: ignore[arg-type]
    assert (received.dtype, received.shape) == (values.dtype, values.shape)
    np.testing.assert_array_equal(received, values)
    assert received.size == 0 or received.ctypes.data == values.ctypes.data


def test_its_memory_is_kept_as_long_as_somebody_reads_it() -> None:
    given = raw(np.arange(6))
    watched = weakref.ref(given.owner)
    received = np.from_dlpack(given)  # type: ignore[arg-type]
    del given
    gc.collect()
    assert watched() is not None
    assert received.tolist() == [0, 1, 2, 3, 4, 5]
    del received
    gc.collect()
    assert watched() is None
    assert not dlpack._handed_out


def test_taking_from_another_library_copies_nothing_and_keeps_it() -> None:
    values = np.arange(12, dtype=np.int64).reshape(3, 4)
    taken = raw_array(values[1:])
    assert (taken.shape, taken.dtype, taken.device) == ((2, 4), np.dtype(np.int64), (CPU, 0))
    assert taken.pointer == values.ctypes.data + 32
    assert len(taken) == 2
    np.testing.assert_array_equal(np.from_dlpack(taken), values[1:])  # type: ignore[arg-type]


def test_what_does_not_lie_in_order_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(4, 3\) does not lie in C order"):
        raw_array(np.zeros((3, 4)).T)
    with pytest.raises(ValueError, match="DLPack's type 5"):
        raw_array(np.zeros(3, np.complex64))


def test_neighbours_in_memory_are_one_array() -> None:
    values = np.arange(24, dtype=np.uint8).reshape(4, 2, 3)
    rows = [raw(values[index : index + 1]) for index in range(4)]
    whole = adjoining(rows[1:])
    assert whole is not None
    assert whole.shape == (3, 2, 3)
    np.testing.assert_array_equal(np.from_dlpack(whole), values[1:])  # type: ignore[arg-type]
    alone = adjoining(rows[:1])
    assert alone is not None
    assert alone.shape == (1, 2, 3)


@pytest.mark.parametrize("order", [[0, 2], [1, 0], [0, 0]])
def test_others_are_not(order: list[int]) -> None:
    values = np.zeros((3, 2), np.uint8)
    assert adjoining([raw(values[index : index + 1]) for index in order]) is None


def test_arrays_of_other_shapes_are_not_one() -> None:
    values = np.zeros(12, np.uint8)
    assert adjoining([raw(values[:4].reshape(1, 4)), raw(values[4:].reshape(1, 8))]) is None
