"""What every hashing loss of one modality has in common: odd batches, resume, and its own parameters."""

import pytest
import torch
from lightning import seed_everything

from lightning_modules.hashing import HashingModule, losses
from lightning_modules.hashing.losses import HashingLoss, TrainingFacts
from tests.hashing.loss_problems import BITS, make_batch
from tests.hashing.random_data import Flat, RandomData, make_trainer

CROSS_MODAL = (losses.DCMHLoss, losses.UCCH)
CONTRASTIVE = losses.CIBHashLoss  # two random views of pictures: has tests of its own
LOSSES = [
    losses.CSQLoss,
    losses.DPHL2Loss,
    losses.DPHPriorityLoss,
    losses.DPSHLoss,
    losses.DSHLoss,
    losses.GreedyHashLoss,
    losses.HashNetLoss,
    losses.OrthoHashLoss,
]


def test_no_loss_is_forgotten():
    """Those of two modalities need text codes."""
    own = [found for name in losses.__all__ if isinstance(found := getattr(losses, name), type)]
    concrete = {c for c in own if issubclass(c, HashingLoss) and not c.__abstractmethods__}
    unimodal = {c for c in concrete if not issubclass(c, losses.TrainingProcedure) and c not in CROSS_MODAL}
    assert unimodal == {*LOSSES, CONTRASTIVE}


@pytest.mark.parametrize("make", LOSSES)
@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("labelled", [False, True])
def test_odd_batches_have_finite_values_and_gradients(make, count, labelled):
    labels = torch.zeros(5, 3, dtype=torch.uint8)
    labels[:, 1] = int(labelled)
    loss, logits = make(), torch.zeros(count, BITS, requires_grad=True)
    torch.manual_seed(0)
    loss.setup(TrainingFacts(labels, BITS))
    values = loss({"image": loss.relax(logits, 0)}, make_batch(torch.arange(count), labels))
    assert values.shape == (count,)
    assert values.dtype == torch.float32
    assert torch.isfinite(values).all()
    values.sum().backward()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("make", LOSSES)
def test_resume_equals_uninterrupted(make, tmp_path):
    def run(epochs, name, **options):
        seed_everything(0, verbose=False)
        module = HashingModule(Flat(), make(), num_bits=BITS, optimizer=lambda p: torch.optim.Adam(p, 0.01))
        data = RandomData()
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
