"""Packing, histograms, additivity over shards and independence of everything that must not matter."""

import numpy as np
import pytest
import torch

from lightning_modules.retrieval.metrics import (
    DistanceHistograms,
    average_precisions,
    counting,
    distance_histograms,
    pack_codes,
    pack_labels,
    packing,
)


def make_data(queries=23, items=157, bits=32, classes=5, seed=0):
    """Codes close enough to each other for many ties, and labels of one or more classes."""
    generator = torch.Generator().manual_seed(seed)

    def part(count):
        codes = torch.where(torch.rand(count, bits, generator=generator) < 0.2, -1, 1).to(torch.int8)
        labels = (torch.rand(count, classes, generator=generator) < (0.5 / classes) ** 0.5).to(torch.uint8)
        return codes, labels

    query_codes, query_labels = part(queries)
    query_labels[:, 0] |= query_labels.sum(1) == 0
    return query_codes, query_labels, *part(items)


def count_in_loops(query_codes, query_labels, database_codes, database_labels):
    total = np.zeros((len(query_codes), query_codes.shape[1] + 1), np.int64)
    relevant = np.zeros_like(total)
    for q, (code, label) in enumerate(zip(query_codes.numpy(), query_labels.numpy(), strict=True)):
        for other, classes in zip(database_codes.numpy(), database_labels.numpy(), strict=True):
            distance = int((code != other).sum())
            total[q, distance] += 1
            relevant[q, distance] += bool((label & classes).any())
    return torch.from_numpy(total), torch.from_numpy(relevant)


def assert_equal(histograms, total, relevant):
    assert histograms.total.dtype == histograms.relevant.dtype == torch.int64
    assert torch.equal(histograms.total, total)
    assert torch.equal(histograms.relevant, relevant)


@pytest.mark.parametrize("backend", ["auto", "popcount", "matmul"])
@pytest.mark.parametrize(
    ("bits", "classes"),
    [(1, 1), (16, 24), (32, 32), (48, 33), (63, 21), (64, 80), (127, 5), (128, 65), (300, 130)],
)
def test_histograms_equal_loops(backend, bits, classes):
    data = make_data(7, 61, bits, classes)
    expected = count_in_loops(*data)
    assert 0 < expected[1].sum() < expected[0].sum()
    for chunk in (1, 10, 61, 1000):
        assert_equal(distance_histograms(*data, chunk=chunk, backend=backend), *expected)


@pytest.mark.parametrize(
    ("bits", "classes", "density"),
    [
        (8, 9, 0.15),
        (32, 21, 0.1),
        (32, 32, 0.5),
        (33, 40, 0.05),
        (63, 32, 0.1),
        (64, 32, 0.1),
        (128, 21, 0.1),
        (48, 300, 0.5),
    ],
)
@pytest.mark.parametrize("chunk", [64, 1000])
def test_few_and_many_classes_per_query_equal_loops(bits, classes, density, chunk):
    """Queries of no, few and many classes, some of equal labels, in more batches than one."""
    codes, labels, _, _ = make_data(203, 1, bits, classes)
    labels = (torch.rand(labels.shape, generator=torch.Generator().manual_seed(1)) < density).to(torch.uint8)
    labels[:4] = torch.arange(classes) < torch.tensor([[0], [1], [4], [5]])
    queries = torch.cat([torch.arange(4), torch.arange(41), torch.arange(4)])
    data = codes.roll(1, 0)[: len(queries)], labels[queries], codes, labels
    assert_equal(distance_histograms(*data, chunk=chunk), *count_in_loops(*data))


@pytest.mark.parametrize(("bits", "classes"), [(32, 21), (48, 70), (200, 21)])
def test_small_buffers_do_not_matter(monkeypatch, bits, classes):
    data = make_data(37, 301, bits, classes)
    expected = count_in_loops(*data)
    for size in (1, 1 << 9, 1 << 11, 1 << 14):  # one item at a time, parts of the database, several queries at once
        monkeypatch.setattr(counting, "_BUFFER", size)
        assert_equal(distance_histograms(*data), *expected)


@pytest.mark.parametrize(("bits", "classes"), [(32, 21), (48, 70)])
def test_parts_of_packing_do_not_matter(monkeypatch, bits, classes):
    monkeypatch.setattr(packing, "_ROWS", 10)
    data = make_data(7, 61, bits, classes)
    assert_equal(distance_histograms(*data), *count_in_loops(*data))
    data[2][42, 3] = 0
    with pytest.raises(ValueError, match="database codes must be -1 or"):
        distance_histograms(*data)


def test_threads_of_torch_are_left_as_they_were():
    data = make_data()
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        distance_histograms(*data)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("bits", [1, 8, 31, 32, 33, 64, 65])
def test_packed_bytes_keep_the_order_of_bits(bits):
    codes = make_data(9, 1, bits)[0]
    packed = pack_codes(codes)
    assert packed.bytes().tolist() == np.packbits(codes.numpy() > 0, axis=1).T.tolist()
    assert packed.countable().dtype == (np.uint8 if bits <= 32 else np.uint64)


@pytest.mark.parametrize("bits", [32, 64, 127, 128])
def test_extreme_distances_are_counted(bits):
    """All distances 0 or K, relevant: the largest keys of the counting tables; more items than one table."""
    codes = torch.ones(70_001, bits, dtype=torch.int8)
    codes[::3] = -1
    ones = torch.ones(70_001, 1, dtype=torch.uint8)
    histograms = distance_histograms(codes[1:2], ones[:1], codes, ones)
    far = len(codes[::3])
    assert torch.equal(histograms.total, histograms.relevant)
    assert histograms.total.nonzero()[:, 1].tolist() == [0, bits]
    assert histograms.total[0, [0, bits]].tolist() == [70_001 - far, far]


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_the_number_of_threads_does_not_matter(threads):
    data = make_data(3)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        histograms = distance_histograms(*data)
    finally:
        torch.set_num_threads(before)
    assert_equal(histograms, *count_in_loops(*data))


def test_histograms_add_up_over_shards():
    query, labels, codes, classes = make_data()
    whole = distance_histograms(query, labels, codes, classes)
    shards = [slice(0, 1), slice(1, 90), slice(90, None)]
    parts = [distance_histograms(query, labels, codes[shard], classes[shard]) for shard in shards]
    assert_equal(parts[2] + parts[0] + parts[1], whole.total, whole.relevant)


def test_no_queries_and_no_items():
    query, labels, codes, classes = make_data()
    for backend in ("popcount", "matmul"):
        none = distance_histograms(query[:0], labels[:0], codes, classes, backend=backend)
        assert none.total.shape == (0, 33)
        empty = distance_histograms(query, labels, codes[:0], classes[:0], backend=backend)
        assert empty.total.shape == (23, 33)
        assert empty.total.sum() == 0


@pytest.mark.parametrize(("kind", "k"), [("full", None), ("truncated", 20), ("first_hits", 9)])
def test_expected_ties_ignore_the_order_of_the_database(kind, k):
    query, labels, codes, classes = make_data(items=400)
    order = torch.from_numpy(np.random.default_rng(0).permutation(400))
    sorted_by_relevance = classes[:, 0].argsort()
    values = average_precisions(query, labels, codes, classes, kind=kind, k=k)
    for other in (order, sorted_by_relevance):
        assert torch.equal(values, average_precisions(query, labels, codes[other], classes[other], kind=kind, k=k))
    first = average_precisions(query, labels, codes, classes, kind=kind, k=k, ties="index")
    second = average_precisions(query, labels, codes[order], classes[order], kind=kind, k=k, ties="index")
    assert not torch.equal(first, second)  # the data has ties that matter


@pytest.mark.parametrize("ties", ["expected", "index"])
@pytest.mark.parametrize(("kind", "k"), [("full", None), ("truncated", 20), ("first_hits", 9)])
def test_batches_of_queries_do_not_matter(kind, k, ties):
    query, labels, codes, classes = make_data(items=400)
    whole = average_precisions(query, labels, codes, classes, kind=kind, k=k, ties=ties)
    for size in (1, 7):
        parts = [
            average_precisions(*part, codes, classes, kind=kind, k=k, ties=ties)
            for part in zip(query.split(size), labels.split(size), strict=True)
        ]
        assert torch.equal(whole, torch.cat(parts))


@pytest.mark.parametrize("dtype", [torch.int8, torch.int64, torch.bfloat16, torch.float16, torch.float64])
def test_any_numeric_type_is_taken(dtype):
    query, labels, codes, classes = make_data()
    histograms = distance_histograms(query.to(dtype), labels.to(dtype), codes.to(dtype), classes.bool())
    assert_equal(histograms, *count_in_loops(query, labels, codes, classes))


def test_packing_keeps_every_bit():
    codes, labels, _, _ = make_data(9, 1, 70, 33)
    packed = pack_codes(codes)
    assert packed.words.dtype == np.uint64
    assert packed.words.shape == (2, 9)
    assert np.bitwise_count(packed.words).sum(axis=0).tolist() == (codes == 1).sum(1).tolist()
    assert pack_codes(codes[:, :32]).words.dtype == np.uint32
    assert np.bitwise_count(pack_labels(labels).words).sum(axis=0).tolist() == labels.sum(1).tolist()


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        (torch.tensor([[1, 0]]), "query codes must be -1 or \\+1, got 0: use `binarize`"),
        (torch.tensor([[1.0, torch.nan]]), "must be -1 or \\+1, got nan"),
        (torch.tensor([[0.3, 1.0]]), "must be -1 or \\+1, got 0.3"),
        (torch.tensor([[True, False]]), "must be integer or float in {-1, \\+1}, got torch.bool"),
        (torch.ones(2), "must have shape \\(N, K\\), K >= 1, got \\(2,\\)"),
        (torch.ones(1, 0), "must have shape \\(N, K\\), K >= 1, got \\(1, 0\\)"),
        (torch.ones(1, 3), "queries have 3 bits but the database has 2"),
        (torch.ones(2, 2), "the query set has 2 codes but 1 labels"),
    ],
)
def test_bad_codes_are_refused(codes, message):
    with pytest.raises(ValueError, match=message):
        distance_histograms(codes, torch.ones(1, 2), torch.ones(1, 2), torch.ones(1, 2))


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.tensor([[1, 2]]), "query labels must be 0 or 1, got 2: encode classes as multi-hot"),
        (torch.tensor([[1.0, torch.nan]]), "must be 0 or 1, got nan"),
        (torch.tensor([[-1, 1]]), "must be 0 or 1, got -1"),
        (torch.tensor([1]), "must have shape \\(N, C\\), C >= 1, got \\(1,\\)"),
        (torch.ones(1, 3), "queries have 3 classes but the database has 2"),
    ],
)
def test_bad_labels_are_refused(labels, message):
    with pytest.raises(ValueError, match=message):
        distance_histograms(torch.ones(1, 2), labels, torch.ones(1, 2), torch.ones(1, 2))


def test_bad_options_are_refused():
    data = make_data()
    with pytest.raises(ValueError, match="chunk must be at least 1, got 0"):
        distance_histograms(*data, chunk=0)
    with pytest.raises(ValueError, match="backend must be auto, popcount or matmul, got 'faiss'"):
        distance_histograms(*data, backend="faiss")
    with pytest.raises(ValueError, match="ties must be expected or index, got 'random'"):
        average_precisions(*data, ties="random")
    histograms = distance_histograms(*data)
    with pytest.raises(ValueError, match=r"same queries and code length add up, got shapes \(23, 33\) and \(3, 33\)"):
        histograms + DistanceHistograms(histograms.total[:3], histograms.relevant[:3])
    with pytest.raises(ValueError, match="histograms must both have shape"):
        DistanceHistograms(histograms.total, histograms.relevant[:3])


@pytest.mark.gpu
def test_cuda_equals_cpu():
    data = make_data(100, 5000)
    cpu = distance_histograms(*data)
    assert_equal(distance_histograms(*(part.cuda() for part in data)), cpu.total, cpu.relevant)
