"""`colorize` through the engine, with networks that need no weights: lightness, strokes, kinds of results, what is left
alone."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
import torch
from laboratory import DTYPES, Laboratory, Outcome, Pixels, noise, smooth

from samovar import card
from samovar.card import ModelCard, WeightFile
from samovar.chroma import lab
from samovar.networks import ColourNetwork, ddcolor, siggraph17
from samovar.worker import coloring, colour_plan
from samovar_link.errors import BadRequest
from samovar_link.messages import Raster, Rectangle

CARD = ModelCard(
    id="test/dyer", title="Dyer", operations=("colorize",), network="dyer", whole=True, receptive_field=0,
    weights={"": WeightFile("none", "none", "sha")}, scale=1, licence="MIT", source="",
)  # fmt: skip
AB = (30.0, -40.0)
TOPS = {"u8": 255, "u16": 65535, "f16": 1.0, "f32": 1.0}


class Dyer(ColourNetwork):
    """One colour for all, and what strokes say where they are; answers at half the size. Keeps what it saw."""

    multiple, working_side, hints = 16, 64, True

    def __init__(self, colour: tuple[float, float] = AB) -> None:
        super().__init__()
        self.colour = colour
        self.seen: list[tuple[torch.Tensor, ...]] = []

    def forward(self, luminance: torch.Tensor, *hint: torch.Tensor) -> torch.Tensor:
        self.seen.append((luminance, *hint))
        flat = torch.tensor(self.colour).view(1, 2, 1, 1).expand(-1, -1, *luminance.shape[2:])
        made = flat if not hint else torch.where(hint[1] > 0, hint[0], flat)
        return torch.nn.functional.avg_pool2d(made, 2)


class Broken(Dyer):
    def forward(self, luminance: torch.Tensor, *hint: torch.Tensor) -> torch.Tensor:
        return super().forward(luminance, *hint) * torch.nan


def colorize(pixels: Pixels, network: ColourNetwork | None = None, hints: Pixels | None = None, **more: Any) -> Outcome:
    laboratory = Laboratory(CARD, load=lambda *_: network or Dyer())
    masks = dict(more.pop("masks", {}), **({} if hints is None else {"hints": hints}))
    return laboratory.run(pixels, "colorize", masks=masks, **{"model": "test/dyer", "keep_white": False, **more})


def lightness(pixels: Pixels, dtype: str = "u8") -> Pixels:
    colour = torch.from_numpy(pixels[..., : 1 if pixels.shape[2] < 3 else 3].astype(np.float32) / TOPS[dtype])
    return lab.lightness(lab.light(colour.permute(2, 0, 1)[None].clamp(0, 1)))[0, 0].numpy()


def chroma(pixels: Pixels, top: float = 255) -> Pixels:
    colour = torch.from_numpy(pixels[..., :3].astype(np.float32) / top).permute(2, 0, 1)[None]
    return lab.of(colour)[1][0].permute(1, 2, 0).numpy()


# --- lightness and kinds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_lightness_is_the_layers_own(dtype: str, channels: int) -> None:
    gray = smooth(37, 53, 2, dtype)
    source = gray[..., :1] if channels in (1, 3) else gray
    if channels > 2:
        source = np.concatenate([np.repeat(source[..., :1], 3, 2), source[..., 1:]], 2)
    source = np.ascontiguousarray(source)
    made = colorize(source)
    raster = made.result.images["image"]
    assert made.pixels.dtype == source.dtype and raster.channels == {1: 3, 2: 4, 3: 3, 4: 4}[channels]
    apart = np.abs(lightness(made.pixels, dtype) - lightness(source, dtype))
    shown = np.ones(apart.shape, bool) if channels in (1, 3) else source[..., -1] > 0
    assert apart[shown].max() < {"u8": 0.35, "f16": 0.1}.get(dtype, 0.01)
    if channels in (2, 4):
        assert made.pixels[..., 3].tobytes() == source[..., -1].tobytes()
        hidden = source[..., -1] == 0
        assert (made.pixels[hidden][:, :3] == source[hidden][:, :1]).all(), "what is hidden is not touched"
    level = lightness(source, dtype)
    roomy = shown & (level > 40) & (level < 62)
    assert roomy.any() and np.abs(chroma(made.pixels, TOPS[dtype]) - AB)[roomy].max() < 2


def test_a_16_bit_ramp_keeps_its_levels() -> None:
    ramp = np.arange(2000, 2000 + 64 * 600, 600 // 8, dtype=np.uint16)[:512].reshape(8, 64, 1)
    made = colorize(np.ascontiguousarray(ramp)).pixels
    assert len(np.unique(made[..., 1])) > 256


def test_values_beyond_the_range_survive() -> None:
    source = np.linspace(-0.5, 1.8, 64, dtype=np.float32).reshape(8, 8, 1)
    made = colorize(source).pixels
    beyond = (source[..., 0] < 0) | (source[..., 0] > 1)
    assert np.abs(made - source)[beyond].max() < 1e-5


def test_bgra_comes_back_as_bgra() -> None:
    source = np.full((20, 20, 1), 128, np.uint8)
    plain = colorize(source).pixels
    swapped = colorize(source, raster={"order": "bgra"})
    assert swapped.result.images["image"].order == "bgra"
    assert (swapped.pixels[..., ::-1] == plain).all()


def test_black_and_white_stay() -> None:
    source = np.zeros((16, 16, 1), np.uint8)
    source[:, 8:] = 255
    assert (colorize(source).pixels == source).all()


# --- what decides ---------------------------------------------------------------------------------------------------


def test_a_part_is_what_would_be_found_there_in_the_whole() -> None:
    source = noise(1100, 700, 1)  # two levels, four pieces
    whole = colorize(source).pixels
    part = colorize(source, message={"region": Rectangle(301, 407, 150, 333)}).pixels
    assert np.abs(part.astype(int) - whole[407:740, 301:451]).max() <= 1


def test_pieces_fit_together(monkeypatch: pytest.MonkeyPatch) -> None:
    source = noise(610, 1057, 1)
    whole = colorize(source).pixels
    monkeypatch.setattr(coloring, "PIECE_SIDE", 64)
    assert np.abs(colorize(source).pixels.astype(int) - whole).max() <= 1
    monkeypatch.setattr(colour_plan, "BAND_PIXELS", 5000)
    assert np.abs(colorize(source).pixels.astype(int) - whole).max() <= 1


def test_outside_of_the_mask_nothing_changes() -> None:
    source, mask = noise(40, 50, 2, dtype="u16"), np.zeros((40, 50, 1), np.uint8)
    mask[10:30, 20:40], mask[15:20, 25:30] = 255, 120
    made = colorize(source, masks={"mask": mask}).pixels
    outside = mask[..., 0] == 0
    assert (made[outside][:, :3] == source[outside][:, :1]).all() and (made[..., 3] == source[..., 1]).all()
    whole = colorize(source).pixels
    assert np.abs(made.astype(int) - whole)[mask[..., 0] == 255].max() <= 1
    half = made[17, 27, :3].astype(float) - (source[17, 27, 0] * (135 / 255) + whole[17, 27, :3] * (120 / 255))
    assert np.abs(half).max() <= 2


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (3, 2), (15, 17), (129, 65)])
def test_any_size(size: tuple[int, int]) -> None:
    assert colorize(noise(*size, 1)).pixels.shape == (*size, 3)


@pytest.mark.parametrize("size", [(48, 64), (61, 47)])
def test_where_it_wraps_no_seam_shows(size: tuple[int, int]) -> None:
    """What the seam's two sides differ by is no more than what other neighbours do."""

    class Shade(Dyer):
        def forward(self, luminance: torch.Tensor, *hint: torch.Tensor) -> torch.Tensor:
            slope = torch.nn.functional.avg_pool2d(torch.nn.functional.pad(luminance, (8, 8, 8, 8)), 17, 1)
            return torch.nn.functional.avg_pool2d(torch.cat((slope, -slope), 1), 2)

    y, x = np.mgrid[: size[0], : size[1]]
    waves = 128 + 60 * np.sin(2 * np.pi * x / size[1]) * np.cos(2 * np.pi * y / size[0])
    made = colorize(waves[..., None].astype(np.uint8), Shade(), message={"wrap_x": True, "wrap_y": True}).pixels
    ab = chroma(made)
    for axis in (0, 1):
        steps = np.abs(np.diff(ab, axis=axis)).mean((2, 1 - axis))
        seam = np.abs(np.take(ab, 0, axis) - np.take(ab, -1, axis)).mean()
        assert seam <= 1.5 * steps.max() + 0.5


def test_what_is_transparent_counts_as_white() -> None:
    source = noise(64, 64, 2)
    source[:, :32, 1], source[:, 32:, 1] = 0, 255
    network = Dyer()
    colorize(source, network)
    (seen,) = network.seen[0]
    assert (seen[..., :31] == 100).all() and float(seen[..., 33:].mean()) < 80


def test_same_request_same_pixels() -> None:
    source = noise(90, 70, 1)
    assert colorize(source).pixels.tobytes() == colorize(source).pixels.tobytes()


# --- strokes --------------------------------------------------------------------------------------------------------


def circle(side: int = 96, ink: int = 20) -> Pixels:
    y, x = np.mgrid[:side, :side] - side / 2
    return np.where(np.abs(np.hypot(y, x) - side / 4) < 2, ink, 180).astype(np.uint8)[..., None]


def stroke(side: int, colour: tuple[int, int, int], rows: slice, columns: slice) -> Pixels:
    drawn = np.zeros((side, side, 4), np.uint8)
    drawn[rows, columns] = (*colour, 255)
    return drawn


def test_a_stroke_colours_its_region_and_stops_at_the_outline() -> None:
    red = stroke(96, (200, 30, 40), slice(46, 50), slice(40, 56))
    made = chroma(colorize(circle(), Dyer((0.0, 0.0)), red).pixels)
    y, x = np.mgrid[:96, :96] - 48
    inside, outside = np.hypot(y, x) < 19, np.hypot(y, x) > 30
    assert made[inside][:, 0].min() > 25 and np.abs(made[outside]).max() < 4


def test_the_network_sees_strokes_where_it_takes_them() -> None:
    network = Dyer()
    colorize(circle(), network, stroke(96, (0, 0, 255), slice(40, 56), slice(40, 56)))
    assert len(network.seen[0]) == 1, "once without them"
    luminance, hint, mask = network.seen[1]
    assert luminance.shape == (1, 1, 48, 48) and set(mask.unique().tolist()) == {0.0, 1.0}
    assert float(hint[:, :, 24, 24][0, 1]) < -90 and (hint * (1 - mask) == 0).all()
    blind = Dyer()
    blind.hints = False
    colorize(circle(), blind, stroke(96, (0, 0, 255), slice(40, 56), slice(40, 56)))
    assert [len(each) for each in blind.seen] == [1]


def test_what_the_network_makes_of_strokes_stops_at_outlines_too() -> None:
    class Carried(Dyer):
        """One stroke, and all is as it says."""

        def forward(self, luminance: torch.Tensor, *hint: torch.Tensor) -> torch.Tensor:
            plain = super().forward(luminance)
            return plain if not hint else torch.full_like(plain, 60)

    red = stroke(96, (200, 30, 40), slice(46, 50), slice(40, 56))
    made = chroma(colorize(circle(), Carried((0.0, 0.0)), red).pixels)
    y, x = np.mgrid[:96, :96] - 48
    assert made[np.hypot(y, x) < 19][:, 0].min() > 25 and np.abs(made[np.hypot(y, x) > 30]).max() < 4


def test_strokes_have_a_place_of_their_own() -> None:
    layer, drawn = np.full((64, 64, 1), 128, np.uint8), np.zeros((8, 8, 4), np.uint8)
    drawn[...] = (255, 0, 0, 255)
    laboratory = Laboratory(CARD, load=lambda *_: Dyer((0.0, 0.0)))
    from laboratory import allocate, described, frames

    from samovar.worker.job import Job
    from samovar_link.messages import Run

    layer[:, 32] = 0
    images = {"image": described(layer, x=100, y=50), "hints": described(drawn, frame=1, x=110, y=60)}
    run = Run("job", "colorize", {"model": "test/dyer"}, images)
    job = Job(run, lambda *_: None, lambda: False, allocate)
    result = laboratory.engine.execute(run, [*frames(layer), *frames(drawn)], job)
    made = chroma(np.frombuffer(result.frames[0], np.uint8).reshape(64, 64, 3))
    assert made[12, 12, 0] > 50 and np.abs(made[:, 40:]).max() < 4


def test_empty_strokes_of_any_size_change_nothing() -> None:
    plain = colorize(circle()).pixels
    assert (colorize(circle(), hints=np.zeros((96, 96, 4), np.uint8)).pixels == plain).all()
    assert (colorize(circle(), hints=np.zeros((5, 300, 2), np.uint8)).pixels == plain).all()


def test_strokes_without_transparency_are_refused() -> None:
    with pytest.raises(BadRequest, match="colorize hints channels is 3; allowed: 2 or 4: with transparency"):
        colorize(circle(), hints=np.zeros((96, 96, 3), np.uint8))


# --- what comes of it -----------------------------------------------------------------------------------------------


def test_only_the_colour_laid_over_the_layer_gives_the_picture() -> None:
    """By GIMP's mode LCh Color: lightness of the lower, chroma and hue of the upper."""
    source = smooth(64, 64, 1)
    picture, colour = colorize(source).pixels, colorize(source, result="color").pixels
    assert colour.shape == (64, 64, 4) and (colour[..., 3] == 255).all()
    below = torch.from_numpy(source.astype(np.float32) / 255).permute(2, 0, 1)[None]
    ab = torch.from_numpy(chroma(colour)).permute(2, 0, 1)[None]
    laid = (lab.image(lab.light(below), ab)[0].permute(1, 2, 0) * 255).round().numpy()
    assert np.abs(laid - picture).mean() < 3


def test_the_colour_layer_holds_no_lines() -> None:
    colour = colorize(circle(ink=0), result="color").pixels
    level = lightness(colour)
    assert level.min() > coloring.DARKEST - 2


def test_multiplied_colour_tints_line_art_and_leaves_lines() -> None:
    page = circle(96, 0)
    page[page == 180] = 255
    red = stroke(96, (230, 60, 60), slice(46, 50), slice(40, 56))
    colour = colorize(page, Dyer((0.0, 0.0)), red, result="multiply").pixels
    laid = page * (colour[..., :3] / 255)
    y, x = np.mgrid[:96, :96] - 48
    assert np.abs(laid[np.hypot(y, x) < 18] - (230, 60, 60)).max() < 16
    assert (laid[np.hypot(y, x) > 30] > 245).all() and (laid[page[..., 0] == 0] == 0).all()


def test_line_art_on_transparency_gets_its_colour_below_the_lines() -> None:
    page = np.zeros((96, 96, 2), np.uint8)
    page[..., 1] = np.where(circle(96, 0)[..., 0] == 0, 255, 0)
    red = stroke(96, (230, 60, 60), slice(46, 50), slice(40, 56))
    colour = colorize(page, Dyer((0.0, 0.0)), red, result="multiply").pixels
    assert colour[48, 48, 3] == 255 and colour[2, 2, 3] < 12


def test_outside_of_the_mask_a_layer_of_colour_is_clear() -> None:
    mask = np.zeros((96, 96, 1), np.uint8)
    mask[:, :40] = 255
    for output in ("color", "multiply"):
        made = colorize(circle(), masks={"mask": mask}, result=output).pixels
        assert (made[:, 40:] == 0).all() and made[:, :40, 3].any()


def test_white_paper_stays_white_if_asked() -> None:
    page = np.full((64, 64, 1), 238, np.uint8)
    page[20:40, 20:40] = 120
    kept, tinted = (colorize(page, keep_white=keep).pixels for keep in (True, False))
    assert np.ptp(kept[2, 2]) <= 1 and np.ptp(tinted[2, 2]) > 5 and np.ptp(kept[30, 30]) > 20


def test_line_art_is_told_of_the_other_result() -> None:
    page = circle(96, 0)
    page[page == 180] = 255
    assert any("Multiply" in note for note in colorize(page).result.report.notes)
    assert not colorize(page, result="multiply").result.report.notes


def test_saturation_scales_the_models_colours_alone() -> None:
    source = np.full((64, 64, 1), 128, np.uint8)
    none = colorize(source, saturation=0.0).pixels
    assert (none == 128).all()
    half = chroma(colorize(source, saturation=0.5).pixels)
    assert np.abs(half[30, 30] - np.array(AB) / 2).max() < 1.5
    red = stroke(64, (200, 30, 40), slice(20, 40), slice(20, 40))
    assert chroma(colorize(source, hints=red, saturation=0.0).pixels)[30, 30, 0] > 50


# --- what has colours -----------------------------------------------------------------------------------------------


def coloured() -> Pixels:
    from skimage import data

    return np.ascontiguousarray(data.astronaut()[::4, ::4])


def test_a_coloured_page_is_left_as_it_is() -> None:
    made = colorize(coloured())
    assert (made.pixels == coloured()).all()
    assert any("Recolour" in note for note in made.result.report.notes)
    assert not colorize(coloured(), result="color").pixels.any()


def test_a_coloured_page_is_recoloured_if_asked() -> None:
    made = colorize(coloured(), recolour=True)
    assert np.abs(lightness(made.pixels) - lightness(coloured())).max() < 0.4
    assert np.abs(chroma(made.pixels) - AB).mean() < 20 and not made.result.report.notes


def test_sepia_and_old_paper_are_no_colours() -> None:
    gray = coloured().mean(2, keepdims=True)
    paper = np.clip(gray * (1, 0.93, 0.78), 0, 255).astype(np.uint8)
    assert np.abs(chroma(colorize(paper).pixels) - AB).mean() < 20


# --- networks of others ---------------------------------------------------------------------------------------------


def others(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ColourNetwork]]:
    """With random weights; a DDColor that is any network which gives ab."""
    torch.manual_seed(0)
    monkeypatch.setattr(ddcolor, "SIDE", 64)
    tint = torch.nn.Conv2d(3, 2, 3, padding=1)
    return [
        ("siggraph17/photo-colour", cast(ColourNetwork, siggraph17.build().eval())),
        ("ddcolor/photo-colour", ddcolor.DDColor(tint)),
    ]


@pytest.mark.slow
def test_models_of_the_catalogue_colour_it_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    source, red = noise(70, 90, 1), np.zeros((70, 90, 4), np.uint8)
    red[20:30, 20:30] = (220, 20, 20, 255)
    for model, network in others(monkeypatch):
        its = card.discover().get(model)
        laboratory = Laboratory(its, load=lambda *_, network=network: network)
        made = laboratory.run(source, "colorize", masks={"hints": red}, model=model, keep_white=False)
        assert np.abs(lightness(made.pixels) - lightness(source)).max() < 0.4, model
        assert np.abs(chroma(made.pixels)).max() > 1 and made.result.report.model == model
        assert network.hints == (model == "siggraph17/photo-colour")


# --- trouble --------------------------------------------------------------------------------------------------------


def test_a_network_that_gives_no_colour_fails_with_the_reason() -> None:
    with pytest.raises(Exception, match="colours"):
        colorize(circle(), Broken())


def test_cancel_ends_it() -> None:
    laboratory = Laboratory(CARD, load=lambda *_: Dyer())
    outcome = laboratory.run(noise(1100, 1100, 1), "colorize", model="test/dyer", cancel_after=3)
    assert outcome.result is None


def test_the_report_names_the_model() -> None:
    report = colorize(circle()).result.report
    assert (report.model, report.sha256, report.dtype) == ("test/dyer", "sha", "f32")


def test_the_result_lies_where_the_layer_does() -> None:
    raster = colorize(circle(), raster={"x": -7, "y": 12}).result.images["image"]
    assert (raster.x, raster.y, raster.frame) == (-7, 12, 0)
    assert raster == Raster(96, 96, 3, x=-7, y=12)
