"""`samovar train faces`: two networks against each other, what tells made pictures from true ones, and going on."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import broken_off
import numpy as np
import pytest
import safetensors
import torch
from laboratory import Laboratory
from torch import Tensor

from samovar.cli.program import run as command
from samovar.networks import dcgan
from samovar.picture import Picture, PictureError, writing
from samovar.training import adversary, augment, faces, likeness, pictures
from samovar.training import dcgan as seed
from samovar.training.loop import Settings, Training
from samovar.weights import store
from samovar_link.errors import BadRequest
from samovar_link.messages import Raster

SIDE = 32


def face(generator: np.random.Generator, style: str) -> np.ndarray:
    """A disc with two eyes on a ground of one colour: of a colour, or white."""
    y, x = np.mgrid[:SIDE, :SIDE]
    picture = np.broadcast_to(generator.integers(120, 256, 3), (SIDE, SIDE, 3)).copy()
    picture[np.hypot(y - 17, x - 16) < 11] = 255 if style == "ink" else generator.integers(120, 230, 3)
    for eye in (12, 20):
        picture[np.hypot(y - 15 - generator.integers(0, 3), x - eye) < 2] = 0
    return picture.astype(np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 faces in two styles, and a folder of what is none."""
    folder = tmp_path_factory.mktemp("faces")
    generator = np.random.default_rng(0)
    for style, count in (("colour", 24), ("ink", 12), ("rocks", 3)):
        (folder / style).mkdir()
        for index in range(count):
            pixels = face(generator, style)
            picture = Picture(Raster(SIDE, SIDE, 3), memoryview(pixels).cast("B"))
            writing.write(picture, folder / style / f"{index:02}.png")
    return folder


@pytest.fixture(scope="module")
def photos(folder: Path) -> list[pictures.Photo]:
    return [each for each in pictures.read([folder], 128) if "rocks" not in each.folders]


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    """To look at in a moment."""
    monkeypatch.setattr(adversary, "MADE", 16)
    monkeypatch.setattr(adversary, "ROWS", 2)
    monkeypatch.setattr(adversary, "COLUMNS", 4)


def task(kind: str, photos: list[pictures.Photo]) -> adversary.Adversary:
    return faces.Faces(photos, 0) if kind == "style" else seed.DCGAN(photos, 64, 0)


# --- networks -------------------------------------------------------------------------------------------------------


def test_dcgan_has_the_published_layers() -> None:
    network = dcgan.build()
    assert [tuple(each.weight.shape) for each in network.up] == [
        (512, 256, 5, 5), (256, 128, 5, 5), (128, 64, 5, 5), (64, 3, 5, 5),
    ]  # fmt: skip
    assert network.first.weight.shape == (4 * 4 * 512, 100)
    assert network(torch.zeros(2, 100)).shape == (2, 3, 64, 64)
    assert dcgan.build(90)(torch.zeros(2, 100)).shape == (2, 3, 90, 90), "as the seed drew them, halved upwards"
    z = network.drawn(torch.Generator().manual_seed(0))
    assert z.shape == (1, 100) and -1 <= float(z.min()) < -0.9 and 0.9 < float(z.max()) <= 1
    assert [each.weight.shape[0] for each in dcgan.Critic(90).down] == [64, 128, 256, 512]
    assert dcgan.Critic(90)(torch.zeros(2, 3, 90, 90), torch.zeros(2)).shape == (2, 1)


def network() -> dcgan.DCGAN:
    torch.manual_seed(0)
    network = dcgan.build(128, ("one", "two"), 16, 2).requires_grad_(False).eval()
    network.first.weight[:, 100:] *= 20  # untrained, a style is hardly heard
    return network


def numbers(seed: int) -> Tensor:
    return network().drawn(torch.Generator().manual_seed(seed))


def test_styles_differ_and_the_same_numbers_give_the_same_face() -> None:
    made = [network().pictures(network().placed(numbers(1), style, 1.0)) for style in (0, 1, 0)]
    assert made[0].shape == (1, 3, 128, 128) and float(made[0].min()) >= 0 and float(made[0].max()) <= 1
    assert torch.equal(made[0], made[2]) and not torch.allclose(made[0], made[1], atol=0.001)


def test_a_place_between_two_styles_is_of_both() -> None:
    places = [network().placed(numbers(1), style, 1.0) for style in (0, 1)]
    one, other, both = (network().pictures(each) for each in (*places, torch.lerp(*places, 0.5)))
    assert not torch.allclose(both, one, atol=0.001) and not torch.allclose(both, other, atol=0.001)
    share = both - one
    assert float((share * (other - one)).sum()) > 0, "on the way from the one to the other"


def test_truncation_goes_towards_the_middle() -> None:
    whole, half, none = (network().placed(numbers(1), 1, share) for share in (1.0, 0.5, 0.0))
    torch.testing.assert_close(half[:, :100], whole[:, :100] / 2)
    assert torch.equal(half[:, 100:], torch.tensor([[0.0, 1.0]])) and not none[:, :100].any()


def test_what_lies_between_two_is_as_likely_as_they_are() -> None:
    middle = torch.cat([network().between(numbers(2 * seed), numbers(2 * seed + 1), 0.5) for seed in range(40)])
    assert float(middle.std()) == pytest.approx(math.sqrt(1 / 3), rel=0.1) and float(middle.abs().max()) <= 1
    torch.testing.assert_close(network().between(numbers(1), numbers(2), 0.0), numbers(1))


def test_the_critic_knows_the_style() -> None:
    torch.manual_seed(0)
    judge = dcgan.Critic(128, ("one", "two"), 16, 2).requires_grad_(False).eval()
    x = torch.randn(2, 3, 128, 128)
    verdicts = [judge(x, torch.tensor(styles)) for styles in ([0, 0], [0, 1])]
    assert verdicts[0].shape == (2, 1)
    torch.testing.assert_close(verdicts[0][0], verdicts[1][0])
    assert float((verdicts[0][1] - verdicts[1][1]).abs().min()) > 1e-3


# --- what is shown and judged ---------------------------------------------------------------------------------------


def test_varied_pictures_are_shifted_toned_and_cut_and_let_gradients_through() -> None:
    x = torch.rand(8, 3, 32, 32, requires_grad=True)
    made = augment.varied(x, pictures.generator(0), 1.0)
    assert made.shape == x.shape and not torch.allclose(made, x)
    assert torch.equal(made, augment.varied(x, pictures.generator(0), 1.0))
    holes = (made == 0).all(1).float().mean((1, 2))
    assert 0.05 < float(holes.mean()) < 0.6
    made.sum().backward()
    assert x.grad is not None and float(x.grad.abs().mean()) > 0


def test_only_a_share_of_them_is_varied_and_each_way_by_itself() -> None:
    x = torch.rand(400, 3, 16, 16) + 0.1
    assert torch.equal(augment.varied(x, pictures.generator(0), 0.0), x)
    made = augment.varied(x, pictures.generator(0), 0.2)
    untouched = (made == x).all(3).all(2).all(1).float().mean()
    assert 0.8**3 - 0.08 < float(untouched) < 0.8**3 + 0.08
    cut_or_shifted = (made == 0).all(1).any(2).any(1).float().mean()
    assert 1 - 0.8**2 - 0.08 < float(cut_or_shifted) < 1 - 0.8**2 + 0.08


def test_the_distance_of_a_set_to_itself_is_none_and_grows_with_what_is_done_to_it() -> None:
    generator = torch.Generator().manual_seed(0)
    known = torch.rand(300, 3, 8, 8, generator=generator).repeat_interleave(8, 2).repeat_interleave(8, 3)
    features = likeness.features(known)
    assert likeness.frechet(features, features) == pytest.approx(0, abs=1e-6)
    distances = [likeness.frechet(likeness.features(known * share), features) for share in (0.9, 0.6, 0.2)]
    assert 0 < distances[0] < distances[1] < distances[2]


def test_the_distance_is_the_published_one() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = (torch.randn(400, 5, generator=generator, dtype=torch.float64) for _ in range(2))
    other = other @ torch.randn(5, 5, generator=generator, dtype=torch.float64) + 0.5
    import scipy.linalg

    a, b = (np.cov(each.numpy(), rowvar=False) for each in (one, other))
    gap = np.square(one.mean(0).numpy() - other.mean(0).numpy()).sum()
    expected = gap + np.trace(a + b - 2 * scipy.linalg.sqrtm(a @ b).real)
    assert likeness.frechet(one, other) == pytest.approx(expected, rel=1e-6)


def test_spread_and_nearest_are_distances_of_pixels() -> None:
    black, white = torch.zeros(1, 3, 4, 4), torch.ones(1, 3, 4, 4)
    assert likeness.spread(torch.cat((black, white))) == pytest.approx(1)
    distance, index = likeness.nearest(black + 0.25, torch.cat((white, black)))
    assert float(distance) == pytest.approx(0.25) and int(index) == 1


# --- training -------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "rate"), [("style", 2e-4), ("dcgan", 2e-4)])
def test_made_pictures_become_more_like_true_ones(
    kind: str, rate: float, photos: list[pictures.Photo], tmp_path: Path
) -> None:
    """Losses of two that learn against each other say nothing: the pictures' distance falls."""
    training = Training(task(kind, photos), Settings(12, 8, rate, decay=0, falls=False), tmp_path / "x.safetensors")
    before = training.finish()["frechet"]
    assert training.run(600)
    assert training.finish()["frechet"] < 0.9 * before


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["style", "dcgan"])
def test_both_networks_go_on_bit_for_bit(kind: str, photos: list[pictures.Photo], tmp_path: Path) -> None:
    def training(name: str) -> Training:
        settings = Settings(4, 4, 2e-3, decay=0, falls=False)
        return Training(task(kind, photos), settings, tmp_path / f"{name}.safetensors")

    broken_off.both(training, after=2)


def test_only_the_one_whose_turn_it_is_learns(photos: list[pictures.Photo], tmp_path: Path) -> None:
    training = Training(task("style", photos), Settings(9, 2, 2e-3, decay=0), tmp_path / "x.safetensors")
    judge = training.task.turns[0].network
    changed: list[tuple[bool, bool]] = []

    def state(network: torch.nn.Module) -> list[Tensor]:
        return [each.detach().clone() for each in network.parameters()]

    for name in ("critic", "network"):
        adam = training._adams[name]
        before = state(judge), state(training.task.network)
        real = adam.step

        def step(*args: Any, real: Any = real, before: Any = before, **named: Any) -> None:
            real(*args, **named)
            after = state(judge), state(training.task.network)
            same = [all(map(torch.equal, a, b)) for a, b in zip(before, after, strict=True)]
            changed.append((not same[0], not same[1]))

        adam.step = step  # type: ignore[method-assign]
    training.run(0.001)
    assert changed == [(True, False), (True, True), (True, True)]


def test_few_pictures_are_refused_with_their_number(photos: list[pictures.Photo]) -> None:
    with pytest.raises(PictureError, match="12 pictures of faces are too few"):
        faces.Faces(photos[:12], 0)


def test_styles_are_the_folders(photos: list[pictures.Photo]) -> None:
    made = faces.Faces(photos, 0)
    assert made.styles == ("colour", "ink") and made.network.styles == made.styles
    flat = [pictures.Photo(each.name.rpartition("/")[2] + each.folders[0], each.pixels) for each in photos]
    assert faces.Faces(flat, 0).styles == ("",)


# --- the command ----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize(("network", "side"), [("faces", 128), ("dcgan", 64)])
def test_the_command_makes_faces_that_can_be_drawn(
    network: str, side: int, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("SAMOVAR_HOME", str(tmp_path / "home"))
    out = tmp_path / "mine.safetensors"
    options = ["-o", str(out), "--steps", "2", "--batch", "4", "--json", "--here", "--leave-out", "rocks"]
    assert command(["train", network, str(folder), *options]) == 0
    said: dict[str, float] = json.loads(capsys.readouterr().out)
    assert said["steps"] == 2 and said["frechet"] > said["true_frechet"] > 0 and math.isfinite(said["nearest"])
    assert out.with_suffix(".png").is_file()
    with safetensors.safe_open(out, "pt") as file:
        about = json.loads(file.metadata()["training"])
    assert about["styles"] == ["colour", "ink"] and about["pictures"] + about["held_out"] == 36
    card = store.add(out)
    assert (card.id, card.operations, card.whole) == ("own/mine", ("faces",), True)
    laboratory = Laboratory(card)
    options = {"model": "own/mine", "count": 4, "size": str(side) if network == "faces" else "64"}
    made = laboratory.run(np.zeros((1, 1, 3), np.uint8), "faces", **options).pixels
    assert made.shape == (2 * side, 2 * side, 3) and len(np.unique(made)) > 9
    with pytest.raises(BadRequest, match="faces.style"):
        laboratory.run(np.zeros((1, 1, 3), np.uint8), "faces", style="lorelei", **options)
