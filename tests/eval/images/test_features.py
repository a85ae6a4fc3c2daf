import numpy as np
import pytest

from data.errors import ModelError
from eval.images.features import InceptionFeatures, find_inception, resize_like_clean_fid


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
