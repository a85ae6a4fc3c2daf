import numpy as np
import pytest
from PIL import Image

from data.errors import ModelError
from eval.images.features import InceptionFeatures, find_inception, resize_like_clean_fid
from eval.images.similarity import find_faces, ms_ssim, num_ms_ssim_scales
from eval.report.figures import tile
from eval.report.markdown import percent_interval, table


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


def test_the_resize_for_fid_is_antialiased_float_and_keeps_its_range():
    stripes = np.zeros((600, 600, 3), np.uint8)
    stripes[:, ::2] = 255
    small = resize_like_clean_fid(stripes, 60)
    assert small.dtype == np.float32 and np.abs(small[5:-5, 5:-5] - 127.5).max() < 1.0
    enlarged = resize_like_clean_fid(stripes[:8, :8], 299)
    assert enlarged.min() >= 0 and enlarged.max() <= 255
    assert (enlarged % 1).any()  # not rounded to grey levels


def test_a_missing_inception_file_that_was_asked_for_is_an_error_and_a_wrong_one_too(tmp_path):
    with pytest.raises(ModelError, match="no such file"):
        find_inception(str(tmp_path / "inception.pth"))
    (tmp_path / "inception.pth").write_bytes(b"not it")
    with pytest.raises(ModelError, match="sha256 does not begin with 0cc3c7bd"):
        InceptionFeatures(tmp_path / "inception.pth")


def test_faces_are_looked_for_in_enlarged_pictures():
    class Detector:
        def detect(self, image):
            assert image.shape == (256, 256, 3)
            return ["a face"] if image.mean() > 100 else []

    pictures = np.stack([np.full((64, 64, 3), grey, np.uint8) for grey in (50, 200)])
    assert find_faces(pictures, Detector()).tolist() == [False, True]


def test_tiles_stand_row_by_row_and_empty_places_are_white():
    pictures = np.stack([np.full((2, 2, 3), grey, np.uint8) for grey in (10, 20, 30)])
    tiled = tile(pictures, 2)
    assert tiled.shape == (4, 4, 3)
    assert tiled[::2, ::2, 0].tolist() == [[10, 20], [30, 255]]


def test_tables_escape_bars_leave_none_empty_and_refuse_ragged_rows():
    text = table(["who", "R@1"], [["a|b", None]])
    assert text.splitlines() == ["| who | R@1 |", "| :-- | --: |", "| a\\|b |  |"]
    with pytest.raises(ValueError, match="1 cells for 2 columns"):
        table(["who", "R@1"], [["a"]])
    assert percent_interval(0.312, (0.26, 0.365)) == "31.2 (26.0 to 36.5)"
