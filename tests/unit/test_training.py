"""`samovar train`: pictures in, weights out; what is held out, strokes, classes of colour, and going on bit for bit."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import broken_off
import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch
from laboratory import Laboratory, noise

from samovar.chroma import lab
from samovar.cli.program import run as command
from samovar.networks import chroma_unet, sizedecoder
from samovar.picture import Picture, PictureError, reading, writing
from samovar.training import colorize, lines, pictures, score, strokes
from samovar.training import sizedecoder as sizing
from samovar.training.loop import Settings, Training, TrainingError
from samovar.weights import store, tensors
from samovar_link.errors import ModelUnavailable
from samovar_link.messages import Raster

SIDE = 32


def save(pixels: np.ndarray, path: Path) -> None:
    height, width, channels = pixels.shape
    writing.write(Picture(Raster(height, width, channels), memoryview(np.ascontiguousarray(pixels)).cast("B")), path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """16 pictures: a bright sky over a dark meadow each, so that there is something to learn; and a file of no use."""
    folder = tmp_path_factory.mktemp("pictures")
    generator = np.random.default_rng(0)
    for index in range(16):
        picture = np.zeros((48, 60, 3))
        line = generator.integers(16, 32)
        picture[:line], picture[line:] = (120, 190, 250), (40, 90, 20)
        picture += generator.normal(0, 8, (48, 60, 1))
        save(np.clip(picture, 0, 255).astype(np.uint8), folder / f"{index:02}.png")
    (folder / "note.txt").write_text("none")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    return folder


def task(folder: Path, seed: int = 0) -> colorize.Colorize:
    return colorize.Colorize(pictures.read([folder], SIDE), SIDE, 0.2, seed)


# --- pictures -------------------------------------------------------------------------------------------------------


def test_a_folder_and_a_tar_of_it_are_the_same(folder: Path, tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        for path in sorted(folder.iterdir(), reverse=True):
            archive.add(path, path.name)
    one, other = pictures.read([folder], 24), pictures.read([tmp_path / "all.tar"], 24)
    assert [each.name for each in one] == [each.name for each in other] and len(one) == 16
    assert all(torch.equal(a.pixels, b.pixels) for a, b in zip(one, other, strict=True))
    assert one[0].pixels.shape == (3, 24, 30), "shrunk by its shorter side"


def test_small_pictures_are_not_enlarged_and_transparent_parts_are_white(tmp_path: Path) -> None:
    save(np.zeros((10, 12, 4), np.uint8), tmp_path / "clear.png")
    (photo,) = pictures.read([tmp_path], 24)
    assert photo.pixels.shape == (3, 10, 12) and (photo.pixels == 255).all()


def test_nothing_to_train_on_says_so(tmp_path: Path) -> None:
    with pytest.raises(PictureError, match="no pictures"):
        pictures.read([tmp_path], 24)
    (tmp_path / "text.tar").write_text("none")
    with pytest.raises(PictureError, match="neither a folder nor a tar"):
        pictures.read([tmp_path / "text.tar"], 24)


def photo(name: str) -> pictures.Photo:
    return pictures.Photo(name, torch.zeros(3, 8, 8, dtype=torch.uint8))


def test_parts_of_one_picture_are_held_out_together() -> None:
    photos = [photo(f"a/{index}_{part}.webp") for index in range(1000) for part in range(3)]
    ours, held = pictures.parted(photos)
    assert not {each.group for each in ours} & {each.group for each in held}
    assert 3 * 15 < len(held) < 3 * 60 and not len(held) % 3
    again, _ = pictures.parted(photos[::-1])
    assert {each.name for each in again} == {each.name for each in ours}


def test_what_is_held_out_of_many_is_held_out_of_some_of_them() -> None:
    photos = [photo(f"a/{index}.webp") for index in range(2000)]
    _, held = pictures.parted(photos)
    _, of_some = pictures.parted(photos[::2])
    assert {each.name for each in of_some} == {each.name for each in held} & {each.name for each in photos[::2]}


def test_of_few_pictures_eight_are_held_out_or_half() -> None:
    for count, expected in ((1, 0), (2, 1), (10, 5), (40, 8)):
        assert len(pictures.parted([photo(f"{index}.webp") for index in range(count)])[1]) >= expected
    assert len(pictures.parted([photo(f"{index}.webp") for index in range(10)])[1]) == 5


def test_a_sheet_shows_each_picture_with_its_own_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(colorize, "SHOWN", 2)
    for index in range(16):
        save(np.full((SIDE, SIDE, 3), (90 + 6 * index, 60 + 6 * index, 80), np.uint8), tmp_path / f"{index}.png")

    def telling(lightness: torch.Tensor, *hints: torch.Tensor) -> torch.Tensor:
        """How light it is, as a colour."""
        level = torch.nn.functional.avg_pool2d(lightness, 2)
        return torch.cat((level / 2, level * 0), 1)

    task(tmp_path).show(telling, tmp_path / "sheet.png")
    sheet = reading.read(tmp_path / "sheet.png")
    pixels = np.frombuffer(sheet.pixels, np.uint8).reshape(sheet.raster.height, sheet.raster.width, -1)
    assert pixels.shape[1] == 8 * SIDE + 7 * 4, "gray, alone, led, truth, of two"
    level, chroma = lab.of(torch.from_numpy(pixels[..., :3] / np.float32(255)).permute(2, 0, 1)[None])
    at = [SIDE + 4 + SIDE // 2 + start * (SIDE + 4) for start in (0, 4)]
    first, second = (level[0, 0, SIDE // 2, column] for column in at)
    assert abs(first - second) > 5
    assert all(abs(chroma[0, 0, SIDE // 2, column] - level[0, 0, SIDE // 2, column] / 2) < 1 for column in at)


# --- what the network learns from -----------------------------------------------------------------------------------


def test_the_mean_of_soft_classes_is_the_colour() -> None:
    generator = torch.Generator().manual_seed(0)
    from samovar.chroma import lab

    _, chroma = lab.of(torch.rand(2, 3, 16, 16, generator=generator))
    classes, shares = colorize.soft_classes(chroma)
    assert torch.allclose(shares.sum(1), torch.ones(2, 16, 16), atol=1e-5) and float(shares.min()) >= 0
    mean = (chroma_unet.colours()[classes] * shares[..., None]).sum(1).permute(0, 3, 1, 2)
    off = (mean - chroma).abs()
    assert float(off.median()) < 1e-3 and float(off.max()) < 10, "at the gamut's border the nearest cell stands in"


def test_the_truth_has_the_least_loss() -> None:
    chroma = torch.tensor([20.0, -30.0]).view(1, 2, 1, 1)
    weights = torch.ones(len(chroma_unet.colours()))
    losses = []
    for colour in chroma_unet.colours():
        logits = -(chroma_unet.colours() - colour).square().sum(1).view(1, -1, 1, 1) / 20
        losses.append(float(colorize.cross_entropy(logits, chroma, weights)))
    assert chroma_unet.colours()[int(np.argmin(losses))].tolist() == [20, -30]


def test_strokes_have_the_colour_of_what_they_lie_on() -> None:
    chroma = torch.zeros(1, 2, 40, 40)
    chroma[:, :, :20], chroma[:, :, 20:] = 30, -10
    for seed in range(20):
        hint, mask = strokes.drawn(chroma, 5, pictures.generator(seed))
        assert set(mask.unique().tolist()) == {0.0, 1.0}
        assert (hint * (1 - mask) == 0).all() and float(hint.max()) <= 30 and float(hint.min()) >= -10
    counts = [strokes.number(pictures.generator(3, index)) for index in range(2000)]
    assert 0.25 < counts.count(0) / 2000 < 0.35 and 4 < np.mean([each for each in counts if each]) < 12
    assert max(counts) <= strokes.MOST


def test_line_art_is_lines_on_white() -> None:
    lightness = torch.full((1, 1, 48, 48), 70.0)
    lightness[..., 24:] = 30
    made = lines.art(lightness, pictures.generator(1))
    assert float(made[..., :20].min()) > 99 and float(made[..., 28:].min()) > 99
    assert float(made[..., 22:27].min()) < 80


def test_colourfulness_is_as_published() -> None:
    red = torch.zeros(1, 3, 4, 4)
    red[:, 0] = 1
    assert score.colourfulness(red) == pytest.approx(0.3 * np.hypot(255, 127.5), rel=1e-4)
    assert score.colourfulness(torch.full((1, 3, 4, 4), 0.3)) == 0


# --- networks -------------------------------------------------------------------------------------------------------


def test_sizedecoder_has_the_seeds_parameters_and_doubles() -> None:
    network = sizedecoder.SizeDecoder()
    assert sum(each.numel() for each in network.parameters()) == 4_341_161
    assert network.enlarged(torch.rand(2, 3, 64, 64)).shape == (2, 3, 128, 128)


def test_the_colorizer_is_small_and_answers_at_half_the_size() -> None:
    network = chroma_unet.ChromaUNet().eval()
    assert sum(each.numel() for each in network.parameters()) * 2 < 16e6
    with torch.inference_mode():
        made = network(torch.rand(1, 1, 48, 80) * 100)
        led = network(torch.rand(1, 1, 48, 80) * 100, torch.zeros(1, 2, 48, 80), torch.zeros(1, 1, 48, 80))
    assert made.shape == led.shape == (1, 2, 24, 40) and float(made.abs().max()) < 110


# --- the training ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_loss_falls(folder: Path, tmp_path: Path) -> None:
    training = Training(task(folder), Settings(40, 8, 2e-3), tmp_path / "out.safetensors")
    losses: list[float] = []
    assert training.run(600, lambda each: losses.append(each.loss))
    assert np.mean(losses[-8:]) < 0.75 * np.mean(losses[:8])
    found = training.finish()
    assert found["error"] < found["gray_error"] and found["strokes_psnr"] > 0 and found["true_colourfulness"] > 10


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["colorize", "sizedecoder"])
def test_what_was_broken_off_goes_on_bit_for_bit(kind: str, folder: Path, tmp_path: Path) -> None:
    def training(name: str) -> Training:
        made: Any = task(folder) if kind == "colorize" else sizing.SizeDecoder(pictures.read([folder], SIDE), 0)
        return Training(made, Settings(6, 2, 1e-3, seed=5), tmp_path / f"{name}.safetensors")

    whole, later = broken_off.both(training, after=3)
    whole.finish(), later.finish()
    a, b = (safetensors.safe_open(tmp_path / f"{name}.safetensors", "pt") for name in ("whole", "broken"))
    assert all(torch.equal(a.get_tensor(name), b.get_tensor(name)) for name in a.keys())  # noqa: SIM118


def test_another_seed_is_another_training(folder: Path, tmp_path: Path) -> None:
    Training(task(folder), Settings(2, 2, 1e-3), tmp_path / "out.safetensors").save()
    with pytest.raises(TrainingError, match="other settings"):
        Training(task(folder, 1), Settings(2, 2, 1e-3, seed=1), tmp_path / "out.safetensors").resume()
    (tmp_path / "out.checkpoint.safetensors").write_bytes(b"nothing")
    with pytest.raises(TrainingError, match="delete it"):
        Training(task(folder), Settings(2, 2, 1e-3), tmp_path / "out.safetensors").resume()


def test_a_loss_that_is_no_number_ends_it(folder: Path, tmp_path: Path) -> None:
    training = Training(task(folder), Settings(2, 2, 1e-3), tmp_path / "out.safetensors")
    with torch.no_grad():
        next(iter(training.task.network.parameters())).fill_(torch.nan)
    with pytest.raises(TrainingError, match="lower --rate"):
        training.run(600)


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_command_trains_resumes_and_writes_what_it_says(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "mine.safetensors"
    line = [
        "train",
        "colorize",
        str(folder),
        "-o",
        str(out),
        "--steps",
        "3",
        "--batch",
        "2",
        "--size",
        "32",
        "--json",
        "--here",
    ]
    assert command(line) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["steps"] == 3 and said["strokes_error"] > 0
    with safetensors.safe_open(out, "pt") as file:
        about = file.metadata()
    assert about["architecture"] == "chroma_unet" and json.loads(about["training"])["steps"] == 3
    assert json.loads(about["held_out"])["psnr"] == pytest.approx(said["psnr"], abs=1e-3)
    network = chroma_unet.ChromaUNet()
    network.load_state_dict({name: each.float() for name, each in tensors.read(out).items()})
    assert out.with_suffix(".png").is_file() and out.stat().st_size < 16e6
    assert command(line) == 0
    assert "going on after 3 steps" in capsys.readouterr().err
    more = [*line[:5], "--from", str(out), *line[5:]]
    more[4] = str(tmp_path / "other.safetensors")
    assert command(more) == 0


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "network", "operation"),
    [("chroma_unet", chroma_unet.ChromaUNet, "colorize"), ("sizedecoder", sizedecoder.SizeDecoder, "upscale")],
)
def test_what_was_trained_can_be_added_and_used(
    architecture: str, network: Any, operation: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SAMOVAR_HOME", str(tmp_path / "home"))
    out = tmp_path / "mine.safetensors"
    safetensors.torch.save_file(network().state_dict(), out, {"architecture": architecture})
    card = store.add(out)
    assert (card.id, card.operations, card.network) == ("own/mine", (operation,), "trained")
    made = Laboratory(card).run(noise(40, 56, 3), operation, model="own/mine", **LEFT[operation]).pixels
    assert made.shape == ((40, 56, 3) if operation == "colorize" else (80, 112, 3)) and len(np.unique(made)) > 9


LEFT: dict[str, dict[str, Any]] = {"colorize": {"recolour": True}, "upscale": {"noise": -1}}


@pytest.mark.slow
def test_a_file_that_only_says_so_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMOVAR_HOME", str(tmp_path / "home"))
    out = tmp_path / "false.safetensors"
    safetensors.torch.save_file({"weight": torch.ones(3)}, out, {"architecture": "chroma_unet"})
    with pytest.raises(ModelUnavailable, match="holds the weights of something else"):
        store.add(out)


@pytest.mark.slow
def test_sizedecoder_has_a_command_too(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "size.safetensors"
    line = ["train", "sizedecoder", str(folder), "-o", str(out), "--steps", "2", "--batch", "2", "--here"]
    assert command(line) == 0
    assert "bilinear psnr: " in capsys.readouterr().out and out.is_file()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (["-o", "out.png"], "does not end in .safetensors"),
        (["-o", "no/such/out.safetensors"], "does not exist"),
        (["-o", "out.safetensors", "--size", "40"], "no multiple of 16"),
        (["-o", "out.safetensors", "--steps", "0"], "--steps"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_read(
    wrong: list[str], told: str, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert command(["train", "colorize", str(folder), *wrong]) == 2
    assert told in capsys.readouterr().err


def test_a_folder_without_pictures_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command(["train", "colorize", str(tmp_path), "-o", str(tmp_path / "out.safetensors"), "--here"]) == 1
    assert "no pictures" in capsys.readouterr().err


def test_tars_are_read_without_unpacking(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "evil.tar", "w") as archive:
        member = tarfile.TarInfo("../../evil.png")
        member.size = 3
        archive.addfile(member, io.BytesIO(b"abc"))
    with pytest.raises(PictureError, match="no pictures"):
        pictures.read([tmp_path / "evil.tar"], 24)
    assert [path.name for path in tmp_path.iterdir()] == ["evil.tar"]
