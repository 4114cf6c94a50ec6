"""Blocks of cosines: a transform that loses nothing, the noise it finds, what it makes of noise and of gaps."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from samovar.prior import frame
from samovar.prior.observation import Observation, shrunk

SHIFTS = sorted(frame.shifts())


def photo(side: int = 96, channels: int = 3) -> Tensor:
    from skimage import data

    pixels = torch.from_numpy(data.astronaut()[40 : 40 + side, 180 : 180 + side] / 255)
    image = pixels.permute(2, 0, 1)[None].float().contiguous()
    return image if channels == 3 else image.mean(1, keepdim=True)


def psnr(one: Tensor, other: Tensor) -> float:
    return -10 * math.log10(float((one - other).square().mean()))


def with_noise(clean: Tensor, sigma: float) -> Tensor:
    return clean + torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)) * sigma


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 2, 3, 4]), st.sampled_from(SHIFTS))
def test_a_picture_comes_back_from_its_blocks(height: int, width: int, channels: int, shift: tuple[int, int]) -> None:
    image = torch.rand(1, channels, height, width, generator=torch.Generator().manual_seed(1))
    again = frame.image_of(frame.blocks(image, shift), shift, height, width)
    assert again.shape == image.shape and torch.allclose(again, image, atol=1e-5)


def test_the_transform_is_orthonormal_with_the_mean_first() -> None:
    cosines = frame._cosines(torch.device("cpu"))
    assert torch.allclose(cosines @ cosines.T, torch.eye(64), atol=1e-5)
    assert torch.allclose(cosines[0], torch.full((64,), 1 / 8), atol=1e-6)
    colours = frame._colours(torch.device("cpu"))
    assert torch.allclose(colours @ colours.T, torch.eye(3), atol=1e-6)


def test_no_shift_comes_twice_and_all_rows_and_columns_do() -> None:
    assert len(SHIFTS) == len(set(SHIFTS)) == 16
    assert {x for _, x in SHIFTS} == {0, 2, 4, 6} and len({y for y, _ in SHIFTS}) == 8


@pytest.mark.parametrize("sigma", [5 / 255, 25 / 255, 50 / 255])
def test_the_noise_is_found(sigma: float) -> None:
    found = frame.deviation(with_noise(torch.full((1, 3, 128, 128), 0.5), sigma))
    assert found.shape == (3, 1, 1, 1) and torch.allclose(found, torch.tensor(sigma), rtol=0.05)
    photograph = float(frame.deviation(with_noise(photo(), sigma)).mean())
    assert 0.8 * sigma < photograph < 1.5 * sigma


def test_what_is_not_known_says_nothing_of_the_noise() -> None:
    image = with_noise(torch.full((1, 3, 64, 64), 0.5), 25 / 255)
    known = torch.zeros(1, 1, 64, 64)
    known[..., :24, :40] = 1
    found = frame.deviation(torch.where(known > 0, image, 0.5), known)
    assert torch.allclose(found, torch.tensor(25 / 255), rtol=0.15)


@pytest.mark.parametrize("size", [(1, 1), (1, 9), (2, 2)])
def test_the_smallest_pictures_have_some_deviation(size: tuple[int, int]) -> None:
    image = torch.rand(1, 3, *size)
    sigma = frame.deviation(image)
    assert float(sigma.min()) > 0
    assert torch.isfinite(frame.denoised(image, sigma)).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_noise_goes_and_a_clean_picture_stays(channels: int) -> None:
    clean = photo(channels=channels)
    noisy = with_noise(clean, 25 / 255)
    made = frame.denoised(noisy, frame.deviation(noisy))
    assert psnr(made, clean) > psnr(noisy, clean) + 6
    assert psnr(frame.denoised(clean, frame.deviation(torch.full_like(clean, 0.5))), clean) > 45


def test_the_second_look_is_better_than_the_first() -> None:
    clean, sigma = photo(), torch.full((3, 1, 1, 1), 25 / 255)
    noisy = with_noise(clean, 25 / 255)
    assert psnr(frame.denoised(noisy, sigma), clean) > psnr(frame.kept(noisy, 2.7 * sigma), clean) + 0.1


def test_missing_pixels_come_back_and_the_known_ones_stay() -> None:
    clean = photo()
    known = (torch.rand(1, 1, 96, 96, generator=torch.Generator().manual_seed(0)) > 0.5).float()
    observation = Observation(clean * known, known)
    first = observation.stretched()
    made = frame.completed(observation, first)
    assert psnr(made, clean) > psnr(first, clean) + 1
    assert torch.allclose(made * known, clean * known, atol=1e-6)


def test_a_larger_picture_agrees_with_the_small_one() -> None:
    clean = photo()
    small = shrunk(clean, 2)
    observation = Observation(small.clamp(0, 1), torch.ones(1, 1, 48, 48), 2)
    first = observation.stretched()
    made = frame.completed(observation, first)
    assert psnr(made, clean) > psnr(first, clean)
    assert psnr(shrunk(made, 2), small) > psnr(shrunk(first, 2), small)


def test_what_noise_could_be_counts_and_what_a_picture_has_hardly() -> None:
    clean = photo()
    sigma = torch.full((3, 1, 1, 1), 25 / 255)
    noisy = with_noise(clean, 25 / 255)
    calm, loud = (float(frame.penalty(each, clean, sigma, 10.0, (3, 4))) for each in (clean, noisy))
    assert loud > 5 * calm


def test_the_penalty_leads_to_wieners_filter() -> None:
    """Minimised with the squared error, block by block: coefficient * power / (power + variance)."""
    clean, sigma = photo(32), torch.full((3, 1, 1, 1), 25 / 255)
    noisy = with_noise(clean, 25 / 255)
    picture = noisy.contiguous().clone(memory_format=torch.contiguous_format).requires_grad_(True)
    optimiser = torch.optim.LBFGS([picture], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimiser.zero_grad()
        value = (picture - noisy).square().mean() + frame.penalty(picture, clean, sigma, 50.0, (0, 0))
        value.backward()
        return value

    optimiser.step(loss)
    power = frame.blocks(clean, (0, 0)).square()
    gain = 1 / (1 + (sigma.square() / power).clamp(max=50.0))
    gain[..., 0] = 1
    expected = frame.image_of(frame.blocks(noisy, (0, 0)) * gain, (0, 0), 32, 32)
    assert torch.allclose(picture.detach(), expected, atol=2e-3)


def test_it_can_be_stopped() -> None:
    class Stop(Exception):
        pass

    def check() -> None:
        raise Stop

    with pytest.raises(Stop):
        frame.denoised(photo(), torch.full((3, 1, 1, 1), 0.1), check)
