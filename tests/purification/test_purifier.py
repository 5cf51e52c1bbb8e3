"""The purifier's promises: what a result depends on, gradients, and clear refusals."""

import shutil

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler

from lightning_modules.checks import round_to_8bit
from lightning_modules.configurable import build
from lightning_modules.defences import Defence
from lightning_modules.purification import Diffusion, DiffusionPurifier, chain
from lightning_modules.purification.options import ChainOptions
from lightning_modules.randomness import SampleNoise, content_ids

# What a U-Net's kernels may add to float32 when the batch size changes.
ROUNDING = 1e-5


@pytest.fixture
def purifier(diffusion):
    return DiffusionPurifier(diffusion, purify_steps=4)


def names(count):
    return [f"item-{number}" for number in range(count)]


def assert_equal_up_to_rounding(one, other):
    torch.testing.assert_close(one, other, rtol=0, atol=ROUNDING)
    changed = (round_to_8bit(one) != round_to_8bit(other)).float().mean()
    assert changed < 1e-3  # only values within 1e-5 of a rounding boundary


# What a result depends on


def test_the_batch_size_changes_no_image(diffusion, images):
    many = torch.cat([images, images.flip(-1), images.flip(-2), images.flip(0, 1)])[:33]
    results = [
        DiffusionPurifier(diffusion, purify_steps=3, batch_size=size)(many, names(33)).cpu() for size in (1, 7, 32)
    ]
    assert_equal_up_to_rounding(results[0], results[1])
    assert_equal_up_to_rounding(results[0], results[2])


def test_order_and_company_change_no_image(purifier, images):
    ids, order = names(9), torch.tensor([3, 8, 0, 1, 7, 5, 2, 6, 4])
    together = purifier(images, ids)
    permuted = purifier(images[order], [ids[i] for i in order])
    assert_equal_up_to_rounding(permuted, together[order])
    for row in (0, 8):
        assert_equal_up_to_rounding(purifier(images[row : row + 1], ids[row : row + 1]), together[row : row + 1])


def test_ids_default_to_the_content(purifier, images):
    by_content = purifier(images)
    assert torch.equal(by_content, purifier(images, content_ids(images)))
    assert_equal_up_to_rounding(purifier(images.flip(0)), by_content.flip(0))
    assert (purifier(images, names(9)) - by_content).abs().max() > 1e-3


def test_another_draw_seed_or_id_is_other_noise(diffusion, images):
    purifier, ids = DiffusionPurifier(diffusion, purify_steps=2), names(9)
    first = purifier(images, ids)
    assert torch.equal(first, purifier(images, ids, draw=0))
    others = [
        purifier(images, ids, draw=1),
        purifier(images, ids[::-1]),
        DiffusionPurifier(diffusion, purify_steps=2, seed=1)(images, ids),
    ]
    for other in others:
        assert (other - first).abs().max() > 1e-3


def test_paths_are_draws_of_their_own(diffusion, images):
    purifier, ids = DiffusionPurifier(diffusion, purify_steps=2, n_paths=3), names(9)
    paths = [purifier.paths(images, ids, draw) for draw in (0, 1)]
    expected = [purifier(images, ids, draw) for draw in range(6)]
    assert torch.equal(torch.cat(paths), torch.stack(expected))
    assert torch.equal(paths[0][0], purifier(images, ids))
    assert min(float((a - b).abs().max()) for i, a in enumerate(expected) for b in expected[:i]) > 1e-3


def test_global_randomness_is_neither_used_nor_touched(purifier, images):
    before = torch.random.get_rng_state()
    first = purifier(images)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(99)
    assert torch.equal(purifier(images), first)


def test_the_result_is_a_picture_near_its_query(purifier, images):
    purified = purifier(images)
    assert purified.shape == images.shape
    assert purified.dtype == torch.float32
    assert float(purified.min()) >= 0
    assert float(purified.max()) <= 1
    assert 1e-3 < float((purified - images).abs().mean()) < 0.1
    assert purifier(images[:0]).shape == (0, 3, 16, 16)
    assert purifier(images.double()).dtype == torch.float32


def test_the_chain_is_the_one_of_the_sampler(diffusion, images):
    options = {"scale": 5e4, "metric": "mse", "variance": "fixed_large", "target_noise": "none", "clip": False}
    purifier = DiffusionPurifier(diffusion, purify_steps=3, respacing=250, seed=7, **options)
    ids = names(2)
    noise = SampleNoise(7, "purify/0", ids)
    with torch.no_grad():
        x0 = chain.guided_reverse_chain(
            diffusion.denoiser,
            diffusion.schedule.respace(250),
            ChainOptions(**options),
            2 * images[:2] - 1,
            3,
            noise,
        )
    assert torch.equal(purifier(images[:2], ids), ((x0 + 1) / 2).clamp(0, 1))


@pytest.mark.parametrize(
    ("options", "calls"), [({"calls": 3}, 3), ({"timesteps": [40, 7]}, 2), ({"calls": 1}, 1), ({}, 40)]
)
def test_the_network_is_called_as_often_as_asked(diffusion, images, options, calls):
    purifier, told = DiffusionPurifier(diffusion, purify_steps=40, **options), []
    hook = diffusion.denoiser.unet.register_forward_pre_hook(lambda _, args: told.append(int(args[1][0])))
    purifier(images[:1])
    hook.remove()
    assert purifier.calls == len(told) == calls
    assert told[0] == 39
    assert told == sorted(told, reverse=True)


def test_few_calls_are_a_chain_of_their_own(diffusion, images):
    purifier = DiffusionPurifier(diffusion, purify_steps=60, calls=3, sampler="dpm-solver++", pull=0.5)
    with torch.no_grad():
        x0 = chain.guided_reverse_chain(
            diffusion.denoiser,
            diffusion.schedule.at([60, 40, 20]),
            ChainOptions(sampler="dpm-solver++", pull=0.5),
            2 * images[:2] - 1,
            3,
            SampleNoise(0, "purify/0", names(2)),
        )
    assert torch.equal(purifier(images[:2], names(2)), ((x0 + 1) / 2).clamp(0, 1))


def test_the_strength_is_told_as_scale_and_pull(diffusion):
    steps = {"purify_steps": 45, "variance": "fixed_large"}
    scale, pull = DiffusionPurifier(diffusion, scale=1000.0, **steps).strength(32, 32)
    assert (scale, pull) == (1000.0, pytest.approx(0.0158, rel=0.01))
    scale, pull = DiffusionPurifier(diffusion, pull=1.0, **steps).strength(32, 32)
    assert (scale, pull) == (pytest.approx(6.3e4, rel=0.01), pytest.approx(1.0))


def test_a_learned_variance_is_used_where_there_is_one(make_unet, diffusion, images):
    learned = Diffusion(type(diffusion.denoiser)(make_unet(out_channels=6)), diffusion.schedule)
    assert DiffusionPurifier(learned).options.variance == "learned"
    assert DiffusionPurifier(diffusion).options.variance == "fixed_small"
    by_itself, fixed = (
        DiffusionPurifier(learned, purify_steps=9, variance=variance)(images, names(9))
        for variance in (None, "fixed_small")
    )
    assert 1e-4 < (by_itself - fixed).abs().max() < 0.2


def test_the_chain_can_be_watched(purifier, images):
    seen = []
    purified = purifier(images[:2], observe=lambda t, x: seen.append((t, x)))
    assert [t for t, _ in seen] == [4, 3, 2, 1, 0]
    assert torch.equal(((seen[-1][1] + 1) / 2).clamp(0, 1), purified)


@pytest.mark.parametrize("size", [(15, 17), (13, 16)])
def test_sides_that_cannot_be_halved_are_purified(purifier, images, size):
    cropped = images[..., : size[0], : size[1]] if size[1] <= 16 else images.repeat(1, 1, 1, 2)[..., :15, :17]
    assert purifier(cropped).shape == (9, 3, *size)


def test_bfloat16_is_close_to_float32(diffusion, images):
    exact, fast = (
        DiffusionPurifier(diffusion, purify_steps=4, precision=precision)(images)
        for precision in ("float32", "bfloat16")
    )
    assert fast.dtype == torch.float32
    difference = (fast - exact).abs()
    assert 0 < float(difference.max()) < 4 / 255
    assert float(difference.mean()) < 0.5 / 255


def test_an_outer_autocast_does_not_reach_the_chain(purifier, images):
    plain = purifier(images)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(purifier(images), plain)


def test_it_stays_in_eval_mode(make_unet, diffusion, images):
    noisy = Diffusion(type(diffusion.denoiser)(make_unet(dropout=0.5)), diffusion.schedule)
    purifier = DiffusionPurifier(noisy, purify_steps=2)
    first = purifier(images)
    torch.nn.ModuleList([purifier]).train()
    assert torch.equal(purifier(images), first)


# Gradients


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_checkpointing_changes_no_gradient(monkeypatch, diffusion, images, precision):
    purifier = DiffusionPurifier(diffusion, purify_steps=4, scale=1e5, precision=precision)

    def gradient():
        leaf = images[:3].clone().requires_grad_()
        return torch.autograd.grad(purifier(leaf, names(3)).square().sum(), leaf)[0]

    calls = []
    real = chain.checkpoint
    monkeypatch.setattr(chain, "checkpoint", lambda *args, **kwargs: (calls.append(1), real(*args, **kwargs))[1])
    checkpointed = gradient()
    assert len(calls) == 4
    monkeypatch.setattr(chain, "checkpoint", lambda function, *args, use_reentrant: function(*args))
    torch.testing.assert_close(checkpointed, gradient(), rtol=0, atol=0)
    assert checkpointed.abs().amax(dim=(1, 2, 3)).min() > 0


def test_no_gradient_reaches_the_weights(purifier, images):
    leaf = images.clone().requires_grad_()
    purifier(leaf).sum().backward()
    assert leaf.grad is not None
    assert all(p.grad is None and not p.requires_grad for p in purifier.parameters())


def test_without_a_gradient_nothing_is_recorded(purifier, images):
    assert not purifier(images).requires_grad
    with torch.no_grad():
        assert not purifier(images.clone().requires_grad_()).requires_grad
    with torch.inference_mode():
        purifier(images)
    leaf = images.clone().requires_grad_()
    purifier(leaf).sum().backward()  # nothing of the inference run is left over


# Errors


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"purify_steps": 0}, "purify_steps=0: expected 1..1000"),
        ({"purify_steps": 1001}, "purify_steps=1001: expected 1..1000"),
        ({"purify_steps": 251, "respacing": 250}, "purify_steps=251: expected 1..250"),
        ({"respacing": 1}, "respacing=1: expected 2..1000"),
        ({"metric": "lpips"}, "metric='lpips': expected one of ssim, mse"),
        ({"form": "eq6"}, "form='eq6'"),
        ({"variance": "learned"}, "variance='learned': the network predicts noise only"),
        ({"variance": "large"}, "variance='large': expected one of"),
        ({"calls": 46}, r"calls=46: expected 1\.\.45"),
        ({"calls": 2, "timesteps": [45, 9]}, "calls and timesteps exclude each other"),
        ({"timesteps": [44, 9]}, "expected to begin with purify_steps=45"),
        ({"overnoise": 956}, "overnoise=956: expected at most 955"),
        ({"calls": 5, "overnoise": 1}, "overnoise=1 needs the whole chain"),
        ({"sampler": "heun"}, "sampler='heun'"),
        ({"n_paths": 0}, "n_paths=0: expected at least 1"),
        ({"target_noise": "some"}, "target_noise='some'"),
        ({"reduction": "sum"}, "reduction='sum'"),
        ({"precision": "int8"}, "precision='int8': expected one of"),
        ({"batch_size": 0}, "batch_size=0: expected at least 1"),
    ],
)
def test_an_impossible_option_is_named(diffusion, arguments, message):
    with pytest.raises(ValueError, match=message):
        DiffusionPurifier(diffusion, **arguments)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda images: (images * 255).to(torch.uint8), "dtype torch.uint8, expected float"),
        (lambda images: images * 2 - 1, "lie in .* expected"),
        (lambda images: images.index_fill(0, torch.tensor([1]), float("nan")), "NaN"),
        (lambda images: images[:, :1], "shape"),
        (lambda images: images[..., :8], "at least 11 px"),
    ],
)
def test_images_of_another_kind_are_refused(purifier, images, spoil, message):
    with pytest.raises(ValueError, match=message):
        purifier(spoil(images))


def test_every_image_needs_an_id(purifier, images):
    with pytest.raises(ValueError, match="8 ids for 9 images"):
        purifier(images, names(8))


# Loading and identity


@pytest.fixture
def folder(make_unet, tmp_path):
    DDPMPipeline(unet=make_unet(0), scheduler=DDPMScheduler()).save_pretrained(tmp_path / "one")
    return tmp_path / "one"


def test_a_folder_gives_the_same_images_as_its_network(folder, diffusion, images):
    loaded = DiffusionPurifier.from_pretrained(str(folder), purify_steps=4)
    expected = DiffusionPurifier(diffusion, purify_steps=4)(images)
    torch.testing.assert_close(loaded(images), expected, rtol=0, atol=1e-3)  # the folder's betas were float32
    assert torch.equal(DiffusionPurifier(folder, purify_steps=4)(images), loaded(images))
    rebuilt = build(loaded.spec, Defence)
    assert torch.equal(rebuilt(images), loaded(images))


def test_the_fingerprint_changes_with_what_changes_the_result(folder, make_unet, tmp_path):
    def fingerprint(path=folder, **options):
        return DiffusionPurifier.from_pretrained(str(path), **options).fingerprint()

    shutil.copytree(folder, tmp_path / "two")
    DDPMPipeline(unet=make_unet(1), scheduler=DDPMScheduler()).save_pretrained(tmp_path / "other")
    DDPMPipeline(unet=make_unet(0), scheduler=DDPMScheduler(beta_end=0.03)).save_pretrained(tmp_path / "betas")
    same = {fingerprint(), fingerprint(tmp_path / "two"), fingerprint(batch_size=7), fingerprint(purify_steps=45)}
    assert len(same) == 1
    others = [
        fingerprint(tmp_path / "other"),
        fingerprint(tmp_path / "betas"),
        fingerprint(scale=0.0),
        fingerprint(metric="mse"),
        fingerprint(purify_steps=44),
        fingerprint(respacing=250),
        fingerprint(seed=1),
        fingerprint(form="literal"),
        fingerprint(precision="bfloat16"),
    ]
    assert len({*same, *others}) == 1 + len(others)
