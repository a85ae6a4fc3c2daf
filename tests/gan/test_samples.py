from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from data.store.dataset import ClipDataset
from encoder.voice_encoder import VoiceEncoder
from gan.samples import NUM_DRAWINGS, draw_sample_grid, make_sample_sheet
from gan.voice2face import Voice2Face
from tests.gan.test_voice2face import with_sampler
from tests.synthetic import TinyWorld


def test_the_grid_shows_voices_faces_and_drawings_and_samples_where_there_is_a_sampler(
    tiny_world: TinyWorld, tiny_encoder: Path, tiny_model: Voice2Face
) -> None:
    dataset = ClipDataset(tiny_world.dataset, "val")
    plain = make_sample_sheet(dataset, VoiceEncoder.from_pretrained(tiny_encoder), num_people=3)
    sampled = make_sample_sheet(dataset, with_sampler(tiny_model).encoder, num_people=3)
    assert plain is not None and sampled is not None
    assert torch.equal(plain.telling_features, sampled.telling_features)
    assert all(torch.equal(row, plain.telling_features) for row in plain.sampled_features)
    assert len({row.numpy().tobytes() for row in sampled.sampled_features}) == NUM_DRAWINGS
    grids = [draw_sample_grid(sheet, tiny_model.generator, tiny_model.noise_size) for sheet in (plain, sampled)]
    assert grids[0].shape == grids[1].shape == ((4 + NUM_DRAWINGS) * 64, 3 * 64, 3)
    rows = 4 * 64
    assert np.array_equal(grids[0][:rows], grids[1][:rows]) and not np.array_equal(grids[0][rows:], grids[1][rows:])
    assert np.array_equal(grids[0][64:128], np.concatenate(list(plain.faces), axis=1))
    assert np.array_equal(grids[0][3 * 64 : 4 * 64], grids[0][4 * 64 : 5 * 64])  # variety 0 with the first noise
