"""DGCPN's target and loss against loops over the formulas, and the three steps of a batch."""

from __future__ import annotations

import math
import subprocess
import sys

import pytest
import torch

from lightning_modules.hashing.encoder import HashEncoder
from lightning_modules.hashing.losses import DGCPN, TrainingFacts
from lightning_modules.hashing.losses.dgcpn_target import neighbour_probabilities, similarity_target
from lightning_modules.hashing.losses.procedure import Forward
from lightning_modules.types import Batch
from tests.hashing.random_data import Flat

N, BITS = 10, 5


def features(count=N, seed=0, width=6):
    generator = torch.Generator().manual_seed(seed)
    image, text = (torch.rand(count, width, generator=generator) for _ in range(2))
    text[3] = 0  # an item without text
    return image, text


def cosine(a, b):
    norms = math.sqrt(sum(x * x for x in a)) * math.sqrt(sum(x * x for x in b))
    return sum(x * y for x, y in zip(a, b, strict=True)) / norms if norms else 0.0


def looped_target(image, text, a1, a2, k, scale):
    """S of all items, from lists of floats."""
    a = [
        [a1 * cosine(text[i], text[j]) + (1 - a1) * cosine(image[i], image[j]) for j in range(len(image))]
        for i in range(len(image))
    ]
    p = []
    for row in a:
        ranked = sorted(range(len(row)), key=lambda j: row[j])
        kept = ranked[len(row) - k : -1]
        total = sum(row[j] for j in kept)
        p.append([row[j] / total if j in kept else 0.0 for j in range(len(row))])
    graph = [[scale * sum(x * y for x, y in zip(u, v, strict=True)) for v in p] for u in p]
    return [[2 * ((1 - a2) * x + a2 * y) - 1 for x, y in zip(u, v, strict=True)] for u, v in zip(a, graph, strict=True)]


def test_target_is_the_formula(monkeypatch):
    monkeypatch.setattr("lightning_modules.hashing.losses.dgcpn_target.CHUNK", 4)
    image, text = features()
    rows = neighbour_probabilities(image, text, 0.2, 4)
    found = similarity_target(image, text, rows, 0.2, 0.3, 7.0)
    expected = torch.tensor(looped_target(image.tolist(), text.tolist(), 0.2, 0.3, 4, 7.0))
    torch.testing.assert_close(found, expected)
    assert torch.equal(found, found.T) or (found - found.T).abs().max() < 1e-6
    assert rows.count_nonzero(1).tolist() == [3] * N
    torch.testing.assert_close(rows.sum(1), torch.ones(N))


def test_the_default_scale_puts_the_diagonal_near_two():
    image, text = features(300, width=64)
    k = round(0.4 * 300)
    rows = neighbour_probabilities(image, text, 0.01, k)
    diagonal = 2 * k * (rows @ rows.T).diagonal()
    assert diagonal.mean().item() == pytest.approx(2, abs=0.1)


def make_loss(**options):
    image, text = features()
    loss = DGCPN(**options)
    loss.prepare(TrainingFacts(torch.zeros(N, 2), BITS, inputs={"image": image.clone, "text": text.clone}))
    return loss


def make_batch(rows):
    image, text = features()
    rows = torch.tensor(rows)
    empty, labels = torch.empty(len(rows), 3, 0, 0), torch.zeros(len(rows), 2, dtype=torch.uint8)
    return Batch(empty, labels, rows, tuple(map(str, rows.tolist())), text[rows], None, image[rows])


def looped_loss(x, y, s, k0, d, c):
    b = len(x)
    xx, yy, xy = ([[cosine(u, v) for v in second] for u in first] for first, second in ((x, x), (y, y), (x, y)))

    def error(first, second, diagonal=True):
        return sum((first[i][j] - second[i][j]) ** 2 for i in range(b) for j in range(b) if diagonal or i != j) / b**2

    turned = [[xy[j][i] for j in range(b)] for i in range(b)]
    pair = sum((xy[i][i] - k0) ** 2 for i in range(b)) / b
    distance = sum(error(m, s, diagonal=False) for m in (yy, xy, xx))
    return pair + d * distance + c * (error(xy, xx) + error(xy, yy) + error(xx, yy) + error(xy, turned))


@pytest.mark.parametrize("rows", [[7], [0, 3, 9, 4]])
def test_loss_is_the_formula(rows):
    loss = make_loss(neighbours=4, scale=7.0, target_weight=0.7, coherence_weight=1.3)
    generator = torch.Generator().manual_seed(1)
    x, y = (torch.rand(len(rows), BITS, generator=generator) * 2 - 1 for _ in range(2))
    image, text = features()
    s = looped_target(image.tolist(), text.tolist(), 0.01, 0.3, 4, 7.0)
    s = [[s[i][j] for j in rows] for i in rows]
    values = loss({"image": x, "text": y}, make_batch(rows))
    assert values.shape == (len(rows),)
    assert values.mean().item() == pytest.approx(looped_loss(x.tolist(), y.tolist(), s, 1.5, 0.7, 1.3), rel=1e-4)


def test_gradient():
    loss, batch = make_loss(), make_batch([1, 2, 5])
    target = loss.target(batch).double()
    loss.target = lambda _: target
    generator = torch.Generator().manual_seed(2)
    codes = [torch.rand(3, BITS, generator=generator, requires_grad=True) for _ in range(2)]
    value = loss({"image": codes[0], "text": codes[1]}, batch).sum()
    exact = torch.autograd.grad(value, codes)
    for code, gradient in zip(codes, exact, strict=True):
        direction = torch.randn(code.shape, generator=generator)
        moved = [[c + sign * 1e-2 * direction if c is code else c for c in codes] for sign in (1, -1)]
        up, down = (loss({"image": m[0], "text": m[1]}, batch).sum() for m in moved)
        assert ((up - down) / 2e-2).item() == pytest.approx((gradient * direction).sum().item(), rel=2e-2, abs=1e-2)


def test_a_batch_takes_three_steps():
    """Both networks on real codes; then each against the other's signs, which carry no gradient."""
    torch.manual_seed(0)
    loss, batch = make_loss(), make_batch([1, 2, 5])
    encoders = {name: HashEncoder(Flat(), BITS) for name in ("image", "text")}
    inputs = {name: torch.rand(3, 12) for name in encoders}
    passes = []

    def run(name):
        passes.append(name)
        return inputs[name]

    optimizers = loss.optimizers(encoders, lambda parameters: torch.optim.SGD(parameters, 0.0))
    assert list(optimizers) == ["image", "text"]
    codes = {name: encoder.logits_of(inputs[name]).tanh() for name, encoder in encoders.items()}
    signs = {name: torch.where(code >= 0, 1.0, -1.0) for name, code in codes.items()}
    steps = loss.steps(Forward(encoders, run), batch)
    expected = [codes, codes | {"text": signs["text"]}, codes | {"image": signs["image"]}]
    for step, mixed, stepping in zip(steps, expected, (["image", "text"], ["image"], ["text"]), strict=True):
        assert list(step.optimizers) == stepping
        torch.testing.assert_close(step.loss, loss(mixed, batch).mean())
        step.loss.backward()
        moved = [name for name, encoder in encoders.items() if encoder.hash_layer.weight.grad is not None]
        assert moved == stepping
        for encoder in encoders.values():
            encoder.hash_layer.weight.grad = None
    assert passes == ["image", "text"] * 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"text_weight": 1.5}, "text_weight=1.5"),
        ({"graph_weight": -1}, "graph_weight=-1"),
        ({"neighbours": 1}, "neighbours=1"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        DGCPN(**options)


def test_what_the_target_needs_is_said_before_training():
    with pytest.raises(ValueError, match="FrozenBackbone with cache_features"):
        DGCPN().prepare(TrainingFacts(torch.zeros(N, 2), BITS))
    with pytest.raises(ValueError, match=r"neighbours=11 of 10 training items: expected 2\.\.10"):
        make_loss(neighbours=11)


SCRIPT = """
import resource, torch
from lightning_modules.hashing.losses.dgcpn_target import neighbour_probabilities
def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
torch.set_num_threads(1)
neighbour_probabilities(torch.rand(600, 8), torch.rand(600, 8), 0.01, 240)
before = peak()
neighbour_probabilities(torch.rand(10500, 8), torch.rand(10500, 8), 0.01, 4200)
print(peak() - before)
"""


@pytest.mark.slow
def test_ten_thousand_items_take_less_than_a_gibibyte():
    """Beside the features: 441 MB are the result itself."""
    out = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True).stdout
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(out) * unit < 0.75 * 2**30
