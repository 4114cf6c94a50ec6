"""`samovar train prepare --faces`: with the real OpenCV, a real cascade, and the picture of an astronaut."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import pyvips
import skimage.data
from drawings import drawing, load, save

from samovar.cli.program import run as command
from samovar.training import cascade
from samovar.training.squares import Square

ROOT = Path(__file__).resolve().parents[2]
FACE = Square(172, 65, 102)
"""Where the face is in the picture, from brow to chin."""


@pytest.fixture(scope="module")
def astronaut() -> npt.NDArray[np.uint8]:
    """(512, 512, 3)"""
    return np.ascontiguousarray(skimage.data.astronaut())


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cascade for faces of people. scikit-image has it, with a slip of the pen that OpenCV does not take."""
    text = Path(skimage.data.lbp_frontal_face_cascade_filename()).read_text()
    path = tmp_path_factory.mktemp("cascade") / "gesichter-über-alles.xml"
    path.write_text(text.replace("featuhreParams", "featureParams"), encoding="utf-8")
    return path


@pytest.fixture
def told(tmp_path: Path, file: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Prepares what lies in `in` into a folder, and gives what was printed as JSON; `said` are the words beside it."""

    def run(*options: str, folder: str = "out", code: int = 0) -> dict[str, Any]:
        capsys.readouterr()
        line = ["train", "prepare", str(tmp_path / "in"), "-o", str(tmp_path / folder), "--json", *options]
        assert command([*line, *(["--cascade", str(file)] if "--faces" in options else [])]) == code
        shown = capsys.readouterr()
        return {**json.loads(shown.out), "said": shown.err}

    return run


def likeness(one: npt.NDArray[np.uint8], other: npt.NDArray[np.uint8]) -> float:
    return float(np.corrcoef(one.ravel(), other.ravel())[0, 1])


def test_a_face_is_cut_with_hair_and_chin(
    astronaut: npt.NDArray[np.uint8], tmp_path: Path, told: Callable[..., dict[str, Any]]
) -> None:
    save(astronaut, tmp_path / "in" / "eileen.png")
    report = told("--faces")
    assert (report["pictures"], report["found"], report["written"]) == (1, 1, 1)
    whole = pyvips.Image.new_from_array(astronaut)
    grown = whole.crop(FACE.left - 26, FACE.top - 36, 153, 153).thumbnail_image(128, height=128, size="force")
    assert likeness(load(tmp_path / "out" / "eileen_0.png"), grown.numpy()) > 0.95
    assert "few faces (1): " in report["said"] and "fewer than 1000" in report["said"]


@pytest.mark.parametrize(
    ("box", "size", "square"),
    [
        (Square(100, 100, 100), (400, 500), Square(75, 65, 150)),
        (Square(0, 0, 100), (400, 500), Square(0, 0, 150)),
        (Square(400, 300, 100), (400, 500), Square(350, 250, 150)),
        (Square(10, 5, 90), (100, 500), Square(5, 0, 100)),
        (Square(0, 0, 1), (1, 1), Square(0, 0, 1)),
    ],
)
def test_a_grown_square_stays_inside(box: Square, size: tuple[int, int], square: Square) -> None:
    assert cascade.grown(box, *size) == square


def test_a_face_that_is_too_small_is_counted_and_not_taken(
    astronaut: npt.NDArray[np.uint8], tmp_path: Path, told: Callable[..., dict[str, Any]]
) -> None:
    half = pyvips.Image.new_from_array(astronaut).resize(0.5).numpy()  # 51 pixels of a side
    save(half, tmp_path / "in" / "small.png")
    report = told("--faces", code=1)
    assert (report["too_small"], report["found"], report["left"]) == (1, 0, 0)
    assert "nothing to train on" in report["said"]
    assert told("--faces", "--size", "96", folder="other")["written"] == 1


def test_a_large_picture_is_seen_smaller_and_cut_as_it_is(
    astronaut: npt.NDArray[np.uint8],
    tmp_path: Path,
    told: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cascade, "SEEN", 300)
    save(astronaut, tmp_path / "in" / "a.png")
    save(astronaut[:, ::-1], tmp_path / "in" / "b.png")
    assert told("--faces")["written"] == 2
    whole = pyvips.Image.new_from_array(astronaut)
    grown = whole.crop(FACE.left - 26, FACE.top - 36, 153, 153).thumbnail_image(128, height=128, size="force")
    part = load(tmp_path / "out" / "a_0.png")
    assert likeness(part, grown.numpy()) > 0.9
    sharpness = [np.abs(np.diff(each.astype(float), axis=1)).mean() for each in (part, grown.numpy())]
    assert sharpness[0] > 0.9 * sharpness[1]


@pytest.mark.slow
def test_of_several_faces_the_largest_come_first_and_so_many_are_taken(
    astronaut: npt.NDArray[np.uint8], tmp_path: Path, told: Callable[..., dict[str, Any]]
) -> None:
    smaller = pyvips.Image.new_from_array(astronaut[:, ::-1]).resize(0.75).numpy()
    both = np.full((512, 896, 3), 90, np.uint8)
    both[:384, :384], both[:, 384:] = smaller, astronaut
    save(both, tmp_path / "in" / "two.png")
    report = told("--faces", "--per-picture", "1")
    assert (report["found"], report["left_out"], report["written"]) == (2, 1, 1)
    whole = told("--faces", folder="all")
    assert (whole["found"], whole["left_out"], whole["written"]) == (2, 0, 2)
    first, second = (load(tmp_path / "all" / f"two_{index}.png") for index in range(2))
    assert likeness(first, second[:, ::-1]) > 0.9 > likeness(first, second)
    assert (first == load(tmp_path / "out" / "two_0.png")).all()
    right = pyvips.Image.new_from_array(both).crop(384 + FACE.left - 26, FACE.top - 36, 153, 153)
    assert likeness(first, right.thumbnail_image(128, height=128, size="force").numpy()) > 0.95


@pytest.mark.slow
def test_the_same_face_twice_is_taken_once(
    astronaut: npt.NDArray[np.uint8], tmp_path: Path, told: Callable[..., dict[str, Any]]
) -> None:
    image = pyvips.Image.new_from_array(astronaut).copy(interpretation="srgb")
    save(astronaut, tmp_path / "in" / "a.png")
    image.write_to_file(str(tmp_path / "in" / "b.jpg[Q=95]"))
    save(drawing(3, 300, 300), tmp_path / "in" / "none.png")
    report = told("--faces")
    assert (report["pictures"], report["found"], report["duplicates"], report["written"]) == (3, 2, 1, 1)
    assert report["duplicate_pictures"] == 0, "faces are compared, not what they are in"


# --- the cascade and OpenCV -----------------------------------------------------------------------------------------


def failing(tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> str:
    save(drawing(0), tmp_path / "in" / "a.png")
    line = ["train", "prepare", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--faces", *options]
    capsys.readouterr()
    assert command(line) == 1 and not (tmp_path / "out").exists()
    (said,) = capsys.readouterr().err.splitlines()
    return said


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello",
        b"<a><b/></a>",
        b"\x89PNG\r\n\xff\xfe\0",
        b'<?xml version="1.0"?><opencv_storage><x>1</x></opencv_storage>',
        b'{"a": 1}',
        b"half",
        b"misspelt",
    ],
)
def test_a_file_that_is_no_cascade_is_refused_in_a_sentence(
    content: bytes, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = file.read_bytes()
    damaged = {b"half": whole[: len(whole) // 2], b"misspelt": whole.replace(b"featureParams", b"featuhreParams")}
    (tmp_path / "x.xml").write_bytes(damaged.get(content, content))
    said = failing(tmp_path, capsys, "--cascade", str(tmp_path / "x.xml"))
    assert f"{tmp_path / 'x.xml'} is no cascade that OpenCV reads" in said


@pytest.mark.parametrize("name", ["missing.xml", "."])
def test_a_cascade_that_is_no_file_is_refused(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = failing(tmp_path, capsys, "--cascade", str(tmp_path / name))
    assert f"--cascade {tmp_path / name} is no file" in said and cascade.FILE in said


def test_without_a_cascade_it_is_said_where_to_put_one_and_there_it_is_found(
    file: Path, astronaut: npt.NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("SAMOVAR_HOME", str(tmp_path / "home"))
    said = failing(tmp_path, capsys)
    assert cascade.FILE in said and str(tmp_path / "home" / "models") in said and "--cascade FILE" in said
    (tmp_path / "home" / "models").mkdir(parents=True)
    (tmp_path / "home" / "models" / cascade.FILE).write_bytes(file.read_bytes())
    save(astronaut, tmp_path / "in" / "b.png")
    assert command(["train", "prepare", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--faces"]) == 0
    assert (tmp_path / "out" / "b_0.png").is_file()


def test_without_opencv_one_sentence_names_what_to_install(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "cv2", None)
    assert "pip install 'samovar[faces]'" in failing(tmp_path, capsys, "--cascade", str(file))
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r'^name = "samovar"$', project, re.M) and re.search(r'^faces = \["opencv-python-h', project, re.M)


def test_another_cascade_is_not_mixed_in(
    file: Path, astronaut: npt.NDArray[np.uint8], tmp_path: Path, told: Callable[..., dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    save(astronaut, tmp_path / "in" / "a.png")
    told("--faces")
    other = tmp_path / "other.xml"
    other.write_text(file.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    line = ["train", "prepare", str(tmp_path / "in"), "-o", str(tmp_path / "out"), "--faces", "--cascade", str(other)]
    assert command(line) == 1
    assert "was made with cascade" in capsys.readouterr().err


# --- pictures that are faces already --------------------------------------------------------------------------------


def test_whole_pictures_give_their_middle(tmp_path: Path, told: Callable[..., dict[str, Any]]) -> None:
    save(drawing(0, 128, 150), tmp_path / "in" / "exact.png")
    save(drawing(1, 300, 256), tmp_path / "in" / "large.png")
    save(drawing(2, 64, 90), tmp_path / "in" / "half.png")
    save(drawing(3, 63, 90), tmp_path / "in" / "less.png")
    report = told("--whole")
    assert (report["pictures"], report["written"], report["too_small"]) == (4, 3, 1)
    assert (load(tmp_path / "out" / "exact_0.png") == drawing(0, 128, 150)[:, 11:139]).all()
    half = pyvips.Image.new_from_array(drawing(1, 300, 256)[22:278]).thumbnail_image(128, height=128, size="force")
    assert np.abs(load(tmp_path / "out" / "large_0.png").astype(int) - half.numpy()).max() <= 2
    assert load(tmp_path / "out" / "half_0.png").shape == (128, 128, 3)
    assert "few faces (3)" in report["said"]


def test_parts_that_are_no_faces_may_be_few(tmp_path: Path, told: Callable[..., dict[str, Any]]) -> None:
    save(drawing(0, 128, 150), tmp_path / "in" / "a.png")
    assert "few" not in told()["said"]
