import numpy as np
import pytest
from PIL import Image

from eval.images.similarity import find_faces, ms_ssim, num_ms_ssim_scales


def test_a_picture_is_most_like_itself_and_less_the_more_it_is_disturbed():
    random = np.random.default_rng(0)
    picture = np.asarray(Image.fromarray(random.integers(0, 255, (8, 8, 3), dtype=np.uint8)).resize((64, 64)))[None]
    little, much = (
        np.clip(picture + random.normal(0, sigma, picture.shape), 0, 255).astype(np.uint8) for sigma in (5, 60)
    )
    assert ms_ssim(picture, picture) == pytest.approx(1.0)
    assert 1.0 > ms_ssim(little, picture) > ms_ssim(much, picture) > 0.0


@pytest.mark.parametrize(("side", "scales"), [(32, 2), (64, 3), (128, 4), (256, 5), (512, 5)])
def test_small_pictures_use_as_many_scales_as_hold_the_window(side, scales):
    assert num_ms_ssim_scales(side) == scales
    pictures = np.full((2, side, side, 3), 100, np.uint8)
    assert ms_ssim(pictures, pictures) == pytest.approx(1.0)


def test_faces_are_looked_for_in_enlarged_pictures():
    class Detector:
        def detect(self, image):
            assert image.shape == (256, 256, 3)
            return ["a face"] if image.mean() > 100 else []

    pictures = np.stack([np.full((64, 64, 3), grey, np.uint8) for grey in (50, 200)])
    assert find_faces(pictures, Detector()).tolist() == [False, True]
