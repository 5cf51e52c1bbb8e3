"""Learning rates of backbone and head."""

import pytest
import torch
from torch import nn

from lightning_modules.hashing.optimisers import optimizer_with_faster_head


def build(scale):
    module = nn.ModuleDict({"backbone": nn.Linear(2, 3), "head": nn.Linear(3, 4), "loss": nn.Linear(4, 2)})
    return module, optimizer_with_faster_head(
        lambda p: torch.optim.SGD(p, lr=0.01, weight_decay=0.1), module, [module["backbone"]], scale
    )


def test_everything_but_the_backbone_learns_faster():
    module, optimizer = build(10.0)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert [rates[id(p)] for p in module["backbone"].parameters()] == [0.01, 0.01]
    others = [rates[id(p)] for part in ("head", "loss") for p in module[part].parameters()]
    assert others == pytest.approx([0.1] * 4)
    assert all(group["weight_decay"] == 0.1 for group in optimizer.param_groups)


def test_schedules_keep_the_ratio():
    _, optimizer = build(10.0)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)
    optimizer.step()
    schedule.step()
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.005, 0.05])


def test_one_group_for_one_rate():
    module, optimizer = build(1.0)
    (group,) = optimizer.param_groups
    assert len(group["params"]) == len(list(module.parameters()))


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan")])
def test_a_scale_is_positive(scale):
    with pytest.raises(ValueError, match="head_lr_scale"):
        build(scale)
