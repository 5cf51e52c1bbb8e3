"""Randomness belongs to the sample: its distribution, and all that it must not depend on."""

import hashlib

import numpy as np
import pytest
import torch
from scipy import stats

from lightning_modules.randomness import (
    SampleNoise,
    content_ids,
    sample_generator,
    sample_numpy_generator,
    sample_seed,
    sample_uniforms,
)

IDS = [f"item-{number}" for number in range(64)]


def like(count=64, size=(3, 16, 16), dtype=torch.float32):
    return torch.empty(count, *size, dtype=dtype)


def test_the_noise_is_standard_normal():
    noise = SampleNoise(0, "test", IDS)
    draws = torch.stack([noise(like()), noise(like())]).double().numpy()
    assert stats.kstest(draws.ravel()[::7], "norm").pvalue > 1e-3
    per_image = draws.reshape(2, 64, -1)
    count = per_image.shape[-1]
    assert np.abs(per_image.mean(axis=-1)).max() < 5 / count**0.5
    # Images and draws do not resemble each other.
    scores = per_image.reshape(128, -1)
    correlation = scores @ scores.T / count
    assert np.abs(correlation[~np.eye(128, dtype=bool)]).max() < 5.5 / count**0.5


def test_the_noise_of_a_sample_does_not_depend_on_order_or_batch():
    together = SampleNoise(0, "test", IDS)
    first, second = together(like()), together(like())
    backwards = SampleNoise(0, "test", IDS[::-1])
    assert torch.equal(backwards(like()).flip(0), first)
    assert torch.equal(backwards(like()).flip(0), second)
    for row in (0, 17, 63):
        alone = SampleNoise(0, "test", [IDS[row]])
        assert torch.equal(alone(like(1))[0], first[row])
        assert torch.equal(alone(like(1))[0], second[row])
    assert not torch.equal(first, second)


@pytest.mark.parametrize("other", [(1, "test", "item"), (0, "tests", "item"), (0, "test", "item2")])
def test_seed_purpose_and_id_each_change_the_noise(other):
    one = SampleNoise(0, "test", ["item"])(like(1))
    assert not torch.equal(SampleNoise(other[0], other[1], [other[2]])(like(1)), one)


def test_the_noise_takes_shape_and_dtype_of_its_argument():
    noise = SampleNoise(0, "test", ["a", "b"])(like(2, (5,), torch.float64))
    assert noise.shape == (2, 5)
    assert noise.dtype == torch.float64
    single = SampleNoise(0, "test", ["a", "b"])(like(2, (5,)))
    assert torch.equal(noise, single.double())


def test_the_global_generator_is_left_alone():
    before = torch.random.get_rng_state()
    SampleNoise(0, "test", IDS)(like())
    assert torch.equal(torch.random.get_rng_state(), before)


def test_seeds_have_32_bits_and_hardly_collide():
    seeds = [sample_seed(0, "test", f"item-{number}") for number in range(10_000)]
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert max(seeds) > 2**31
    assert len(set(seeds)) >= 9_999
    assert stats.kstest(np.array(seeds) / 2**32, "uniform").pvalue > 1e-3


def test_a_seed_is_the_same_on_every_machine():
    assert [sample_seed(0, "a", "b"), sample_seed(1, "a", "b")] == [2241832342, 1535942771]
    assert sample_seed(0, "a", "b") == int.from_bytes(hashlib.blake2b(b"0|a|b", digest_size=4).digest(), "little")


def test_both_generators_are_seeded_by_the_sample():
    assert sample_generator(3, "test", "item").initial_seed() == sample_seed(3, "test", "item")
    one, same = (sample_numpy_generator(3, "test", "item").integers(0, 2**40, 5) for _ in range(2))
    assert (one == same).all()
    assert (one == np.random.default_rng(sample_seed(3, "test", "item")).integers(0, 2**40, 5)).all()


def test_content_ids_name_the_pixels():
    images = torch.rand(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    names = content_ids(images)
    assert len(set(names)) == 5
    assert content_ids(images.flip(0)) == names[::-1]
    assert content_ids(images[2:3]) == names[2:3]
    assert content_ids(images.double()) == names
    assert content_ids((images * 255).round() / 255) == names  # as stored in 8 bit
    assert content_ids(images.contiguous(memory_format=torch.channels_last)) == names
    changed = images.clone()
    changed[0, 0, 0, 0] = (changed[0, 0, 0, 0] + 0.5) % 1
    assert content_ids(changed)[0] != names[0]
    assert content_ids(changed)[1:] == names[1:]
    assert content_ids(images.clone().requires_grad_()) == names
    assert content_ids(images[:0]) == ()


def test_uniform_numbers_belong_to_their_sample():
    whole = sample_uniforms(0, "test", IDS, 100)
    assert whole.dtype == torch.float64
    assert stats.kstest(whole.flatten().numpy(), "uniform").pvalue > 1e-3
    assert torch.equal(sample_uniforms(0, "test", IDS[::-1], 100), whole.flip(0))
    assert torch.equal(sample_uniforms(0, "test", IDS[5:6], 100), whole[5:6])
    assert not torch.equal(sample_uniforms(1, "test", IDS[:1], 100), whole[:1])
    assert sample_uniforms(0, "test", [], 3).shape == (0, 3)
