"""Finding colour and alpha again from composites on black and on white."""

from __future__ import annotations

import pytest
import torch
from laboratory import noise

from samovar.worker.image import Alpha, Image
from samovar.worker.matting import known, over, solve
from samovar.worker.tiling import Wrap


def separate(
    black: Image, white: Image, source: Alpha, typical: Image, wrap: Wrap = (False, False)
) -> tuple[Image, Alpha]:
    """As the frame does it: what is certain, then the rest."""
    alpha = known(source, *black.shape[-2:], wrap)
    solve(black, white, typical, alpha)
    return black, alpha


def picture(height: int = 40, width: int = 30, channels: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    colour = torch.from_numpy(noise(1, channels, height, width, dtype="f32"))
    alpha = torch.from_numpy(noise(1, 1, height, width, dtype="f32", seed=1))
    return colour, alpha


@pytest.mark.parametrize("channels", [1, 3])
def test_what_was_composited_is_found_again(channels: int) -> None:
    colour, alpha = picture(channels=channels)
    found, opacity = separate(over(colour, alpha, 0.0), over(colour, alpha, 1.0), alpha, colour)
    torch.testing.assert_close(opacity, alpha, atol=2e-3, rtol=0)
    torch.testing.assert_close(found * opacity, colour * alpha, atol=2e-3, rtol=0)


def test_more_rows_than_a_band_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    colour, alpha = picture()
    composites = over(colour, alpha, 0.0), over(colour, alpha, 1.0)
    whole = separate(composites[0].clone(), composites[1], alpha, colour)
    monkeypatch.setattr("samovar.worker.matting.BAND_ROWS", 7)
    for banded, plain in zip(separate(*composites, alpha, colour), whole, strict=True):
        assert torch.equal(banded, plain)


def test_alpha_is_exact_where_it_is_flat_whatever_the_composites_say() -> None:
    source = torch.zeros(1, 1, 16, 16)
    source[..., 8:] = 1
    black, white = torch.full((1, 3, 32, 32), 0.3), torch.full((1, 3, 32, 32), 0.6)
    _, alpha = separate(black, white, source, torch.zeros(1, 3, 32, 32))
    row = alpha[0, 0, 16]
    assert (row[:12] == 0).all() and (row[20:] == 1).all()
    torch.testing.assert_close(row[12:20], torch.full((8,), 0.7), atol=2e-3, rtol=0)


def test_an_edge_across_a_wrapping_axis_is_an_edge() -> None:
    source = torch.zeros(1, 1, 8, 16)
    source[..., 8:] = 1
    arguments = torch.full((1, 3, 8, 16), 0.3), torch.full((1, 3, 8, 16), 0.6), source, torch.zeros(1, 3, 8, 16)
    plain = separate(*(each.clone() for each in arguments))[1][0, 0, 4]
    wrapped = separate(*arguments, (False, True))[1][0, 0, 4]
    assert plain[0] == 0 and plain[-1] == 1
    assert 0.6 < wrapped[0] < 0.8 and 0.6 < wrapped[-1] < 0.8


def test_colour_that_cannot_be_told_is_the_neighbourhoods() -> None:
    typical = torch.full((1, 3, 4, 4), 0.25)
    black, white = torch.full((1, 3, 4, 4), 0.002), torch.full((1, 3, 4, 4), 0.999)
    colour, alpha = separate(black, white, torch.full((1, 1, 4, 4), 0.003), typical)
    assert alpha.max() < 0.01
    torch.testing.assert_close(colour, typical, atol=0.01, rtol=0)


def test_an_opaque_picture_is_the_mean_of_the_two() -> None:
    black, white = (torch.from_numpy(noise(1, 3, 9, 9, dtype="f32", seed=seed)) for seed in (1, 2))
    mean = (black + white) / 2
    colour, alpha = separate(black, white, torch.ones(1, 1, 9, 9), torch.zeros(1, 3, 9, 9))
    assert (alpha == 1).all()
    torch.testing.assert_close(colour, mean)
