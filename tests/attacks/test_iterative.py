"""P2P and DHTA on a victim whose gradient is known: u = tanh(alpha * W x)."""

import pytest
import torch

from lightning_modules.attacks import IterativeCodeAttack
from lightning_modules.types import AttackGoal, CodeBook
from tests.attacks.linear import BITS, PIXELS, LinearVictim, make_problem, objective, part

RULES = {"raw": 1.0, "l2": 0.05, "sign": 1 / 255}


def gradient_by_hand(victim, images, goal, alpha):
    """-1/K sum_k h_k (1 - u_k^2) alpha W_k, in float64."""
    weight, flat = victim.weight.detach().double(), images.double().flatten(1)
    u = torch.tanh(alpha * flat @ weight.T)
    return (-(goal.code * (1 - u**2)) @ weight * alpha / BITS).view(images.shape)


@pytest.mark.parametrize(("schedule", "alpha"), [("absolute", 0.1), ("relative", 0.1), ("constant", 1.0)])
@pytest.mark.parametrize("rule", RULES)
def test_the_first_step_in_closed_form(rule, schedule, alpha):
    victim, (images, goal) = LinearVictim().eval(), make_problem()
    attack = IterativeCodeAttack(iterations=1, eps=1.0, step_rule=rule, step=0.02, alpha_schedule=schedule)
    gradient = gradient_by_hand(victim, images, goal, alpha)
    norms = torch.stack([(one**2).sum().sqrt() for one in gradient]).view(-1, 1, 1, 1)
    direction = {"raw": gradient, "l2": gradient / norms, "sign": gradient / gradient.abs()}[rule]
    expected = (images - 0.02 * direction).clamp(0, 1)
    torch.testing.assert_close(attack(images, goal, victim), expected.float(), rtol=0, atol=2e-7)


def test_four_steps_follow_the_loop_of_the_reference():
    victim, (images, goal) = LinearVictim().eval(), make_problem()
    eps, step = 0.03, 0.2
    found = IterativeCodeAttack(iterations=4, eps=eps, step=step, alpha_schedule="relative")(images, goal, victim)
    delta = torch.zeros_like(images).double()
    for alpha in (0.1, 0.1, 0.2, 0.5):  # at 0, 25, 50 and 75 % of the budget
        delta = delta - step * gradient_by_hand(victim, images + delta, goal, alpha)
        delta = delta.clamp(-eps, eps)
        delta = (images + delta).clamp(0, 1) - images
    assert 0 < (delta.abs() > eps - 1e-9).float().mean() < 1  # the budget binds some pixels, not all
    torch.testing.assert_close(found, (images + delta).float(), rtol=0, atol=1e-6)


@pytest.mark.parametrize("eps", [8 / 255, 0.3])
@pytest.mark.parametrize("rule", RULES)
def test_budget_and_range_are_respected_and_the_objective_falls(rule, eps):
    victim, (images, goal) = LinearVictim(), make_problem(7, low=-0.2, high=1.2)
    images = images.clamp(0, 1)  # many pixels lie on the border
    attack = IterativeCodeAttack(iterations=60, eps=eps, step_rule=rule, step=RULES[rule], alpha_schedule="constant")
    found = attack(images, goal, victim)
    assert found.dtype == torch.float32
    assert found.min() >= 0
    assert found.max() <= 1
    assert (found - images).abs().max() <= eps + 1e-7
    victim.eval()
    assert (objective(victim, found, goal) < objective(victim, images, goal) - 0.01).all()
    assert torch.equal(images, make_problem(7, low=-0.2, high=1.2)[0].clamp(0, 1)), "the input is left alone"


@pytest.mark.parametrize("rule", RULES)
def test_an_image_does_not_depend_on_its_batch(rule):
    victim, (images, goal) = LinearVictim(), make_problem(6)
    attack = IterativeCodeAttack(iterations=25, step_rule=rule, step=RULES[rule])
    whole = attack(images, goal, victim)
    single = torch.cat([attack(images[i : i + 1], part(goal, [i]), victim) for i in range(6)])
    pairs = torch.cat([attack(images[i : i + 2], part(goal, [i, i + 1]), victim) for i in (0, 2, 4)])
    for other in (single, pairs):
        # A gradient that is zero up to rounding may change its sign: a few pixels in a thousand at most.
        assert ((whole - other).abs() > 1e-5).float().mean() < 0.01


def test_more_iterations_get_further():
    victim, (images, goal) = LinearVictim().eval(), make_problem()
    values = [
        objective(victim, IterativeCodeAttack(iterations=n, step=0.1)(images, goal, victim), goal, 0.1).mean()
        for n in (1, 5, 20)
    ]
    assert values[0] > values[1] > values[2]


def test_legacy_batch_divides_raw_gradients_only():
    victim, (images, goal) = LinearVictim().eval(), make_problem()
    options = {"iterations": 3, "eps": 1.0}
    legacy = IterativeCodeAttack(step=1.0, legacy_batch=32, **options)(images, goal, victim)
    assert torch.equal(legacy, IterativeCodeAttack(step=1 / 32, **options)(images, goal, victim))
    assert not torch.equal(legacy, IterativeCodeAttack(step=1.0, **options)(images, goal, victim))
    for rule in ("l2", "sign"):
        options = {"iterations": 3, "eps": 1.0, "step_rule": rule, "step": 0.01}
        plain = IterativeCodeAttack(**options)(images, goal, victim)
        assert torch.equal(IterativeCodeAttack(legacy_batch=32, **options)(images, goal, victim), plain)


def test_legacy_batch_is_the_mean_over_a_batch_of_that_size():
    victim, (images, goal) = LinearVictim().eval(), make_problem(8)
    found = IterativeCodeAttack(iterations=1, eps=1.0, legacy_batch=8)(images, goal, victim)
    inputs = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(-(victim(inputs, 0.1) * goal.code).mean(), inputs)  # over batch and bits
    torch.testing.assert_close(found, images - gradient, rtol=0, atol=1e-7)


def test_the_victim_is_frozen_meanwhile_and_restored():
    victim, (images, goal) = LinearVictim(), make_problem()
    assert victim.training
    result = IterativeCodeAttack(iterations=3)(images.requires_grad_(), goal, victim)
    assert victim.seen == [(0.1, False, False)] * 3, "one forward pass per iteration, in eval mode, without graph"
    assert victim.training
    assert victim.dropout.training
    assert victim.weight.requires_grad
    assert victim.weight.grad is None
    assert not result.requires_grad
    assert images.grad is None


def test_autograd_keeps_nothing_for_parameter_gradients():
    """A first layer whose weight is frozen does not need its input: nothing of an image's size is saved."""
    victim, (images, goal), saved = LinearVictim(), make_problem(), []

    def pack(tensor):
        saved.append(tensor.shape)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        IterativeCodeAttack(iterations=2)(images, goal, victim)
    assert saved
    assert torch.Size([len(images), PIXELS]) not in saved


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
@pytest.mark.parametrize("kind", ["module", "function"])
def test_it_works_where_gradients_are_off(context, kind):
    module, (images, goal) = LinearVictim().eval(), make_problem()
    victim = module if kind == "module" else lambda x, alpha=1.0: module(x, alpha)
    attack = IterativeCodeAttack(iterations=3)
    expected = attack(images, goal, module)
    with context():
        made_inside = part(AttackGoal(goal.label, goal.code.float()), slice(None))
        assert torch.equal(attack(images * 1, made_inside, victim), expected)
        assert not torch.is_grad_enabled()


def test_bfloat16_ends_near_float32():
    victim, (images, goal) = LinearVictim().eval(), make_problem()
    options = {"iterations": 40, "alpha_schedule": "constant"}
    full = IterativeCodeAttack(**options)(images, goal, victim)
    half = IterativeCodeAttack(**options, precision="bfloat16")(images, goal, victim)
    assert half.dtype == torch.float32
    assert (half - images).abs().max() <= 8 / 255 + 1e-7
    start, end = (objective(victim, x, goal).mean() for x in (images, full))
    assert objective(victim, half, goal).mean() == pytest.approx(end.item(), abs=0.02 * (start - end).item())
    assert (half - full).abs().mean() < 0.1 * 8 / 255


def test_a_flat_objective_moves_nothing():
    victim, (images, goal) = LinearVictim(scale=0.0), make_problem()
    for rule in RULES:
        assert torch.equal(IterativeCodeAttack(iterations=2, step_rule=rule)(images, goal, victim), images)


def test_aim_votes_for_the_anchor():
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(2, (9, BITS), generator=generator, dtype=torch.int8) * 2 - 1
    book = CodeBook(codes, torch.ones(9, 2, dtype=torch.uint8), tuple("abcdefghi"))
    label = torch.ones(1, 2, dtype=torch.uint8)
    goal = IterativeCodeAttack(num_items=9, replacement=False).aim(label, ["q"], book, seed=3)
    assert torch.equal(goal.label, label)
    assert goal.code.tolist() == [[1 if column.sum() > 0 else -1 for column in codes.int().T]]


def test_p2p_is_dhta_with_one_item():
    victim, (images, goal) = LinearVictim(), make_problem(3)
    book = CodeBook(goal.code, torch.eye(3, dtype=torch.uint8), ("a", "b", "c"))
    attack = IterativeCodeAttack(num_items=1, iterations=3)
    ids = ("x", "y", "z")
    p2p = attack.aim(book.labels, ids, book, seed=0)
    assert torch.equal(p2p.code, book.codes)
    # Nine draws of a single carrier are nine votes for it.
    dhta = IterativeCodeAttack(num_items=9, iterations=3)
    assert torch.equal(dhta.aim(book.labels, ids, book, seed=0).code, p2p.code)
    assert torch.equal(dhta(images, p2p, victim), attack(images, p2p, victim))


def test_it_needs_an_anchor():
    images, goal = make_problem()
    with pytest.raises(ValueError, match=r"call aim\(\) first"):
        IterativeCodeAttack(iterations=1)(images, AttackGoal(goal.label), LinearVictim())


def test_it_refuses_what_is_no_picture():
    images, goal = make_problem()
    with pytest.raises(ValueError, match="expected \\[0, 1\\]"):
        IterativeCodeAttack(iterations=1)(images * 2 - 1, goal, LinearVictim())


@pytest.mark.parametrize(
    "options",
    [
        {"eps": -8 / 255},
        {"eps": 0.0},
        {"eps": float("nan")},
        {"step": -1.0},
        {"step": 0.0},
        {"iterations": 0},
        {"num_items": 0},
        {"legacy_batch": 0},
        {"step_rule": "adam"},
        {"precision": "float16"},
        {"alpha_schedule": "linear"},
    ],
)
def test_impossible_options_are_refused(options):
    (name,) = options
    with pytest.raises(ValueError, match=f"^{name}="):
        IterativeCodeAttack(**options)
