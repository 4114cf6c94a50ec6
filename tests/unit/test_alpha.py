"""Growing visible colour outward."""

from __future__ import annotations

import pytest
import torch

from samovar.worker.alpha import constant, grow_colour


def scene(rows: list[str], hidden: float = 9.0) -> tuple[torch.Tensor, torch.Tensor]:
    """Digits are visible pixels of that colour, dots are invisible ones of colour `hidden`."""
    values = [[hidden if mark == "." else float(mark) for mark in row] for row in rows]
    alpha = [[0.0 if mark == "." else 1.0 for mark in row] for row in rows]
    return torch.tensor(values)[None, None], torch.tensor(alpha)[None, None]


def test_visible_colour_stays_and_each_round_adds_the_mean_of_the_known_neighbours() -> None:
    image, alpha = scene([".......", ".......", "...1...", "...3...", ".......", "......."])
    grown = grow_colour(image, alpha, 2)[0, 0]
    assert grown[2:4, 3].tolist() == [1, 3]
    assert grown[1, 2:5].tolist() == [1, 1, 1]
    assert grown[2:4, 2].tolist() == grown[2:4, 4].tolist() == [2, 2]
    assert grown[4, 2:5].tolist() == [3, 3, 3]
    assert grown[0, 3] == 1 and grown[5, 3] == 3 and grown[2, 1] == pytest.approx(5 / 3)


def test_what_lies_farther_out_gets_the_mean_visible_colour() -> None:
    image, alpha = scene(["1.......", "3......."])
    assert grow_colour(image, alpha, 1)[0, 0, :, 2:].unique().tolist() == [2]


def test_hidden_colour_leaves_no_trace() -> None:
    rows = ["..........", "...12.....", "...4..7...", "..........", ".........."]
    first, second = (grow_colour(*scene(rows, hidden), 3) for hidden in (0.0, 9.0))
    assert torch.equal(first, second)


def test_colour_grows_across_an_axis_that_wraps() -> None:
    image, alpha = scene(["5........1"])
    assert grow_colour(image, alpha, 1, (False, False))[0, 0, 0, 8] == 1
    image, alpha = scene(["5........."])
    assert grow_colour(image, alpha, 1, (False, True))[0, 0, 0, 9] == 5
    image, alpha = scene(["1.......1.", "5........."])
    assert grow_colour(image, alpha, 1, (False, True))[0, 0, 1, 9] == pytest.approx(7 / 3, abs=1)


def test_faint_pixels_count_as_visible() -> None:
    image, alpha = scene(["1."])
    assert grow_colour(image, alpha * 1e-3, 1)[0, 0, 0].tolist() == [1, 1]


def test_a_picture_with_nothing_visible_is_left_alone() -> None:
    image, alpha = scene(["..", ".."])
    assert torch.equal(grow_colour(image, alpha, 5), image)


def test_a_picture_of_one_pixel_is_no_special_case() -> None:
    image, alpha = scene(["4"])
    assert torch.equal(grow_colour(image, alpha, 5), image)


def test_constant_alpha_is_recognised() -> None:
    assert constant(torch.full((1, 1, 3, 3), 0.25)) == 0.25
    assert constant(torch.tensor([[[[0.25, 0.5]]]])) is None
