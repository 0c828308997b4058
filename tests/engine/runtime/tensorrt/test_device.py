# SPDX-License-Identifier: Apache-2.0
"""Arrays in device memory, on the stand-in: what is copied where, and when memory goes back."""

from __future__ import annotations

import ctypes
import gc
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from gar_ros.engine.runtime.tensorrt import staging
from gar_ros.engine.runtime.tensorrt.cuda_calls import cuda_runtime, find_gpu
from gar_ros.engine.runtime.tensorrt.device import Device
from gar_ros.engine.runtime.tensorrt.staging import BUFFERS
from gar_ros.errors import ErrorCode, GarError
from tests.engine.runtime.tensorrt.stand_in_cuda import StandInCuda

VALUES = np.arange(12, dtype=np.float32).reshape(4, 3)


def test_what_goes_up_comes_down(device: Device) -> None:
    values = VALUES.copy()
    array = device.upload(values)
    values[:] = 0
    np.testing.assert_array_equal(array.numpy(), VALUES)
    assert (array.shape, array.dtype.name, array.nbytes, len(array)) == ((4, 3), "float32", 48, 4)


def test_a_host_array_may_change_or_go_as_soon_as_it_was_handed_over(device: Device) -> None:
    """Of temporary arrays too: what is cast on the way or has gaps."""
    first, second = VALUES.copy(), VALUES.copy()
    arrays = [device.upload(first), device.upload(VALUES.astype(np.float64), np.float32), device.join([second])]
    arrays.append(device.upload(np.repeat(VALUES, 2, axis=1)[:, ::2]))
    first[:], second[:] = -1, -1
    for array in arrays:
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array.numpy(), VALUES)


def test_copies_of_the_hosts_memory_are_of_pinned_memory(device: Device, cuda: StandInCuda) -> None:
    device.upload(VALUES).numpy()
    assert (sum(cuda.copies.values()), cuda.calls["pageable"]) == (2, 0)


def test_zeros_alike_are_one_piece_of_memory(device: Device, cuda: StandInCuda) -> None:
    arrays = device.zeros_alike((4, 3), np.float32, 3)
    assert len(cuda.memory) == 1
    for array in arrays:
        np.testing.assert_array_equal(array.numpy(), np.zeros((4, 3)))
    assert [array.address - arrays[0].address for array in arrays] == [0, 256, 512]


def test_masks_go_up_as_uint8_through_pinned_memory(device: Device, cuda: StandInCuda) -> None:
    mask = VALUES % 2 == 0
    array = device.upload(mask, np.uint8)
    assert (array.nbytes, cuda.calls["pageable"]) == (mask.size, 0)
    np.testing.assert_array_equal(array.numpy(), mask.astype(np.uint8))


def test_uploads_wait_only_when_all_buffers_are_under_way(device: Device, cuda: StandInCuda) -> None:
    arrays = [device.upload(VALUES + number) for number in range(BUFFERS)]
    assert cuda.calls["wait"] == 0
    arrays.append(device.upload(VALUES + BUFFERS))
    assert (cuda.calls["wait"], len(cuda.pinned)) == (1, BUFFERS)
    for number, array in enumerate(arrays):
        np.testing.assert_array_equal(array.numpy(), VALUES + number)


def test_large_arrays_pass_in_pieces(device: Device, cuda: StandInCuda, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staging, "PIECE", 64 << 10)
    values = np.random.default_rng(0).random((7, 11_000), np.float32)  # 4.7 pieces
    array = device.upload(values)
    assert cuda.copies["cudaMemcpyHostToDevice"] == 5
    np.testing.assert_array_equal(array.numpy(), values)
    assert cuda.copies["cudaMemcpyDeviceToHost"] == 5
    assert [piece.nbytes for piece in cuda.pinned.values()] == [64 << 10] * BUFFERS


@pytest.mark.parametrize(("version", "waits"), [("12.6.2", 0), ("12.9.0", 0), ("12.9.1", 1), ("13.0.0", 1)])
def test_other_threads_run_while_an_old_cuda_python_waits(
    cuda: StandInCuda, monkeypatch: pytest.MonkeyPatch, version: str, waits: int
) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings", SimpleNamespace(__version__=version))
    np.testing.assert_array_equal(Device(cuda).upload(VALUES).numpy(), VALUES)
    assert cuda.calls["wait"] == waits


def test_pinned_memory_is_what_was_needed_so_far(device: Device, cuda: StandInCuda) -> None:
    assert not cuda.pinned
    small, large = np.zeros(10, np.uint8), np.zeros(100_000, np.uint8)
    for values in (small, large, small, small, small, small):
        device.upload(values)
    assert sorted(piece.nbytes for piece in cuda.pinned.values()) == [64 << 10, 64 << 10, 64 << 10, 128 << 10]


def test_closing_gives_everything_back(device: Device, cuda: StandInCuda) -> None:
    array = device.upload(VALUES)
    device.close()
    assert (cuda.pinned, cuda.events, cuda.streams, cuda.trimmed_to) == ({}, {}, 0, 0)
    device.close()
    del array
    gc.collect()
    assert cuda.used == 0


def test_a_device_that_is_dropped_gives_everything_back_after_its_last_array() -> None:
    cuda = StandInCuda(pools=False)
    array = Device(cuda).upload(VALUES)
    gc.collect()
    np.testing.assert_array_equal(array.numpy(), VALUES)
    del array
    gc.collect()
    assert (cuda.used, cuda.pinned, cuda.events, cuda.streams) == (0, {}, {}, 0)


def test_the_first_positions_are_copied_on_the_device(device: Device, cuda: StandInCuda) -> None:
    source, target = device.upload(np.arange(12.0).reshape(2, 3, 2)), device.zeros((2, 5, 2), np.float64)
    device.copy_positions(source, target, 2)
    expected = np.zeros((2, 5, 2))
    expected[:, :2] = np.arange(12.0).reshape(2, 3, 2)[:, :2]
    np.testing.assert_array_equal(target.numpy(), expected)


def test_arrays_alike_share_one_allocation(device: Device, cuda: StandInCuda) -> None:
    arrays = device.empty_alike((2, 3), np.float32, 3)
    assert (len(cuda.memory), cuda.used) == (1, 2 * 256 + 24)
    assert [array.address - arrays[0].address for array in arrays] == [0, 256, 512]
    del arrays[1:]
    gc.collect()
    assert cuda.holds(arrays[0].address, 24)
    arrays.clear()
    gc.collect()
    assert cuda.used == 0


def test_views_are_cut_as_numpy_cuts(device: Device, cuda: StandInCuda) -> None:
    array = device.upload(VALUES)
    before = dict(cuda.copies)
    views = [(array[1:3], VALUES[1:3]), (array[-1], VALUES[-1]), (array[None], VALUES[None]), (array[2:], VALUES[2:])]
    views += [(array[1:][0], VALUES[1]), (array[4:], VALUES[4:]), (array[:99], VALUES[:99])]
    assert dict(cuda.copies) == before
    for view, expected in views:
        np.testing.assert_array_equal(view.numpy(), expected)
    for row, expected_row in zip(array, VALUES, strict=True):
        np.testing.assert_array_equal(row.numpy(), expected_row)
    with pytest.raises(IndexError):
        array[4]
    with pytest.raises(IndexError, match="without a step"):
        array[::2]


def test_memory_goes_back_with_the_last_view(device: Device, cuda: StandInCuda) -> None:
    array = device.upload(VALUES)
    view = array[3]
    del array
    gc.collect()
    assert cuda.used == 48
    np.testing.assert_array_equal(view.numpy(), VALUES[3])
    del view
    gc.collect()
    assert cuda.used == 0


def test_rows_are_joined_on_the_device(device: Device, cuda: StandInCuda) -> None:
    half = device.upload(VALUES.astype(np.float16))
    cuda.copies.clear()
    joined = device.join([VALUES[:1], half[2:], half[:1], VALUES[3:] + 0.5])
    assert dict(cuda.copies) == {"cudaMemcpyHostToDevice": 2, "cudaMemcpyDeviceToDevice": 2}
    assert joined.dtype == np.float16
    expected = np.concatenate([VALUES[:1], VALUES[2:], VALUES[:1], VALUES[3:] + 0.5])
    np.testing.assert_array_equal(joined.numpy(), expected)


def test_a_join_is_a_copy_of_its_own(device: Device, cuda: StandInCuda) -> None:
    array = device.upload(VALUES)
    copy = device.join([array[1:2]])
    del array
    gc.collect()
    assert cuda.used == copy.nbytes
    np.testing.assert_array_equal(copy.numpy(), VALUES[1:2])


def test_rows_of_different_shape_or_type_are_not_joined(device: Device) -> None:
    with pytest.raises(ValueError, match="rows of one type and shape"):
        device.join([device.upload(VALUES), VALUES[:, :2]])
    with pytest.raises(ValueError, match="rows of one type and shape"):
        device.join([device.upload(VALUES), device.upload(VALUES.astype(np.float16))])


def test_empty_arrays_have_an_address_and_no_copies(device: Device, cuda: StandInCuda) -> None:
    array = device.upload(np.zeros((1, 2, 0, 4), np.float32))
    assert cuda.holds(array.address, 1)
    assert array.numpy().shape == (1, 2, 0, 4)
    assert not cuda.copies


def test_where_there_are_no_pools_plain_memory_serves() -> None:
    cuda = StandInCuda(pools=False)
    array = Device(cuda).upload(VALUES)
    np.testing.assert_array_equal(array.numpy(), VALUES)
    del array
    gc.collect()
    assert cuda.used == 0


@pytest.mark.usefixtures("cuda_driver")
def test_full_memory_is_an_error_that_says_so() -> None:
    device = Device(StandInCuda(limit=100))
    kept = device.upload(VALUES)
    with pytest.raises(
        GarError, match=r"cudaMallocAsync failed: out of memory; use fewer tiles .*\(cudaErrorMemoryAllocation\)"
    ) as caught:
        device.empty((100,), np.float32)
    assert caught.value.code == ErrorCode.INTERNAL_ERROR
    np.testing.assert_array_equal(kept.numpy(), VALUES)


def test_the_gpu_has_a_name_and_a_capability(cuda: StandInCuda) -> None:
    assert find_gpu(cuda) == "Stand-in, SM87, 16 multiprocessors, 64 GiB"
    with pytest.raises(GarError, match="CUDA finds no GPU"):
        find_gpu(StandInCuda(gpus=0))


def test_gpus_of_the_same_name_are_told_apart_and_a_little_memory_more_or_less_is_the_same_gpu(
    cuda: StandInCuda,
) -> None:
    """All Jetson Orins have one name; what the system keeps of their memory differs from boot to boot."""
    found = []
    for cuda.multiprocessors, cuda.total_memory in ((8, 7_990_000_000), (8, 16_400_000_000), (8, 16_390_000_000)):
        found.append(find_gpu(cuda).removeprefix("Stand-in, SM87, "))
    assert found == ["8 multiprocessors, 8 GiB", "8 multiprocessors, 16 GiB", "8 multiprocessors, 16 GiB"]


def no_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(name: str) -> None:
        raise OSError(name)

    monkeypatch.setattr(ctypes, "CDLL", load)


def test_a_missing_driver_is_the_reason_that_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA's own words for it are those for an old driver."""
    no_libraries(monkeypatch)
    with pytest.raises(GarError, match=r"CUDA finds no GPU \(NVIDIA's driver, libcuda\.so\.1, is not found\)$"):
        find_gpu(StandInCuda(gpus=0))


def test_without_cuda_python_a_missing_gpu_is_told_nevertheless(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cuda.bindings.runtime", None)
    monkeypatch.setattr(ctypes, "CDLL", lambda _: None)
    with pytest.raises(GarError, match="cuda-python is not installed") as caught:
        cuda_runtime()
    assert "no GPU" not in caught.value.message
    no_libraries(monkeypatch)
    with pytest.raises(GarError, match=r"cuda-python is not installed .*, and there is no GPU"):
        cuda_runtime()


def test_a_fetch_waits_for_nothing_that_the_gpu_was_told_later(cuda: StandInCuda) -> None:
    device = Device(cuda)
    array = device.upload(np.array([[7]]))
    wait, later = device.fetch(array), list[int]()
    cuda.later(lambda: later.append(1))
    assert (wait().tolist(), later) == ([[7]], [])
    device.raise_if_failed()
    assert later == [1]


def test_several_fetches_at_a_time_keep_what_was_there_when_they_began(cuda: StandInCuda) -> None:
    device = Device(cuda)
    waits = [device.fetch(device.upload(np.array([number]))) for number in range(9)]
    assert [wait()[0] for wait in reversed(waits)] == list(range(8, -1, -1))


def test_fetches_that_nobody_waits_for_use_their_memory_again(cuda: StandInCuda) -> None:
    device = Device(cuda)
    array = device.upload(np.arange(3))
    device.fetch(array)
    pinned = len(cuda.pinned)
    for _ in range(20):
        device.fetch(array)
    assert device.fetch(array)().tolist() == [0, 1, 2]
    assert len(cuda.pinned) == pinned
    device.close()
    assert (cuda.pinned, cuda.events) == ({}, {})


def test_a_fetch_is_for_few_numbers(cuda: StandInCuda) -> None:
    device = Device(cuda)
    array = device.upload(np.zeros(1000))
    with pytest.raises(ValueError, match="expected at most 4096 bytes, got 8000"):
        device.fetch(array)
