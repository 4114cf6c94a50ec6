"""`samovar train upscale | denoise`: what pictures lose on their way, and networks that learn to undo it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

import broken_off
import numpy as np
import psutil
import pytest
import safetensors
import torch
from laboratory import Laboratory
from torch.nn import functional

from samovar.cli.program import run as command
from samovar.networks import dncnn, srcnn
from samovar.picture import Picture, PictureError, writing
from samovar.training import degradation, denoise, detail, huber, pictures, upscale
from samovar.training.loop import Settings, Training, TrainingError
from samovar.weights import store
from samovar_link.messages import Raster

SIDE = 16


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """18 pictures of stripes and discs with sharp edges."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:120, :130]
    for index in range(18):
        angle, pitch = generator.uniform(0, 3), generator.uniform(5, 12)
        stripes = (np.sin((x * np.cos(angle) + y * np.sin(angle)) / pitch * 3) > 0)[..., None]
        colours = generator.integers(0, 255, (2, 3))
        picture = np.where(stripes, colours[0], colours[1])
        top, left = generator.integers(20, 100, 2)
        picture = np.where((np.hypot(y - top, x - left) < 15)[..., None], generator.integers(0, 255, 3), picture)
        pixels = np.ascontiguousarray(picture.astype(np.uint8))
        writing.write(Picture(Raster(120, 130, 3), memoryview(pixels).cast("B")), folder / f"{index:02}.png")
    return folder


def task(folder: Path, kind: str) -> upscale.Upscale | denoise.Denoise:
    photos = pictures.read([folder], 1024)
    return denoise.Denoise(photos, SIDE, 0) if kind == "denoise" else upscale.Upscale(photos, kind, -1, SIDE, 0)


# --- degradation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ["box", "catrom", "lanczos", "sinc"])
@pytest.mark.parametrize("blur", [0.95, 1.0, 1.05])
def test_half_a_picture_keeps_flat_areas_and_ramps(kernel: str, blur: float) -> None:
    ramp = torch.linspace(0, 1, 48).expand(1, 3, 32, 48)
    small = degradation.smaller(ramp, kernel, blur)
    assert small.shape == (1, 3, 16, 24)
    expected = (ramp[..., ::2] + ramp[..., 1::2])[:, :, ::2] / 2
    torch.testing.assert_close(small[..., 5:-5], expected[..., 5:-5], rtol=0, atol=2e-3)


def test_a_box_is_the_mean_of_four() -> None:
    image = torch.rand(1, 3, 12, 10)
    torch.testing.assert_close(degradation.smaller(image, "box"), functional.avg_pool2d(image, 2))


def test_jpeg_loses_more_the_lower_its_level_of_quality() -> None:
    image = torch.rand(3, 32, 32, generator=torch.Generator().manual_seed(0))
    lost = [
        float((degradation.drawn_packed(image, level, pictures.generator(level)) - image).square().mean())
        for level in (0, 1, 2)
    ]
    assert 0 < lost[0] < lost[1] < lost[2]


def test_grain_is_as_strong_as_asked_for_and_paper_is_coarse() -> None:
    flat = torch.full((1, 3, 128, 128), 0.5)
    assert float(degradation.grained(flat, 25, pictures.generator(1)).std()) == pytest.approx(25 / 255, rel=0.02)
    paper = degradation.on_paper(flat, 1.0, pictures.generator(1))[:, :1] - 0.5
    assert float(functional.avg_pool2d(paper, 4).std()) > 0.4 * float(paper.std()) > 0.01
    assert torch.equal(degradation.on_paper(flat, 0.0, pictures.generator(1)), flat)


def test_parts_with_more_in_them_are_drawn_more_often() -> None:
    pixels = torch.full((3, 64, 64), 100, dtype=torch.uint8)
    pixels[:, 40:56, 40:56] = torch.randint(0, 255, (3, 16, 16), generator=pictures.generator(0)).byte()
    photos = [pictures.Photo("a.png", pixels)]
    full = sum(float(detail.drawn(photos, 16, pictures.generator(index)).std()) > 0.1 for index in range(200))
    assert full > 60, "of 200; a fifth of all places would be 40"


# --- loss and figures -----------------------------------------------------------------------------------------------


def test_the_loss_is_squared_near_and_straight_far() -> None:
    zero = torch.zeros(1, 3, 1, 1)
    assert float(huber.loss(zero + 0.05, zero)) == pytest.approx(0.5 * 0.05**2, rel=1e-3)
    assert float(huber.loss(zero + 0.5, zero)) == pytest.approx(0.1 * (0.5 - 0.05), rel=1e-3)


def test_what_is_beyond_the_range_is_cut_but_pulled_back() -> None:
    made = torch.full((1, 3, 1, 1), 1.5, requires_grad=True)
    huber.loss(made, torch.ones(1, 3, 1, 1)).backward()
    assert made.grad is not None and float(made.grad.min()) > 0


def test_psnr_is_that_of_lightness() -> None:
    image = torch.rand(1, 3, 8, 8)
    off = (image * 0.5).clamp(0, 1)
    assert huber.psnr(off, off + 10 / 219) == pytest.approx(20 * np.log10(255 / 10), abs=0.01)


# --- networks -------------------------------------------------------------------------------------------------------


def test_srcnn_begins_with_the_bicubic_picture_and_changes_its_lightness_alone() -> None:
    network = srcnn.SRCNN()
    assert sum(each.numel() for each in network.parameters()) == 57281, "as published, 9-5-5"
    for each in network.parameters():
        torch.nn.init.zeros_(each)
    small = torch.rand(1, 3, 20 + 2 * srcnn.CONTEXT, 24 + 2 * srcnn.CONTEXT)
    plain = functional.interpolate(small, scale_factor=2.0, mode="bicubic")
    cut = slice(2 * srcnn.CONTEXT, -2 * srcnn.CONTEXT)
    torch.testing.assert_close(network(small), plain[:, :, cut, cut])
    torch.nn.init.ones_(network.layers[4].bias)
    torch.testing.assert_close(network(small), plain[:, :, cut, cut] + 1)


def test_dncnn_sees_as_far_as_it_says() -> None:
    network = dncnn.DnCNN()
    picture = torch.rand(1, 3, 40, 40, requires_grad=True)
    made = network(picture)
    assert made.shape == (1, 3, 16, 16)
    made[0, :, 8, 8].sum().backward()
    assert picture.grad is not None
    rows = picture.grad.abs().sum((0, 1, 3)).nonzero().flatten()
    assert int(rows.min()) >= 8 + dncnn.CONTEXT - dncnn.LAYERS and int(rows.max()) <= 8 + dncnn.CONTEXT + dncnn.LAYERS


# --- training -------------------------------------------------------------------------------------------------------

KINDS = ["upconv7", "srcnn", "srvgg", "denoise"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_loss_falls(kind: str, folder: Path, tmp_path: Path) -> None:
    """On the same parts before and after: how much is wrong with them differs more than what 80 steps bring."""
    training = Training(task(folder, kind), Settings(80, 4, 2e-3, decay=0.0), tmp_path / "out.safetensors")

    def now() -> float:
        with torch.no_grad():
            return sum(float(training.task.loss(1000 + index, 8)) for index in range(4))

    before = now()
    assert training.run(600) and now() < 0.8 * before


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_broken_off_goes_on_bit_for_bit(kind: str, folder: Path, tmp_path: Path) -> None:
    def training(name: str) -> Training:
        return Training(task(folder, kind), Settings(6, 2, 1e-3, decay=0.0), tmp_path / f"{name}.safetensors")

    broken_off.both(training, after=3)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("line", "architecture", "operation", "figures"),
    [
        (["upscale"], "upconv7", "upscale", {"psnr", "bicubic_psnr"}),
        (["upscale", "--network", "srcnn", "--noise", "2"], "srcnn", "upscale", {"psnr", "bicubic_psnr"}),
        (["upscale", "--network", "compact"], "srvgg", "upscale", {"psnr", "bicubic_psnr"}),
        (["denoise"], "dncnn", "denoise", {"gain_at_10", "gain_at_25", "gain_at_50", "gain_on_paper"}),
    ],
)
def test_the_command_makes_a_model_that_can_be_used(
    line: list[str], architecture: str, operation: str, figures: set[str], folder: Path, tmp_path: Path,
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("SAMOVAR_HOME", str(tmp_path / "home"))
    out = tmp_path / "mine.safetensors"
    options = ["-o", str(out), "--steps", "2", "--batch", "2", "--size", str(SIDE), "--json", "--here", "--add"]
    assert command(["train", line[0], str(folder), *line[1:], *options]) == 0
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert figures <= set(said) and said["steps"] == 2 and out.with_suffix(".png").is_file()
    with safetensors.safe_open(out, "pt") as file:
        assert file.metadata()["architecture"] == architecture
    (card,) = store.own_cards()
    assert command(["train", line[0], str(folder), *line[1:], *options]) == 2, "it is there already"
    assert (card.operations, card.network) == ((operation,), "trained")
    picture = np.random.default_rng(0).integers(60, 200, (30, 41, 3)).astype(np.uint8)
    made = Laboratory(card).run(picture, operation, model=card.id, **({"noise": -1} if operation == "upscale" else {}))
    assert made.pixels.shape == ((60, 82, 3) if operation == "upscale" else (30, 41, 3))
    assert len(np.unique(made.pixels)) > 9


@pytest.mark.slow
def test_weights_to_begin_with_are_those_of_that_network(folder: Path, tmp_path: Path) -> None:
    training = Training(task(folder, "srcnn"), Settings(1, 2, 1e-3), tmp_path / "srcnn.safetensors")
    training.run(60)
    training.finish()
    photos = pictures.read([folder], 1024)
    again = upscale.Upscale(photos, "srcnn", -1, SIDE, 0, tmp_path / "srcnn.safetensors")
    torch.testing.assert_close(
        again.network.state_dict()["layers.0.weight"], training.mean.state_dict()["layers.0.weight"], rtol=0, atol=1e-3
    )
    with pytest.raises(TrainingError, match="no weights of upconv7"):
        upscale.Upscale(photos, "upconv7", -1, SIDE, 0, tmp_path / "srcnn.safetensors")


def test_pictures_that_are_too_small_are_counted(folder: Path) -> None:
    photos = pictures.read([folder], 40)
    with pytest.raises(PictureError, match="0 of 18 pictures are 76 pixels or more"):
        upscale.Upscale(photos, "upconv7", -1, 32, 0)
    with pytest.raises(PictureError, match="0 of 18 pictures are 56 pixels or more"):
        denoise.Denoise(photos, 32, 0)


def test_pictures_are_shrunk_by_a_share(folder: Path) -> None:
    assert {each.pixels.shape for each in pictures.read([folder], 1024, 0.5)} == {torch.Size((3, 60, 65))}


# --- pictures that are not as they should be ------------------------------------------------------------------------


def test_what_is_no_picture_is_named_and_passed_over(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "cut.png").write_bytes((folder / "03.png").read_bytes()[:300])
    (tmp_path / "text.jpg").write_text("no picture")
    line = ["train", "upscale", str(tmp_path), "-o", str(tmp_path / "x.safetensors"), "--steps", "1", "--batch", "1"]
    assert command([*line, "--size", str(SIDE), "--here"]) == 0
    said = capsys.readouterr().err
    assert "2 files are passed over: cut.png" in said and "text.jpg" in said


def test_pictures_of_all_kinds_are_trained_on_together(folder: Path, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (120, 120, 4)).astype(np.uint8)
    kinds = {
        "gray": pixels[..., :1], "gray with alpha": pixels[..., :2], "colour": pixels[..., :3], "alpha": pixels,
        "deep": pixels.astype(np.uint16) * 257,
    }  # fmt: skip
    for name, each in kinds.items():
        height, width, channels = each.shape
        raster = Raster(height, width, channels, "u16" if each.dtype == np.uint16 else "u8")
        writing.write(Picture(raster, memoryview(np.ascontiguousarray(each)).cast("B")), tmp_path / f"{name}.png")
    photos = pictures.read([tmp_path], 1024)
    assert len(photos) == 5 and {each.pixels.shape for each in photos} == {torch.Size((3, 120, 120))}
    training = Training(
        denoise.Denoise(photos, SIDE, 0), Settings(1, 2, 1e-3, decay=0.0), tmp_path / "mixed.safetensors"
    )
    assert training.run(60)


def test_three_pictures_are_trained_on(folder: Path, tmp_path: Path) -> None:
    photos = pictures.read([folder], 1024)[:3]
    task = upscale.Upscale(photos, "srcnn", -1, SIDE, 0)
    assert task.about["pictures"] == 2 and task.about["held_out"] == 1
    training = Training(task, Settings(1, 2, 1e-3, decay=0.0), tmp_path / "three.safetensors")
    assert training.run(60) and training.finish()["psnr"] > 0


def test_more_pictures_than_there_is_memory_for_are_refused_in_time(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "ROOM", 4.5 * 120 * 130 * 3 / psutil.virtual_memory().available)
    with pytest.raises(PictureError, match="no memory for more than [456] of its pictures"):
        pictures.read([folder], 1024)


@pytest.mark.slow
def test_two_thousand_pictures_are_read_and_trained_on(tmp_path: Path) -> None:
    """Small ones, for the test's sake: what grows with their number is what may break."""
    small = np.random.default_rng(0).integers(0, 255, (40, 40, 3)).astype(np.uint8)
    writing.write(Picture(Raster(40, 40, 3), memoryview(small).cast("B")), tmp_path / "first.png")
    many = tmp_path / "many"
    many.mkdir()
    for index in range(2_000):
        os.link(tmp_path / "first.png", many / f"{index:05}.png")
    photos = pictures.read([many], 1024)
    assert len(photos) == 2_000
    task = denoise.Denoise(photos, SIDE, 0)
    assert 30 < len(task._held) < 120
    del task._held[2:]
    training = Training(task, Settings(2, 4, 1e-3, decay=0.0), tmp_path / "many.safetensors")
    assert training.run(60) and training.finish()["gain_at_25"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_what_ends_it_is_not_lost_where_python_drops_it(
    number: signal.Signals, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    """In what libvips calls back, say."""
    real = pictures.read

    def read(*args: Any) -> Any:
        with contextlib.suppress(KeyboardInterrupt):
            os.kill(os.getpid(), number)
            time.sleep(1)
        return real(*args)

    monkeypatch.setattr(pictures, "read", read)
    line = ["train", "upscale", str(folder), "-o", str(tmp_path / "x.safetensors"), "--steps", "9", "--batch", "1"]
    assert command([*line, "--size", str(SIDE), "--here"]) == 130
    assert "the same command goes on" in capsys.readouterr().err and not list(tmp_path.iterdir())
