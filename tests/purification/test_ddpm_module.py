"""DDPMModule: its loss, its average, and what it leaves behind for purifiers and for diffusers."""

from dataclasses import replace

import pytest
import torch
from diffusers import DDPMPipeline, DDPMScheduler
from diffusers.models.resnet import ResnetBlock2D
from lightning import Trainer
from torch.utils.data import DataLoader

from lightning_modules.augmentation import Augmentation
from lightning_modules.purification import DDPMModule, DiffusionPurifier, DiffusionSchedule
from lightning_modules.purification.objectives import Bridge
from lightning_modules.purification.pairs import PairSource
from lightning_modules.types import Batch


class Brighter(PairSource):
    """Stands for an attack."""

    def setup(self, data, device):
        pass

    def attacked(self, batch, choice, epoch):
        return (batch.image + 0.1).clamp(max=1)


def make_batch(images, first=0):
    count = len(images)
    ids = tuple(f"item-{first + number}" for number in range(count))
    return Batch(images, torch.zeros(count, 2, dtype=torch.uint8), torch.arange(first, first + count), ids)


@pytest.fixture
def module(unet_arguments):
    torch.manual_seed(0)
    return DDPMModule(unet=unet_arguments)


@pytest.fixture
def logged(monkeypatch):
    """Replace ``log`` by a list of (name, value, batch size)."""
    entries = []
    monkeypatch.setattr(
        DDPMModule, "log", lambda self, name, value, batch_size, **_: entries.append((name, value.item(), batch_size))
    )
    return entries


@pytest.fixture
def fit(tmp_path):
    def run(module, images, **options):
        loader = DataLoader([make_batch(images), make_batch(images.flip(-1))], batch_size=None)
        trainer = Trainer(
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **options,
        )
        trainer.fit(module, loader, [loader, loader])
        return trainer

    return run


# Training


def test_the_training_loss_is_l_simple(module, images, logged):
    seen = []
    hook = module.denoiser.register_forward_hook(lambda _, args, output: seen.append((*args, output)))
    loss = module.training_step(make_batch(images), 0)
    hook.remove()
    x, timesteps, _ = seen[0]
    kept = DiffusionSchedule.linear().alpha_bars[timesteps].view(-1, 1, 1, 1)
    noise = ((x - kept.sqrt() * (2 * images - 1)) / (1 - kept).sqrt()).float()
    assert 0.9 < noise.std() < 1.1
    assert len(timesteps.unique()) > 4
    scheduler = DDPMScheduler(beta_start=1e-4, beta_end=0.02)
    noised = scheduler.add_noise(2 * images - 1, noise, timesteps)
    predicted = module.denoiser.unet(noised, timesteps).sample
    expected = torch.nn.functional.mse_loss(predicted, noise)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)
    assert logged == [("train/loss", loss.item(), 9)]
    loss.backward()
    assert all(p.grad is not None for p in module.denoiser.parameters())
    assert all(p.grad is None for p in module.ema.parameters())


def told_timesteps(module):
    told = []
    module.denoiser.register_forward_pre_hook(lambda _, args: told.append(args[1]))
    return told


@pytest.mark.usefixtures("logged")
def test_only_the_range_of_steps_is_trained(unet_arguments, images):
    module = DDPMModule(unet=unet_arguments, t_range=(3, 7))
    told = told_timesteps(module)
    for number in range(10):
        module.training_step(make_batch(images, 9 * number), 0)
    assert set(torch.cat(told).tolist()) == {2, 3, 4, 5, 6}  # t - 1


@pytest.mark.usefixtures("logged")
def test_training_images_are_augmented(unet_arguments, images):
    module = DDPMModule(unet=unet_arguments, augmentation=Augmentation(crop=12, flip=1.0))
    seen = []
    module.denoiser.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    module.training_step(make_batch(images), 0)
    assert seen[0].shape == (9, 3, 12, 12)


def seen_by_id(module, images, sizes, order=slice(None)):
    """Return what the network sees of every sample in batches of these sizes."""
    seen, batches = {}, []
    module.denoiser.register_forward_pre_hook(lambda _, args: batches.append(args))
    whole, start = make_batch(images), 0
    ids, pictures = whole.ids[order], images.flip(0) if order != slice(None) else images
    for size in sizes:
        rows = slice(start, start + size)
        module.training_step(replace(make_batch(pictures[rows]), ids=ids[rows]), 0)
        start += size
        x, timesteps = batches.pop()
        seen |= {name: (one, int(t)) for name, one, t in zip(ids[rows], x, timesteps, strict=True)}
    return seen


@pytest.mark.usefixtures("logged")
def test_draws_belong_to_samples_and_epochs(unet_arguments, images, monkeypatch):
    def module(seed=0):
        return DDPMModule(unet=unet_arguments, augmentation=Augmentation(crop=12, flip=0.5), seed=seed)

    expected = seen_by_id(module(), images, (9,))
    for sizes, order in (((4, 4, 1), slice(None)), ((9,), slice(None, None, -1))):
        found = seen_by_id(module(), images, sizes, order)
        for name, (x, t) in expected.items():
            assert t == found[name][1]
            torch.testing.assert_close(x, found[name][0])
    other = seen_by_id(module(seed=1), images, (9,))
    monkeypatch.setattr(DDPMModule, "current_epoch", 1)
    later = seen_by_id(module(), images, (9,))
    for changed in (other, later):
        assert all(not torch.equal(x, changed[name][0]) for name, (x, _) in expected.items())
        assert sum(t != changed[name][1] for name, (_, t) in expected.items()) > 6


def test_the_average_ramps_up(unet_arguments):
    module = DDPMModule(unet=unet_arguments, ema_decay=0.5)
    averaged, current = module.ema.module.unet.conv_in.bias, module.denoiser.unet.conv_in.bias
    expected, draws = None, torch.randn(15, 8, generator=torch.Generator().manual_seed(0))
    for count, value in enumerate(draws):
        with torch.no_grad():
            current.copy_(value)
        module.ema.update_parameters(module.denoiser)
        decay = min(0.5, (1 + count) / (10 + count))
        expected = value if count == 0 else decay * expected + (1 - decay) * value
        torch.testing.assert_close(averaged, expected)
    assert (1 + 14) / (10 + 14) > 0.5  # the cap was reached


def test_the_optimiser_has_the_network_and_not_its_average(module):
    optimizer = module.configure_optimizers()
    assert isinstance(optimizer, torch.optim.Adam)
    assert optimizer.defaults["lr"] == 1e-4
    in_optimizer = {id(p) for group in optimizer.param_groups for p in group["params"]}
    assert in_optimizer == {id(p) for p in module.denoiser.parameters()}


def test_a_schedule_of_the_learning_rate_is_stepped_per_update(unet_arguments):
    module = DDPMModule(unet=unet_arguments, lr_scheduler=lambda o: torch.optim.lr_scheduler.ConstantLR(o))
    assert module.configure_optimizers()["lr_scheduler"]["interval"] == "step"


# Validation


def validation_loss(module, images, size, logged):
    logged.clear()
    for start in range(0, len(images), size):
        module.validation_step(make_batch(images[start : start + size], start), 0, dataloader_idx=1)
    return sum(value * count for _, value, count in logged) / sum(count for _, _, count in logged)


def test_validation_does_not_depend_on_the_batch_size(module, images, logged):
    with torch.no_grad():
        losses = [validation_loss(module, images, size, logged) for size in (1, 4, 9)]
    assert losses[1:] == pytest.approx([losses[0]] * 2, rel=1e-5)
    assert {name for name, _, _ in logged} == {"val/loss"}


def test_validation_scores_the_average_within_the_range(unet_arguments, images, logged):
    module = DDPMModule(unet=unet_arguments, t_range=(10, 12))
    told = []
    module.ema.module.register_forward_pre_hook(lambda _, args: told.append(args[1]))
    before = validation_loss(module, images, 9, logged)
    assert set(torch.cat(told).tolist()) <= {9, 10, 11}
    with torch.no_grad():
        module.denoiser.unet.conv_out.bias.add_(1)
    assert validation_loss(module, images, 9, logged) == before
    module.ema.update_parameters(module.denoiser)
    assert validation_loss(module, images, 9, logged) != before


def test_the_database_is_not_validated(module, images, logged):
    module.validation_step(make_batch(images), 0, dataloader_idx=0)
    assert logged == []


# What it leaves behind


def test_the_export_holds_the_average(module, images, fit, tmp_path):
    fit(module, images, max_steps=4)
    module.export(tmp_path)
    averaged = module.ema.module.unet.state_dict()
    pipeline = DDPMPipeline.from_pretrained(tmp_path, low_cpu_mem_usage=False)
    purifier = DiffusionPurifier.from_pretrained(str(tmp_path), purify_steps=3)
    for network in (pipeline.unet, purifier.denoiser.unet):
        assert network.state_dict().keys() == averaged.keys()
        assert all(torch.equal(tensor, averaged[name]) for name, tensor in network.state_dict().items())
    assert not torch.equal(averaged["conv_in.weight"], module.denoiser.unet.state_dict()["conv_in.weight"])
    torch.testing.assert_close(purifier.schedule.betas, module.schedule.betas, rtol=1e-5, atol=0)
    assert pipeline.scheduler.config["num_train_timesteps"] == 1000
    purifier(images)


def test_a_checkpoint_rebuilds_the_module(unet_arguments, images, fit, tmp_path):
    augmentation = Augmentation(padding=2, flip=0.5)
    bridge = Bridge((20, 40))
    module = DDPMModule(
        unet=unet_arguments,
        scheduler={"num_train_timesteps": 300, "beta_schedule": "squaredcos_cap_v2"},
        dropout=0.25,
        t_range=(1, 200),
        objective=bridge,
        pairs=Brighter(),
        ema_decay=0.99,
        augmentation=augmentation,
        seed=5,
    )
    trainer = fit(module, images, max_steps=3)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    loaded = DDPMModule.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True)
    assert loaded.state_dict().keys() == module.state_dict().keys()
    for name, tensor in loaded.state_dict().items():
        assert torch.equal(tensor, module.state_dict()[name]), name
    assert loaded.t_range == (1, 200)
    assert loaded.objective.spec == bridge.spec
    assert loaded.seed == 5
    assert loaded.denoiser.unet.down_blocks[0].resnets[0].dropout.p == 0.25
    assert torch.equal(loaded.schedule.betas, module.schedule.betas)
    assert loaded.augmentation.spec == augmentation.spec
    assert loaded.ema.multi_avg_fn.decay == 0.99
    assert int(loaded.ema.n_averaged) == 3


def test_the_average_counts_steps_not_batches(unet_arguments, images, fit):
    module = DDPMModule(unet=unet_arguments)
    fit(module, images, max_steps=3, accumulate_grad_batches=2)
    assert int(module.ema.n_averaged) == 3


def test_training_goes_on_from_an_export(module, tmp_path, fit, images):
    module.export(tmp_path / "export")
    continued = DDPMModule(pretrained=str(tmp_path / "export"))
    assert all(part.training for part in continued.modules())
    for network in (continued.denoiser, continued.ema.module):
        for name, tensor in network.state_dict().items():
            assert torch.equal(tensor, module.ema.module.state_dict()[name]), name
    fit(continued, images, max_steps=1).save_checkpoint(tmp_path / "last.ckpt")
    # The checkpoint stands for itself: the export may be gone.
    for file in (tmp_path / "export").rglob("*.*"):
        file.unlink()
    DDPMModule.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True)


def test_a_pretrained_network_keeps_schedule_and_gets_dropout(make_unet, images, fit, tmp_path):
    scheduler = DDPMScheduler(beta_schedule="squaredcos_cap_v2", variance_type="learned_range")
    DDPMPipeline(unet=make_unet(out_channels=6), scheduler=scheduler).save_pretrained(tmp_path / "adm")
    module = DDPMModule(pretrained=str(tmp_path / "adm"), dropout=0.1)
    torch.testing.assert_close(module.schedule.betas, scheduler.betas.double())
    variance = module.denoiser.unet.conv_out.weight[3:].clone()
    fit(module, images, max_steps=2)
    module.export(tmp_path / "tuned")
    tuned = DDPMPipeline.from_pretrained(tmp_path / "tuned", low_cpu_mem_usage=False)
    assert tuned.scheduler.config["beta_schedule"] == "squaredcos_cap_v2"
    assert tuned.scheduler.config["variance_type"] == "learned_range"
    assert tuned.unet.config["dropout"] == 0.1
    assert torch.equal(module.denoiser.unet.conv_out.weight[3:], variance)  # L_simple does not reach it
    blocks = [part for part in module.denoiser.modules() if isinstance(part, ResnetBlock2D)]
    assert len(blocks) > 4
    assert all(block.dropout.p == 0.1 for block in blocks)


# Errors


def test_one_schedule_is_enough(module, tmp_path):
    module.export(tmp_path)
    with pytest.raises(ValueError, match="keeps the schedule it was trained with"):
        DDPMModule(pretrained=str(tmp_path), scheduler={"num_train_timesteps": 100})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scheduler": {"beta_schedule": "none"}}, "DDPMScheduler refuses these"),
        ({"scheduler": {"prediction_type": "sample"}}, "expected 'epsilon'"),
        ({"dropout": 1.0}, "expected a probability"),
        ({"objective": Bridge((20, 40)), "t_range": (1, 30)}, r"expected to hold the horizon \(20, 40\)"),
        ({"objective": Bridge((20, 40)), "t_range": (21, 40)}, "expected to hold the horizon"),
    ],
)
def test_impossible_options_are_refused(unet_arguments, options, message):
    with pytest.raises(ValueError, match=message):
        DDPMModule(unet=unet_arguments, **options)


@pytest.mark.parametrize("t_range", [(0, 10), (11, 10), (1, 1001)])
def test_an_impossible_range_is_refused(unet_arguments, t_range):
    with pytest.raises(ValueError, match=r"t_range=.*expected 1 <= first <= last <= T = 1000"):
        DDPMModule(unet=unet_arguments, t_range=t_range)


def test_one_source_of_the_network_is_needed(unet_arguments):
    for arguments in ({}, {"unet": unet_arguments, "pretrained": "somewhere"}):
        with pytest.raises(ValueError, match=r"give either unet .* or pretrained"):
            DDPMModule(**arguments)


@pytest.mark.parametrize("spoilt", [{"channels": 3}, {"up_block_types": ["UpBlock2D"]}])
def test_arguments_that_diffusers_refuses_are_shown(unet_arguments, spoilt):
    with pytest.raises(ValueError, match="UNet2DModel refuses these arguments"):
        DDPMModule(unet=unet_arguments | spoilt)
