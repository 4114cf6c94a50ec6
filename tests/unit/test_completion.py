"""Filling with patches, without anything around it: fields, the membrane, the whole."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch

from samovar.patches.completion import NothingToCopy, complete
from samovar.patches.field import Field, Sources
from samovar.patches.grid import dilated, eroded, halved
from samovar.patches.membrane import membrane

NOWHERE = (False, False)


def nobody(share: float) -> None:
    assert 0 <= share <= 1


def picture(height: int, width: int, channels: int = 3, seed: int = 0) -> torch.Tensor:
    return torch.rand((height, width, channels), generator=torch.Generator().manual_seed(seed))


def hole(height: int, width: int, top: int, left: int, tall: int, wide: int) -> torch.Tensor:
    made = torch.zeros((height, width), dtype=torch.bool)
    made[top : top + tall, left : left + wide] = True
    return made


def fill(planes: torch.Tensor, missing: torch.Tensor, wrap: tuple[bool, bool] = NOWHERE, seed: int = 0) -> torch.Tensor:
    damaged = torch.where(missing.unsqueeze(2), 0.0, planes)
    return complete(damaged, missing, ~missing, wrap, seed, nobody)


# --- maps -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", [NOWHERE, (True, False), (True, True)])
def test_dilation_and_erosion_go_on_where_an_axis_wraps(wrap: tuple[bool, bool]) -> None:
    one = hole(9, 9, 0, 4, 1, 1)
    grown = dilated(one, 2, wrap)
    assert grown[:3, 2:7].all() and grown[7:].any() == wrap[0] and not grown[:, 8].any()
    assert torch.equal(eroded(~one, 2, wrap, outside=True), ~grown)


def test_halving_means_only_what_is_known() -> None:
    planes = torch.tensor([[1.0, 100.0, 3.0], [1.0, 100.0, 5.0]]).unsqueeze(2)
    known = torch.tensor([[1.0, 0.0, 1.0], [1.0, 0.0, 1.0]])
    half, weight = halved(planes, known)
    torch.testing.assert_close(half[..., 0], torch.tensor([[1.0, 4.0]]))
    torch.testing.assert_close(weight, torch.tensor([[2.0, 2.0]]))


# --- the field ------------------------------------------------------------------------------------------------------


def test_the_field_finds_the_same_patch_again_and_step_by_step_as_good_as_all_at_once() -> None:
    planes = picture(40, 50)
    planes[5:16, 5:16] = planes[25:36, 30:41]
    usable = torch.ones((40, 50), dtype=torch.bool)
    usable[:20] = False
    sources = Sources.of(planes, usable, 2, NOWHERE)
    at = torch.tensor([[y * 50 + x for y in range(7, 14) for x in range(7, 14)]]).flatten()
    whole = Field(at, sources, torch.Generator().manual_seed(1))
    whole.look(planes)
    whole.search_all(lambda: None)
    assert torch.equal(whole.y, at // 50 + 20) and torch.equal(whole.x, at % 50 + 25)
    assert whole.distances.max() < 1e-6
    steps = Field(at, sources, torch.Generator().manual_seed(1))
    steps.look(planes)
    for _ in range(12):
        steps.improve(50, lambda: None)
    assert torch.equal(steps.y, whole.y) and torch.equal(steps.x, whole.x)


def test_a_field_never_takes_what_may_not_be_copied() -> None:
    planes, usable = picture(30, 30), picture(30, 30, 1)[..., 0] > 0.02
    sources = Sources.of(planes, usable, 1, NOWHERE)
    field = Field(torch.arange(200, 400), sources, torch.Generator().manual_seed(0))
    field.look(planes)
    field.improve(30, lambda: None)
    assert sources.valid.flatten()[field.y * 30 + field.x].all()
    assert not sources.valid[usable.logical_not()].any()


# --- the membrane ---------------------------------------------------------------------------------------------------


def test_the_membrane_over_a_slope_is_the_slope() -> None:
    y, x = torch.meshgrid(torch.linspace(0, 1, 90), torch.linspace(0, 1, 120), indexing="ij")
    slope = (0.3 * y + 0.7 * x).unsqueeze(2)
    missing = hole(90, 120, 20, 30, 50, 60)
    found = membrane(torch.where(missing.unsqueeze(2), 9.0, slope), ~missing)
    assert (found - slope).abs().max() < 1 / 255
    assert torch.equal(found[~missing], slope[~missing])


def test_the_membrane_goes_on_where_an_axis_wraps_and_is_flat_where_it_does_not() -> None:
    values = torch.zeros((16, 40, 1))
    known = torch.zeros((16, 40), dtype=torch.bool)
    known[:, 0], known[:, 20], values[:, 20] = True, True, 1.0
    round_about, straight = membrane(values, known, (False, True)), membrane(values, known)
    assert (round_about[:, 30] - 0.5).abs().max() < 0.05
    assert (straight[:, 30] - 1).abs().max() < 0.05 and (straight[:, 10] - 0.5).abs().max() < 0.05


def test_a_membrane_of_nothing_is_0() -> None:
    assert not membrane(picture(7, 5), torch.zeros((7, 5), dtype=torch.bool)).any()


# --- the whole ------------------------------------------------------------------------------------------------------


def test_what_is_known_stays_to_the_bit_and_a_pattern_goes_on() -> None:
    tile = picture(8, 8)
    planes = tile.repeat(8, 8, 1)
    missing = hole(64, 64, 20, 24, 18, 17)
    made = fill(planes, missing)
    assert torch.equal(made[~missing], planes[~missing])
    assert (made - planes).abs().max() < 0.02


@pytest.mark.parametrize("seed", [0, 7])
def test_the_same_seed_gives_the_same_pixels(seed: int) -> None:
    planes, missing = picture(40, 40), hole(40, 40, 12, 12, 15, 15)
    assert torch.equal(fill(planes, missing, seed=seed), fill(planes, missing, seed=seed))


def test_another_seed_gives_another_filling() -> None:
    planes, missing = picture(40, 40), hole(40, 40, 12, 12, 15, 15)
    assert not torch.equal(fill(planes, missing, seed=1), fill(planes, missing, seed=2))


def test_along_an_axis_that_wraps_the_filling_is_the_same_wherever_the_picture_begins() -> None:
    tile = picture(8, 8, seed=3)
    planes = tile.repeat(6, 6, 1)
    missing = torch.zeros((48, 48), dtype=torch.bool)
    missing[:6], missing[-7:] = True, True
    made = fill(planes, missing, (True, False))
    assert (made - planes).abs().max() < 0.02


@pytest.mark.parametrize("size", [(1, 2), (2, 1), (1, 40), (3, 3), (5, 90)])
def test_a_picture_smaller_than_a_patch_is_filled_from_what_there_is(size: tuple[int, int]) -> None:
    planes = picture(*size)
    missing = torch.ones(size, dtype=torch.bool)
    missing[0, 0] = False
    made = fill(planes, missing)
    assert torch.isfinite(made).all() and torch.equal(made[0, 0], planes[0, 0])
    assert made.min() >= planes[0, 0].min() - 1e-5 and made.max() <= planes[0, 0].max() + 1e-5


def test_only_what_may_be_copied_is_copied() -> None:
    planes = torch.zeros((40, 40, 1))
    planes[:, 20:] = 1.0
    missing = hole(40, 40, 10, 15, 10, 4)
    usable = torch.zeros((40, 40), dtype=torch.bool)
    usable[:, 25:] = True
    made = complete(planes, missing, usable, NOWHERE, 0, nobody, match=False)
    assert made[missing].min() > 0.999


def test_nothing_to_copy_is_told() -> None:
    with pytest.raises(NothingToCopy):
        fill(picture(9, 9), torch.ones((9, 9), dtype=torch.bool))


def test_it_stops_when_told() -> None:
    class Stop(Exception):
        pass

    calls = 0

    def progress(share: float) -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise Stop

    missing = hole(60, 60, 20, 20, 20, 20)
    with pytest.raises(Stop):
        complete(picture(60, 60), missing, ~missing, NOWHERE, 0, progress)


def test_progress_never_goes_back_and_comes_to_its_end() -> None:
    told: list[float] = []
    missing = hole(128, 128, 30, 30, 60, 60)
    complete(picture(128, 128), missing, ~missing, NOWHERE, 0, told.append)
    assert all(later >= earlier - 1e-9 for earlier, later in itertools.pairwise(told)) and told[-1] > 0.99


def test_a_guess_is_followed_and_made_sharp() -> None:
    """Left and right of the picture differ; the guess says, blurred, that the left goes on into the hole."""
    planes = torch.zeros((64, 64, 1))
    planes[:, :32] = (torch.arange(32) % 4 < 2).float().view(1, 32, 1)
    planes[:, 32:] = 0.9 + 0.1 * (torch.arange(64) % 4 < 2).float().view(64, 1, 1)
    missing = hole(64, 64, 20, 24, 24, 8)
    guess = torch.where(missing.unsqueeze(2), 0.5, planes)
    made = complete(guess, missing, ~missing, NOWHERE, 0, nobody, halvings=1)
    inside = made[22:42, 26:30, 0]
    assert inside.std(1).mean() > 0.3, "stripes, not gray"
    assert np.abs(inside.numpy().mean() - 0.5) < 0.1


def test_a_spot_at_the_rim_of_which_nothing_goes_on_makes_no_glow() -> None:
    generator = torch.Generator().manual_seed(0)
    planes = 0.3 + 0.1 * torch.rand((90, 90, 3), generator=generator)
    planes[22:26, 40:48] = 1.0
    missing = hole(90, 90, 26, 30, 40, 30)
    made = fill(planes, missing)
    assert made[30:36, 40:48].mean() < 0.37 and made[27:30, 40:48].max() < 0.6


def test_a_smooth_slope_goes_on_without_a_step() -> None:
    y, x = torch.meshgrid(torch.linspace(0, 1, 120), torch.linspace(0, 1, 140), indexing="ij")
    slope = torch.stack([0.6 * x + 0.4 * y, 0.5 + 0.3 * torch.sin(2 * x), y * y], 2)
    missing = hole(120, 140, 30, 40, 50, 60)
    made = fill(slope, missing)
    error = made - slope
    for axis in (0, 1):
        across = error.diff(dim=axis).abs()
        assert across.max() <= 2 / 255, f"a step along axis {axis}"
