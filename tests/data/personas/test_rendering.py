"""The strokes that personas are painted with."""

import numpy as np
import torch

from data.personas.rendering.canvas import EXTENT, SoftSpots, canvas_of, smoothstep
from data.personas.rendering.draws import PrivateDraws
from data.personas.rendering.parameters import read_traits
from data.personas.rendering.textures import backgrounds


def test_spots_are_gaussians_on_both_sides() -> None:
    canvas = canvas_of(64)
    spots = SoftSpots(canvas, 2)
    amount = torch.tensor([0.5, 2.0]).view(2, 1, 1)
    spots.add_pair(0.4, 0.1, 0.2, 0.3, amount)
    spots.add(-0.5, 0.1, 0.1, 1.0)
    u, v = canvas.u, canvas.v

    def spot(centre: float) -> torch.Tensor:
        return torch.exp(-(((u - centre) / 0.2) ** 2) - ((v - 0.1) / 0.3) ** 2)

    middle = torch.exp(-((u / 0.1) ** 2) - ((v + 0.5) / 0.1) ** 2)
    expected = amount * (spot(0.4) + spot(-0.4)) + middle
    assert torch.allclose(spots.paint(), expected, atol=1e-5)


def test_a_mirrored_window_holds_the_mirrored_columns() -> None:
    canvas = canvas_of(64)
    right, left = canvas.window(0.2, 0.5, -0.1, 0.3), canvas.window(0.2, 0.5, -0.1, 0.3, side=-1.0)
    assert abs(float(right.u.mean() + left.u.mean())) <= 2 * canvas.pixel
    assert right.rows == left.rows
    whole = canvas.window(-EXTENT, EXTENT, -EXTENT, EXTENT)
    assert whole.u.shape[2] == whole.v.shape[1] == 64


def test_smoothstep_rises_and_falls() -> None:
    x = torch.tensor([-1.0, 0.0, 0.5, 1.0, 2.0])
    assert torch.allclose(smoothstep(x, 0.0, 1.0), torch.tensor([0.0, 0.0, 0.5, 1.0, 1.0]))
    assert torch.allclose(smoothstep(x, 1.0, 0.0), torch.tensor([1.0, 1.0, 0.5, 0.0, 0.0]))


def test_draws_of_a_row_do_not_depend_on_other_rows() -> None:
    def first_draws(seeds: list[int]) -> np.ndarray:
        draws = PrivateDraws(np.random.default_rng(seed) for seed in seeds)
        return np.stack([draws.normal(2.0), draws.uniform(3.0, 4.0), draws.chance(0.5).astype(float)], 1)

    assert np.array_equal(first_draws([5, 6, 7])[1:], first_draws([6, 7]))
    assert 3 <= first_draws([5])[0, 1] <= 4


def test_traits_become_years_and_bounded_deviations() -> None:
    traits = read_traits(np.array([True, False]), np.array([[0, 9, -9, 1], [-9, 0, 0, 0]], np.float32))
    assert traits.years.tolist() == [42, 16]
    assert traits.size[0] == 2.6 and traits.robustness[0] == -2.6 and traits.adiposity[0] == 1
    assert traits.lines[1] == 0 and traits.male.tolist() == [1, 0]


def test_backgrounds_are_shares_and_their_second_half_mirrors_the_first() -> None:
    scenes = backgrounds()
    half = len(scenes) // 2
    assert scenes.min() >= 0 and scenes.max() <= 1
    assert torch.equal(scenes[half:], scenes[:half].flip(-1))
