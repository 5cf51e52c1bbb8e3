"""Networks of the generative attacks: published sizes, and the forward pass written once more in float64."""

import itertools

import pytest
import torch
import torch.nn.functional as F

from lightning_modules.attacks.networks import (
    ClassDiscriminator,
    LabelEncoder,
    ProSGANGenerator,
    PrototypeNet,
    halvings,
)


def count(network):
    return sum(parameter.numel() for parameter in network.parameters())


def norm(x):
    mean, variance = x.mean((2, 3), keepdim=True), x.var((2, 3), unbiased=False, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()


@pytest.fixture
def doubles():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_published_generator():
    generator = ProSGANGenerator()
    label_encoder = 512 * 128 * 14 * 14 + 128 * 14 * 14
    label_encoder += sum(16 * a * b for a, b in ((128, 64), (64, 32), (32, 16), (16, 8))) + 9 * 8 * 3
    down = (49 * 6 * 64 + 64) + (16 * 64 * 128 + 128) + (16 * 128 * 256 + 256)
    blocks, up = 6 * 2 * 9 * 256 * 256, 16 * (256 * 128 + 128 * 64)
    assert count(generator) == label_encoder + down + blocks + up + 9 * 67 * 3
    assert round(count(generator) / 1e6, 2) == 21.45
    assert [tuple(p.shape) for n, p in generator.named_parameters() if n.startswith("residual")] == [(3, 67, 3, 3)]


def test_published_discriminator():
    network = ClassDiscriminator(num_classes=21)
    widths = (3, 64, 128, 256, 512, 1024)
    layers = sum(16 * a * b + b for a, b in itertools.pairwise(widths))
    assert count(network) == layers + 7 * 7 * 1024 * 22
    assert network.fc.weight.shape == (22, 1024, 7, 7)


def test_published_prototype_network():
    with_classifier, without = PrototypeNet(21, 32), PrototypeNet(21, 32, classifier=False)
    shared = 21 * 4096 + 4096 + 4096 * 512 + 512 + 512 * 32 + 32
    assert count(without) == shared
    assert count(with_classifier) == shared + 512 * 21 + 21


@pytest.mark.parametrize(
    ("size", "label_side", "label_stages", "discriminator_stages"),
    [(224, 14, 4, 5), (256, 16, 4, 5), (96, 12, 3, 4), (64, 8, 3, 4), (32, 8, 2, 3), (16, 8, 1, 2), (8, 8, 0, 1)],
)
def test_other_sizes_have_fewer_stages(size, label_side, label_stages, discriminator_stages):
    encoder = LabelEncoder(size)
    assert encoder.shape == (128, label_side, label_side)
    assert encoder.transform[-1].weight.shape == (3, 128 >> label_stages, 3, 3)
    network = ClassDiscriminator(2, size)
    assert network.fc.weight.shape[1:] == (32 << discriminator_stages, *(size >> discriminator_stages,) * 2)


def test_sides_are_halved_evenly():
    assert halvings(20, least=4, most=5) == 2  # 10, 5; 5 is odd
    assert halvings(15, least=4, most=5) == 0


def test_generator_in_float64(doubles):
    generator = ProSGANGenerator(image_size=16, channels=4)
    w = generator.state_dict()
    images, semantic = torch.rand(2, 3, 16, 16) * 2 - 1, torch.randn(2, 512)
    label = F.relu(semantic @ w["label_encoder.fc.0.weight"].T + w["label_encoder.fc.0.bias"]).view(2, 128, 8, 8)
    label = F.relu(norm(F.conv_transpose2d(label, w["label_encoder.transform.0.weight"], stride=2, padding=1)))
    label = F.conv2d(label, w["label_encoder.transform.3.weight"], padding=1)
    x = torch.cat([label, images], 1)
    for layer, stride, padding in ((0, 1, 3), (3, 2, 1), (6, 2, 1)):
        name = f"image_encoder.{layer}"
        x = F.relu(norm(F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride, padding)))
    for name in (
        f"{part}.{i}" for part, first in (("image_encoder", 9), ("decoder", 0)) for i in range(first, first + 3)
    ):
        inner = F.relu(norm(F.conv2d(x, w[f"{name}.main.0.weight"], padding=1)))
        x = x + norm(F.conv2d(inner, w[f"{name}.main.3.weight"], padding=1))
    for layer in (3, 6):
        x = F.relu(norm(F.conv_transpose2d(x, w[f"decoder.{layer}.weight"], stride=2, padding=1)))
    expected = torch.tanh(F.conv2d(torch.cat([x, images], 1), w["residual.0.weight"], padding=1))
    torch.testing.assert_close(generator(images, semantic), expected, rtol=0, atol=1e-12)


def test_discriminator_in_float64(doubles):
    network = ClassDiscriminator(3, image_size=16, channels=4)
    for _ in range(200):  # the power iteration converges
        network(torch.rand(1, 3, 16, 16))
    w, x = network.state_dict(), torch.rand(2, 3, 16, 16)
    expected = x
    for layer in (0, 2):
        weight = w[f"main.{layer}.parametrizations.weight.original"]
        weight = weight / torch.linalg.matrix_norm(weight.flatten(1), 2)  # largest singular value
        expected = F.leaky_relu(F.conv2d(expected, weight, w[f"main.{layer}.bias"], 2, 1), 0.01)
    expected = F.conv2d(expected, w["fc.weight"]).flatten(1)
    assert expected.shape == (2, 4)
    torch.testing.assert_close(network(x), expected, rtol=1e-6, atol=1e-9)


def test_prototypes_in_float64(doubles):
    network, label = PrototypeNet(5, 8), torch.tensor([[1, 0, 1, 0, 0], [0, 0, 0, 0, 0]], dtype=torch.uint8)
    w, found = network.state_dict(), network(label)
    hidden = F.relu(label.double() @ w["feature.0.weight"].T + w["feature.0.bias"])
    semantic = hidden @ w["feature.2.weight"].T + w["feature.2.bias"]
    torch.testing.assert_close(found.semantic, semantic)
    torch.testing.assert_close(found.code, torch.tanh(semantic @ w["hashing.0.weight"].T + w["hashing.0.bias"]))
    told = torch.sigmoid(semantic @ w["classifier.0.weight"].T + w["classifier.0.bias"])
    torch.testing.assert_close(found.label, told)
    assert PrototypeNet(5, 8, classifier=False)(label).label is None


def test_one_image_keeps_its_batch_axis():
    assert ClassDiscriminator(3, 16, channels=4)(torch.rand(1, 3, 16, 16)).shape == (1, 4)


@pytest.mark.parametrize(("network", "size"), [(ProSGANGenerator, 30), (ProSGANGenerator, 4)])
def test_impossible_sizes_are_refused(network, size):
    with pytest.raises(ValueError, match=f"image_size={size}"):
        network(size)
    with pytest.raises(ValueError, match="image_size=7"):
        ClassDiscriminator(3, 7)
