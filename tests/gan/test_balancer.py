from __future__ import annotations

import pytest
import torch

from gan.balancer import Balancer


def terms_of(images: torch.Tensor) -> dict[str, torch.Tensor]:
    """Three pulls in different directions and of very different strength."""
    flat = images.flatten(1)
    return {"adversarial": 2 * flat[:, 0].sum(), "identity": 1000 * flat[:, 1].sum(), "pixel": 0.01 * flat[:, 2].sum()}


def test_weights_are_shares_of_the_gradient_whatever_the_terms_scale() -> None:
    images = torch.zeros(2, 3, 2, 2, requires_grad=True)
    gradient, shares = Balancer({"adversarial": 1, "identity": 0.5, "pixel": 0.5}).gradient(terms_of(images), images, 2)
    torch.testing.assert_close(shares, torch.tensor([0.5, 0.25, 0.25]))
    rows = gradient.flatten(1)
    # The reference keeps its own size, the others are brought to their share of it.
    torch.testing.assert_close(rows[:, :3], torch.tensor([[2.0, 1.0, 1.0], [2.0, 1.0, 1.0]]))
    assert rows[:, 3:].abs().max() == 0


def test_the_first_weight_that_is_not_zero_is_the_reference() -> None:
    images = torch.zeros(1, 3, 2, 2, requires_grad=True)
    terms = terms_of(images)
    del terms["adversarial"]
    gradient, _ = Balancer({"adversarial": 0, "identity": 2, "pixel": 1}).gradient(terms, images, 1)
    assert gradient.flatten().tolist()[:3] == pytest.approx([0, 1000, 500])


def test_a_term_may_join_later_and_the_first_that_is_there_is_the_reference() -> None:
    images = torch.zeros(1, 3, 2, 2, requires_grad=True)
    balancer = Balancer({"adversarial": 1, "identity": 0.5, "pixel": 0.25})
    terms = terms_of(images)
    alone, shares = balancer.gradient({name: terms[name] for name in ("identity", "pixel")}, images, 1)
    assert alone.flatten().tolist()[:3] == pytest.approx([0, 1000, 500])
    assert shares.tolist() == pytest.approx([0, 2 / 3, 1 / 3])
    joined, _ = balancer.gradient(terms, images, 1)
    assert joined.flatten().tolist()[:3] == pytest.approx([2, 1, 0.5])


def test_norms_forget_half_of_their_past_in_a_half_life() -> None:
    images = torch.zeros(1, 3, 2, 2, requires_grad=True)
    balancer = Balancer({"a": 1, "b": 1}, halflife_images=10)
    flat = images.flatten()
    balancer.gradient({"a": flat[0], "b": flat[1]}, images, 10)
    balancer.gradient({"a": flat[0], "b": 3 * flat[1]}, images, 10)
    # Weights 1/4 and 1/2, corrected for the start from zero: (1 + 2 * 9) / 3.
    assert (balancer.squared_norms / balancer.total_weights).tolist() == pytest.approx([1, 19 / 3])


def test_its_state_comes_back_and_another_number_of_terms_is_refused() -> None:
    images = torch.zeros(1, 3, 2, 2, requires_grad=True)
    balancer, other = Balancer({"adversarial": 1, "identity": 1}), Balancer({"adversarial": 1, "identity": 1})
    balancer.gradient(terms_of(images), images, 1)
    other.load_state_dict(balancer.state_dict())
    again, _ = other.gradient(terms_of(images), images, 1)
    expected, _ = balancer.gradient(terms_of(images), images, 1)
    assert torch.equal(again, expected)
    with pytest.raises(ValueError, match="terms"):
        Balancer({"adversarial": 1}).load_state_dict(balancer.state_dict())
