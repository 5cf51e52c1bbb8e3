"""Losses that look at a batch see the batch of all processes: two give the gradient of one."""

from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn

from lightning_modules.hashing.losses import CIBHashLoss, CSQLoss, DPHPriorityLoss, DSHLoss, HashNetLoss
from tests.hashing.loss_problems import BITS, make_batch, make_problem, set_up

COUNT = 8
LOSSES = {
    "cibhash": (CIBHashLoss, 2),
    "csq": (CSQLoss, 1),
    "dph_priority": (DPHPriorityLoss, 1),
    "dsh": (DSHLoss, 1),
    "hashnet": (HashNetLoss, 1),
}


def gradients(rows):
    """Gradient of the mean loss over these items at one linear layer, for every loss."""
    labels, features = make_problem()
    result = {}
    for name, (make, views) in LOSSES.items():
        torch.manual_seed(0)
        layer, loss = nn.Linear(BITS, BITS), set_up(make(), labels)
        inputs = torch.cat([features[rows].float() * (view + 1) for view in range(views)])
        codes = loss.relax(layer(inputs), 0)
        codes = codes if views == 1 else codes.unflatten(0, (views, -1))
        loss({"image": codes}, make_batch(rows, labels)).mean().backward()
        result[name] = layer.weight.grad
    return result


def compute_as(rank, folder):
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/rendezvous", rank=rank, world_size=2, timeout=timedelta(seconds=120)
    )
    half = COUNT // 2
    torch.save(gradients(torch.arange(rank * half, (rank + 1) * half)), f"{folder}/gradients{rank}")
    dist.destroy_process_group()


@pytest.mark.ddp
def test_two_processes_have_the_gradient_of_one(tmp_path):
    other = mp.get_context("spawn").Process(target=compute_as, args=(1, str(tmp_path)))
    other.start()
    try:
        compute_as(0, str(tmp_path))
    finally:
        other.join()
    assert other.exitcode == 0
    parts = [torch.load(tmp_path / f"gradients{rank}") for rank in range(2)]
    for name, expected in gradients(torch.arange(COUNT)).items():
        assert expected.abs().max() > 0
        averaged = (parts[0][name] + parts[1][name]) / 2  # what DDP does
        torch.testing.assert_close(averaged, expected, rtol=1e-4, atol=1e-6, msg=name)
