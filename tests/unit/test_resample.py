"""Changing the size of a picture that wraps, and of one that is a single column."""

from __future__ import annotations

import pytest
import torch
from laboratory import noise

from samovar.worker.resample import resize


@pytest.mark.parametrize(
    ("size", "scale"),
    [((1, 1), 2), ((1, 1), 4), ((2, 1), 2), ((1, 3), 2), ((3, 5), 4), ((8, 2), 0.5), ((8, 2), 1.5), ((4, 6), 0.5)],
)
def test_a_wrapped_picture_of_any_size_is_one_period_of_its_repetition(size: tuple[int, int], scale: float) -> None:
    image = torch.from_numpy(noise(*size, 3, dtype="f32")).permute(2, 0, 1)[None]
    height, width = (int(side * scale) for side in size)
    once = resize(image, height, width, (True, True))
    many = resize(image.repeat(1, 1, 13, 13), 13 * height, 13 * width)
    middle = many[:, :, 6 * height : 7 * height, 6 * width : 7 * width]
    torch.testing.assert_close(once, middle, atol=1e-5, rtol=0)


def test_a_single_column_is_resized_like_any_other() -> None:
    column = torch.from_numpy(noise(9, 1, 3, dtype="f32")).permute(2, 0, 1)[None]
    wide = resize(column.repeat(1, 1, 1, 3), 18, 3)
    torch.testing.assert_close(resize(column, 18, 1), wide[..., :1], atol=1e-6, rtol=0)
