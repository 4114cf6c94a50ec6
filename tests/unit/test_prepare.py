"""`samovar train prepare`: parts of pictures, duplicates, names, going on, and what can be wrong."""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips
import torch
from drawings import drawing, load, save

from samovar.cli.program import run as command
from samovar.training import detail, fingerprint, pictures, squares
from samovar_link.messages import Limits

SIDE = 32
LINE = ["--size", str(SIDE), "--per-picture", "3"]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three pictures, and a note."""
    folder = tmp_path / "in"
    for index, name in enumerate("abc"):
        save(drawing(index), folder / f"{name}.png")
    (folder / "note.txt").write_text("none")
    return folder


@pytest.fixture
def told(capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """Runs the command and gives what it printed as JSON."""

    def run(source: Path, folder: Path, *options: str, code: int = 0) -> dict[str, Any]:
        assert command(["train", "prepare", str(source), "-o", str(folder), *LINE, "--json", *options]) == code
        return dict(json.loads(capsys.readouterr().out))

    return run


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*.png"))


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# --- parts ----------------------------------------------------------------------------------------------------------


def test_parts_are_pixels_of_the_picture_that_they_are_named_after(
    source: Path, tmp_path: Path, told: Callable[..., dict[str, Any]]
) -> None:
    report = told(source, tmp_path / "out")
    assert names(tmp_path / "out") == [f"{name}_{index}.png" for name in "abc" for index in range(3)]
    assert (report["pictures"], report["found"], report["written"], report["left"]) == (3, 9, 9, 9)
    for path in (tmp_path / "out").glob("*.png"):
        whole, part = load(source / f"{path.name[0]}.png"), load(path)
        windows = np.lib.stride_tricks.sliding_window_view(whole, (SIDE, SIDE, 3))[:, :, 0]
        assert (windows == part).all((2, 3, 4)).any(), path


def test_the_parts_with_most_in_them_come_first() -> None:
    picture = torch.full((3, 200, 200), 90, dtype=torch.uint8)
    picture[:, 120:, 120:] = torch.from_numpy(drawing(0, 80, 80)).permute(2, 0, 1)
    hits = 0
    for seed in range(20):
        left, top = detail.corners(picture, SIDE, 1, pictures.generator(seed))[0]
        hits += left > 120 - SIDE and top > 120 - SIDE
    assert hits >= 15, "three quarters of all places have nothing in them"


def test_parts_hardly_overlap_and_are_fewer_where_there_is_no_room() -> None:
    picture = torch.from_numpy(drawing(0)).permute(2, 0, 1)
    found = detail.corners(picture, SIDE, 50, pictures.generator(1))
    assert 4 <= len(found) < 12
    for index, (left, top) in enumerate(found):
        covered = np.zeros((80, 100))
        covered[top : top + SIDE, left : left + SIDE] = 1
        for other, above in found[:index]:
            assert covered[above : above + SIDE, other : other + SIDE].mean() <= detail.OVERLAP


def test_a_picture_of_just_the_size_is_one_part_and_a_smaller_one_none(
    tmp_path: Path, told: Callable[..., dict[str, Any]]
) -> None:
    save(drawing(0, SIDE, SIDE), tmp_path / "in" / "fits.png")
    save(drawing(1, SIDE - 1, 90), tmp_path / "in" / "small.png")
    save(drawing(2, 1, 1), tmp_path / "in" / "tiny.png")
    report = told(tmp_path / "in", tmp_path / "out")
    assert (report["found"], report["too_small"], report["written"]) == (1, 2, 1)
    assert (load(tmp_path / "out" / "fits_0.png") == load(tmp_path / "in" / "fits.png")).all()


def test_the_same_seed_cuts_the_same_whatever_a_picture_is_called(
    source: Path, tmp_path: Path, told: Callable[..., dict[str, Any]]
) -> None:
    told(source, tmp_path / "one")
    (source / "b.png").rename(source / "z.png")
    told(source, tmp_path / "two")
    told(source, tmp_path / "three", "--seed", "1")
    assert load(tmp_path / "one" / "b_0.png").tolist() == load(tmp_path / "two" / "z_0.png").tolist()
    assert load(tmp_path / "three" / "z_0.png").tolist() != load(tmp_path / "two" / "z_0.png").tolist()


def test_pictures_are_not_all_cut_at_the_same_places() -> None:
    way = squares.Patches(SIDE, 3, seed=0)
    assert way(drawing(0), 1) == way(drawing(0), 1) != way(drawing(0), 2)


def _kinds() -> Iterator[tuple[str, pyvips.Image, str]]:
    """Name, picture, what it is saved as."""
    image = pyvips.Image.new_from_array(drawing(5)).copy(interpretation="srgb")
    half = pyvips.Image.black(100, 80).copy(interpretation="b-w") + [128]
    half = half.cast("uchar")
    wide = (image.cast("ushort") * 257).cast("ushort").copy(interpretation="rgb16")
    yield "gray", image.colourspace("b-w"), ".png"
    yield "gray, alpha", image.colourspace("b-w").bandjoin(half), ".png"
    yield "alpha", image.bandjoin(half), ".png"
    yield "palette", image, ".png[palette]"
    yield "16 bit", wide, ".png"
    yield "16 bit, alpha", wide.bandjoin((half.cast("ushort") * 257).cast("ushort")), ".tif"
    yield "float", image.colourspace("scrgb"), ".tif"
    yield "CMYK", image.icc_transform("cmyk", input_profile="srgb"), ".jpg"
    turned = image.copy()
    turned.set_type(pyvips.GValue.gint_type, "orientation", 6)
    yield "turned", turned, ".jpg[Q=95]"
    yield "WebP", image, ".webp[lossless]"


@pytest.mark.parametrize(("image", "suffix"), [pytest.param(*each[1:], id=each[0]) for each in _kinds()])
def test_every_kind_of_picture_is_seen_as_trainings_see_it(
    image: pyvips.Image, suffix: str, tmp_path: Path, told: Callable[..., dict[str, Any]]
) -> None:
    (tmp_path / "in").mkdir()
    image.write_to_file(str(tmp_path / "in" / f"a{suffix}"))
    told(tmp_path / "in", tmp_path / "out", "--whole", "--size", "80")
    (photo,) = pictures.read([tmp_path / "in"], 999)
    upright = photo.pixels[:, 10:-10] if suffix.startswith(".jpg[") else photo.pixels[..., 10:-10]
    assert load(tmp_path / "out" / "a_0.png").tolist() == upright.permute(1, 2, 0).tolist()


def test_one_picture_at_a_time_is_in_memory(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decoded, alive = pictures.decoded, [weakref.ref(np.zeros(1))]

    def watched(name: str, data: bytes) -> Any:
        assert alive[-1]() is None, "the one before is still there"
        pixels = decoded(name, data)
        alive.append(weakref.ref(pixels))
        return pixels

    monkeypatch.setattr(pictures, "decoded", watched)
    assert command(["train", "prepare", str(source), "-o", str(tmp_path / "out"), *LINE]) == 0
    assert len(alive) == 4


def test_a_picture_larger_than_the_daemon_takes_is_not_decoded(
    source: Path, tmp_path: Path, told: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pictures, "Limits", lambda: Limits(max_pixels=8001))
    save(drawing(9, 80, 101), source / "large.png")
    report = told(source, tmp_path / "out")
    assert report["pictures"] == 3 and "large.png is too large: 101x80" in report["unreadable_named"][0]


# --- duplicates -----------------------------------------------------------------------------------------------------


def test_bits_are_counted_as_python_counts_them() -> None:
    numbers = [0, 1, 2**64 - 1, 2**63, *np.random.default_rng(0).integers(0, 2**63, 500).tolist()]
    assert fingerprint.ones(np.array(numbers, np.uint64)).tolist() == [each.bit_count() for each in numbers]


def test_what_differs_in_so_many_bits_is_alike_and_in_one_more_is_not() -> None:
    seen = fingerprint.Seen(4)
    assert not seen.has(0)
    numbers = np.random.default_rng(0).integers(0, 2**63, 3000).tolist()
    for number in numbers:
        seen.add(number)
    assert seen.has(numbers[0]) and seen.has(number ^ 0b1111) and seen.has(number ^ (0b1111 << 60))
    assert not seen.has(number ^ 0b11111)
    nothing = fingerprint.Seen(-1)
    nothing.add(7)
    assert not nothing.has(7)


def test_a_fingerprint_outlives_packing_scaling_and_darkening() -> None:
    for seed in range(10):
        image = pyvips.Image.new_from_array(drawing(seed, 160, 200)).copy(interpretation="srgb")
        first = fingerprint.of(image.numpy())
        assert first.bit_count() == 32, "half of the waves are stronger than the middle one"
        packed = pyvips.Image.new_from_buffer(image.jpegsave_buffer(Q=30), "")
        for other in (packed, image.resize(0.5), (image * 0.8 + 10).cast("uchar")):
            assert (first ^ fingerprint.of(other.numpy())).bit_count() <= fingerprint.ALIKE
        assert (first ^ fingerprint.of(drawing(seed + 50, 160, 200))).bit_count() > 3 * fingerprint.ALIKE
    assert fingerprint.of(np.full((50, 70, 3), 201, np.uint8)) == 0, "nothing in it, and no noise of rounding"


def test_a_picture_like_another_is_left_out_and_counted(
    source: Path, tmp_path: Path, told: Callable[..., dict[str, Any]]
) -> None:
    image = pyvips.Image.new_from_file(str(source / "a.png"))
    image.write_to_file(str(source / "again.jpg[Q=60]"))
    image.resize(2).write_to_file(str(source / "large.png"))
    (source / "copy.png").write_bytes((source / "b.png").read_bytes())
    report = told(source, tmp_path / "out")
    assert (report["pictures"], report["duplicate_pictures"], report["written"]) == (6, 3, 9)
    assert {name[0] for name in names(tmp_path / "out")} == set("abc")
    assert told(source, tmp_path / "all", "--alike", "-1")["written"] == 18


def test_parts_like_another_are_left_out(tmp_path: Path, told: Callable[..., dict[str, Any]]) -> None:
    save(np.full((90, 90, 3), 7, np.uint8), tmp_path / "in" / "flat.png")
    report = told(tmp_path / "in", tmp_path / "out")
    assert (report["found"], report["duplicates"], report["written"]) == (3, 2, 1)


# --- names ----------------------------------------------------------------------------------------------------------


def test_names_are_plain_different_and_hold_parts_of_a_picture_together(
    tmp_path: Path, told: Callable[..., dict[str, Any]]
) -> None:
    given = ["a.png", "A.jpg", "deep/er/a.png", "deep-er/a.png", "_ .png", "x y#%?é.png", "n" * 240 + ".png", "f_1.png"]
    for index, name in enumerate(given):
        save(drawing(index), tmp_path / "in" / name)
    told(tmp_path / "in", tmp_path / "out")
    written = names(tmp_path / "out")
    stems = {name.rpartition("_")[0] for name in written}
    assert stems == {"A", "a-2", "deep-er-a", "deep-er-a-2", "_-", "x-y-é", "n" * 200, "f_1"}
    ours, held = pictures.parted(pictures.read([tmp_path / "out"], SIDE))
    assert not {each.name[:-6] for each in ours} & {each.name[:-6] for each in held}
    assert len(held) == 3 * 4 and len(written) == 3 * 8


def test_sources_may_be_several_and_tars(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with tarfile.open(tmp_path / "more.tar", "w") as archive:
        archive.add(save(drawing(8), tmp_path / "d.png"), "../a.png")
    line = ["train", "prepare", str(source), str(tmp_path / "more.tar"), "-o", str(tmp_path / "out"), *LINE]
    assert command(line) == 0
    assert "a-2_0.png" in names(tmp_path / "out") and not (tmp_path / "a-2_0.png").exists()
    assert "pictures: 4 read, 0 unreadable, 0 like another" in capsys.readouterr().out


def test_what_was_dropped_is_not_read_again(source: Path, tmp_path: Path) -> None:
    save(drawing(7), source / "dropped" / "x.png")
    save(drawing(8), source / "dropped.png")
    with tarfile.open(tmp_path / "all.tar", "w") as archive:
        archive.add(source, "faces")
    for place, front in ((source, ""), (tmp_path / "all.tar", "faces/")):
        assert [each.name for each in pictures.read([place], 9)] == [
            f"{front}{name}.png" for name in ("a", "b", "c", "dropped")
        ]
    assert [each.name for each in pictures.read([source / "dropped"], 9)] == ["x.png"], "unless it is asked for"


@pytest.mark.slow
def test_its_help_imports_nothing_heavy() -> None:
    check = (
        "import sys; from samovar.cli.program import run; run(sys.argv[1:]);"
        "sys.exit(str([name for name in ('torch', 'numpy', 'pyvips', 'cv2') if name in sys.modules]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", check, "train", "prepare", "--help"], capture_output=True, text=True, check=False
    )
    assert done.stderr.splitlines()[-1] == "[]" and "--per-picture" in done.stdout
