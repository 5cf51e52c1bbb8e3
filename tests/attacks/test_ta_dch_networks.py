"""TA-DCH's networks: published sizes, and the forward pass written once more in float64."""

import pytest
import torch
import torch.nn.functional as F

from lightning_modules.attacks.networks import FusionPrototypeNet, SemanticTranslator, TADCHGenerator
from lightning_modules.attacks.networks.ta_dch import PASSED


def norm(x, dims=(2, 3)):
    mean, variance = x.mean(dims, keepdim=True), x.var(dims, unbiased=False, keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt()


@pytest.fixture
def doubles():
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def test_published_sizes():
    with torch.device("meta"):
        generator, prototype = TADCHGenerator(), FusionPrototypeNet(24, 1386, 32)
    translator = 64 * 48 * 9 + 48 * 12 * 36 + 12 * 36
    encoder = (6 * 64 * 49 + 64) + (64 * 128 * 16 + 128) + (128 * 256 * 16 + 256) + 6 * 2 * 9 * 256**2
    decoder = 256 * 128 * 16 + 256 * 128 * 9 + 128 * 64 * 16 + 128 * 64 * 9 + 64 * 3 * 9 + 6 * 3 * 9
    count = sum(p.numel() for p in generator.parameters())
    assert count == translator + encoder + decoder
    assert round(count / 1e6, 1) == 8.8
    assert round(sum(p.numel() for p in prototype.parameters()) / 1e6) == 141


@pytest.mark.parametrize("size", [224, 32])
def test_the_translator_reaches_every_size(size):
    translator = SemanticTranslator(size)
    assert translator(torch.randn(1, 64, 16, 16)).shape == (1, 1, size, size)
    sides = [translator.transform[: 3 * n](torch.randn(1, 64, 16, 16)).shape[-1] for n in (1, 2, 3)]
    assert sides == [14, 56, 224]


@pytest.mark.parametrize("size", [224, 32])
def test_the_map_is_resized_before_it_is_normalised(doubles, size):
    translator, semantic = SemanticTranslator(size), torch.randn(2, 64, 16, 16)
    x = semantic
    for place, stride, padding in ((0, 1, 2), (3, 4, 1), (6, 4, 1)):
        x = F.conv_transpose2d(x, translator.transform[place].weight, stride=stride, padding=padding)
        if place < 6:
            x = F.relu(norm(x))
    if size < 224:  # each pixel is a triangle over twice its width, cut off at the border
        centres = (torch.arange(size) + 0.5) * 224 / size
        weights = (1 - (torch.arange(224) + 0.5 - centres[:, None]).abs() * size / 224).clamp_min(0)
        weights /= weights.sum(1, keepdim=True)
        x = weights @ x @ weights.T
    found = translator(semantic)
    torch.testing.assert_close(found.double(), F.relu(norm(x)), rtol=0, atol=1e-4)


def test_generator_in_float64(doubles):
    generator = TADCHGenerator(image_size=16, channels=4)
    w, images, semantic = generator.state_dict(), torch.rand(2, 3, 16, 16) * 2 - 1, torch.randn(2, 64, 16, 16)
    m = generator.translator(semantic).double()
    x = torch.stack([images[:, 0], m[:, 0], images[:, 1], m[:, 0], images[:, 2], m[:, 0]], 1)

    def conv(name, x, stride=1, padding=1):
        return F.relu(norm(F.conv2d(x, w[f"{name}.weight"], w.get(f"{name}.bias"), stride, padding)))

    def up(name, x):
        return F.relu(norm(F.conv_transpose2d(x, w[f"{name}.weight"], stride=2, padding=1)))

    full = conv("preprocess.0", x, padding=3)
    half = conv("firstconv.0", full, 2)
    x = conv("secondconv.0", half, 2)
    for i in range(6):
        inner = conv(f"residualblock.{i}.main.0", x)
        x = x + norm(F.conv2d(inner, w[f"residualblock.{i}.main.3.weight"], padding=1))
    x = up("firstconvtrans.0", x)
    x = up("secondconvtrans.3", conv("secondconvtrans.0", torch.cat([half, x], 1)))
    x = conv("process.3", conv("process.0", torch.cat([full, x], 1)))
    expected = torch.tanh(F.conv2d(torch.cat([images, x], 1), w["residual.0.weight"], padding=1))
    torch.testing.assert_close(generator(images, semantic), expected, rtol=0, atol=1e-10)


def test_fusion_in_float64(doubles):
    network = FusionPrototypeNet(5, 7, 8, hidden=6)
    w = network.state_dict()
    label, text = torch.eye(5, dtype=torch.uint8)[:3], torch.randn(3, 7)

    def linear(name, x):
        return x @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def conv(name, x, stride, padding):
        return torch.tanh(norm(F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride, padding)))

    def modality(name, x):
        x = linear(f"{name}.feature.2", F.relu(linear(f"{name}.feature.0", x))).view(-1, 16, 32, 32)
        return conv(f"{name}.conv2d.3", conv(f"{name}.conv2d.0", x, 2, 1), 1, 2)

    def attention(local, pooled, x):
        def weigh(name, first, x):
            for layer in (first, first + 3):
                x = F.conv2d(x, w[f"{name}.{layer}.weight"], w[f"{name}.{layer}.bias"])
                x = norm(x, (0, 2, 3))  # fresh batch normalisation, in train mode
                x = F.relu(x) if layer == first else x
            return x

        return torch.sigmoid(weigh(local, 0, x) + weigh(pooled, 1, x.mean((2, 3), keepdim=True)))

    one, other = modality("labelnet", label.double()), modality("textnet", text)
    first = attention("local_att", "global_att", one + other)
    second = attention("local_att2", "global_att2", one * first + other * (1 - first))
    semantic = one * second + other * (1 - second)
    flat = conv("conv2d.3", conv("conv2d.0", semantic, 2, 1), 2, 1).flatten(1)
    found = network(label, text)
    torch.testing.assert_close(found.semantic, semantic)
    torch.testing.assert_close(found.code, torch.tanh(linear("hashing.0", flat)))
    torch.testing.assert_close(found.label, torch.sigmoid(linear("classifier.0", flat)))


def test_one_target_in_eval_mode():
    network = FusionPrototypeNet(5, 7, 8, hidden=6).eval()
    assert network(torch.ones(1, 5), torch.ones(1, 7)).code.shape == (1, 8)


def test_a_generator_that_passes_images():
    torch.manual_seed(0)
    generator = TADCHGenerator(image_size=16, channels=4)
    images, semantic = torch.rand(2, 3, 16, 16) * 2 - 1, torch.randn(2, 64, 16, 16)
    noise = (generator(images, semantic) - images).square().mean()
    generator.pass_images()
    with torch.no_grad():
        near = (generator(images, semantic) - images).square().mean()
    assert near < 0.1**2 < noise / 10
    generator(images, semantic).sum().backward()
    assert all(p.grad.abs().sum() > 0 for p in generator.parameters() if p.ndim > 1)  # all of it learns


def test_the_weight_of_a_pixel_that_passes():
    x, factors = torch.linspace(-1, 1, 401), torch.arange(1.0, 2.0, 0.1)
    errors = (torch.tanh(factors[:, None] * x) - x).square().mean(1)
    torch.testing.assert_close(factors[errors.argmin()], torch.tensor(PASSED))
