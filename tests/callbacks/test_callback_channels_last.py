"""ChannelsLast: another memory layout, the same results."""

import torch
from torch import nn

from callbacks import ChannelsLast
from tests.callbacks.stub import StubModule, run_test


def test_convolutions_change_their_layout_and_not_their_result(tmp_path):
    module, images = StubModule(), torch.rand(2, 3, 8, 8)
    module.net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 2))
    before = module.net(images)
    weight = module.net[0].weight
    assert not weight.is_contiguous(memory_format=torch.channels_last)
    run_test(tmp_path, ChannelsLast(), module, logger=False)
    assert module.net[0].weight is weight, "optimisers keep their parameters"
    assert weight.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(module.net(images), before)
