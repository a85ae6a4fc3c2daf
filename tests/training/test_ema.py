from __future__ import annotations

import torch
from torch import nn

from training.ema import ExponentialMovingAverage


def test_after_a_half_life_of_images_an_old_weight_counts_half_whatever_the_batch_size() -> None:
    for batch_size in (1, 10, 100):
        module = nn.Linear(1, 1)
        nn.init.zeros_(module.weight)
        ema = ExponentialMovingAverage(module, halflife_images=100, rampup=None)
        nn.init.ones_(module.weight)
        for _ in range(100 // batch_size):
            ema.update(batch_size)
        torch.testing.assert_close(ema.module.weight.data, torch.tensor([[0.5]]))


def test_early_on_the_first_weights_are_soon_forgotten() -> None:
    module = nn.Linear(1, 1)
    nn.init.zeros_(module.weight)
    ema = ExponentialMovingAverage(module, halflife_images=1e6)
    nn.init.ones_(module.weight)
    ema.update(10)
    assert ema.module.weight.item() > 0.99


def test_the_shadow_is_float32_in_eval_mode_and_copies_buffers() -> None:
    module = nn.BatchNorm1d(2).to(torch.bfloat16)
    ema = ExponentialMovingAverage(module, 10)
    module.running_mean += 3
    ema.update(10)
    assert ema.module.weight.dtype == torch.float32
    assert not ema.module.training
    assert not ema.module.weight.requires_grad
    assert ema.module.running_mean.tolist() == [3, 3]
