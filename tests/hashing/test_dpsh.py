"""The DPSH loss against two Python loops over its formula."""

import math

import pytest
import torch

from lightning_modules.hashing.losses import DPSHLoss
from lightning_modules.hashing.losses.dpsh import dpsh_likelihood, quantisation
from tests.hashing.loss_problems import BITS, CLASSES, ITEMS, check_gradient, make_batch, make_problem, set_up


def sigmoid_of_log(theta):
    """log(1 + exp(theta)) without overflow."""
    return max(theta, 0.0) + math.log1p(math.exp(-abs(theta)))


def looped_loss(codes, memory, labels, all_labels, eta, quantisation_divisor):
    """L = L_sim + eta * L_q, both sums divided by N * b, from lists of floats."""
    similar = quantised = 0.0
    for u, label in zip(codes, labels, strict=True):
        for other, other_label in zip(memory, all_labels, strict=True):
            theta = 0.5 * sum(a * b for a, b in zip(u, other, strict=True))
            s = any(a and b for a, b in zip(label, other_label, strict=True))
            similar += sigmoid_of_log(theta) - s * theta
        quantised += sum(((1.0 if a >= 0 else -1.0) - a) ** 2 for a in u)
    return similar / (len(memory) * len(codes)) + eta * quantised / (quantisation_divisor * len(codes))


@pytest.mark.parametrize("by_n", [True, False])
@pytest.mark.parametrize("rows", [[3], [0, 5, 2], [8, 7, 6, 5, 4, 3, 2, 1, 0]])
def test_loss_is_the_formula(rows, by_n):
    labels, codes = make_problem()
    loss = set_up(DPSHLoss(eta=50.0, quantisation_by_n=by_n), labels)
    # The first batch fills part of the memory, the second one is scored against it and itself.
    first, rows = torch.tensor([1, 2]), torch.tensor(rows)
    loss({"image": -codes[first].float()}, make_batch(first, labels))
    values = loss({"image": codes[rows].float()}, make_batch(rows, labels))
    memory = torch.zeros(ITEMS, BITS, dtype=torch.float64)
    memory[first] = -codes[first]
    memory[rows] = codes[rows]
    arguments = [part.tolist() for part in (codes[rows], memory, labels[rows], labels)]
    expected = looped_loss(*arguments, eta=50.0, quantisation_divisor=ITEMS if by_n else 1)
    assert values.shape == (len(rows),)
    assert values.mean().item() == pytest.approx(expected, rel=1e-5)


def test_the_parts_are_exact_in_float64():
    labels, codes = make_problem(1)
    similarity = (labels.double() @ labels.double().T > 0).double()
    value = (dpsh_likelihood(codes, codes.sign(), similarity) + 3.0 * quantisation(codes)).mean()
    expected = looped_loss(codes.tolist(), codes.sign().tolist(), labels.tolist(), labels.tolist(), 3.0, 1)
    assert value.item() == pytest.approx(expected, rel=1e-14)


def test_gradient():
    labels, codes = make_problem(2)
    similarity = (labels.double() @ labels.double().T > 0).double()
    memory = codes.flip(0)

    def total(u):
        return dpsh_likelihood(u, memory, similarity) + 0.7 * quantisation(u)

    check_gradient(total, codes)


def test_no_gradient_flows_into_the_memory_or_through_the_sign():
    labels, codes = make_problem(3)
    loss = set_up(DPSHLoss(eta=2.0), labels)
    u, rows = codes[:3].float().requires_grad_(), torch.arange(3)
    loss({"image": u}, make_batch(rows, labels)).sum().backward()
    memory = loss.memory.codes
    assert not memory.requires_grad
    assert memory.grad_fn is None
    # By hand, with U and sign(u) as constants: 1/2N sum_j (sigmoid(theta) - S) U_j + 2 eta/N (u - sign u).
    similarity = (labels[rows].float() @ labels.float().T > 0).float()
    theta = 0.5 * u.detach() @ memory.T
    expected = (theta.sigmoid() - similarity) @ memory / (2 * ITEMS)
    expected += 4.0 / ITEMS * (u.detach() - u.detach().sign())
    torch.testing.assert_close(u.grad, expected, rtol=1e-5, atol=1e-6)


def test_an_empty_memory_gives_log_two():
    _, codes = make_problem()
    similarity = torch.ones(ITEMS, ITEMS, dtype=torch.float64)
    values = dpsh_likelihood(codes, torch.zeros(ITEMS, BITS, dtype=torch.float64), similarity)
    torch.testing.assert_close(values, torch.full((ITEMS,), math.log(2), dtype=torch.float64), rtol=1e-15, atol=0)


def test_current_codes_are_in_memory_before_the_loss_is_taken():
    labels = torch.ones(1, 1, dtype=torch.uint8)
    loss = set_up(DPSHLoss(eta=0.0), labels)
    u = torch.full((1, BITS), 0.5)
    (value,) = loss({"image": u}, make_batch(torch.tensor([0]), labels))
    theta = 0.5 * BITS * 0.25  # a stale memory would give theta = 0, log 2
    assert value.item() == pytest.approx(sigmoid_of_log(theta) - theta, rel=1e-6)
    assert torch.equal(loss.memory.codes, u)


def test_items_without_a_class_are_similar_to_nothing():
    labels = torch.zeros(4, CLASSES, dtype=torch.uint8)
    loss = set_up(DPSHLoss(eta=0.0), labels)
    u = torch.full((4, BITS), 0.5)
    values = loss({"image": u}, make_batch(torch.arange(4), labels))
    torch.testing.assert_close(values, torch.full((4,), sigmoid_of_log(0.5 * BITS * 0.25)))


@pytest.mark.parametrize("theta", [0.0, 15.0, 30.0, 200.0, 1e4])
@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("similar", [0.0, 1.0])
def test_large_products_neither_overflow_nor_lose_their_gradient(theta, sign, similar):
    u = torch.tensor([[2 * sign * theta]], requires_grad=True)
    value = dpsh_likelihood(u, torch.ones(1, 1), torch.tensor([[similar]])).sum()
    assert value.item() == pytest.approx(sigmoid_of_log(sign * theta) - similar * sign * theta, rel=1e-6, abs=1e-6)
    (gradient,) = torch.autograd.grad(value, u)
    expected = 0.5 * (1 / (1 + math.exp(min(-sign * theta, 700))) - similar)
    assert gradient.item() == pytest.approx(expected, abs=1e-7)


def test_half_precision_codes_are_scored_in_float32():
    labels, codes = make_problem(4)
    rows = torch.arange(ITEMS)
    half = codes.to(torch.bfloat16)
    value = set_up(DPSHLoss(), labels)({"image": half}, make_batch(rows, labels))
    assert value.dtype == torch.float32
    assert torch.equal(value, set_up(DPSHLoss(), labels)({"image": half.float()}, make_batch(rows, labels)))
