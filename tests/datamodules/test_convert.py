"""Conversion of pixel arrays: any order of axes, declared scale, probed orientation, bounded and resumable."""

from __future__ import annotations

import json
import os
import signal
from types import SimpleNamespace

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse

import datamodules.convert
from datamodules.convert import Copy, convert
from datamodules.layouts.conversion import Conversion
from datamodules.layouts.orientation import judge, sample_pictures
from datamodules.layouts.pixelfile import Axes
from datamodules.layouts.slabs import WithItemAxis, slab_shape, slabs
from datamodules.scenes import render_scene
from datamodules.source import DataError

N, C, H, W = 7, 4, 5, 6
ORDERS = ["NCHW", "NCWH", "NHWC", "NWHC", "HWCN", "WHCN", "CHWN", "CWHN"]


def pictures(count=N):
    """Noise whose first pixel of each channel is the item's number: no two pixels of a picture are alike by rule."""
    pixels = np.random.default_rng(1).integers(0, 256, (count, 3, H, W), dtype=np.uint8)
    pixels[:, :, 0, 0] = np.arange(count)[:, None]
    return pixels


def labels(count=N):
    return (np.arange(count * C).reshape(count, C) * 7 % 5 < 2).astype(np.uint8)


def ordered(pixels, order):
    return np.ascontiguousarray(pixels.transpose(["NCHW".index(letter) for letter in order]))


def write_hdf5(path, pixels, marks=None, **options):
    with h5py.File(path, "w") as file:
        file.create_dataset("IAll", data=pixels, **options)
        file["LAll"] = labels() if marks is None else marks
    return path


def transposed(order):
    return order.index("W") < order.index("H")


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("kind", ["hdf5", "matlab5"])
def test_any_order_of_axes_gives_the_same_array(tmp_path, order, kind):
    path = tmp_path / "pixels.mat"  # the suffix says nothing
    stored = ordered(pictures(), order)
    if kind == "hdf5":
        write_hdf5(path, stored, labels().T)
    else:
        scipy.io.savemat(path, {"images": stored, "label": labels().astype(float)}, do_compression=True)
    record = convert(path, tmp_path / "pixels.npy", progress=False, transpose=transposed(order))
    assert np.array_equal(np.load(tmp_path / "pixels.npy"), pictures())
    assert (record.axes, record.items, record.source, record.dtype) == (order, N, "pixels.mat", "uint8")
    assert record == Conversion.of(tmp_path / "pixels.npy")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pixels.mat", "pixels.npy", "pixels.npy.json"]


@pytest.mark.parametrize("scale", [1, 255])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_floating_point_pixels_with_a_declared_scale_are_exact(tmp_path, scale, dtype):
    stored = (ordered(pictures(), "HWCN") * (scale / 255)).astype(dtype)
    path = write_hdf5(tmp_path / "a.h5", stored)
    record = convert(path, tmp_path / "a.npy", progress=False, scale=scale, transpose=False)
    assert np.array_equal(np.load(tmp_path / "a.npy"), pictures())
    assert record.scale == scale


@pytest.mark.parametrize(
    ("stored", "scale", "message"),
    [
        (pictures() / np.float32(255), None, r"values 0\.\.1 in 7 pictures: declare the value of white"),
        (pictures().astype("float32"), None, r"values 0\.\.255 in 7 pictures: declare the value of white"),
        (pictures().astype("float32"), 1, r"values 0\.\.255 .*contradicts scale=1"),
        (pictures() / np.float32(255), 255, r"values 0\.\.1 .*contradicts scale=255"),
        (pictures() - np.float32(100), 255, r"values -100\.\.155 .*contradicts scale=255"),
        (np.where(pictures() == 6, np.nan, pictures()), 255, r"nan.*contradicts scale=255"),
        (pictures().astype("int16"), None, "int16 .*expected uint8 or floating-point"),
        (pictures(), 1, "scale=1 is for floating-point"),
        (pictures().astype("float32"), 256, "scale=256: expected 255 or 1"),
    ],
)
def test_the_scale_is_never_guessed(tmp_path, stored, scale, message):
    path = write_hdf5(tmp_path / "a.h5", stored)
    with pytest.raises(DataError, match=message):
        convert(path, tmp_path / "a.npy", progress=False, scale=scale, transpose=False)
    assert not (tmp_path / "a.npy").exists()


def test_a_value_out_of_range_that_no_sample_saw_is_found(tmp_path):
    stored = np.full((701, 3, H, W), 9, dtype=np.float32)
    stored[1, 2, 3, 4] = 256  # item 1 is not among 300 evenly spread ones
    path = write_hdf5(tmp_path / "a.h5", stored, labels(701))
    with pytest.raises(DataError, match=r"256\.0 at \(1, 2, 3, 4\) is outside 0\.\.255"):
        convert(path, tmp_path / "a.npy", progress=False, scale=255, transpose=False)
    assert not (tmp_path / "a.npy").exists()


@pytest.mark.parametrize("shape", [(1, 3, H, W), (3, H, W)])
def test_one_item_with_or_without_its_axis(tmp_path, shape):
    path = write_hdf5(tmp_path / "a.mat", pictures(1).reshape(shape), labels(1)[0])
    convert(path, tmp_path / "a.npy", progress=False, transpose=False)
    assert np.array_equal(np.load(tmp_path / "a.npy"), pictures(1))


def test_one_item_of_a_matlab_5_file(tmp_path):
    scipy.io.savemat(tmp_path / "a.mat", {"IAll": ordered(pictures(1), "HWCN"), "LAll": labels(1)})
    assert scipy.io.whosmat(tmp_path / "a.mat")[0][1] in ((H, W, 3), (H, W, 3, 1))
    convert(tmp_path / "a.mat", tmp_path / "a.npy", progress=False, transpose=False)
    assert np.array_equal(np.load(tmp_path / "a.npy"), pictures(1))


@pytest.mark.parametrize("dtype", [float, bool, np.uint8, "sparse"])
def test_labels_of_any_type_have_the_same_hash(tmp_path, dtype):
    marks = scipy.sparse.csc_matrix(labels().astype(float)) if dtype == "sparse" else labels().astype(dtype)
    scipy.io.savemat(tmp_path / "a.mat", {"IAll": pictures(), "LAll": marks})
    reference = write_hdf5(tmp_path / "b.h5", pictures(), labels().T)
    records = [convert(path, path.with_suffix(".npy"), False, None, False) for path in (tmp_path / "a.mat", reference)]
    assert records[0].labels_sha256 == records[1].labels_sha256


def test_chunked_and_compressed_arrays(tmp_path):
    stored = ordered(pictures(), "HWCN")
    path = write_hdf5(tmp_path / "a.h5", stored, chunks=(2, 4, 3, 3), compression="gzip")
    convert(path, tmp_path / "a.npy", progress=False, transpose=False, slab_bytes=200)
    assert np.array_equal(np.load(tmp_path / "a.npy"), pictures())


@pytest.mark.parametrize(
    ("pixels", "marks", "message"),
    [
        (np.zeros((N, 3, H, N), np.uint8), np.zeros((N, C)), r"\(7, 3, 5, 7\).*\(7, 4\): several axes"),
        (np.zeros((3, H, W, 3), np.uint8), np.zeros((3, C)), r"\(3, 5, 6, 3\).*\(3, 4\): several axes"),
        (np.zeros((N, 3, H, W), np.uint8), np.zeros((N + 1, C)), r"\(7, 3, 5, 6\).*\(8, 4\): expected a first or last"),
        (np.zeros((N, 4096), np.uint8), np.zeros((N, C)), r"no pixels.*IAll \(7, 4096\)"),
        (np.zeros((N, 3, H, W), np.uint8), np.zeros((N, N)), r"LAll \(7, 7\): expected a matrix with one axis of 7"),
        (np.zeros((N, 3, H, W), np.uint8), np.full((N, C), 2), "item 0, class 0 is 2, expected 0 or 1"),
    ],
)
def test_shapes_and_labels_that_fit_nothing_are_stated(tmp_path, pixels, marks, message):
    path = write_hdf5(tmp_path / "a.h5", pixels, marks)
    with pytest.raises(DataError, match=message):
        convert(path, tmp_path / "a.npy", progress=False, transpose=False)


def test_files_that_are_no_arrays(tmp_path):
    (tmp_path / "a.mat").write_bytes(b"hello")
    (tmp_path / "b.mat").write_bytes(write_hdf5(tmp_path / "ok", pictures()).read_bytes()[:900])
    (tmp_path / "c.mat").write_bytes(b" " * 124 + b"\x00\x01IM" + b"\x0f\x00\x00\x00\x10\x00\x00\x00junk")
    for name, message in (("a.mat", "neither"), ("b.mat", "damaged"), ("c.mat", "damaged"), ("d.mat", "neither")):
        with pytest.raises(DataError, match=message):
            convert(tmp_path / name, tmp_path / "x.npy", progress=False)


@pytest.fixture(scope="module")
def scenes():
    return np.stack([render_scene(0, f"scene-{number}", 16).image for number in range(300)])[:, :, 1:15]  # W = 14


@pytest.mark.parametrize("order", ["NCHW", "NCWH", "HWCN", "WHCN"])
def test_the_probe_tells_height_from_width(tmp_path, scenes, order):
    upright = scenes.transpose(0, 3, 1, 2)
    path = write_hdf5(tmp_path / "a.h5", ordered(upright, order), labels(300))
    record = convert(path, tmp_path / "a.npy", progress=False)
    assert np.array_equal(np.load(tmp_path / "a.npy"), upright)
    found = record.orientation
    assert (found.verdict, found.decided_by) == (["upright", "transposed"][transposed(order)], "probe")
    assert (found.images, found.transpose, record.axes) == (300, transposed(order), order)
    assert abs(found.second_flip - found.first_flip) > 1.2


def test_the_users_word_counts_and_the_probe_is_recorded(tmp_path, scenes):
    path = write_hdf5(tmp_path / "a.h5", scenes, labels(300))
    found = convert(path, tmp_path / "a.npy", progress=False, transpose=True).orientation
    assert (found.verdict, found.transpose, found.decided_by) == ("upright", True, "option")
    assert np.load(tmp_path / "a.npy", mmap_mode="r").shape == (300, 3, 14, 16)


def test_too_few_pictures_or_no_difference_leave_it_undecided(tmp_path, scenes):
    few = write_hdf5(tmp_path / "few.h5", scenes[:99], labels(99))
    with pytest.raises(DataError, match=r"undecided: the mean of 99 pictures.*transpose=True if the axes are NWHC"):
        convert(few, tmp_path / "few.npy", progress=False)
    noise = np.random.default_rng(0).integers(0, 256, scenes.shape, dtype=np.uint8)
    with pytest.raises(DataError, match="undecided: the mean of 300 pictures"):
        convert(write_hdf5(tmp_path / "noise.h5", noise, labels(300)), tmp_path / "noise.npy", progress=False)
    flat = write_hdf5(tmp_path / "flat.h5", np.full_like(scenes, 7), labels(300))
    with pytest.raises(DataError, match=r"correlates 0\.00 .* 0\.00 along the first"):
        convert(flat, tmp_path / "flat.npy", progress=False)


def test_rows_of_an_item_last_array_judge_like_whole_pictures(scenes):
    tall = scenes.repeat(3, axis=1)
    whole = sample_pictures(tall, Axes(0, 3, 1, 2))
    rows = sample_pictures(ordered(tall.transpose(0, 3, 1, 2), "HWCN"), Axes(3, 2, 0, 1), budget=999)
    assert np.allclose(whole.mean, tall.mean(axis=(0, 3)))
    kept = [0, 3, 6, 10, 13, 16, 20, 23, 24, 27, 31, 34, 37, 41, 44, 47]  # symmetric: 47 minus each is there
    assert np.allclose(rows.mean, whole.mean[kept])
    assert judge(whole, None).verdict == judge(rows, None).verdict == "upright"


class Recorder:
    """An array that notes the largest slab asked for."""

    def __init__(self, array, chunks=None):
        self.array, self.shape, self.dtype, self.chunks, self.largest = array, array.shape, array.dtype, chunks, 0

    def __getitem__(self, key):
        block = self.array[key]
        self.largest = max(self.largest, block.nbytes)
        return block


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("budget", [1, 50, 400, 10**6])
def test_no_more_than_a_slab_is_ever_read(tmp_path, order, budget):
    recorder = Recorder(ordered(pictures(), order))
    axes = Axes(order.index("N"), order.index("C"), *sorted((order.index("H"), order.index("W"))))
    sample_pictures(recorder, axes, budget)
    Copy(recorder, axes, transposed(order), 255.0, "x", budget).run(tmp_path / "a.npy", [], progress=False)
    assert 0 < recorder.largest <= budget
    assert np.array_equal(np.load(tmp_path / "a.npy.partial"), pictures())


def test_slabs_are_contiguous_and_whole_chunks():
    assert slab_shape((224, 224, 3, 20015), 1, None, 224 * 3 * 20015 * 2) == (2, 224, 3, 20015)
    assert slab_shape((224, 224, 3, 20015), 8, None, 224 * 3 * 20015) == (1, 28, 3, 20015)
    assert slab_shape((20015, 3, 224, 224), 1, None, 10**6) == (6, 3, 224, 224)
    assert slab_shape((100, 90, 3, 1000), 1, (30, 30, 1, 100), 30 * 90 * 3 * 1000 * 2 - 1) == (30, 90, 3, 1000)
    assert slab_shape((100, 90, 3, 1000), 1, (30, 30, 1, 100), 1) == (30, 30, 1, 100)
    assert [part[0] for part in slabs((5, 2), (2, 2))] == [slice(0, 2), slice(2, 4), slice(4, 5)]


def test_a_single_picture_reads_like_a_slice_of_many():
    picture = pictures(1)[0]
    wrapped = WithItemAxis(picture)
    assert wrapped.shape == (3, H, W, 1)
    assert np.array_equal(wrapped[0:2, 1:3, :, 0:1], picture[0:2, 1:3, :, None])


def kill_after(path, target, count):
    """Convert in a child that is killed when ``count`` slabs are done."""
    pid = os.fork()
    if pid == 0:
        bar = datamodules.convert.tqdm

        class Deadly(bar):
            def update(self, n=1):
                Deadly.seen = getattr(Deadly, "seen", 0) + n
                if Deadly.seen > count:
                    os.kill(os.getpid(), signal.SIGKILL)

        datamodules.convert.tqdm = Deadly
        try:
            convert(path, target, progress=False, transpose=True, slab_bytes=W * 3 * N)
        finally:
            os._exit(1)
    assert os.waitpid(pid, 0)[1] == signal.SIGKILL


def test_a_killed_run_goes_on_and_gives_the_same_bytes(tmp_path, monkeypatch):
    monkeypatch.setattr(datamodules.convert, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(datamodules.convert, "FLUSH_SHARE", 0)
    path, target = write_hdf5(tmp_path / "a.h5", ordered(pictures(), "WHCN")), tmp_path / "a.npy"
    kill_after(path, target, 3)
    assert not target.exists()
    state = json.loads((tmp_path / "a.npy.progress.json").read_text())
    assert (state["slabs_done"], state["slabs"]) == (3, 6)  # the slowest axis is W
    half = np.load(tmp_path / "a.npy.partial")
    assert not np.array_equal(half, pictures())
    copied = []
    original = Copy._copy
    monkeypatch.setattr(Copy, "_copy", lambda self, *given: copied.append(given) or original(self, *given))
    record = convert(path, target, progress=False, transpose=True, slab_bytes=W * 3 * N)
    assert len(copied) == 6 - 3
    whole = convert(path, tmp_path / "b.npy", progress=False, transpose=True)
    assert target.read_bytes() == (tmp_path / "b.npy").read_bytes()
    assert record == whole
    assert {found.name for found in tmp_path.iterdir()} == {"a.h5", "a.npy", "b.npy", "a.npy.json", "b.npy.json"}


@pytest.mark.parametrize("damage", ["options", "original", "partial", "progress"])
def test_what_another_run_left_is_not_gone_on_with(tmp_path, monkeypatch, damage):
    monkeypatch.setattr(datamodules.convert, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(datamodules.convert, "FLUSH_SHARE", 0)
    path, target = write_hdf5(tmp_path / "a.h5", ordered(pictures(), "WHCN")), tmp_path / "a.npy"
    kill_after(path, target, 3)
    if damage == "original":
        write_hdf5(path, ordered(255 - pictures(), "WHCN"))
    elif damage == "partial":
        os.truncate(tmp_path / "a.npy.partial", 400)
    elif damage == "progress":
        (tmp_path / "a.npy.progress.json").write_text("[")
    convert(path, target, progress=False, transpose=damage != "options", slab_bytes=W * 3 * N)
    expected = 255 - pictures() if damage == "original" else pictures()
    assert np.array_equal(np.load(target), expected.swapaxes(2, 3) if damage == "options" else expected)


def test_a_finished_conversion_is_left_alone(tmp_path):
    path, target = write_hdf5(tmp_path / "a.h5", pictures()), tmp_path / "a.npy"
    record = convert(path, target, progress=False, transpose=False)
    before = target.stat().st_mtime_ns
    assert convert(path, target, progress=False) == record
    assert target.stat().st_mtime_ns == before
    with pytest.raises(DataError, match=r"transpose: False, now True\); delete it"):
        convert(path, target, progress=False, transpose=True)
    write_hdf5(path, pictures(), 1 - labels())
    with pytest.raises(DataError, match=r"labels: \w+, now \w+\); delete it"):
        convert(path, target, progress=False)
    np.save(target, 255 - pictures())
    with pytest.raises(DataError, match=r"not the pixels that a.npy.json records"):
        convert(write_hdf5(path, pictures()), target, progress=False)
    (tmp_path / "a.npy.json").write_text('{"items": 3}')
    with pytest.raises(DataError, match="no record of a conversion"):
        convert(path, target, progress=False)


def test_an_array_of_the_users_own_is_not_overwritten(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(3))
    with pytest.raises(DataError, match=r"is no conversion \(a.npy.json is missing\)"):
        convert(write_hdf5(tmp_path / "a.h5", pictures()), tmp_path / "a.npy", progress=False, transpose=False)
    assert np.array_equal(np.load(tmp_path / "a.npy"), np.arange(3))


def test_a_full_disk_is_noticed_before_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr(datamodules.convert.shutil, "disk_usage", lambda path: SimpleNamespace(free=10))
    with pytest.raises(DataError, match=r"needs 0\.0 GB, 0\.0 GB are free"):
        convert(write_hdf5(tmp_path / "a.h5", pictures()), tmp_path / "a.npy", progress=False, transpose=False)
