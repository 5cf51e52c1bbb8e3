"""Certificates against a hash whose exact radii are known, and against every change of the bits that may flip."""

from itertools import product

import pytest
import torch
from scipy.stats import binom

from lightning_modules.purification import DiffusionPurifier
from lightning_modules.purification.certificate import Certificate, certify, smoothing_noise

BITS, SIDE, NOISE, ALPHA = 16, 6, 0.25, 0.001


def _linear_hash(seed=0):
    generator = torch.Generator().manual_seed(seed)
    weights = torch.randn(BITS, SIDE, generator=generator, dtype=torch.float64)
    queries = 0.3 * torch.randn(40, SIDE, generator=generator, dtype=torch.float64)
    return weights, queries


def _noisy_codes(weights, queries):
    def codes(draw):
        noise = torch.randn(queries.shape, generator=torch.Generator().manual_seed(draw), dtype=torch.float64)
        return torch.tanh((queries + NOISE * noise) @ weights.T)

    return codes


def test_no_radius_of_a_linear_hash_exceeds_the_distance_to_its_hyperplane():
    weights, queries = _linear_hash()
    found = certify(_noisy_codes(weights, queries), draws=2000, noise=NOISE, alpha=ALPHA)
    distances = queries @ weights.T / weights.norm(dim=1)
    assert (found.radii <= distances.abs()).all()
    sure = found.radii > 0
    assert (found.codes[sure] == distances.sign()[sure]).all()
    assert sure.float().mean() > 0.7
    # Within reach of the draws the bound is nearly the distance; far away it ends at what 2,000 equal votes prove.
    near = (distances.abs() < 2 * NOISE) & (distances.abs() > NOISE)
    assert (found.radii[near] / distances.abs()[near]).mean() > 0.75


def test_the_share_is_the_bound_of_the_binomial_tail():
    draws, positive = 200, torch.tensor([[200, 190, 120, 100, 3]])

    def codes(draw):
        return torch.where(draw < positive, 1.0, -1.0)

    found = certify(codes, draws, noise=1.0, alpha=ALPHA)
    assert found.codes.dtype == torch.int8
    assert found.codes.tolist() == [[1, 1, 1, 1, -1]]
    for radius, count in zip(found.radii[0].tolist(), positive.clamp_min(draws - positive)[0].tolist(), strict=True):
        share = float(torch.special.ndtr(torch.tensor(radius, dtype=torch.float64)))
        if radius > 0:  # the least share under which as many votes or more are as unlikely as alpha says
            assert binom.sf(count - 1, draws, share) == pytest.approx(ALPHA / (2 * len(positive[0])), rel=1e-6)
        else:
            assert binom.sf(count - 1, draws, 0.5) > ALPHA / (2 * len(positive[0]))


@pytest.mark.parametrize("seed", range(4))
def test_an_item_stays_nearer_exactly_if_no_flip_of_loose_bits_changes_that(seed):
    generator = torch.Generator().manual_seed(seed)
    code, *items = (torch.randint(0, 2, (7,), generator=generator) * 2 - 1 for _ in range(9))
    found = Certificate(code[None].to(torch.int8), torch.rand(1, 7, generator=generator, dtype=torch.float64))
    loose = torch.nonzero(~found.holds(0.4)[0])[:, 0]
    changed = []
    for signs in product((-1, 1), repeat=len(loose)):
        other = code.clone()
        other[loose] = torch.tensor(signs, dtype=code.dtype)
        changed.append(other)
    assert len(changed) == 2 ** len(loose)
    for first, second in product(items, repeat=2):
        always = all((first != other).sum() < (second != other).sum() for other in changed)
        assert found.stays_nearer(0.4, first, second).tolist() == [always]


def test_the_codes_of_items_may_lie_on_another_device():
    found = Certificate(torch.ones(2, 7, dtype=torch.int8, device="meta"), torch.ones(2, 7, device="meta"))
    assert found.stays_nearer(0.4, torch.ones(7), -torch.ones(7)).shape == (2,)


@pytest.mark.parametrize(("steps", "noise"), [(45, 0.078), (146, 0.25), (178, 0.314), (260, 0.5)])
def test_the_noise_of_t(diffusion, steps, noise):
    chain = DiffusionPurifier(diffusion, purify_steps=steps, scale=0.0)
    call = DiffusionPurifier(diffusion, purify_steps=steps, scale=0.0, calls=1)
    assert smoothing_noise(chain) == pytest.approx(noise, abs=3e-3)
    assert smoothing_noise(call) == pytest.approx(smoothing_noise(chain), rel=1e-12)


def test_a_purifier_in_front_of_a_hash_is_certified_alone_as_in_its_batch(diffusion, images):
    purifier = DiffusionPurifier(diffusion, purify_steps=146, calls=1, scale=0.0)
    weights = torch.randn(8, images[0].numel(), generator=torch.Generator().manual_seed(0))
    ids = [f"picture-{row}" for row in range(len(images))]

    def codes(rows):
        return lambda draw: (purifier(images[rows], ids=ids[rows], draw=draw) - 0.5).flatten(1) @ weights.T

    together, alone = (certify(codes(rows), 20, smoothing_noise(purifier)) for rows in (slice(0, 3), slice(1, 2)))
    assert (together.radii[1:2] == alone.radii).all()
    assert (together.codes[1:2] == alone.codes).all()
    assert (together.radii > 0).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "guided purifier"),
        ({"pull": 0.1}, "guided purifier"),
        ({"scale": 0.0, "overnoise": 1}, "overnoise=1"),
        ({"scale": 0.0, "sizing": "resize"}, "sizing='resize'"),
    ],
)
def test_what_certifies_nothing_is_refused(diffusion, options, message):
    with pytest.raises(ValueError, match=message):
        smoothing_noise(DiffusionPurifier(diffusion, purify_steps=20, **options))


@pytest.mark.parametrize("wrong", [{"draws": 0}, {"noise": 0.0}, {"alpha": 1.0}])
def test_impossible_numbers_are_refused(wrong):
    with pytest.raises(ValueError, match="expected draws"):
        certify(lambda draw: torch.ones(1, 4), **({"draws": 3, "noise": 0.1} | wrong))
