"""Backbones: normalisation by hand, the small stem, the paper's VGG-11, and what is refused."""

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torchvision.models import vgg11

from lightning_modules.configurable import build
from lightning_modules.hashing import Backbone, TimmBackbone

TINY = {"name": "resnet18", "model_args": {"layers": [1, 1, 1, 1], "channels": [4, 8, 8, 16]}}


def make_tiny(**options):
    torch.manual_seed(0)
    return TimmBackbone(**(TINY | options)).eval()


class Record(nn.Module):
    def forward(self, inputs):
        self.seen = inputs
        return inputs


def what_the_body_sees(backbone, images):
    backbone.body = Record()
    backbone(images)
    return backbone.body.seen


def test_no_normalisation_feeds_the_pixels_themselves():
    images = torch.rand(2, 3, 4, 4)
    assert torch.equal(what_the_body_sees(make_tiny(), images), images)


def test_imagenet_normalisation():
    image = torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1)
    seen = what_the_body_sees(make_tiny(normalize="imagenet"), image).flatten()
    expected = [(0.0 - 0.485) / 0.229, (0.5 - 0.456) / 0.224, (1.0 - 0.406) / 0.225]
    torch.testing.assert_close(seen, torch.tensor(expected))


def test_normalisation_of_the_model():
    backbone = TimmBackbone("vit_tiny_patch16_224", normalize="model", model_args={"depth": 1, "embed_dim": 6})
    assert backbone.body.pretrained_cfg["mean"] == (0.5, 0.5, 0.5)
    image = torch.tensor([0.0, 0.5, 1.0]).view(1, 3, 1, 1)
    assert what_the_body_sees(backbone, image).flatten().tolist() == [-1.0, 0.0, 1.0]


def test_normalisation_is_stored_with_the_weights():
    plain = make_tiny()
    plain.load_state_dict(make_tiny(normalize="imagenet").state_dict())
    torch.testing.assert_close(plain.std.flatten(), torch.tensor([0.229, 0.224, 0.225]))


def test_small_input_keeps_the_resolution():
    images = torch.rand(2, 3, 16, 16)
    small, large = make_tiny(small_input=True), make_tiny()
    assert (small.body.conv1.kernel_size, small.body.conv1.stride) == ((3, 3), (1, 1))
    assert isinstance(small.body.maxpool, nn.Identity)
    assert small.body.forward_features(images).shape[-1] == 2  # 16 / 8
    assert large.body.forward_features(images).shape[-1] == 1  # 16 / 32, rounded up
    for backbone in (small, large):
        assert backbone.num_features == 16
        assert backbone(images).shape == (2, 16)


def test_weights_of_a_file_are_loaded_and_their_classifier_is_left_out(tmp_path):
    body = make_tiny().body
    body.reset_classifier(1000)
    save_file(body.state_dict(), tmp_path / "weights.safetensors")
    torch.manual_seed(1)
    loaded = TimmBackbone(**TINY, weights=str(tmp_path / "weights.safetensors"))
    for name, value in loaded.body.state_dict().items():
        assert torch.equal(value, body.state_dict()[name]), name


def test_weights_of_another_network_are_refused(tmp_path):
    file = tmp_path / "weights.safetensors"
    save_file(make_tiny(model_args={"layers": [1, 1, 1, 1], "channels": [4, 8, 8, 8]}).body.state_dict(), file)
    with pytest.raises(ValueError, match="do not fit 'resnet18'"):
        make_tiny(weights=str(file))
    save_file({"other": torch.zeros(1)}, file)
    with pytest.raises(ValueError, match=r"do not fit 'resnet18': missing .*, unknown \['other'\]"):
        make_tiny(weights=str(file))
    file.write_bytes(b"no safetensors")
    with pytest.raises(ValueError, match="do not fit 'resnet18'"):
        make_tiny(weights=str(file))


def test_a_checkpoint_needs_neither_file_nor_hub():
    backbone = make_tiny()
    backbone.spec["init_args"] |= {"pretrained": True, "weights": "/gone"}
    rebuilt = build(backbone.architecture, Backbone)
    assert rebuilt.state_dict().keys() == backbone.state_dict().keys()
    assert backbone.spec["init_args"]["pretrained"] is True


@pytest.fixture(scope="module")
def paper_vgg():
    with torch.device("meta"):
        return TimmBackbone("vgg11", drop_rate=0.5)


def test_vgg11_is_that_of_the_paper(paper_vgg):
    assert paper_vgg.num_features == 4096
    assert paper_vgg(torch.empty(2, 3, 224, 224, device="meta")).shape == (2, 4096)
    dropouts = [layer.p for layer in paper_vgg.modules() if isinstance(layer, nn.Dropout) and layer.p]
    assert dropouts == [0.5, 0.5]
    assert not [layer for layer in paper_vgg.modules() if isinstance(layer, nn.BatchNorm2d)]
    sizes = {tuple(p.shape) for p in paper_vgg.parameters() if p.numel() > 4096 * 4096 - 1}
    assert sizes == {(4096, 512, 7, 7), (4096, 4096, 1, 1)}


def test_vgg11_computes_what_torchvision_does():
    """The convolutions of torchvision, then two linear layers (8 and 4096 wide here) on the flattened 7 x 7 map."""
    torch.manual_seed(0)
    backbone = TimmBackbone("vgg11", drop_rate=0.5, model_args={"mlp_ratio": 1 / 512}).eval()
    with torch.device("meta"):
        reference = vgg11().features
    reference.load_state_dict(backbone.body.features.state_dict(), assign=True)
    head = backbone.body.pre_logits
    with torch.inference_mode():
        images = torch.rand(1, 3, 224, 224)
        hidden = (reference(images).flatten(1) @ head.fc1.weight.flatten(1).T + head.fc1.bias).relu()
        expected = (hidden @ head.fc2.weight.flatten(1).T + head.fc2.bias).relu()
        found = backbone(images)
    assert expected.abs().max() > 0
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "no_such_net"}, "no_such_net"),
        ({"weights": "/no/such/file.safetensors"}, "no such file"),
        ({"normalize": "cifar"}, "normalize='cifar'"),
    ],
)
def test_impossible_requests_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        TimmBackbone(**(TINY | options))


def test_small_input_needs_a_resnet_stem():
    with torch.device("meta"), pytest.raises(ValueError, match="small_input=True needs a ResNet stem"):
        TimmBackbone("vgg11", small_input=True)


def test_pictures_are_resized_inside_the_network():
    images = torch.rand(2, 3, 16, 16)
    network = make_tiny(input_size=32)
    seen = what_the_body_sees(network, images)
    torch.testing.assert_close(seen, torch.nn.functional.interpolate(images, (32, 32), mode="bilinear"))


def test_a_size_without_pixels_is_refused():
    with pytest.raises(ValueError, match="input_size=0: expected at least 1"):
        make_tiny(input_size=0)
