"""Text network and frozen extractor: widths, modes, what is trained, what a checkpoint rebuilds."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from lightning_modules.configurable import build
from lightning_modules.hashing import Backbone, FrozenBackbone, HashEncoder, TextMLP
from tests.hashing.random_data import Flat


class Affine(Backbone):
    """An extractor with weights and a mode: twelve pixels to four features."""

    num_features = 4

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.norm = nn.Linear(12, 4), nn.BatchNorm1d(4)

    def forward(self, inputs):
        return self.norm(self.layer(inputs.flatten(1)))


def test_text_network_is_its_layers():
    torch.manual_seed(0)
    network = TextMLP([5, 3])
    network.set_up(7)
    x = torch.rand(4, 7)
    expected = x
    for layer in (network.body[0], network.body[2]):
        expected = (expected @ layer.weight.T + layer.bias).clamp(min=0)
    torch.testing.assert_close(network(x), expected)
    assert network.num_features == 3


def test_the_width_is_told_once():
    network = TextMLP([3])
    network.set_up(7)
    before = network.body[0].weight
    network.set_up(7)
    assert network.body[0].weight is before
    with pytest.raises(ValueError, match="text features are 8 wide, the network takes 7"):
        network.set_up(8)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hidden": []}, "at least one layer"),
        ({"hidden": [4, 0]}, "positive"),
        ({"hidden": [4], "dropout": 1.0}, "dropout"),
    ],
)
def test_impossible_layers_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TextMLP(**options)


def test_batch_norm_and_dropout_stand_where_they_are_asked_for():
    network = TextMLP([4, 3], batch_norm=True, dropout=0.25)
    network.set_up(2)
    kinds = (nn.Linear, nn.BatchNorm1d, nn.ReLU, nn.Dropout) * 2
    assert len(network.body) == len(kinds)
    assert all(isinstance(layer, kind) for layer, kind in zip(network.body, kinds, strict=True))
    assert network.train()(torch.rand(1, 2)).shape == (1, 3)  # the last batch of an epoch may hold one item


def test_first_weights_of_the_hashing_layer():
    encoder = HashEncoder(TextMLP([2000], hash_init_std=0.3), 16)
    assert encoder.hash_layer.weight.std().item() == pytest.approx(0.3, rel=0.02)


def test_only_the_head_is_trained_and_the_extractor_keeps_its_mode():
    backbone = FrozenBackbone(Affine(), [6], dropout=0.5).train()
    assert backbone.head.training
    assert not backbone.extractor.training
    assert {name.partition(".")[0] for name, p in backbone.named_parameters() if p.requires_grad} == {"head"}
    images = torch.rand(5, 3, 2, 2, requires_grad=True)
    backbone(images).sum().backward()
    assert images.grad.abs().sum() > 0  # attacks go through


@pytest.mark.parametrize("hidden", [[], [6, 5]])
def test_features_give_what_pictures_give(hidden):
    backbone, images = FrozenBackbone(Affine(), hidden).eval(), torch.rand(1, 3, 2, 2)
    assert torch.equal(backbone.head(backbone.extractor(images)), backbone(images))
    assert backbone(images).shape == (1, backbone.num_features)


def test_the_spec_rebuilds_extractor_and_head():
    rebuilt = build(FrozenBackbone(Flat(), [6]).architecture, Backbone)
    assert isinstance(rebuilt, FrozenBackbone)
    assert isinstance(rebuilt.extractor, Flat)
    assert rebuilt.num_features == 6
