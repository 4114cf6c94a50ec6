"""How textures grow: what features answer piece by piece, the published loss, descending within bounds, weaving."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from samovar.networks import vgg19
from samovar.patches.grid import Wrap
from samovar.texture import features as features_module
from samovar.texture import fit as fit_module
from samovar.texture import grow
from samovar.texture.features import Features, NetworkFeatures, RandomFilters, halved
from samovar.texture.fit import ADAM, LBFGS, Bounded, Fit, Over, corrections
from samovar.texture.grow import Plan, Sample
from samovar.texture.histogram import MOST_EVENED, evened, matched, ranked
from samovar.texture.quilt import NoWholeBlock
from samovar.texture.statistics import Gram, Sliced, gram_loss, looks
from samovar.texture.weave import weave

WRAPS: list[Wrap] = [(False, False), (True, False), (False, True), (True, True)]
NOWHERE: Wrap = (False, False)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def all_of(picture: Tensor) -> Tensor:
    return torch.ones_like(picture[:, :1])


@pytest.fixture(scope="module")
def vgg() -> vgg19.VGG19:
    torch.manual_seed(0)
    return vgg19.VGG19().requires_grad_(False)


def published(vgg: vgg19.VGG19, side: int = 512) -> NetworkFeatures:
    return NetworkFeatures(vgg.answers, vgg.steps, vgg.around, side)


# --- features -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrap", WRAPS)
@pytest.mark.parametrize("size", [(40, 40), (41, 50)])
def test_filters_answer_in_pieces_as_to_the_whole(
    wrap: Wrap, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    sample, picture = drawn(1, 3, 32, 32), drawn(1, 3, *size, seed=1)
    statistics = Gram(RandomFilters(), sample, False, all_of(sample))
    whole = value_and_gradient(statistics, picture, wrap)
    monkeypatch.setattr(features_module, "PIECE_PIXELS", 300)
    assert len(list(RandomFilters().split(picture, wrap))) > 6
    parts = value_and_gradient(statistics, picture, wrap)
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-9)


def value_and_gradient(statistics: Gram, picture: Tensor, wrap: Wrap) -> tuple[Tensor, Tensor]:
    leaf = picture.clone().requires_grad_(True)
    loss = statistics.loss(leaf, wrap)
    return loss.detach(), torch.autograd.grad(loss, leaf)[0]


@pytest.mark.parametrize("wrap", [NOWHERE, (True, True)])
def test_what_repeats_is_seen_alike_wherever_it_begins(wrap: Wrap) -> None:
    sample = drawn(1, 3, 32, 32)
    statistics = Gram(RandomFilters(), sample, False, all_of(sample))
    picture = drawn(1, 3, 32, 48, seed=1)
    moved = picture.roll((4, 12), (2, 3))  # by what all levels of the pyramid are shifted by alike
    alike = math.isclose(float(statistics.loss(picture, wrap)), float(statistics.loss(moved, wrap)), rel_tol=1e-4)
    assert alike == (wrap == (True, True))


@pytest.mark.parametrize("size", [(9, 9), (12, 17)])
def test_the_way_back_through_filters_is_the_gradient(size: tuple[int, int]) -> None:
    bank = features_module._Bank(drawn(5, 3, 7, 7) - 0.5)
    picture = drawn(1, 3, *size, seed=2).requires_grad_(True)
    plain = picture.detach().clone().requires_grad_(True)
    weights = drawn(1, 5, size[0] - 6, size[1] - 6, seed=3)
    (bank(picture) * weights).sum().backward()
    (functional.conv2d(plain, drawn(5, 3, 7, 7) - 0.5) * weights).sum().backward()
    torch.testing.assert_close(picture.grad, plain.grad, rtol=1e-4, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("wrap", [NOWHERE, (False, True)])
def test_a_network_answers_in_pieces_as_to_the_whole(vgg: vgg19.VGG19, wrap: Wrap) -> None:
    picture = drawn(1, 3, 64, 224)
    by_layer: list[list[Tensor]] = []
    for side in (512, 64):
        features = published(vgg, side)
        gathered: list[list[Tensor]] = [[] for _ in range(features.count)]
        for piece in features.split(picture, wrap):
            for layer, answers in zip(piece.layers, features.answers(piece), strict=True):
                gathered[layer].append(answers)
        by_layer.append([torch.cat(each, 1) for each in gathered])
    for whole, parts in zip(*by_layer, strict=True):
        assert whole.shape == parts.shape
        torch.testing.assert_close(whole.sum(1), parts.sum(1), rtol=1e-3, atol=1e-4)


def test_what_is_hidden_counts_nowhere() -> None:
    sample = drawn(1, 3, 48, 48)
    usable = all_of(sample)
    usable[:, :, :, 30:] = 0
    changed = sample.clone()
    changed[:, :, :, 30:] = 1
    picture = drawn(1, 3, 32, 32, seed=4)
    one, other = (
        Gram(RandomFilters(levels=1), each, False, usable).loss(picture, NOWHERE) for each in (sample, changed)
    )
    assert float(one) == pytest.approx(float(other), rel=1e-6)
    assert float(Gram(RandomFilters(levels=1), changed, False, all_of(sample)).loss(picture, NOWHERE)) != float(one)


@pytest.mark.parametrize("size", [(8, 8), (7, 9), (1, 1), (2, 5)])
@pytest.mark.parametrize("wrap", WRAPS)
def test_half_a_picture_is_half_as_large_and_as_light(size: tuple[int, int], wrap: Wrap) -> None:
    small = halved(torch.full((1, 2, *size), 0.3), wrap)
    assert small.shape[-2:] == ((size[0] + 1) // 2, (size[1] + 1) // 2)
    torch.testing.assert_close(small, torch.full_like(small, 0.3))


# --- statistics -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_vgg_gives_the_published_loss(vgg: vgg19.VGG19) -> None:
    """Against the formula, computed in float64 layer by layer with nothing of ours but the weights."""
    sample, picture = drawn(1, 3, 32, 48), drawn(1, 3, 32, 48, seed=1)
    ours = Gram(published(vgg), sample, False, all_of(sample)).loss(picture, NOWHERE)
    expected = 0.0
    for of_sample, of_picture in zip(layers(vgg, sample), layers(vgg, picture), strict=True):
        count = len(of_sample)
        means = of_sample.mean(1)
        scale = 1 / np.maximum(means, 0.01 * means.mean())
        grams = [
            (each * scale[:, None]) @ (each * scale[:, None]).T / each.shape[1] for each in (of_sample, of_picture)
        ]
        expected += ((grams[0] - grams[1]) ** 2).sum() / (4 * count**2)
    assert expected > 1e-4 and float(ours) == pytest.approx(expected, rel=1e-3)


def layers(vgg: vgg19.VGG19, picture: Tensor) -> list[np.ndarray]:
    """Gatys's five layers, (N, M) float64: relu1_1, and the poolings, by means, of the first four blocks."""
    x = (picture.double() - torch.tensor(vgg19.MEAN).double().view(1, 3, 1, 1)) / torch.tensor(
        vgg19.DEVIATION
    ).double().view(1, 3, 1, 1)
    weights = {name: each.double() for name, each in vgg.state_dict().items()}
    found, number = [], 0
    for block, convolutions in enumerate((2, 2, 4, 4)):
        for index in range(convolutions):
            name = f"features.{number}"
            x = functional.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], padding=1).clamp(min=0)
            number += 2
            if block == index == 0:
                found.append(x)
        x = functional.avg_pool2d(x, 2)
        number += 1
        found.append(x)
    return [each[0].flatten(1).numpy() for each in found]


def test_the_loss_of_two_matrices_is_a_fourth_of_their_mean_square() -> None:
    one, other = torch.tensor([[1.0, 2.0], [2.0, 5.0]]), torch.tensor([[1.0, 0.0], [0.0, 4.0]])
    assert float(gram_loss(one, other)) == pytest.approx((4 + 4 + 1) / 4 / 4)


@pytest.mark.parametrize("kind", [Gram, Sliced])
def test_a_sample_is_no_distance_from_itself_and_noise_is(kind: type[Gram | Sliced]) -> None:
    sample = stripes(48, 48)
    statistics = kind(RandomFilters(), sample, False, all_of(sample))
    statistics.renew(torch.Generator().manual_seed(0))
    own, noise = statistics.loss(sample, NOWHERE), statistics.loss(drawn(1, 1, 48, 48), NOWHERE)
    assert float(own) < 1e-6 and float(noise) > 1e-3


def test_sliced_sees_what_means_of_products_do_not() -> None:
    """Pixels with the same mean and the same mean square, spread otherwise."""
    half = torch.tensor([0.0, 1.0]).repeat(32, 16).view(1, 1, 32, 32)
    flat = torch.tensor([0.5 - 0.5, 0.5, 0.5, 0.5 + 0.5]).repeat(32, 8).view(1, 1, 32, 32)
    spread = (flat - 0.5) * math.sqrt(2) + 0.5
    assert float(spread.square().mean()) == pytest.approx(float(half.square().mean()))
    itself = NetworkFeatures(lambda picture: [picture], (1,), 0)
    gram = Gram(itself, half, False, all_of(half)).loss(spread, NOWHERE)
    sliced = Sliced(itself, half, False, all_of(half))
    sliced.renew(torch.Generator().manual_seed(0))
    assert float(gram) < 1e-9 < 1e-3 < float(sliced.loss(spread, NOWHERE))


def test_alpha_is_looked_at_over_black_and_over_white() -> None:
    picture = torch.tensor([0.2, 0.3, 0.1, 0.5]).view(1, 4, 1, 1)
    black, white = looks(picture, True)
    torch.testing.assert_close(black.flatten(), torch.tensor([0.2, 0.3, 0.1]))
    torch.testing.assert_close(white.flatten(), torch.tensor([0.7, 0.8, 0.6]))
    assert looks(picture[:, :1], False)[0].shape == (1, 3, 1, 1)


def stripes(height: int, width: int) -> Tensor:
    return (0.5 + 0.4 * torch.sin(torch.arange(height * width).float().view(1, 1, height, width) * 0.9)).contiguous()


# --- descending -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [LBFGS, ADAM])
def test_each_value_stays_within_its_bounds(method: str) -> None:
    """Drawn to 1 as to -1; 0.2 to 0.6 are allowed, and one value is fixed."""
    start = torch.full((1, 1, 4, 4), 0.4)
    low, high = torch.full_like(start, 0.2), torch.full_like(start, 0.6)
    low[..., 0, 0] = high[..., 0, 0] = start[..., 0, 0]
    wanted = torch.where(torch.arange(16).view(1, 1, 4, 4) % 2 == 0, 1.0, -1.0)
    fit = Fit(Bounded(start, low, high), lambda each: (each - wanted).square().sum(), lambda _: False, method)
    fit.run(100)
    expected = torch.where(wanted > 0, 0.6, 0.2)
    expected[..., 0, 0] = 0.4
    torch.testing.assert_close(fit.picture, expected, rtol=1e-4, atol=1e-3)


def test_the_best_is_kept_and_losses_never_rise() -> None:
    start = drawn(1, 1, 8, 8)
    fit = Fit(
        Bounded(start, torch.zeros_like(start), torch.ones_like(start)), hilly, lambda _: False, ADAM, patient=True
    )
    fit.run(60)
    assert all(after <= before for before, after in zip(fit.losses, fit.losses[1:], strict=False))
    assert float(hilly(fit.picture)) / float(hilly(start)) == pytest.approx(fit.losses[-1], rel=1e-4)


def hilly(picture: Tensor) -> Tensor:
    return (picture - 0.5).square().sum() + 0.1 * torch.sin(40 * picture).sum() + 10


def test_it_ends_when_it_is_told_to_or_gains_nothing_more() -> None:
    start = drawn(1, 1, 8, 8)
    problem = Bounded(start, torch.zeros_like(start), torch.ones_like(start))
    fit = Fit(problem, hilly, lambda fit: fit.count == 5)
    with pytest.raises(Over):
        fit.run(1000)
    assert fit.count == 5
    assert Fit(problem, lambda each: each.sum() * 0 + 1, lambda _: False, ADAM).run(1000)


def test_what_is_too_large_to_remember_goes_by_adam(monkeypatch: pytest.MonkeyPatch) -> None:
    assert corrections(256 * 256 * 3) == 20 and corrections(2048 * 2048 * 3) < fit_module.LEAST_CORRECTIONS
    start = torch.zeros(1, 1, 8, 8)
    assert Fit(Bounded(start, start, start), hilly, lambda _: False).method == LBFGS
    monkeypatch.setattr(fit_module, "MEMORY_BYTES", 6000)
    assert Fit(Bounded(start, start, start), hilly, lambda _: False).method == ADAM


# --- histograms -----------------------------------------------------------------------------------------------------


def test_values_become_those_of_the_sample_in_their_own_order() -> None:
    made = matched(drawn(1, 1, 30, 20), drawn(1, 600, seed=1))
    order = drawn(1, 1, 30, 20).flatten(2).argsort(2)
    torch.testing.assert_close(made.flatten(2).gather(2, order), drawn(1, 600, seed=1).sort(1).values[None])


@pytest.mark.parametrize("make", ["matched", "noise"])
def test_no_colour_comes_of_it_that_the_sample_lacks(make: str) -> None:
    """All of its colours lie between a brown and a blue."""
    share = drawn(1, 40, 40)
    picture = torch.lerp(
        torch.tensor([0.5, 0.3, 0.1]).view(3, 1, 1), torch.tensor([0.2, 0.3, 0.7]).view(3, 1, 1), share
    )
    sample = Sample(picture.unsqueeze(0), False, all_of(picture.unsqueeze(0)))
    if make == "noise":
        made = grow.noise(sample, (30, 50), torch.Generator().manual_seed(0))
    else:
        made = matched(drawn(1, 3, 30, 50, seed=1), sample.values)
    along = (made[:, 0] - 0.2) / 0.3
    torch.testing.assert_close(made[:, 2], 0.7 - 0.6 * along, rtol=0, atol=1e-3)
    torch.testing.assert_close(made[:, 1], torch.full_like(along, 0.3), rtol=0, atol=1e-3)
    assert float(along.std()) > 0.2


def test_equal_values_stay_equal() -> None:
    plane = torch.tensor([[0.0, 0.0, 0.5], [0.5, 0.5, 1.0]])
    made = ranked(plane, torch.linspace(0, 1, 50))
    assert made[0, 0] == made[0, 1] < made[0, 2] == made[1, 0] == made[1, 1] < made[1, 2]


def test_lightness_is_evened_a_little_and_no_hue_with_it() -> None:
    picture = 0.2 + 0.2 * drawn(1, 3, 16, 16)
    made = evened(picture, 0.2 + 0.6 * drawn(3, 400, seed=1))
    change = made - picture
    assert float(change.abs().max()) <= MOST_EVENED + 1e-6 and float(change.abs().max()) > 0.02
    torch.testing.assert_close(change[:, 0], change[:, 2], rtol=1e-4, atol=1e-5)


# --- weaving --------------------------------------------------------------------------------------------------------


def woven(
    sample: Tensor, size: tuple[int, int], wrap: Wrap = NOWHERE, usable: Tensor | None = None, seed: int = 0
) -> Tensor:
    usable = torch.ones(sample.shape[:2], dtype=torch.bool) if usable is None else usable
    return weave(sample, usable, size, wrap, torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (64, 40), (97, 131)])
@pytest.mark.parametrize("sample_size", [(1, 1), (3, 9), (40, 52), (100, 110)])
def test_any_size_is_woven_of_any_size(size: tuple[int, int], sample_size: tuple[int, int]) -> None:
    sample = drawn(*sample_size, 2)
    made = woven(sample, size, (True, False))
    assert made.shape == (*size, 2)
    assert float(made.min()) >= float(sample.min()) - 1e-6 and float(made.max()) <= float(sample.max()) + 1e-6


@pytest.mark.slow
def test_what_is_not_usable_is_not_used() -> None:
    sample = 0.4 * drawn(120, 120, 1)
    usable = (torch.arange(120).view(-1, 1) - 60).square() + (torch.arange(120) - 55).square() < 50**2
    sample[~usable] = 1.0
    assert float(woven(sample, (90, 130), (True, True), usable).max()) <= 0.4
    with pytest.raises(NoWholeBlock):
        woven(sample, (9, 9), usable=torch.zeros_like(usable))


@pytest.mark.slow
def test_the_same_seed_weaves_the_same_and_another_another() -> None:
    sample = drawn(100, 100, 3)
    one, again, other = (woven(sample, (80, 80), seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one, again) and not torch.equal(one, other)


@pytest.mark.slow
def test_a_regular_pattern_goes_on_regularly() -> None:
    """Bricks of 24 by 12, of which whole ones fit into what repeats: the joints have to meet, also at the border."""
    y, x = torch.arange(144).view(-1, 1), torch.arange(144)
    row = y // 12
    joint = (y % 12 < 2) | ((x + 12 * (row % 2)) % 24 < 2)
    sample = torch.where(joint, 0.9, 0.3).unsqueeze(2).float()
    made = woven(sample, (96, 120), (True, True))
    assert float(made.mean()) == pytest.approx(float(sample.mean()), abs=0.03)
    between = ((made > 0.42) & (made < 0.78)).float().mean()
    assert float(between) < 0.03, "joints that meet half"


# --- growing --------------------------------------------------------------------------------------------------------


class Steps:
    """Waits for so many steps in all. over_at : after so many the time of the level at hand is over"""

    def __init__(self, content_at: int = 10**9, over_at: int = 10**9) -> None:
        self.count = 0
        self._content_at, self._over_at = content_at, over_at
        self.sizes: list[torch.Size] = []

    def check(self) -> None:
        pass

    def stepped(self, picture: object) -> None:
        self.count += 1
        self.sizes.append(picture().shape[-2:])  # type: ignore[operator]

    def is_over(self, share: float) -> bool:
        return self.count >= self._over_at * share

    def is_content(self) -> bool:
        return self.count >= self._content_at


def grown(watch: Steps, woven: bool = False, features: Features | None = None, **changes: object) -> Tensor:
    picture = stripes(104, 112)
    sample = Sample(picture, False, all_of(picture))
    generator = torch.Generator().manual_seed(0)
    start = grow.noise(sample, (100, 120), generator)
    plan = Plan(features or RandomFilters(), False, (True, True), 1 if woven else 3, 4, woven, **changes)  # type: ignore[arg-type]
    return grow.grow(sample, start, plan, generator, watch)


@pytest.mark.slow
def test_noise_grows_level_by_level_and_is_always_shown_in_full() -> None:
    watch = Steps()
    made = grown(watch)
    assert made.shape == (1, 1, 100, 120) and set(watch.sizes) == {torch.Size((100, 120))}
    values = stripes(104, 112).flatten().sort().values
    torch.testing.assert_close(made.flatten().sort().values.mean(), values.mean(), rtol=1e-2, atol=1e-2)


@pytest.mark.slow
def test_whoever_is_content_gets_what_there_is_and_whose_time_is_over_the_next_size() -> None:
    content, over = Steps(content_at=2), Steps(over_at=4)
    assert grown(content).shape == grown(over).shape == (1, 1, 100, 120)
    assert content.count == 2 and over.count >= 3


@pytest.mark.slow
def test_fixed_pixels_stay_to_the_bit() -> None:
    fixed = torch.zeros(1, 1, 100, 120)
    fixed[..., :50] = 1
    picture = stripes(104, 112)
    generator = torch.Generator().manual_seed(0)
    start = grow.noise(Sample(picture, False, all_of(picture)), (100, 120), generator)
    made = grown(Steps(), woven=True, fixed=fixed)
    assert torch.equal(made[..., :50], start[..., :50]) and not torch.equal(made[..., 50:], start[..., 50:])


@pytest.mark.slow
def test_of_something_woven_nothing_but_the_lightness_changes() -> None:
    picture = drawn(1, 3, 64, 64)
    sample, start = Sample(picture, False, all_of(picture)), 0.3 + 0.4 * drawn(1, 3, 64, 64, seed=1)
    plan = Plan(RandomFilters(), False, NOWHERE, 1, 4, True)
    change = grow.grow(sample, start, plan, torch.Generator().manual_seed(0), Steps()) - start
    assert float(change.abs().max()) > 0.005
    torch.testing.assert_close(change[:, 0], change[:, 1], rtol=1e-3, atol=1e-5)
