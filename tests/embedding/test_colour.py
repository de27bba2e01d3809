import numpy as np
from skimage.color import rgb2lab

from embedding.colour import encoded, lab_of, linear_of, linear_of_lab


def test_lab_is_that_of_scikit_image() -> None:
    colours = np.random.default_rng(0).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    assert np.abs(lab_of(colours) - rgb2lab(colours)).max() < 0.01


def test_ways_there_and_back_meet() -> None:
    colours = np.random.default_rng(1).integers(0, 256, (50, 60, 3), dtype=np.uint8)
    assert np.array_equal(np.round(encoded(linear_of(colours)) * 255), colours)
    assert np.abs(linear_of_lab(lab_of(colours)) - linear_of(colours)).max() < 1e-4
