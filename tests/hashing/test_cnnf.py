"""CNN-F: shapes, options, and the file that its weights come from."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.io
import torch
import torch.nn.functional as F

from lightning_modules.configurable import build
from lightning_modules.hashing import CNNF, Backbone
from lightning_modules.hashing.cnnf import CONVOLUTIONS
from lightning_modules.hashing.matconvnet import read_matconvnet

SHAPES = {
    "conv1": (64, 54, 54),
    "pool1": (64, 27, 27),
    "conv2": (256, 27, 27),
    "pool2": (256, 13, 13),
    "conv3": (256, 13, 13),
    "conv4": (256, 13, 13),
    "conv5": (256, 13, 13),
    "pool5": (256, 6, 6),
    "fc6": (4096, 1, 1),
    "fc7": (4096, 1, 1),
}


def random_cnnf(**options):
    """Random weights that keep features alive, and an average image that is not symmetric."""
    torch.manual_seed(0)
    network = CNNF(**options).eval()
    with torch.no_grad():
        network.mean.uniform_(90, 150)
        for name in ("fc6", "fc7"):
            network.get_submodule(name).weight.mul_(3)
    return network


@pytest.fixture(scope="module")
def network():
    return random_cnnf()


def test_stages_have_the_published_shapes():
    with torch.device("meta"):
        plain, padded = CNNF(), CNNF(pool1_padding=True)
    pixels = torch.empty(1, 3, 224, 224, device="meta")
    assert {name: tuple(out.shape[1:]) for name, out in plain.stages(pixels).items()} == SHAPES
    wider = {"pool1": (64, 28, 28), "conv2": (256, 28, 28)}
    assert {name: tuple(out.shape[1:]) for name, out in padded.stages(pixels).items()} == SHAPES | wider


@pytest.mark.parametrize(("size", "lrn", "alpha"), [(5, "matconvnet", 1e-4), (2, "repo", 0.5e-4)])
def test_normalisation_is_the_formula(size, lrn, alpha):
    """MatConvNet: y = x (kappa + alpha sum of squares over the window)^-beta; the repositories divide alpha by 2."""
    torch.manual_seed(0)
    x = 40 * torch.rand(1, 9, 2, 2)
    before = size // 2
    expected = torch.zeros_like(x)
    for channel in range(9):
        window = x[:, max(0, channel - before) : channel - before + size]
        expected[:, channel] = x[:, channel] / (2 + alpha * window.square().sum(1)) ** 0.75
    with torch.device("meta"):
        norm = CNNF(lrn=lrn).norm
    torch.testing.assert_close(norm(x), expected)


def test_pooling_pads_right_and_below(network):
    pixels = torch.rand(1, 3, 224, 224) * 50
    out = network.stages(pixels)
    last = F.max_pool2d(out["conv1"][..., 52:, 52:], 2)  # rows and columns 52 and 53 only
    torch.testing.assert_close(out["pool1"][..., -1:, -1:], last)


def test_pictures_in_zero_one_of_any_size(network):
    image = torch.rand(1, 3, 30, 40)
    grown = F.interpolate(image, (224, 224), mode="bilinear", antialias=True)
    expected = network.stages(255 * grown - network.mean)["fc7"].flatten(1)
    found = network(image)
    torch.testing.assert_close(found, expected)
    assert found.shape == (1, 4096)
    assert found.min() >= 0
    assert found.count_nonzero() > 100


def test_attacks_see_through(network):
    image = torch.rand(1, 3, 32, 32, requires_grad=True)
    network(image).sum().backward()
    assert image.grad.abs().min() >= 0
    assert image.grad.count_nonzero() > 1000


def test_transposing_pictures_mean_and_filters_changes_nothing(network):
    """But for the pooling that pads right and below alike, which a transposition maps onto itself."""
    turned = random_cnnf()
    turned.load_state_dict(network.state_dict())
    turned._transpose()
    image = torch.rand(1, 3, 224, 224)
    torch.testing.assert_close(turned(image.mT), network(image), rtol=1e-3, atol=1e-3)
    assert (turned(image) - network(image)).abs().max() > 0.1


def write_mat(path, network, layout):
    """Write a network as MatConvNet does: filters H x W x Cin x Cout, in the older or the newer layout."""
    layers = np.empty((1, len(CONVOLUTIONS) + 1), dtype=object)
    layers[0, 0] = {"type": "relu", "name": "relu0"}
    for place, name in enumerate(CONVOLUTIONS, 1):
        conv = network.get_submodule(name)
        filters = conv.weight.detach().numpy().transpose(2, 3, 1, 0)
        biases = conv.bias.detach().numpy()[None]
        layer = {"type": "conv", "name": name}
        if layout == "old":
            layer |= {"filters": filters, "biases": biases}
        else:
            cell = np.empty((1, 2), dtype=object)
            cell[0, 0], cell[0, 1] = filters, biases
            layer |= {"weights": cell}
        layers[0, place] = layer
    normalization = {"averageImage": network.mean.numpy().transpose(1, 2, 0)}
    top = {"normalization": normalization} if layout == "old" else {"meta": {"normalization": normalization}}
    scipy.io.savemat(path, {"layers": layers} | top)


@pytest.mark.parametrize("layout", ["old", "new"])
def test_weights_of_a_file(network, layout, tmp_path):
    write_mat(tmp_path / "net.mat", network, layout)
    loaded = CNNF(str(tmp_path / "net.mat"))
    for name, tensor in network.state_dict().items():
        assert torch.equal(loaded.state_dict()[name], tensor), name
    if layout == "old":
        turned = CNNF(str(tmp_path / "net.mat"), spatial_transpose=True)
        assert torch.equal(turned.conv1.weight, network.conv1.weight.transpose(2, 3))
        rebuilt = build(turned.architecture, Backbone)  # needs no file, and takes weights as they are
        assert rebuilt.architecture["init_args"]["spatial_transpose"] is False


def test_files_that_hold_no_cnnf_are_refused(tmp_path):
    path = tmp_path / "net.mat"
    with pytest.raises(ValueError, match=r"net\.mat'.*no such file"):
        CNNF(str(path))
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="no MATLAB 5 file"):
        read_matconvnet(str(path))
    scipy.io.savemat(path, {"other": 1})
    with pytest.raises(ValueError, match=r"no variable 'layers', found \['other'\]"):
        read_matconvnet(str(path))
    layers = np.empty((1, 1), dtype=object)
    layers[0, 0] = {"name": "conv1", "filters": np.zeros((3, 3, 3, 8)), "biases": np.zeros(8)}
    scipy.io.savemat(path, {"layers": layers})
    with pytest.raises(ValueError, match=r"no normalization\.averageImage"):
        read_matconvnet(str(path))
    scipy.io.savemat(path, {"layers": layers, "normalization": {"averageImage": np.zeros((1, 1, 3))}})
    with pytest.raises(ValueError, match=r"layer 'conv1' has filters \(8, 3, 3, 3\), expected \(64, 3, 11, 11\)"):
        CNNF(str(path))
    with pytest.raises(ValueError, match="lrn='none'"):
        CNNF(lrn="none")
