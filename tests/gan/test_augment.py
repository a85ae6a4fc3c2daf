from __future__ import annotations

import pytest
import torch

from gan.augment import NUMBERS, AdaptiveAugmentation, AugmentConfig, augment


def batch(num_images: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(num_images, 3, 16, 16, generator=generator) * 2 - 1, torch.rand(
        num_images, NUMBERS, generator=generator
    )


def test_the_same_numbers_change_an_image_in_the_same_way_wherever_it_stands_in_the_batch() -> None:
    images, numbers = batch()
    config = AugmentConfig(0.2, 0.4, 0.3)
    changed = augment(images, numbers, config)
    torch.testing.assert_close(augment(images.flip(0), numbers.flip(0), config), changed.flip(0))
    assert not torch.equal(augment(images, 1 - numbers, config), changed)


def test_all_strengths_at_zero_leave_images_alone() -> None:
    images, numbers = batch()
    assert torch.equal(augment(images, numbers, AugmentConfig(0, 0, 0)), images)


def test_a_shift_moves_the_image_and_repeats_its_edge() -> None:
    images, numbers = batch(1)
    numbers[0, 3:5] = torch.tensor([1 - 1e-6, 0.5])  # fully downwards in the source, no sideways shift
    shifted = augment(images, numbers, AugmentConfig(0.125, 0, 0))
    assert torch.equal(shifted[:, :, :-2], images[:, :, 2:])
    assert torch.equal(shifted[:, :, -1], images[:, :, -1])


def test_cutout_greys_a_square_out() -> None:
    images, numbers = batch(1)
    numbers[0, 5:7] = 0.5
    cut = augment(images, numbers, AugmentConfig(0, 0.5, 0))
    assert int((cut == 0).all(1).sum()) == 64
    assert torch.equal(cut[cut != 0], images[cut != 0])


def test_gradients_reach_every_pixel_that_is_still_shown() -> None:
    images, numbers = batch()
    images.requires_grad_()
    augment(images, numbers, AugmentConfig(0, 0, 0.2)).sum().backward()
    assert images.grad is not None and (images.grad != 0).all()


def test_a_share_of_the_images_is_changed_as_the_probability_says() -> None:
    images, numbers = batch(200)
    config = AugmentConfig(0.2, 0.4, 0.3)
    torch.testing.assert_close(augment(images, numbers, config, 0.0), images, atol=1e-6, rtol=0)
    half, whole = augment(images, numbers, config, 0.5), augment(images, numbers, config)
    changed = ((half - images).abs() > 1e-6).flatten(1).any(1)
    assert torch.equal(changed, numbers[:, 7] < 0.5) and torch.equal(half[changed], whole[changed])


def test_the_probability_rises_while_the_discriminator_overfits_and_stays_a_probability() -> None:
    adaptive = AdaptiveAugmentation(AugmentConfig(probability=0.5, overfitting=0.6, adapt_images=100))
    values = []
    for overfitting, num_images in ((0.7, 20), (0.5, 10), (1.0, 90), (0.0, 300)):
        adaptive.adapt(overfitting, num_images)
        values.append(adaptive.probability)
    assert values == pytest.approx([0.7, 0.6, 1.0, 0.0])
    again = AdaptiveAugmentation(AugmentConfig())
    again.load_state_dict(adaptive.state_dict())
    assert again.probability == 0.0


def test_without_a_level_of_overfitting_the_probability_stays() -> None:
    adaptive = AdaptiveAugmentation(AugmentConfig(probability=0.5))
    adaptive.adapt(1.0, 10**9)
    assert adaptive.probability == 0.5
