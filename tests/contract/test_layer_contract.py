"""The layer contract (`worker.frame`, `worker.layer`), held by every operation with every model it may use.

An operation joins by being registered, a model by having a card. Sizes, pixels, offsets and masks are chosen by
hypothesis. Models with more than HEAVY_BYTES of weights get one tiny example of the clauses that concern a model most.
"""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from laboratory import DTYPES, Laboratory, Outcome, Pixels, noise, smooth

from samovar import card, networks, operation
from samovar.card import ModelCard
from samovar.networks import Network
from samovar.weights import files
from samovar.worker import pieces
from samovar_link.messages import Rectangle

HEAVY_BYTES = 5 << 20
EXAMPLES = 12
REGISTRY = operation.discover()
CATALOGUE = card.Catalogue(each for each in card.discover() if each.embedded)
TOPS = {"u8": 255, "u16": 65535, "f16": 1.0, "f32": 1.0}
LEVEL = 1 / 255


class Case:
    """An operation with one of its models, and how to run it."""

    def __init__(self, each: operation.Operation, model: str) -> None:
        self.operation = each
        self.card = CATALOGUE.get(model) if model else None
        self.parameters: dict[str, Any] = {"model": model} if model else {}
        self.heavy = bool(
            self.card and max(files.locate(w).stat().st_size for w in self.card.weights.values()) > HEAVY_BYTES
        )
        self.keeps_size = each.output_size is None

    def __repr__(self) -> str:
        return f"{self.operation.id} {self.card.id if self.card else ''}".strip()

    def run(self, pixels: Pixels, laboratory: Laboratory | None = None, **more: Any) -> Outcome:
        return (laboratory or warm()).run(pixels, self.operation.id, **self.parameters, **more)

    def size(self, width: int, height: int) -> tuple[int, int]:
        params = self.operation.parse(self.parameters, CATALOGUE.ids(self.operation.id))
        return self.operation.output_size(width, height, params) if self.operation.output_size else (width, height)


def _cases() -> list[Case]:
    found = [each for each in REGISTRY if not each.hidden and each.roles == ("image",) and not each.own_way]
    chooses = [any(info.kind == "model" for info in each.info().parameters) for each in found]
    return [
        Case(each, model)
        for each, models in zip(found, chooses, strict=True)
        for model in (CATALOGUE.ids(each.id) if models else [""])
    ]


@functools.cache
def warm() -> Laboratory:
    """One engine for all, as in the worker."""
    return Laboratory()


@functools.cache
def in_small_tiles() -> Laboratory:
    def load(model: ModelCard, variant: str, device: str) -> Network:
        network = networks.load(model, variant, device)
        network.tile = 24
        return network

    return Laboratory(load=load)


CASES = _cases()
LIGHT = [case for case in CASES if not case.heavy]
KEEPING = [case for case in LIGHT if case.keeps_size]


def clause(
    cases: list[Case], examples: int = EXAMPLES, **strategies: st.SearchStrategy[Any]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """A property of each case; of a heavy one a single example."""

    def decorate(property: Callable[..., None]) -> Callable[..., None]:
        @pytest.mark.slow
        @pytest.mark.timeout(600)  # a dozen pictures through a large network, on a machine that may be busy
        @pytest.mark.parametrize("case", cases, ids=repr)
        def test(case: Case) -> None:
            @settings(
                max_examples=1 if case.heavy else examples, deadline=None, derandomize=True, database=None,
                suppress_health_check=list(HealthCheck), phases=[Phase.generate],  # shrinking takes minutes
            )  # fmt: skip
            @given(**strategies)
            def holds(**drawn: Any) -> None:
                property(case, **drawn)

            holds()

        test.__doc__ = property.__doc__
        return test

    return decorate


sides = st.sampled_from([1, 2, 3, 7, 13, 17, 23])
dtypes = st.sampled_from(sorted(DTYPES))
channels = st.sampled_from([1, 2, 3, 4])
seeds = st.integers(0, 1000)


@st.composite
def layers(draw: st.DrawFn) -> Pixels:
    """A layer of any kind: noise or soft gradients, alpha any, with holes, or opaque."""
    height, width, dtype, depth = draw(sides), draw(sides), draw(dtypes), draw(channels)
    if draw(st.booleans()):
        pixels = noise(height, width, depth, dtype=dtype, seed=draw(seeds))
    else:
        pixels = smooth(height, width, depth, dtype)
    if depth in (2, 4):
        hole = draw(st.sampled_from(["any", "left", "none"]))
        if hole != "any":
            pixels[..., -1] = TOPS[dtype]
        if hole == "left":
            pixels[:, : (width + 1) // 2, -1] = 0
    return pixels


def values(pixels: Pixels) -> Pixels:
    """As numbers of which 1 is the range."""
    top = {np.uint8: 255, np.uint16: 65535}.get(pixels.dtype.type, 1)
    return pixels.astype(np.float64) / top


def seen(pixels: Pixels) -> Pixels:
    """Colour as much as it is seen, and alpha."""
    return composed(values(pixels))


def composed(numbers: Pixels) -> Pixels:
    """As `seen`, of `values`."""
    if numbers.shape[2] in (2, 4):
        numbers = np.concatenate([numbers[..., :-1] * numbers[..., -1:], numbers[..., -1:]], -1)
    return numbers


@clause(CASES, layer=layers(), x=st.integers(-99, 99), y=st.integers(-99, 99))
def test_a_layer_comes_back_as_the_kind_it_was_and_at_its_place(case: Case, layer: Pixels, x: int, y: int) -> None:
    height, width, depth = layer.shape
    outcome = case.run(layer, raster={"x": x, "y": y})
    wide, high = case.size(width, height)
    made = outcome.result.images["image"]
    assert outcome.pixels.dtype == layer.dtype and outcome.pixels.shape == (high, wide, depth)
    assert np.isfinite(outcome.pixels.astype(float)).all()
    assert made.order == "rgba" and abs(made.x - x * wide / width) <= 1 and abs(made.y - y * high / height) <= 1
    assert [(each.fraction) for each in outcome.progress] == sorted(each.fraction for each in outcome.progress)


@clause(LIGHT, layer=layers())
def test_the_same_request_gives_the_same_pixels(case: Case, layer: Pixels) -> None:
    assert case.run(layer).pixels.tobytes() == case.run(layer).pixels.tobytes()


@clause(LIGHT, height=st.integers(20, 60), width=st.integers(20, 60), depth=channels, seed=seeds)
def test_tiled_equals_whole(case: Case, height: int, width: int, depth: int, seed: int) -> None:
    layer = noise(height, width, depth, dtype="f32", seed=seed)
    whole, tiled = case.run(layer), case.run(layer, in_small_tiles())
    assert (
        case.card is None
        or tiled.result.report.tiles.total > whole.result.report.tiles.total
        or max(height, width) <= 24
    )
    assert np.abs(seen(tiled.pixels) - seen(whole.pixels)).max() <= LEVEL


@clause(
    LIGHT, examples=3, height=st.integers(26, 40), width=st.integers(26, 40), depth=channels, hole=st.booleans(),
    seed=seeds,
)  # fmt: skip
def test_pieces_of_a_layer_too_large_to_hold_equal_the_whole(
    case: Case, height: int, width: int, depth: int, hole: bool, seed: int
) -> None:
    layer = noise(height, width, depth, dtype="f32", seed=seed)
    if depth in (2, 4) and not hole:
        layer[..., -1] = 1
    whole = case.run(layer)
    scale = case.size(1, 1)[0]
    with pytest.MonkeyPatch.context() as patch:
        for budget in ("WHOLE_BYTES", "PIECE_BYTES"):
            patch.setattr(pieces, budget, 16 * 16 * 4 * depth * 2 * (1 + scale**2))
        cut = case.run(layer)
        view = Rectangle(width - 3, height - 3, 3, 3)
        shown = case.run(layer, message={"stream": True, "viewport": view})
    assert cut.pixels.tobytes() == shown.pixels.tobytes()
    assert cut.result.report.tiles.total > whole.result.report.tiles.total
    first = shown.parts[0][0].images["image"]
    assert (first.x + first.width, first.y + first.height) == case.size(width, height)
    assert np.abs(seen(cut.pixels) - seen(whole.pixels)).max() <= LEVEL


@clause(LIGHT, height=st.integers(1, 5), width=st.integers(1, 5), depth=channels, seed=seeds)
def test_a_wrapped_layer_repeats_without_a_seam(case: Case, height: int, width: int, depth: int, seed: int) -> None:
    """Sides are multiples of the model's pitch: on others it sees the repetitions a little differently each."""
    pitch = 4 if case.card is None else case.card.multiple
    pattern = noise(height * pitch, width * pitch, depth, dtype="f32", seed=seed)
    wrapped = {"message": {"wrap_x": True, "wrap_y": True}}
    once = seen(case.run(pattern, **wrapped).pixels)
    thrice = seen(case.run(np.tile(pattern, (3, 3, 1)), **wrapped).pixels)
    assert np.abs(np.tile(once, (3, 3, 1)) - thrice).max() <= LEVEL


@clause(CASES, height=sides, width=sides, dtype=dtypes, depth=st.sampled_from([2, 4]), seed=seeds)
def test_opaque_stays_exactly_opaque(case: Case, height: int, width: int, dtype: str, depth: int, seed: int) -> None:
    layer = noise(height, width, depth, dtype=dtype, seed=seed)
    layer[..., -1] = TOPS[dtype]
    assert (case.run(layer).pixels[..., -1] == layer[0, 0, -1]).all()


@clause(LIGHT, layer=layers(), hidden=st.floats(0, 1))
def test_what_lies_under_alpha_0_is_never_seen(case: Case, layer: Pixels, hidden: float) -> None:
    assume(layer.shape[2] in (2, 4))
    other = layer.copy()
    other[layer[..., -1] == 0, :-1] = hidden * TOPS[next(name for name in DTYPES if DTYPES[name] == layer.dtype)]
    first, second = case.run(layer).pixels, case.run(other).pixels
    np.testing.assert_array_equal(first[..., -1], second[..., -1])
    visible = first[..., -1] > 0
    np.testing.assert_array_equal(first[visible], second[visible])


@clause(CASES, height=sides, width=sides, dtype=dtypes, holes=st.booleans(), seed=seeds)
def test_gray_stays_gray(case: Case, height: int, width: int, dtype: str, holes: bool, seed: int) -> None:
    gray = noise(height, width, 1, dtype=dtype, seed=seed).repeat(4, 2)
    gray[..., 3] = TOPS[dtype]
    if holes:
        gray[: height // 2, :, 3] = 0
    made = case.run(gray).pixels
    assert (made[..., :1] == made[..., :3]).all()


@clause(LIGHT, height=st.integers(2, 4))
def test_a_sixteen_bit_ramp_keeps_more_than_256_levels(case: Case, height: int) -> None:
    ramp = np.linspace(0, 65535, 1200).astype(np.uint16).reshape(1, -1, 1).repeat(height, 0)
    assert len(np.unique(case.run(ramp).pixels)) > 1000


@clause(LIGHT, most=st.floats(1.5, 100), least=st.floats(-50, -0.5), depth=channels)
def test_values_beyond_the_range_survive(case: Case, most: float, least: float, depth: int) -> None:
    layer = np.full((24, 24, depth), 0.5, np.float32)
    if depth in (2, 4):
        layer[..., -1] = 1
    layer[:, :12, 0], layer[:, 12:, 0] = most, least
    made = case.run(layer).pixels
    sixth = made.shape[1] // 6
    np.testing.assert_allclose(made[:, sixth : 2 * sixth, 0], most, atol=0.25)
    np.testing.assert_allclose(made[:, -2 * sixth : -sixth, 0], least, atol=0.25)


@clause(LIGHT, layer=layers(), data=st.data())
def test_a_region_is_what_is_found_there_in_the_whole(case: Case, layer: Pixels, data: st.DataObject) -> None:
    height, width, _ = layer.shape
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    region = Rectangle(x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)))
    part, whole = case.run(layer, message={"region": region}).pixels, case.run(layer).pixels
    wide, high = case.size(region.width, region.height)
    left, top = (case.size(x, y)[0] if x else 0), (case.size(x, y)[1] if y else 0)
    assert part.shape[:2] == (high, wide)
    assert np.abs(seen(part) - seen(whole)[top : top + high, left : left + wide]).max() <= LEVEL


@clause(KEEPING, layer=layers(), seed=seeds, dtype=dtypes, cut=st.tuples(sides, sides))
def test_outside_the_mask_nothing_changes_and_inside_it_blends(
    case: Case, layer: Pixels, seed: int, dtype: str, cut: tuple[int, int]
) -> None:
    height, width, _ = layer.shape
    mask = noise(height, width, 1, dtype=dtype, seed=seed)
    mask[cut[0] :], mask[:, cut[1] :] = 0, TOPS[dtype]
    made, full = case.run(layer, masks={"mask": mask}).pixels, case.run(layer).pixels
    outside = mask[..., 0] == 0
    assert made[outside].tobytes() == layer[outside].tobytes()
    before, after = values(layer), values(full)
    assert np.abs(values(made) - (before + values(mask) * (after - before))).max() <= LEVEL


@clause(KEEPING, layer=layers())
def test_an_operation_that_keeps_the_size_keeps_alpha_and_what_is_hidden(case: Case, layer: Pixels) -> None:
    assume(layer.shape[2] in (2, 4))
    made = case.run(layer).pixels
    assert made[..., -1].tobytes() == layer[..., -1].tobytes()
    hidden = layer[..., -1] == 0
    assert made[hidden].tobytes() == layer[hidden].tobytes()


@clause(CASES, examples=4, layer=layers(), data=st.data())
def test_what_is_shown_while_it_comes_is_the_result_and_changes_nothing_of_it(
    case: Case, layer: Pixels, data: st.DataObject
) -> None:
    height, width, _ = layer.shape
    x, y = data.draw(st.integers(0, width - 1)), data.draw(st.integers(0, height - 1))
    view = Rectangle(x, y, data.draw(st.integers(1, width - x)), data.draw(st.integers(1, height - y)))
    laboratory = None if case.heavy else in_small_tiles()
    masks = {"mask": noise(height, width, 1)} if case.keeps_size and data.draw(st.booleans()) else {}
    place = {"raster": {"x": -3, "y": 5}, "masks": masks}
    plain = case.run(layer, laboratory, **place)
    shown = case.run(layer, laboratory, **place, message={"stream": True, "viewport": view})
    assert shown.pixels.tobytes() == plain.pixels.tobytes() and not plain.parts
    made = shown.result.images["image"]
    painted = np.full(made.height * made.width, False).reshape(made.height, made.width)
    for progress, pixels in shown.parts:
        part = progress.images["image"]
        assert dataclasses.replace(made, frame=0) == progress.whole
        rows, columns = (
            slice(start, start + length)
            for start, length in ((part.y - made.y, part.height), (part.x - made.x, part.width))
        )
        painted[rows, columns] = True
        inside = np.clip(values(shown.pixels[rows, columns]), 0, 1)
        difference = np.abs(composed(inside) - composed(np.clip(values(pixels), 0, 1)))
        if case.card is None or case.size(1, 1)[0] == case.card.scale:
            assert difference.max() <= LEVEL
        else:  # shrunk tile by tile, and at the end as a whole
            assert difference.mean() <= LEVEL
    assert painted.all() or masks


@clause(CASES, layer=layers(), share=st.floats(0, 0.99))
def test_cancel_stops_the_job_there_and_leaves_nothing_behind(case: Case, layer: Pixels, share: float) -> None:
    before = case.run(layer)
    after = int(share * len(before.progress))
    cancelled = case.run(layer, cancel_after=after)
    assert cancelled.result is None and len(cancelled.progress) == after
    assert not any(held.in_use for held in warm().engine.loaded())
    if not case.heavy:
        assert case.run(layer).pixels.tobytes() == before.pixels.tobytes()


def test_every_visible_operation_is_here() -> None:
    # theirs are test_filling_contract.py, test_restoring_contract.py and test_coloring_contract.py
    others = {each.id for each in REGISTRY if each.filling is not None or each.own_way}
    assert {case.operation.id for case in CASES} == {each.id for each in REGISTRY if not each.hidden} - others
    assert len(CASES) > len(LIGHT) > 3 and KEEPING
