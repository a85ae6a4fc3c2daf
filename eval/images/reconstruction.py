"""Similarity of a face and the drawing of its true face feature (F2F)."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image

from data.store.dataset import ClipDataset
from eval.images.similarity import OptionalLpips, ms_ssim, num_ms_ssim_scales
from eval.model_under_test import ModelUnderTest, draw_faces, sample_noise
from eval.predictions import Predictions


def measure_reconstruction(
    model: ModelUnderTest, dataset: ClipDataset, test: Predictions, seed: int, max_images: int = 200
) -> dict[str, Any]:
    """Similarity of F2F drawings to the true faces, and, for comparison, of other people's faces to them.

    Args:
        model: A model with a generator.
        dataset: The split of `test`.
        test: Predictions for the split.
        seed: Seed of the drawings' noise.
        max_images: Number of faces at most, spread over the split.

    Returns:
        Keys `num_images`, `ms_ssim`, `ms_ssim_scales`, `ms_ssim_stranger`, `lpips`, `lpips_stranger` and
        `lpips_missing`: the reason where LPIPS' two values are None.
    """
    assert model.voice2face is not None
    rows = np.arange(len(test.faces))[:: -(-len(test.faces) // max_images)]
    true = np.stack([dataset.face(int(clip), int(face)) for clip, face in test.faces[rows]])
    noise = sample_noise([f"{seed}/f2f/{clip}/{face}" for clip, face in test.faces[rows]], model.voice2face.noise_size)
    drawn = draw_faces(model.voice2face, test.face_features[rows], noise)
    if drawn.shape[1] != true.shape[1]:
        side = drawn.shape[1]
        true = np.stack([np.asarray(Image.fromarray(f).resize((side, side), Image.Resampling.LANCZOS)) for f in true])
    stranger = np.roll(true, 1, axis=0)
    lpips = OptionalLpips()
    return {
        "num_images": len(rows),
        "ms_ssim": ms_ssim(drawn, true),
        "ms_ssim_stranger": ms_ssim(stranger, true),
        "ms_ssim_scales": num_ms_ssim_scales(true.shape[1]),
        "lpips": lpips(drawn, true),
        "lpips_stranger": lpips(stranger, true),
        "lpips_missing": lpips.missing,
    }
