"""Released DGCPN.pth and DADH.pth, written here in their layout, against networks built as they are."""

from __future__ import annotations

from collections import OrderedDict
from itertools import pairwise

import pytest
import torch
from torch import nn

from datamodules.text import BagOfWords
from lightning_modules.hashing import CNNF, HashingModule
from lightning_modules.hashing.convert import read_released, state_dicts
from lightning_modules.hashing.convert.__main__ import main
from tests.conftest import CONF, CONFIGS, open_tiny_data

WORDS, BITS = 9, 6


class SmallCNNF(CNNF):
    """CNN-F's interface with the arithmetic of a toy: what is read beside it is the layout."""

    def __init__(self, weights=None, lrn="matconvnet", pool1_padding=False, spatial_transpose=False):
        nn.Module.__init__(self)
        self.options = (weights, lrn, pool1_padding)
        self.num_features = 12
        for name in state_dicts.CONVOLUTIONS:
            self.add_module(name, nn.Conv2d(3, 3, 1))

    def forward(self, inputs):
        for name in state_dicts.CONVOLUTIONS:
            inputs = self.get_submodule(name)(inputs)
        return nn.functional.adaptive_avg_pool2d(inputs, 2).flatten(1)


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(state_dicts, "CNNF", SmallCNNF)
    torch.manual_seed(0)


def dgcpn_net(width):
    return nn.ModuleDict({"fc1": nn.Linear(width, 7), "fc_encode": nn.Linear(7, BITS)})


def dadh_module(width):
    sizes = (width, 8, 7, 5)
    layers = [(nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU(True)) for a, b in pairwise(sizes)]
    module = nn.Sequential(*(part for layer in layers for part in layer))
    module(torch.randn(50, width))  # running statistics that are not the initial ones
    return module


def cnn_f():
    """Seven convolutions and fc8, with layers without weights between them, as a Sequential numbers them."""
    layers = [part for _ in range(8) for part in (nn.Conv2d(3, 3, 1), nn.ReLU())]
    return nn.Sequential(OrderedDict(features=nn.Sequential(*layers)))


def run_filters(net, images):
    for layer in list(net.features)[:14]:
        images = images if isinstance(layer, nn.ReLU) else layer(images)  # SmallCNNF has no ReLU
    return nn.functional.adaptive_avg_pool2d(images, 2).flatten(1)


def test_dgcpn(tmp_path):
    image, text = dgcpn_net(12), dgcpn_net(WORDS)
    torch.save({"ImgNet": image.state_dict(), "TxtNet": text.state_dict(), "step": 3}, tmp_path / "DGCPN.pth")
    found = read_released(str(tmp_path / "DGCPN.pth"), "dgcpn", "net.mat")
    words = torch.rand(4, WORDS)
    expected = torch.tanh(text["fc_encode"](text["fc1"](words).relu()))
    torch.testing.assert_close(found["text"](words), expected)
    features = torch.rand(4, 12)
    head = found["image"].backbone.head
    torch.testing.assert_close(
        found["image"].logits_of(head(features)), image["fc_encode"](image["fc1"](features).relu())
    )
    assert found["image"].backbone.extractor.options == ("net.mat", "repo", False)


def dadh_file(folder, **changes):
    parts = {"cnn_f": cnn_f(), "image_module": dadh_module(12), "text_module": dadh_module(WORDS)}
    parts["hash_module"] = nn.ModuleDict(
        {name: nn.Sequential(nn.Linear(5, BITS), nn.Tanh()) for name in ("image", "text")}
    )
    net = nn.ModuleDict(parts).eval()
    torch.save(
        {name: value for name, value in net.state_dict().items() if name not in changes} | changes, folder / "DADH.pth"
    )
    return net, str(folder / "DADH.pth")


def test_dadh(tmp_path):
    net, path = dadh_file(tmp_path)
    found = read_released(path, "dadh", "net.mat")
    words, images = torch.rand(4, WORDS), torch.rand(4, 3, 5, 5)
    torch.testing.assert_close(found["text"](words), net["hash_module"]["text"](net["text_module"](words)))
    expected = net["hash_module"]["image"](net["image_module"](run_filters(net["cnn_f"], images)))
    torch.testing.assert_close(found["image"](images), expected)
    assert found["image"].backbone.extractor.options == ("net.mat", "repo", True)


def test_files_of_another_layout_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"gone\.pth: no such file"):
        read_released(str(tmp_path / "gone.pth"), "dadh", "net.mat")
    path = tmp_path / "x.pth"
    path.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="loaded safely"):
        read_released(str(path), "dadh", "net.mat")
    torch.save({"ImgNet": nn.Linear(2, 2)}, path)  # a pickled module: code would run
    with pytest.raises(ValueError, match="loaded safely"):
        read_released(str(path), "dgcpn", "net.mat")
    torch.save({"other": torch.zeros(1)}, path)
    with pytest.raises(ValueError, match=r"no state dict 'ImgNet', found \['other'\]"):
        read_released(str(path), "dgcpn", "net.mat")
    with pytest.raises(ValueError, match=r"no 'hash_module\.image\.0\.weight'"):
        read_released(str(path), "dadh", "net.mat")
    _, path = dadh_file(tmp_path, **{"image_module.3.weight": torch.zeros(7, 4)})
    with pytest.raises(ValueError, match=r"layer 1 of image: weight is \(7, 4\), expected \(7, 8\)"):
        read_released(path, "dadh", "net.mat")


def test_a_converted_network_is_a_checkpoint(tmp_path):
    data = open_tiny_data(tmp_path / "data", BagOfWords())
    image, text = dgcpn_net(12), dgcpn_net(data.text_width)
    torch.save({"ImgNet": image.state_dict(), "TxtNet": text.state_dict(), "step": 3}, tmp_path / "DGCPN.pth")
    fragments = [CONF / "tiny-data.yaml", CONFIGS / "text/bag-of-words.yaml"]
    args = ["dgcpn", str(tmp_path / "DGCPN.pth"), "net.mat", str(tmp_path / "out/dgcpn.ckpt")]
    args += [part for file in fragments for part in ("--config", str(file))]
    assert main([*args, "--data.init_args.cache_dir", str(tmp_path / "data")]) == 0
    module = HashingModule.load_from_checkpoint(tmp_path / "out/dgcpn.ckpt", weights_only=True)
    words = data.text_features("query")
    expected = text["fc_encode"](text["fc1"](words).relu()) >= 0
    assert torch.equal(module.encode_text(words) > 0, expected)
    assert module.facts["fingerprint"] == data.fingerprint
    assert module.facts["text_width"] == data.text_width
