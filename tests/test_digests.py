"""Digests of weights."""

import pytest
import torch
from torch import nn

from lightning_modules.digests import digest_of_weights


def test_a_digest_stands_for_all_weights():
    def network(seed=0):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))

    reference = digest_of_weights(network())
    assert digest_of_weights(network()) == reference
    assert digest_of_weights(network(1)) != reference
    for name in ("0.weight", "1.running_mean", "1.num_batches_tracked"):
        changed = network()
        changed.state_dict()[name].view(-1)[0].add_(1)
        assert digest_of_weights(changed) != reference
    wrapped = nn.Sequential(nn.Identity(), *network())
    assert digest_of_weights(wrapped) != reference  # other names
    strided = network()
    strided[0].weight.data = strided[0].weight.data.to(memory_format=torch.channels_last)
    assert digest_of_weights(strided) == reference


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_weights_of_any_dtype_have_a_digest(dtype):
    assert len(digest_of_weights(nn.Linear(2, 2).to(dtype))) == 64
