"""Adversarial training in HashingModule: what it is told, its checkpoint, its resume, and what is refused."""

from functools import partial

import pytest
import torch
from lightning import Callback, seed_everything
from torch.utils.data import DataLoader, DistributedSampler

from lightning_modules.adversarial_training import ATRDH, SAAT, CgAT
from lightning_modules.hashing import CIBHashLoss, CSQLoss, DPHL2Loss, FrozenBackbone, HashingModule
from lightning_modules.hashing.losses import TrainingFacts
from lightning_modules.types import Batch
from tests.hashing.random_data import Flat, RandomData, make_trainer

BITS = 4


def make_module(strategy, **options):
    torch.manual_seed(0)
    options = {"loss": DPHL2Loss(), "optimizer": lambda p: torch.optim.Adam(p, 0.01)} | options
    return HashingModule(Flat(), num_bits=BITS, adversarial=strategy, **options)


@pytest.mark.parametrize("make", [ATRDH, CgAT, SAAT])
def test_a_checkpoint_brings_the_strategy(make, tmp_path):
    module, data = make_module(make(eps=0.1)), RandomData()
    trainer = make_trainer(tmp_path, limit_val_batches=0)
    trainer.fit(module, data)
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    assert torch.isfinite(trainer.callback_metrics["train/adversarial"])
    loaded = HashingModule.load_from_checkpoint(tmp_path / "last.ckpt", weights_only=True)
    assert loaded.adversarial.spec == module.adversarial.spec
    assert torch.equal(loaded.adversarial.memory.codes, module.adversarial.memory.codes)
    images = data.parts["query"].image
    assert torch.equal(loaded.encode(images), module.encode(images))


class Watch(Callback):
    """Compares the memory at the start of each epoch with the codes of all items at that time."""

    def __init__(self):
        self.gaps = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == 0:
            pl_module.eval()
            with torch.no_grad():
                codes = pl_module(trainer.datamodule.parts["train"].image)
            pl_module.train()
            self.gaps.append((codes - pl_module.adversarial.memory.codes).abs().max().item())


def test_codes_of_all_items_are_new_at_the_start_of_every_epoch(tmp_path):
    watch = Watch()
    module = make_module(CgAT(), batch_norm=True)
    make_trainer(tmp_path, max_epochs=3, limit_val_batches=0, callbacks=[watch]).fit(module, RandomData())
    assert len(watch.gaps) == 3
    assert max(watch.gaps) < 1e-6


def test_any_loss_goes_with_it(tmp_path):
    module = make_module(SAAT(), loss=CSQLoss())
    make_trainer(tmp_path, limit_val_batches=0).fit(module, RandomData())
    assert module.adversarial.memory.codes.abs().max() <= 1  # codes, not the logits that CSQ sees


def test_resume_equals_uninterrupted(tmp_path):
    def run(epochs, name, **options):
        seed_everything(0, verbose=False)
        module, data = make_module(ATRDH(eps=0.1)), RandomData()
        data.train_dataloader = lambda: data._loader("train")  # in order: the shuffle is no part of a checkpoint
        trainer = make_trainer(tmp_path, max_epochs=epochs, limit_val_batches=0)
        trainer.fit(module, data, **options)
        trainer.save_checkpoint(tmp_path / name)
        return module.state_dict()

    whole = run(2, "whole.ckpt")
    run(1, "half.ckpt")
    resumed = run(2, "resumed.ckpt", ckpt_path=tmp_path / "half.ckpt", weights_only=True)
    assert whole.keys() == resumed.keys()
    for name, value in whole.items():
        torch.testing.assert_close(resumed[name], value, msg=name)


def test_adversarial_codes_come_nearer_to_their_centres(tmp_path):
    """Against the same training without it, on the attack of the training itself."""
    data, products = RandomData(num_train=48), {}
    for name, strategy in (("with", CgAT(eps=0.1, step=0.03)), ("without", None)):
        seed_everything(0, verbose=False)
        module = make_module(strategy)
        make_trainer(tmp_path, max_epochs=6, limit_val_batches=0).fit(module, data)
        judge, batch = CgAT(eps=0.1, step=0.03, seed=9), data.parts["train"]
        judge.setup(TrainingFacts(data.labels("train"), BITS))
        encoder = module.image_encoder.eval()
        with torch.no_grad():
            judge.memory.write(batch.index, encoder(batch.image))
        centre = judge.centre(batch.label)
        with torch.no_grad():
            products[name] = (encoder(judge.craft(encoder, batch, -centre)) * centre).mean().item()
    assert products["with"] > products["without"]


def test_training_starts_from_another_one(tmp_path):
    first, data = make_module(None), RandomData()
    trainer = make_trainer(tmp_path, limit_val_batches=0)
    trainer.fit(first, data)
    trainer.save_checkpoint(tmp_path / "first.ckpt")
    torch.manual_seed(5)
    second = HashingModule(Flat(), CSQLoss(), num_bits=BITS, init_from=str(tmp_path / "first.ckpt"))
    for name, value in first.encoders.state_dict().items():
        assert torch.equal(second.encoders.state_dict()[name], value), name
    assert "init_from" not in second.hparams


def test_impossible_starts_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"init_from='gone\.ckpt': no such file"):
        make_module(None, init_from="gone.ckpt")
    (tmp_path / "broken.ckpt").write_bytes(b"no checkpoint")
    with pytest.raises(ValueError, match=r"broken\.ckpt' does not fit"):
        make_module(None, init_from=str(tmp_path / "broken.ckpt"))
    torch.save({"state_dict": {"encoders.image.hash_layer.weight": torch.zeros(9, 12)}}, tmp_path / "other.ckpt")
    with pytest.raises(ValueError, match=r"other\.ckpt' does not fit"):
        make_module(None, init_from=str(tmp_path / "other.ckpt"))


def test_what_does_not_go_together_is_refused():
    with pytest.raises(ValueError, match="one step and one view, not with CIBHashLoss"):
        make_module(CgAT(), loss=CIBHashLoss())
    with pytest.raises(ValueError, match="needs pictures: set cache_features to false"):
        HashingModule(FrozenBackbone(Flat(), hidden=[3]), DPHL2Loss(), adversarial=CgAT())


class Keep(Callback):
    """Saves a checkpoint from the processes, which end with the fit."""

    def on_train_end(self, trainer, pl_module):
        trainer.save_checkpoint(f"{trainer.default_root_dir}/last.ckpt")


@pytest.mark.ddp
@pytest.mark.slow
@pytest.mark.parametrize("make", [ATRDH, CgAT])
def test_two_processes_train_as_one(make, tmp_path):
    """12 items in their order: batches of 4 on one process, of 2 x 2 on two; plain SGD, no batch statistics."""
    states = []
    for devices, size in ((1, 4), (2, 2)):
        data = RandomData(num_train=12)
        data.train_dataloader = InOrder(data.parts["train"], size)
        module = make_module(make(eps=0.1), optimizer=partial(torch.optim.SGD, lr=0.1))
        folder = tmp_path / str(devices)
        strategy = (
            {"strategy": "ddp_spawn", "devices": devices, "use_distributed_sampler": False} if devices > 1 else {}
        )
        make_trainer(folder, max_epochs=2, limit_val_batches=0, callbacks=[Keep()], **strategy).fit(module, data)
        states.append(torch.load(folder / "last.ckpt", weights_only=True)["state_dict"])
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, rtol=1e-4, atol=1e-5, msg=name)


class InOrder:
    """A loader in the order of the split, whose items two processes take in turn."""

    def __init__(self, part, size):
        self.part, self.size = part, size

    def __call__(self):
        items = range(len(self.part))
        sampler = DistributedSampler(items, shuffle=False) if torch.distributed.is_initialized() else None
        return DataLoader(items, self.size, sampler=sampler, collate_fn=self.collate)

    def collate(self, rows):
        part, ids = self.part, tuple(self.part.ids[row] for row in rows)
        return Batch(part.image[rows], part.label[rows], part.index[rows], ids)
