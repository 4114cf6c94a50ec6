"""The parts of `restore`: the published network and settings, the loss, when it stops, states to go on from."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
import torch
from torch import Tensor

from samovar.prior import recipes, source
from samovar.prior.fit import Fit
from samovar.prior.observation import Observation, shrunk, variation
from samovar.prior.recipes import CLASSIC, FAST, Recipe
from samovar.prior.skip import Shape, Skip, convolutions
from samovar.prior.stopping import LOOK, EarlyStop


def fit_of(observation: Observation, recipe: Recipe, seed: int = 0, smoothness: float = 1.0) -> Fit:
    tall, wide = Fit.size(observation, recipe)
    height, width = (side * observation.factor for side in observation.values.shape[-2:])
    given = source.make(recipe.input, recipe.shape.depth, seed, range(tall), range(wide), height, width)
    return Fit(observation, recipe, seed, given, smoothness)


def seen(height: int, width: int, channels: int = 3, factor: int = 1) -> Observation:
    y, x = torch.meshgrid(torch.linspace(0, 3, height), torch.linspace(0, 2, width), indexing="ij")
    values = torch.stack([0.5 + 0.4 * torch.sin(x + y + channel) for channel in range(channels)])[None]
    return Observation(values, torch.ones(1, 1, height, width), factor)


# --- the published network and its settings -------------------------------------------------------------------------


def parameters(shape: Shape, channels: int = 3) -> int:
    return sum(each.numel() for each in Skip(shape, channels).parameters())


def test_the_default_network_is_the_published_one() -> None:
    assert parameters(CLASSIC["denoise"].shape) == 2_217_831


# widths, skips, input channels, upsampling, input, its noise, learning rate, iterations, averaged, checked every
TABLE = {
    "denoise": ((128,) * 5, (4,) * 5, 32, "bilinear", "noise", 1 / 30, 0.01, 3000, 0.99, 100),
    "jpeg": ((8, 16, 32, 64, 128), (0, 0, 0, 4, 4), 3, "bilinear", "noise", 1 / 30, 0.01, 2400, 0.99, 100),
    "upscale": ((128,) * 5, (4,) * 5, 32, "bilinear", "noise", 0.03, 0.01, 2000, None, 0),
    "upscale-8": ((128,) * 5, (4,) * 5, 32, "bilinear", "noise", 0.05, 0.01, 4000, None, 0),
    "text": ((128,) * 5, (128,) * 5, 32, "nearest", "noise", 0.03, 0.01, 6001, None, 0),
    "medium": ((128,) * 5, (0,) * 5, 2, "nearest", "grid", 0.03, 0.01, 5001, None, 0),
    "large": ((16, 32, 64, 128, 128, 128), (0,) * 6, 1, "nearest", "noise", 0.0, 0.01, 3001, None, 0),
    "pixels": ((128,) * 5, (4,) * 5, 32, "bilinear", "noise", 0.03, 0.001, 11000, None, 50),
    "sparse": ((16, 32, 64, 128, 128), (0,) * 5, 32, "bilinear", "noise", 0.0, 0.01, 1000, None, 0),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_classic_settings_are_those_of_the_notebooks(name: str) -> None:
    recipe = CLASSIC[name]
    shape = recipe.shape
    found = (
        shape.widths, shape.skips, shape.depth, shape.up, recipe.input, recipe.jitter, recipe.rate, recipe.iterations,
        TABLE[name][8] and recipe.average, recipe.track_back,
    )  # fmt: skip
    print(f"{name}: {found}, {parameters(shape)} parameters")
    assert found == TABLE[name]
    assert not recipe.frozen and not recipe.smoothness
    assert (shape.down_kernel, shape.mixed) == ((5, False) if name == "large" else (3, True))
    assert shape.pooled == (name == "sparse")


def test_the_table_above_is_all_there_is() -> None:
    assert set(CLASSIC) == set(TABLE)


@pytest.mark.parametrize(
    "recipe", [*CLASSIC.values(), *FAST.values()], ids=[*CLASSIC, *(f"fast {name}" for name in FAST)]
)
def test_every_recipe_takes_any_size(recipe: Recipe) -> None:
    narrow = dataclasses.replace(recipe.shape, widths=tuple(min(8, width) for width in recipe.shape.widths))
    recipe = dataclasses.replace(recipe, shape=narrow)
    for height, width in ((1, 1), (5, 70)):
        fit = fit_of(seen(height, width), recipe)
        fit.step()
        assert fit.picture is not None and fit.picture.shape == (1, 3, height, width)
        assert torch.isfinite(fit.picture).all()


# --- what is known --------------------------------------------------------------------------------------------------


def test_shrinking_leaves_a_slope_where_it_is() -> None:
    for factor in range(2, 9):
        fine = torch.arange(factor * 12.0).expand(1, 1, factor * 8, -1)
        coarse = (torch.arange(12.0) * factor + (factor - 1) / 2).expand(1, 1, 8, -1)
        assert torch.allclose(shrunk(fine, factor)[..., 3:-3], coarse[..., 3:-3], atol=1e-3), factor


def test_shrinking_keeps_the_mean_and_the_size() -> None:
    for factor in range(2, 9):
        small = shrunk(torch.full((1, 3, 8 * factor, 5 * factor), 0.3), factor)
        assert small.shape == (1, 3, 8, 5) and torch.allclose(small, torch.tensor(0.3))


def test_what_is_not_known_does_not_count() -> None:
    known = seen(6, 6)
    weights = known.weights.clone()
    weights[..., 2:4, 2:4] = 0
    part = Observation(known.values, weights)
    drawn = known.values.clone()
    drawn[..., 2:4, 2:4] = 5.0
    assert float(part.error(drawn)) == 0
    drawn[..., 0, 0] += 0.6
    assert float(part.error(drawn)) == pytest.approx(0.36 / 32)


def test_padding_counts_for_nothing() -> None:
    padded = seen(5, 9, factor=2).padded(32, 64)
    assert padded.values.shape[-2:] == (32, 32) and float(padded.weights.sum()) == 45


def test_variation_of_a_step() -> None:
    image = torch.zeros(1, 1, 4, 8)
    image[..., 4:] = 0.5
    assert float(variation(image)) == pytest.approx(4 * 0.5 / 32)


# --- the input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["noise", "normal", "grid"])
def test_the_input_at_a_place_does_not_depend_on_the_part(kind: str) -> None:
    depth = 2 if kind == "grid" else 3
    whole = source.make(kind, depth, 7, range(40), range(30), 40, 30)
    part = source.make(kind, depth, 7, range(10, 20), range(5, 25), 40, 30)
    assert torch.equal(part, whole[:, :, 10:20, 5:25])
    around = source.make(kind, depth, 7, range(-3, 43), range(-2, 32), 40, 30)
    assert torch.equal(around[:, :, 3:43, 2:32], whole) and torch.equal(around[:, :, :3, 2:32], whole[:, :, -3:])


def test_the_inputs_have_their_published_ranges() -> None:
    uniform = source.make("noise", 4, 1, range(64), range(64), 64, 64)
    assert float(uniform.min()) >= 0 and 0.09 < float(uniform.max()) <= 0.1
    normal = source.make("normal", 4, 1, range(64), range(64), 64, 64)
    assert float(normal.std()) == pytest.approx(0.1, rel=0.05) and abs(float(normal.mean())) < 0.01
    assert not torch.equal(uniform, source.make("noise", 4, 2, range(64), range(64), 64, 64))


# --- when it stops --------------------------------------------------------------------------------------------------


def test_it_stops_after_the_variance_was_lowest_and_keeps_that_picture() -> None:
    stop = EarlyStop(patience=20, after=5)
    generator = torch.Generator().manual_seed(0)
    quiet = 60  # steps until the pictures change least
    for index in range(200):
        wide = abs(index - quiet) / 100 + 0.01
        picture = torch.full((1, 1, 8, 8), float(index)) * 0 + wide * torch.randn(1, 1, 8, 8, generator=generator)
        stop.see(picture, torch.full((1, 1, 1, 1), float(index)))
        if stop.over:
            break
    assert stop.over and stop.best is not None
    assert abs(float(stop.best) - quiet) < 15 and 20 <= index - float(stop.best) <= 20 + LOOK


def test_the_variance_is_the_exponential_one() -> None:
    stop, alpha = EarlyStop(10, 0), 0.1
    values = [0.0, 1.0, 0.5, 2.0]
    mean, variance = values[0], 0.0
    stop.see(torch.tensor([[[[values[0]]]]]), torch.zeros(1))
    for value in values[1:]:
        variance = (1 - alpha) * (variance + alpha * (value - mean) ** 2)
        mean = (1 - alpha) * mean + alpha * value
        stop.see(torch.tensor([[[[value]]]]), torch.zeros(1))
    assert float(stop.numbers[0]) == pytest.approx(variance) and float(stop.mean) == pytest.approx(mean)  # type: ignore[arg-type]


# --- the fit --------------------------------------------------------------------------------------------------------

SMALL = dataclasses.replace(CLASSIC["denoise"], shape=Shape((8, 8), (4, 4), 8), track_back=4)
SMALL_FAST = dataclasses.replace(FAST["denoise"], shape=Shape((8,), (4,), 3))


@pytest.mark.parametrize("recipe", [SMALL, SMALL_FAST], ids=["classic", "fast"])
def test_a_fit_comes_nearer(recipe: Recipe) -> None:
    observation = seen(32, 40)
    fit = fit_of(observation, recipe, smoothness=0.0)
    fit.step()
    assert fit.picture is not None
    first = float(observation.error(fit.picture))
    for _ in range(80):
        fit.step()
    assert float(observation.error(fit.picture)) < first / 5


def test_the_fast_way_trains_no_convolution() -> None:
    fit = fit_of(seen(32, 32), SMALL_FAST)
    before = [each.weight.clone() for each in convolutions(fit.network)]
    input_before = fit._source.detach().clone()
    for _ in range(3):
        fit.step()
    assert all(torch.equal(a, b.weight) for a, b in zip(before, convolutions(fit.network), strict=True))
    assert not torch.equal(fit._source, input_before)


@pytest.mark.parametrize("recipe", [SMALL, SMALL_FAST], ids=["classic", "fast"])
def test_same_seed_same_picture_and_another_seed_another(recipe: Recipe) -> None:
    def made(seed: int) -> Tensor:
        fit = fit_of(seen(32, 32), recipe, seed)
        for _ in range(6):
            fit.step()
        assert fit.picture is not None
        return fit.picture

    assert torch.equal(made(1), made(1))
    assert not torch.equal(made(1), made(2))


@pytest.mark.parametrize("recipe", [SMALL, SMALL_FAST], ids=["classic", "fast"])
def test_a_state_goes_on_as_if_nothing_had_been(recipe: Recipe) -> None:
    straight, broken = (fit_of(seen(32, 32), recipe) for _ in range(2))
    for _ in range(9):
        straight.step()
    for _ in range(5):
        broken.step()
    resumed = fit_of(seen(32, 32), recipe)
    resumed.resume({name: each.clone() for name, each in broken.state().items()})
    assert resumed.count == 5
    for _ in range(4):
        resumed.step()
    assert straight.picture is not None and resumed.picture is not None
    assert torch.equal(straight.picture, resumed.picture)


def test_a_fit_that_loses_the_picture_goes_back() -> None:
    fit = fit_of(seen(32, 32), SMALL)
    for _ in range(4):
        fit.step()
    assert fit._last is not None
    good = [each.clone() for each in fit._last[0]]
    fit._last = fit._last[0], fit._last[1] / 100  # as if it had been 20 dB nearer then
    with torch.no_grad():
        for each in fit._trained:
            each.mul_(3.0)
    for _ in range(4):
        fit.step()
    assert all(torch.equal(a, b) for a, b in zip(good, fit._trained, strict=True))


def test_a_deviation_of_the_noise_is_that_of_its_recipe() -> None:
    fit = fit_of(seen(32, 32), SMALL)
    given: list[Tensor] = []
    fit.network.body.register_forward_pre_hook(lambda module, args: given.append(args[0].detach().clone()))
    fit.step()
    assert float((given[0] - fit._source).std()) == pytest.approx(1 / 30, rel=0.1)


def test_a_photograph_gets_rid_of_noise() -> None:
    """The real recipe on a real picture, small."""
    from skimage import data

    clean = torch.from_numpy(data.astronaut()[40:136, 180:276] / 255).permute(2, 0, 1)[None].float()
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)) * 25 / 255
    observation = Observation((clean + noise).clamp(0, 1), torch.ones(1, 1, 96, 96))
    fit = fit_of(observation, recipes.FAST["denoise"])
    for _ in range(80):
        fit.step()
    assert fit.picture is not None

    def psnr(picture: Tensor) -> float:
        return -10 * math.log10(float((picture - clean).square().mean()))

    assert psnr(fit.picture) > psnr(observation.values) + 5
    assert np.isfinite(psnr(fit.picture))


@pytest.mark.slow
def test_bfloat16_costs_the_fast_way_less_than_a_fifth_of_a_decibel() -> None:
    """Emulated where the processor has no units for it, so slow; what comes out is the same."""
    clean, recipe = seen(48, 48), FAST["denoise"]
    noise = torch.randn(clean.values.shape, generator=torch.Generator().manual_seed(0)) * 25 / 255
    observation = Observation((clean.values + noise).clamp(0, 1), clean.weights)
    tall, wide = Fit.size(observation, recipe)
    given = source.make(recipe.input, recipe.shape.depth, 0, range(tall), range(wide), 48, 48)
    ended = []
    for low in (False, True):
        fit = Fit(observation, recipe, 0, given.clone(), low=low)
        for _ in range(60):
            fit.step()
        assert fit.picture is not None and len(fit.picture.unique()) > 256
        ended.append(-10 * math.log10(float((fit.picture - clean.values).square().mean())))
    assert abs(ended[0] - ended[1]) < 0.2, ended
