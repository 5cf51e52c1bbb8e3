"""Step rules against torch's optimisers and against the formulas."""

import pytest
import torch

from lightning_modules.attacks.steps import Adam, HeavyBall, SignedMomentum, steepest

SHAPE = (3, 3, 4, 4)
GRADIENTS = torch.randn(30, *SHAPE, generator=torch.Generator().manual_seed(0)) * torch.logspace(0, -4, 30).view(
    -1, 1, 1, 1, 1
)


def walk(update):
    """Where a rule leads from zero."""
    place = torch.zeros(SHAPE)
    for gradient in GRADIENTS:
        place = place - update(gradient.clone())
    return place


def walk_of(optimizer, **options):
    place = torch.zeros(SHAPE, requires_grad=True)
    engine = optimizer([place], **options)
    for gradient in GRADIENTS:
        place.grad = gradient.clone()
        engine.step()
    return place.detach()


def test_heavy_ball_is_torch_sgd():
    torch.testing.assert_close(walk(HeavyBall(0.3, 0.9)), walk_of(torch.optim.SGD, lr=0.3, momentum=0.9))


def test_adam_is_torch_adam():
    torch.testing.assert_close(walk(Adam(0.01)), walk_of(torch.optim.Adam, lr=0.01), rtol=1e-5, atol=1e-7)


def test_signed_momentum_by_hand():
    velocity, place = torch.zeros(SHAPE).double(), torch.zeros(SHAPE).double()
    for gradient in GRADIENTS.double():
        norms = torch.stack([one.abs().sum() for one in gradient]).view(-1, 1, 1, 1)
        velocity = 0.7 * velocity + gradient / norms
        place -= 0.01 * velocity.sign()
    torch.testing.assert_close(walk(SignedMomentum(0.01, 0.7)).double(), place, rtol=0, atol=1e-6)
    assert torch.equal(walk(SignedMomentum(0.01, 0.0)), walk(steepest("sign", 0.01)))


@pytest.mark.parametrize(
    "make",
    [lambda: steepest("l2", 0.1), lambda: HeavyBall(1, 0.9), lambda: SignedMomentum(1, 0.9), lambda: Adam(0.1)],
)
def test_images_do_not_depend_on_each_other_and_zero_gradients_move_nothing(make):
    whole, single = make(), make()
    for gradient in (*GRADIENTS, torch.zeros(SHAPE)):
        torch.testing.assert_close(whole(gradient.clone())[1:2], single(gradient[1:2].clone()))
    update = make()
    assert torch.equal(update(torch.zeros(SHAPE)), torch.zeros(SHAPE))


def test_unknown_rule():
    with pytest.raises(ValueError, match=r"^step_rule='adam'"):
        steepest("adam", 1.0)
