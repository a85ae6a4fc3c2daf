from __future__ import annotations

import pytest
import torch

from gan.balancer import MEASURE_INTERVAL, Balancer, Loss


def losses_of(images: torch.Tensor) -> dict[str, Loss]:
    """Three pulls in different directions and of very different strength."""
    flat = images.flatten(1)
    pulls = {"adversarial": 2 * flat[:, 0].sum(), "identity": 1000 * flat[:, 1].sum(), "pixel": 0.01 * flat[:, 2].sum()}
    return {name: Loss(value) for name, value in pulls.items()}


def test_weights_are_shares_of_the_gradient_whatever_the_losses_scale() -> None:
    images = torch.zeros(2, 3, 2, 2, requires_grad=True)
    balancer = Balancer({"adversarial": 1, "identity": 0.5, "pixel": 0.5})
    gradient, shares = balancer.gradient(images, losses_of(images), 2)
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.25, 0.25]))
    rows = gradient.flatten(1)
    # The reference keeps its own size, the others are brought to their share of it.
    torch.testing.assert_close(rows[:, :3], torch.tensor([[2.0, 1.0, 1.0], [2.0, 1.0, 1.0]]))
    assert rows[:, 3:].abs().max() == 0


def test_a_loss_on_a_quarter_of_the_drawings_pulls_the_weights_as_its_share_says() -> None:
    images = torch.zeros(8, 3, 2, 2, requires_grad=True)
    flat = images.flatten(1)
    losses = {"adversarial": Loss(flat[:, 0].mean()), "identity": Loss(7 * flat[::4, 1].mean(), coverage=0.25)}
    balancer = Balancer({"adversarial": 1, "identity": 0.5})
    gradient, shares = balancer.gradient(images, losses, 8)
    # Gradients of drawings add up in the weights of the generator.
    assert gradient.flatten(1).sum(0)[:2].tolist() == pytest.approx([1, 0.5])
    assert shares.tolist() == pytest.approx([2 / 3, 1 / 3])


def test_a_gradient_that_is_known_counts_as_one_that_is_computed() -> None:
    images = torch.zeros(2, 3, 2, 2, requires_grad=True)
    weights = {"adversarial": 1, "identity": 0.5, "pixel": 0.5}
    losses = losses_of(images)
    expected, expected_shares = Balancer(weights).gradient(images, losses, 2)
    known = {"adversarial": torch.autograd.grad(losses.pop("adversarial").value, images)[0]}
    balancer = Balancer(weights)
    for measure in (True, False):
        gradient, shares = balancer.gradient(
            images, losses_without(images, "adversarial"), 2, known=known, measure=measure
        )
        torch.testing.assert_close(gradient, expected)
        if measure:
            torch.testing.assert_close(shares, expected_shares)


def losses_without(images: torch.Tensor, name: str) -> dict[str, Loss]:
    return {other: loss for other, loss in losses_of(images).items() if other != name}


def test_a_step_without_measurement_combines_the_losses_in_one_pass_as_they_were_last_measured() -> None:
    images = torch.zeros(2, 3, 2, 2, requires_grad=True)
    balancer = Balancer({"adversarial": 1, "identity": 0.5, "pixel": 0.25})
    measured, _ = balancer.gradient(images, losses_of(images), 2)
    state = balancer.state_dict()
    combined, shares = balancer.gradient(images, losses_of(images), 2, measure=False)
    torch.testing.assert_close(combined, measured)
    assert shares is None and torch.equal(balancer.squares, state["squares"])
    # Twice the loss is twice the pull until the next measurement.
    doubled = losses_of(images)
    doubled["pixel"] = Loss(2 * doubled["pixel"].value)
    stronger, _ = balancer.gradient(images, doubled, 2, measure=False)
    assert (stronger / measured)[:, 0, 1, 0].tolist() == pytest.approx([2, 2])


def test_the_first_weight_that_is_not_zero_is_the_reference() -> None:
    images = torch.zeros(1, 3, 2, 2, requires_grad=True)
    balancer = Balancer({"adversarial": 0, "identity": 2, "pixel": 1})
    gradient, _ = balancer.gradient(images, losses_without(images, "adversarial"), 1)
    assert gradient.flatten().tolist()[:3] == pytest.approx([0, 1000, 500])


def test_a_loss_may_join_later_and_the_first_that_is_there_is_the_reference() -> None:
    images = torch.zeros(1, 3, 2, 2, requires_grad=True)
    balancer = Balancer({"adversarial": 1, "identity": 0.5, "pixel": 0.25})
    alone, shares = balancer.gradient(images, losses_without(images, "adversarial"), 1)
    assert alone.flatten().tolist()[:3] == pytest.approx([0, 1000, 500])
    assert shares.tolist() == pytest.approx([0, 2 / 3, 1 / 3])
    # It was never measured, so it is now.
    joined, shares = balancer.gradient(images, losses_of(images), 1, measure=False)
    assert shares is not None and joined.flatten().tolist()[:3] == pytest.approx([2, 1, 0.5])


def test_strengths_forget_half_of_their_past_in_a_half_life() -> None:
    images = torch.zeros(1, 3, 2, 2, requires_grad=True)
    balancer = Balancer({"a": 1, "b": 1}, halflife_images=10 * MEASURE_INTERVAL)
    flat = images.flatten()
    balancer.gradient(images, {"a": Loss(flat[0]), "b": Loss(flat[1])}, 10)
    balancer.gradient(images, {"a": Loss(flat[0]), "b": Loss(3 * flat[1])}, 10)
    # Weights 1/4 and 1/2, corrected for the start from zero: (1 + 2 * 9) / 3.
    assert (balancer.squares / balancer.total_weights).tolist() == pytest.approx([1, 19 / 3])


def test_its_state_comes_back_and_another_number_of_losses_is_refused() -> None:
    images = torch.zeros(1, 3, 2, 2, requires_grad=True)
    balancer, other = Balancer({"adversarial": 1, "identity": 1}), Balancer({"adversarial": 1, "identity": 1})
    balancer.gradient(images, losses_without(images, "pixel"), 1)
    other.load_state_dict(balancer.state_dict())
    again, _ = other.gradient(images, losses_without(images, "pixel"), 1, measure=False)
    expected, _ = balancer.gradient(images, losses_without(images, "pixel"), 1, measure=False)
    assert torch.equal(again, expected)
    with pytest.raises(ValueError, match="losses, not 1"):
        Balancer({"adversarial": 1}).load_state_dict(balancer.state_dict())


def test_a_loss_that_saw_nothing_when_it_was_measured_waits_for_the_next_measurement() -> None:
    images = torch.zeros(2, 3, 2, 2, requires_grad=True)
    balancer = Balancer({"identity": 1, "perceptual": 0.5})

    def seen(pull: float) -> dict[str, Loss]:
        flat = images.flatten(1)
        return {"identity": Loss(flat[:, 0].sum()), "perceptual": Loss(pull * flat[:, 1].sum())}

    balancer.gradient(images, seen(0), 2)
    gradient, _ = balancer.gradient(images, seen(3), 2, measure=False)
    assert gradient.flatten(1)[:, :2].tolist() == [[1, 0], [1, 0]]
    for _ in range(400):
        gradient, _ = balancer.gradient(images, seen(3), 2)
    assert gradient.flatten(1)[0, :2].tolist() == pytest.approx([1, 0.5], rel=0.05)
