"""CgAT's centre code by brute force over all codes."""

import itertools

import pytest
import torch

from lightning_modules.adversarial_training import CgAT
from lightning_modules.adversarial_training.cgat import centre_code
from tests.adversarial_training.problems import make_batch, make_encoder, set_up
from tests.hashing.loss_problems import BITS, ITEMS


def make_items(bits, seed=0):
    generator = torch.Generator().manual_seed(seed)
    codes = torch.randint(2, (23, bits), generator=generator).to(torch.int8) * 2 - 1
    known = (torch.rand(23, 4, generator=generator) < 0.4).to(torch.uint8)
    known[3] = 0  # an item without a class is dissimilar to all
    return codes, known


def looped_votes(label, known, weighting):
    """Weight of every item for one label, from sets of classes."""
    own = {c for c, y in enumerate(label.tolist()) if y}
    others = [{c for c, y in enumerate(row) if y} for row in known.tolist()]
    positives = sum(bool(own & other) for other in others)
    votes = []
    for other in others:
        if own & other:
            weight = len(own & other) / len(own | other) if weighting == "jaccard" else 1
            votes.append(weight / positives)
        else:
            votes.append(-1 / (len(others) - positives))
    return votes


@pytest.mark.parametrize("weighting", ["equal", "jaccard"])
@pytest.mark.parametrize("bits", [1, 5, 8])
def test_the_centre_is_optimal_among_all_codes(bits, weighting):
    codes, known = make_items(bits)
    labels = torch.cat([known[:5], torch.ones(1, 4, dtype=torch.uint8)])
    every = torch.tensor(list(itertools.product([-1.0, 1.0], repeat=bits)), dtype=torch.float64)
    for label, found in zip(labels, centre_code(labels, codes, known, weighting), strict=True):
        scores = codes.double().T @ torch.tensor(looped_votes(label, known, weighting), dtype=torch.float64)
        best = (every @ scores).max().item()
        assert (found.double() @ scores).item() == pytest.approx(best, abs=1e-9)


def test_equal_weights_are_those_of_the_released_code():
    """There, similar items count N_n times and dissimilar ones -N_p times."""
    codes, known = make_items(7, seed=1)
    for label, found in zip(known, centre_code(known, codes, known), strict=True):
        similar = known @ label > 0
        if not similar.any():
            continue  # there, an item without a class has no centre
        sums = codes[similar].int().sum(0) * (~similar).sum() - codes[~similar].int().sum(0) * similar.sum()
        assert torch.equal(found[sums != 0], sums.sign()[sums != 0].to(torch.int8))
        assert (found[sums == 0] == 1).all()


def test_one_sided_votes_and_ties():
    codes = torch.tensor([[1, -1], [-1, -1]], dtype=torch.int8)
    known = torch.ones(2, 1, dtype=torch.uint8)
    assert centre_code(known[:1], codes, known).tolist() == [[1, -1]]  # nothing is dissimilar, one tie
    assert centre_code(0 * known[:1], codes, known).tolist() == [[1, 1]]  # nothing is similar


def test_the_loss_pulls_to_the_centre_of_the_latest_codes():
    strategy, encoder, batch = set_up(CgAT(weight=2.0)), make_encoder().eval(), make_batch()
    u = encoder(batch.image)
    before = strategy.centre(batch.label)
    adversarial = encoder(strategy.craft(encoder, batch, -before))
    values = strategy(encoder, batch, u)
    assert torch.equal(strategy.memory.codes, u.detach())
    centre = centre_code(batch.label, u.sign(), batch.label)
    expected = [
        -2 * sum(a * b for a, b in zip(row, c, strict=True)) / BITS
        for row, c in zip(adversarial.tolist(), centre.tolist(), strict=True)
    ]
    assert values.tolist() == pytest.approx(expected, rel=1e-5)
    assert values.shape == (ITEMS,)
    values.sum().backward()
    assert encoder.hash_layer.weight.grad.abs().sum() > 0


def test_other_weightings_are_refused():
    with pytest.raises(ValueError, match="weighting='cosine'"):
        CgAT(weighting="cosine")
