"""Target labels: what may be drawn, how often, and that a draw depends on seed and id alone."""

from collections import Counter

import pytest
import torch

from lightning_modules.retrieval.targets import draw_target_rows, draw_targets, target_pool

# label -> number of database items that carry exactly this label
COUNTS = {(0, 0, 0, 0): 12, (1, 0, 0, 0): 30, (0, 1, 0, 0): 10, (1, 1, 0, 0): 9, (0, 0, 1, 1): 3, (0, 0, 0, 1): 1}
DATABASE = torch.tensor([label for label, count in COUNTS.items() for _ in range(count)], dtype=torch.uint8)
DATABASE = DATABASE[torch.randperm(len(DATABASE), generator=torch.Generator().manual_seed(0))]


def draw(count=3000, label=(1, 0, 0, 0), **options):
    labels = torch.tensor([label] * count, dtype=torch.uint8)
    targets = draw_targets(labels, [f"query-{i}" for i in range(count)], DATABASE, **options)
    assert targets.dtype == torch.uint8
    assert targets.shape == (count, 4)
    return Counter(map(tuple, targets.tolist()))


def check_distribution(found, weights):
    """Compare with a chi-square bound that a correct draw passes with probability 0.9999."""
    assert set(found) == set(weights)
    draws, total = sum(found.values()), sum(weights.values())
    expected = {label: draws * weight / total for label, weight in weights.items()}
    statistic = sum((found[label] - expected[label]) ** 2 / expected[label] for label in weights)
    assert statistic < [15.2, 18.5, 21.2, 23.6][len(weights) - 2]  # 1 .. 4 degrees of freedom


def nonzero(counts):
    return {label: count for label, count in counts.items() if any(label)}


def test_unique_draws_combinations_uniformly():
    check_distribution(draw(pool="unique"), dict.fromkeys(nonzero(COUNTS), 1))


def test_rows_draws_combinations_as_often_as_they_occur():
    check_distribution(draw(pool="rows"), nonzero(COUNTS))


@pytest.mark.parametrize(("min_count", "left"), [(8, 3), (9, 2), (2, 4), (0, 5)])
def test_counted_needs_strictly_more_items(min_count, left):
    found = draw(pool="counted", min_count=min_count)
    allowed = {label: 1 for label, count in nonzero(COUNTS).items() if count > min_count}
    assert len(allowed) == left
    check_distribution(found, allowed)


def test_counted_with_nine_votes_is_the_default():
    assert draw(50) == draw(50, pool="counted", min_count=9, exclude="none", drop_empty=True, seed=0)
    assert set(draw(50)) == {(1, 0, 0, 0), (0, 1, 0, 0)}


@pytest.mark.parametrize("exclude", ["none", "same", "overlap"])
@pytest.mark.parametrize("drop_empty", [True, False])
def test_rows_are_the_items_whose_labels_are_drawn(exclude, drop_empty):
    labels = torch.tensor([[1, 0, 0, 0], [0, 1, 1, 0]], dtype=torch.uint8).repeat(20, 1)
    ids = [f"query-{i}" for i in range(40)]
    rows = draw_target_rows(labels, ids, DATABASE, exclude, drop_empty, seed=3)
    drawn = draw_targets(labels, ids, DATABASE, "rows", exclude=exclude, drop_empty=drop_empty, seed=3)
    assert torch.equal(DATABASE[rows], drawn)
    assert len(rows.unique()) > 10


@pytest.mark.parametrize("pool", ["unique", "rows"])
def test_the_empty_label_is_dropped_unless_it_is_wanted(pool):
    assert (0, 0, 0, 0) not in draw(pool=pool)
    check_distribution(
        draw(pool=pool, drop_empty=False, exclude="same"),
        {label: 1 if pool == "unique" else count for label, count in COUNTS.items() if label != (1, 0, 0, 0)},
    )


def test_exclusions():
    label = (1, 1, 0, 0)
    assert set(draw(label=label, pool="unique")) == set(nonzero(COUNTS))
    assert set(draw(label=label, pool="unique", exclude="same")) == set(nonzero(COUNTS)) - {label}
    assert set(draw(label=label, pool="unique", exclude="overlap")) == {(0, 0, 1, 1), (0, 0, 0, 1)}


def test_the_draw_depends_on_seed_and_id_alone():
    ids = [f"query-{i}" for i in range(60)]
    labels = DATABASE[:60]
    options = {"pool": "unique", "exclude": "same", "seed": 5}
    whole = draw_targets(labels, ids, DATABASE, **options)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(2))
    assert torch.equal(draw_targets(labels[order], [ids[i] for i in order], DATABASE, **options), whole[order])
    assert torch.equal(draw_targets(labels[7:9], ids[7:9], DATABASE, **options), whole[7:9])
    assert not torch.equal(draw_targets(labels, ids, DATABASE, **(options | {"seed": 6})), whole)


def test_combinations_do_not_depend_on_the_order_of_the_database():
    ids = [f"query-{i}" for i in range(60)]
    targets = [draw_targets(DATABASE[:60], ids, rows, "unique") for rows in (DATABASE, DATABASE.flip(0))]
    assert torch.equal(*targets)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pool": "popular"}, "pool='popular'"),
        ({"exclude": "similar"}, "exclude='similar'"),
        ({"pool": "counted", "min_count": 30}, r"'counted' \(min_count=30\) is empty"),
        ({"exclude": "overlap", "label": (1, 1, 1, 1)}, "'query-0': exclude='overlap' leaves no target"),
    ],
)
def test_impossible_requests_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        draw(1, **options)


def test_a_database_without_labels_has_no_targets():
    for pool in ("rows", "unique"):
        with pytest.raises(ValueError, match=f"pool '{pool}' is empty: no item of the database carries a class"):
            draw_targets(torch.ones(1, 2), ["q"], torch.zeros(3, 2), pool=pool)


def test_one_id_per_query():
    with pytest.raises(ValueError, match="zip"):
        draw_targets(DATABASE[:2], ["q"], DATABASE)


def test_the_pool_is_what_is_drawn_from():
    unique = target_pool(DATABASE, "unique", drop_empty=False)
    assert unique.dtype == torch.uint8
    assert sorted(map(tuple, unique.tolist())) == sorted(COUNTS)
    assert set(map(tuple, target_pool(DATABASE, "counted", 9).tolist())) == {(1, 0, 0, 0), (0, 1, 0, 0)}
    with pytest.raises(ValueError, match="'counted'"):
        target_pool(DATABASE, "counted", 1000)
