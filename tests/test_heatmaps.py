from __future__ import annotations

import numpy as np
from PIL import Image

from zerotag.heatmaps import cells_in_boxes, overlay


def test_a_cell_lies_in_a_box_if_its_centre_does() -> None:
    boxes = np.array([[0, 0, 0.5, 0.5], [0.6, 0.0, 0.65, 1.0], [0, 0, 1, 1]])
    inside = cells_in_boxes(boxes, 2, 5)
    assert inside[0].tolist() == [[True, True, True, False, False], [False] * 5]
    assert not inside[1].any() and inside[2].all()


def test_the_peak_is_red_and_the_rest_grey() -> None:
    heat = np.zeros((7, 7))
    heat[1, 5] = 1
    drawn = overlay(Image.new("RGB", (70, 70), (100, 120, 140)), heat)
    assert (drawn.mode, drawn.size) == ("RGB", (70, 70))
    red, green, blue = drawn.getpixel((55, 15))
    assert red > 1.5 * green and red > 1.5 * blue
    red, green, blue = drawn.getpixel((5, 65))
    assert red == green == blue


def test_a_flat_map_leaves_the_picture_grey() -> None:
    drawn = np.array(overlay(Image.new("RGB", (20, 20), (100, 120, 140)), np.full((7, 7), 3.0)))
    assert (drawn == drawn[0, 0, 0]).all()
