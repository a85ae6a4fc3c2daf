import numpy as np

from eval.report.figures import tile


def test_tiles_stand_row_by_row_and_empty_places_are_white():
    pictures = np.stack([np.full((2, 2, 3), grey, np.uint8) for grey in (10, 20, 30)])
    tiled = tile(pictures, 2)
    assert tiled.shape == (4, 4, 3)
    assert tiled[::2, ::2, 0].tolist() == [[10, 20], [30, 255]]
