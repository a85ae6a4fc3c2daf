"""Made-up batches of crops and conditions."""

from __future__ import annotations

import torch

from data.store.sampling import PersonDraw
from gan.augment import NUMBERS
from gan.condition import FaceBatch


def make_batch(
    num_images: int = 8,
    feature_size: int = 6,
    noise_size: int = 4,
    judged_share: float = 1.0,
    penalised_share: float = 1.0,
    mixed: tuple[int, ...] = (),
) -> FaceBatch:
    """A batch as `FaceBatch.to` leaves it; rows at odd places are not from a voice."""
    generator = torch.Generator().manual_seed(0)
    draws = [PersonDraw(0, 0, position) for position in range(num_images)]
    return FaceBatch(
        images=torch.rand(num_images, 3, 64, 64, generator=generator) * 2 - 1,
        flipped=torch.zeros(num_images, dtype=torch.bool),
        condition=torch.randn(num_images, feature_size, generator=generator),
        other_condition=torch.randn(num_images, feature_size, generator=generator),
        from_voice=torch.tensor([place % 2 == 0 and place not in mixed for place in range(num_images)]),
        pictured=torch.tensor([place not in mixed for place in range(num_images)]),
        judged=torch.tensor([draw.falls_into(judged_share) for draw in draws]),
        penalised=torch.tensor([draw.falls_into(penalised_share) for draw in draws]),
        noise=torch.randn(num_images, noise_size, generator=generator),
        numbers=torch.rand(num_images, NUMBERS, generator=generator),
    )
