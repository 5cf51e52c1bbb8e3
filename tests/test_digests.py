"""Digests of weights and of tensors."""

import pytest
import torch
from torch import nn

from lightning_modules.digests import digest_of_tensor, digest_of_weights


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


def test_a_tensor_is_known_by_type_shape_and_values():
    values = torch.arange(6.0).view(2, 3)
    assert digest_of_tensor(values) == digest_of_tensor(values.T.contiguous().T)
    others = [values.view(3, 2), values + 1, values.double(), values.int()]
    assert len({digest_of_tensor(one) for one in (values, *others)}) == 5
