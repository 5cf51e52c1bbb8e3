"""The torchmetrics twins: batches, duplicates, policies, messages, and several processes."""

from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from lightning_modules.retrieval.metrics import (
    HammingMAP,
    HammingPrecision,
    HammingPrecisionRecall,
    average_precisions,
    distance_histograms,
    mean_score,
    precision_recall_curve,
    precisions,
)

QUERIES, ITEMS = 13, 101


def make_data():
    generator = torch.Generator().manual_seed(5)

    def part(count):
        codes = torch.where(torch.rand(count, 16, generator=generator) < 0.3, -1, 1).to(torch.int8)
        labels = (torch.rand(count, 4, generator=generator) < 0.3).to(torch.uint8)
        labels[:, 3] |= labels.sum(1) == 0
        return codes, labels

    return *part(QUERIES), *part(ITEMS)


def feed(metric, role, codes, labels, rows, size):
    for batch in rows.split(size):
        metric.update(codes[batch], labels[batch], batch, role)


def feed_all(metric, size=1000):
    query, labels, codes, given = make_data()
    feed(metric, "query", query, labels, torch.arange(QUERIES), size)
    feed(metric, "database", codes, given, torch.arange(ITEMS), size)
    return metric


@pytest.mark.parametrize("ties", ["expected", "index"])
@pytest.mark.parametrize(("kind", "k"), [("full", None), ("truncated", 10), ("first_hits", 5)])
def test_map_is_the_mean_of_the_functional_twin(kind, k, ties):
    expected = average_precisions(*make_data(), kind=kind, k=k, ties=ties)
    metric = feed_all(HammingMAP(kind, k, ties))
    assert torch.equal(metric.per_query(), expected)
    value = metric.compute()
    assert value.dtype == torch.float64
    assert value.item() == mean_score(expected)
    assert value.item() == pytest.approx(expected.mean().item(), abs=1e-15)


def test_the_other_twins():
    data = make_data()
    precision = feed_all(HammingPrecision(7, ties="index"))
    assert torch.equal(precision.per_query(), precisions(*data, n=7, ties="index"))
    assert precision.compute().item() == mean_score(precisions(*data, n=7, ties="index"))
    curve, expected = (
        feed_all(HammingPrecisionRecall()).compute(),
        precision_recall_curve(distance_histograms(*data)),
    )
    assert torch.equal(curve.precision, expected.precision)
    assert torch.equal(curve.recall, expected.recall)


@pytest.mark.parametrize("ties", ["expected", "index"])
def test_batches_order_and_duplicates_do_not_matter(ties):
    query, labels, codes, given = make_data()
    expected = feed_all(HammingMAP(ties=ties)).compute()
    metric = HammingMAP(ties=ties)
    generator = torch.Generator().manual_seed(0)
    rows = torch.cat([torch.randperm(ITEMS, generator=generator), torch.tensor([4, 4, 0])])
    feed(metric, "database", codes, given, rows, 7)
    feed(metric, "query", query, labels, torch.arange(QUERIES).flip(0), 2)
    feed(metric, "query", query, labels, torch.tensor([0, 5]), 2)
    assert torch.equal(metric.compute(), expected)
    assert torch.equal(metric.per_query(), feed_all(HammingMAP(ties=ties)).per_query())


def test_target_labels_give_t_map():
    """Every query aims at class 0: its items are relevant, whatever the queries' own labels."""
    query, _, codes, given = make_data()
    target = torch.tensor([[1, 0, 0, 0]], dtype=torch.uint8).expand(QUERIES, 4)
    metric = HammingMAP()
    metric.update(query, target, torch.arange(QUERIES), "query")
    metric.update(codes, given, torch.arange(ITEMS), "database")
    assert metric.compute().item() == mean_score(average_precisions(query, target, codes, given))


@pytest.mark.parametrize("cls", [HammingMAP, lambda **options: HammingPrecision(5, **options)])
def test_empty_policies(cls):
    def fed(empty):
        metric = cls(empty=empty)
        metric.update(torch.ones(2, 4), torch.tensor([[1, 0], [0, 1]]), torch.tensor([30, 31]), "query")
        metric.update(torch.ones(3, 4), torch.tensor([[1, 0], [1, 0], [1, 0]]), torch.arange(3), "database")
        return metric

    assert fed("zero").compute().item() == 0.5
    assert fed("skip").compute().item() == 1.0
    assert fed("skip").per_query().isnan().tolist() == [False, True]
    with pytest.raises(ValueError, match="query 31 has no relevant item in the database"):
        fed("error").compute()


def test_reset_forgets_everything():
    metric = feed_all(HammingMAP())
    metric.reset()
    metric.update(torch.ones(1, 3), torch.ones(1, 2), torch.tensor([0]), "query")  # another K and C
    with pytest.raises(ValueError, match=r"no database items: call update\(..., role='database'\)"):
        metric.compute()


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        (
            (torch.ones(1, 8), torch.ones(1, 4), torch.tensor([0]), "query"),
            "query batch has 8 bits but the database has 16",
        ),
        (
            (torch.ones(1, 16), torch.ones(1, 3), torch.tensor([0]), "query"),
            "query batch has 3 classes but the .* has 4",
        ),
        (
            (torch.ones(2, 16), torch.ones(1, 4), torch.tensor([0]), "query"),
            "query batch has 2 codes but 1 labels",
        ),
        (
            (torch.ones(1, 16), torch.ones(1, 4), torch.tensor([0.5]), "query"),
            "query index must be 1 integers, got torch.f",
        ),
        ((torch.ones(1, 16), torch.ones(1, 4), torch.tensor([[0]]), "query"), "of shape \\(1, 1\\)"),
        ((torch.zeros(1, 16), torch.ones(1, 4), torch.tensor([0]), "query"), "query codes must be -1 or"),
        (
            (torch.ones(1, 16), torch.ones(1, 4) * 2, torch.tensor([0]), "database"),
            "database labels must be 0 or 1",
        ),
        (
            (torch.ones(1, 16), torch.ones(1, 4), torch.tensor([0]), "train"),
            "role must be query or database, got 'train'",
        ),
    ],
)
def test_bad_batches_are_refused(batch, message):
    _, _, codes, given = make_data()
    metric = HammingMAP()
    metric.update(codes, given, torch.arange(ITEMS), "database")
    with pytest.raises(ValueError, match=message):
        metric.update(*batch)


def test_one_index_with_two_labels_is_refused():
    metric = feed_all(HammingMAP())
    wrong = 1 - make_data()[3][17:18]
    metric.update(torch.ones(1, 16), wrong, torch.tensor([17]), "database")
    with pytest.raises(ValueError, match="database index 17 came with two different labels"):
        metric.compute()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HammingMAP("truncated"), "needs a cut-off k of at least 1, got None"),
        (lambda: HammingMAP(ties="random"), "ties must be expected or index"),
        (lambda: HammingMAP(empty="drop"), "empty must be one of zero, skip, error"),
        (lambda: HammingPrecision(0), "n must be at least 1, got 0"),
        (lambda: HammingPrecisionRecall(unretrieved="one"), "unretrieved must be zero or skip"),
    ],
)
def test_bad_options_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def score_as(rank, folder):
    """Feed every second item, padded with a repetition as samplers do; process 1 sees no query at first."""
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2, timeout=timedelta(seconds=120)
    )
    query, labels, codes, given = make_data()
    rows = torch.arange(rank, ITEMS + 1, 2) % ITEMS
    values = []
    for query_rows in ([torch.arange(QUERIES), torch.arange(0)], [torch.arange(9), torch.arange(8, QUERIES)]):
        for metric in (HammingMAP(), HammingMAP("first_hits", 5, "index")):
            feed(metric, "database", codes, given, rows, 10)
            if len(query_rows[rank]):
                feed(metric, "query", query, labels, query_rows[rank], 4)
            values.append(metric.compute().item())
            with metric.sync_context():
                values.append(metric.per_query().sum().item())
    torch.save(values, f"{folder}/values{rank}")
    dist.destroy_process_group()


@pytest.mark.ddp
def test_two_processes_give_the_value_of_one(tmp_path):
    other = mp.get_context("spawn").Process(target=score_as, args=(1, str(tmp_path)))
    other.start()
    try:
        score_as(0, str(tmp_path))
    finally:
        other.join()
    assert other.exitcode == 0
    single = [feed_all(metric) for metric in (HammingMAP(), HammingMAP("first_hits", 5, "index"))]
    expected = [value for metric in single for value in (metric.compute().item(), metric.per_query().sum().item())]
    for rank in range(2):
        assert torch.load(tmp_path / f"values{rank}") == expected * 2
