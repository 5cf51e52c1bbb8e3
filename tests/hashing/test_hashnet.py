"""HashNet against two Python loops over its formula."""

import math

import pytest
import torch

from lightning_modules.hashing.losses import HashNetLoss
from lightning_modules.hashing.losses.hashnet import pair_weights, weighted_likelihood
from tests.hashing.loss_problems import BITS, ITEMS, check_gradient, make_batch, make_problem, set_up


def looped_loss(codes, memory, labels, all_labels, alpha, continuous):
    """(1 / N b) sum_ij w_ij (log(1 + exp(theta)) - S theta), from lists of floats."""
    sets = [{c for c, y in enumerate(label) if y} for label in all_labels]
    similar = sum(bool(a & b) for a in sets for b in sets)
    total = 0.0
    for u, label in zip(codes, labels, strict=True):
        own = {c for c, y in enumerate(label) if y}
        for other, theirs in zip(memory, sets, strict=True):
            theta = alpha * sum(a * b for a, b in zip(u, other, strict=True))
            s = bool(own & theirs)
            weight = len(sets) ** 2 / (similar if s else len(sets) ** 2 - similar)
            if s and continuous:
                weight *= len(own & theirs) / len(own | theirs)
            total += weight * (math.log1p(math.exp(theta)) - s * theta)
    return total / (len(memory) * len(codes))


@pytest.mark.parametrize("continuous", [True, False])
@pytest.mark.parametrize(("alpha", "slope"), [(0.1, 0.1), (None, 10 / BITS)])
def test_loss_is_the_formula(alpha, slope, continuous):
    labels, codes = make_problem()
    loss = set_up(HashNetLoss(alpha=alpha, continuous_similarity=continuous), labels)
    rows = torch.tensor([0, 5, 2, 8])
    values = loss({"image": codes[rows].float()}, make_batch(rows, labels))
    memory = torch.zeros(ITEMS, BITS, dtype=torch.float64)
    memory[rows] = codes[rows]
    parts = [part.tolist() for part in (codes[rows], memory, labels[rows], labels)]
    assert values.mean().item() == pytest.approx(looped_loss(*parts, slope, continuous), rel=1e-5)


def test_gradient():
    labels, codes = make_problem(1)
    similarity = (labels.double() @ labels.double().T > 0).double()
    weights = torch.rand(ITEMS, ITEMS, dtype=torch.float64)
    check_gradient(lambda u: weighted_likelihood(u, codes.flip(0), similarity, weights, 0.5), codes)


def test_an_empty_memory_gives_log_two():
    zeros, ones = torch.zeros(ITEMS, BITS), torch.ones(ITEMS, ITEMS)
    values = weighted_likelihood(make_problem()[1].float(), zeros, ones, ones, 0.1)
    torch.testing.assert_close(values, torch.full((ITEMS,), math.log(2)))


def test_both_kinds_of_pairs_weigh_the_same_in_all():
    labels, _ = make_problem(2)
    similarity = labels.float() @ labels.float().T > 0
    dissimilar, similar = pair_weights(labels).tolist()
    assert similarity.sum() * similar == pytest.approx(ITEMS**2)
    assert (~similarity).sum() * dissimilar == pytest.approx(ITEMS**2)


def test_a_split_without_similar_pairs_has_finite_losses():
    labels = torch.zeros(3, 2, dtype=torch.uint8)
    loss = set_up(HashNetLoss(), labels)
    values = loss({"image": torch.full((1, BITS), 0.5)}, make_batch(torch.tensor([1]), labels))
    assert torch.isfinite(values).all()
    assert loss.weights[0] == 1


def test_the_tanh_grows_steeper_by_steps():
    loss, logits = HashNetLoss(), torch.tensor([[-0.3, 0.2]])
    assert torch.equal(loss.relax(logits, 199), logits.tanh())
    assert torch.equal(loss.relax(logits, 200), (2**0.5 * logits).tanh())
    assert torch.equal(loss.relax(logits, 399), loss.relax(logits, 200))
    assert loss.slope(3000) == pytest.approx(4.0)


def test_a_period_needs_steps():
    with pytest.raises(ValueError, match="period=0"):
        HashNetLoss(period=0)
