"""`restore` through the engine: what shows meanwhile, how it ends, what is put aside, and how good it is."""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from laboratory import Laboratory, Pixels, allocate, as_array, described, frames, smooth

from samovar import card, operation
from samovar.card import Catalogue
from samovar.prior.fit import Fit
from samovar.prior.observation import Observation
from samovar.worker import checkpoints, damage, restoring, turns
from samovar.worker.checkpoints import Checkpoints
from samovar.worker.engine import Engine
from samovar.worker.job import Job, JobCancelled, Result
from samovar_link.errors import BadRequest
from samovar_link.messages import Progress, Rectangle, Run

LABORATORY = Laboratory()


def photo(height: int = 96, width: int = 96) -> Pixels:
    from skimage import data

    return np.ascontiguousarray(data.astronaut()[20 : 20 + height, 170 : 170 + width])


def noisy(clean: Pixels, sigma: float = 25.0) -> Pixels:
    noise = np.random.default_rng(0).normal(0, sigma, clean.shape)
    return np.clip(clean + noise + 0.5, 0, 255).astype(np.uint8)


def psnr(a: Pixels, b: Pixels) -> float:
    return -10 * math.log10(((a.astype(float) - b.astype(float)) ** 2).mean() / 255**2)


def restore(pixels: Pixels, **more: Any) -> Any:
    return LABORATORY.run(pixels, "restore", **more)


# --- how good it is (the bench has the large pictures) --------------------------------------------------------------


@pytest.mark.slow
def test_noise_goes() -> None:
    clean = photo(128, 128)
    damaged = noisy(clean)
    made = restore(damaged, iterations=120).pixels
    assert psnr(made, clean) > psnr(damaged, clean) + 6


@pytest.mark.slow
def test_missing_pixels_come_back() -> None:
    clean = photo(128, 128)
    mask = (np.random.default_rng(0).random((128, 128, 1)) < 0.5).astype(np.uint8) * 255
    damaged = np.where(mask > 0, 0, clean).astype(np.uint8)
    made = restore(damaged, masks={"mask": mask}, mode="inpaint", iterations=300).pixels
    assert psnr(made, clean) > 25
    assert np.array_equal(made[mask[..., 0] == 0], clean[mask[..., 0] == 0])


@pytest.mark.slow
def test_more_smoothness_is_smoother() -> None:
    damaged = noisy(photo())
    rough, even = (restore(damaged, iterations=60, smoothness=each).pixels for each in (0.2, 2.5))

    def variation(pixels: Pixels) -> float:
        return float(np.abs(np.diff(pixels.astype(float), axis=1)).mean())

    assert variation(even) < 0.7 * variation(rough)


@pytest.mark.slow
def test_a_wrapped_layer_repeats_without_a_seam() -> None:
    y, x = np.mgrid[0:64, 0:64] / 64 * 2 * np.pi
    clean = 128 + 60 * np.sin(x + y)[..., None].repeat(3, 2)
    pixels = noisy(clean.astype(np.uint8), 20)
    for wrap in ({"wrap_x": True}, {"wrap_y": True}):
        made = restore(pixels, iterations=60, message=wrap).pixels.astype(float)
        if "wrap_y" in wrap:
            made = made.transpose(1, 0, 2)
        inside = np.abs(np.diff(made, axis=1)).mean()
        seam = np.abs(made[:, 0] - made[:, -1]).mean()
        assert seam < 1.3 * inside, wrap


@pytest.mark.slow
def test_tiles_leave_no_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    damaged = noisy(photo(96, 160))
    whole = restore(damaged, iterations=60).pixels.astype(float)
    monkeypatch.setitem(restoring.SIDE, "fast", 96)
    tiled = restore(damaged, iterations=60).pixels.astype(float)
    difference = np.abs(tiled - whole)
    assert difference.mean() < 6
    columns = np.abs(np.diff(tiled - whole, axis=1)).mean((0, 2))
    assert columns.max() < 4 * np.median(columns)


# --- what shows, and how it ends ------------------------------------------------------------------------------------


class Player:
    """Runs a job and is asked about it. said : all progress; parts : what was shown"""

    def __init__(self, folder: Path | None = None) -> None:
        catalogue = Catalogue(each for each in card.discover() if each.embedded)
        self.engine = Engine(operation.discover(), catalogue, checkpoints=folder)
        self.said: list[tuple[float, Progress]] = []
        self.parts: list[Pixels] = []
        self.enough_after = self.cancel_after = math.inf
        self.began = 0.0

    def run(self, pixels: Pixels, job: str = "job", **parameters: Any) -> Result:
        run = Run(job, "restore", parameters, {"image": described(pixels)}, stream=True)

        def report(message: Progress, memory: Sequence[memoryview]) -> None:
            self.said.append((time.monotonic(), message))
            if message.images:
                self.parts.append(as_array(message.images["image"], memory))

        work = Job(
            run, report, lambda: len(self.said) >= self.cancel_after, allocate,
            enough=lambda: len(self.parts) >= self.enough_after,
        )  # fmt: skip
        self.began = time.monotonic()
        return self.engine.execute(run, frames(pixels), work)


@pytest.mark.slow
def test_it_shows_all_of_the_picture_again_and_again_and_ends_by_the_time() -> None:
    player, damaged = Player(), noisy(photo())
    result = player.run(damaged, seconds=4, smoothness=1.0)
    took = time.monotonic() - player.began
    times = [player.began, *(when for when, message in player.said if message.images)]
    assert len(player.parts) >= 3 and all(part.shape == damaged.shape for part in player.parts)
    assert max(np.diff(times)) < 2.0
    assert took < 8 and result.report.notes[0].startswith(("the time was up after", "it was over by itself after"))
    fractions = [message.fraction for _, message in player.said]
    assert fractions == sorted(fractions) and fractions[-1] == 1.0
    assert any(message.stage.startswith("step ") for _, message in player.said)


def test_enough_ends_it_with_what_showed() -> None:
    player, damaged = Player(), noisy(photo())
    player.enough_after = 2
    result = player.run(damaged, seconds=600)
    made = as_array(result.images["image"], result.frames)
    assert result.report.notes[0].startswith("kept as it was after")
    assert np.array_equal(made, player.parts[-1])


def test_cancel_ends_it_at_the_next_step() -> None:
    player = Player()
    player.cancel_after = 2
    with pytest.raises(JobCancelled):
        player.run(noisy(photo()), seconds=600)


def test_so_many_iterations_are_made() -> None:
    player = Player()
    assert player.run(photo(), iterations=7).report.notes[0].startswith("as asked for after 7 steps")


def test_by_itself_it_ends_before_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    from samovar.prior.recipes import FAST

    monkeypatch.setitem(FAST, "denoise", dataclasses.replace(FAST["denoise"], iterations=9))
    assert Player().run(photo(), seconds=600).report.notes[0].startswith("it was over by itself after 9 steps")


def test_what_is_too_large_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(restoring.MOST_PIXELS, "fast", 96 * 96)
    with pytest.raises(BadRequest, match="restore size is '200x96'; allowed: at most 9216 pixels.*select a part"):
        restore(photo(96, 200), iterations=1)
    with pytest.raises(BadRequest, match="restore size is '192x192'"):
        restore(photo(), iterations=1, mode="upscale", scale=2)
    monkeypatch.setitem(restoring.MOST_PIXELS, "fast", 1 << 20)
    monkeypatch.setitem(restoring.MOST_PIXELS, "classic", 96)
    with pytest.raises(BadRequest, match="choose the fast method"):
        restore(photo(), iterations=1, method="classic")


def test_masks_are_for_modes_that_take_them() -> None:
    mask = np.zeros((96, 96, 1), np.uint8)
    with pytest.raises(BadRequest, match="restore images is .*; allowed: image, mask"):
        restore(photo(), mode="inpaint")
    with pytest.raises(BadRequest, match="the result has another size"):
        restore(photo(), masks={"mask": mask}, mode="upscale")
    assert np.array_equal(restore(photo(), masks={"mask": mask}, iterations=1).pixels, photo())


def test_nothing_left_to_fill_from_says_so() -> None:
    with pytest.raises(BadRequest, match="leave something unselected"):
        restore(photo(), masks={"mask": np.full((96, 96, 1), 255, np.uint8)}, mode="inpaint")


def test_a_small_selection_costs_no_more_than_what_is_around_it(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Observation] = []
    real = Fit.__init__

    def noting(self: Fit, observation: Observation, *rest: Any, **more: Any) -> None:
        seen.append(observation)
        real(self, observation, *rest, **more)

    monkeypatch.setattr(Fit, "__init__", noting)
    mask = np.zeros((256, 256, 1), np.uint8)
    mask[100:110, 120:140] = 255
    restore(photo(256, 256), masks={"mask": mask}, iterations=1)
    assert tuple(seen[0].values.shape[-2:]) == (10 + 64, 20 + 64)


HOLES = {
    "pixels": np.random.default_rng(0).random((128, 128)) < 0.5,
    "sparse": np.random.default_rng(0).random((128, 128)) < 0.98,
    "text": np.indices((128, 128))[0] % 30 < 9,
    "medium": np.pad(np.ones((50, 50), bool), 39),
    "large": np.pad(np.ones((100, 100), bool), 14),
}


@pytest.mark.parametrize("kind", HOLES)
def test_the_classic_way_takes_the_settings_for_the_hole(kind: str) -> None:
    assert damage.hole(torch.from_numpy(~HOLES[kind])) == kind


# --- put aside ------------------------------------------------------------------------------------------------------


def test_a_job_goes_on_where_a_worker_died(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Died(Exception):
        pass

    monkeypatch.setattr(turns, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(turns, "FIRST_TURN_SECONDS", 0.0)
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.0)
    straight = Player().run(photo(), iterations=8)
    steps = 0
    real = Fit.step

    def step(self: Fit) -> None:
        nonlocal steps
        if steps == 5:
            raise Died
        steps += 1
        real(self)

    monkeypatch.setattr(Fit, "step", step)
    monkeypatch.setattr(Checkpoints, "__exit__", lambda self, *error: None)  # a process that dies does not clean up
    with pytest.raises(Died):
        Player(tmp_path).run(photo(), iterations=8)
    monkeypatch.undo()
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
    counted: list[int] = []
    monkeypatch.setattr(Fit, "step", lambda self: (counted.append(self.count), real(self))[1])
    again = Player(tmp_path).run(photo(), iterations=8)
    assert counted[0] >= 4 and again.frames[0] == straight.frames[0]
    assert not list(tmp_path.iterdir())


def test_smaller_tiles_after_too_little_memory_begin_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turns, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr(turns, "FIRST_TURN_SECONDS", 0.0)
    monkeypatch.setattr(turns, "TURN_SECONDS", 0.0)
    monkeypatch.setitem(restoring.SIDE, "fast", 192)
    real, steps = Fit.step, 0

    def step(self: Fit) -> None:
        nonlocal steps
        steps += 1
        if steps == 3:
            raise torch.OutOfMemoryError("as if")
        real(self)

    monkeypatch.setattr(Fit, "step", step)
    result = Player(tmp_path).run(photo(64, 150), iterations=4)
    assert result.report.retries and "tiles of 96 pixels instead of 192" in result.report.retries[0]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("other", [{"job": "another"}, {"iterations": 9}])
def test_another_job_finds_nothing(tmp_path: Path, other: dict[str, Any]) -> None:
    run = Run("job", "restore", {"iterations": 8}, {"image": described(photo())})
    changed = dataclasses.replace(
        run, job=other.get("job", "job"), parameters={"iterations": other.get("iterations", 8)}
    )
    Checkpoints(tmp_path, run, frames(photo())).write("0", {"a": torch.ones(1)})
    assert Checkpoints(tmp_path, run, frames(photo())).read("0") is not None
    assert Checkpoints(tmp_path, changed, frames(photo())).read("0") is None
    assert Checkpoints(tmp_path, run, frames(photo() + 1)).read("0") is None


def test_a_damaged_checkpoint_and_a_full_disk_cost_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    run = Run("job", "restore", {}, {"image": described(photo())})
    aside = Checkpoints(tmp_path, run, frames(photo()))
    aside.write("0", {"a": torch.ones(1)})
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes()[:9])
    assert aside.read("0") is None and "begins anew" in caplog.text

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    aside.write("1", {"a": torch.ones(1)})
    assert "cannot be put aside" in caplog.text and aside.read("1") is None


def test_old_checkpoints_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "old.safetensors").write_bytes(b"x")
    checkpoints.sweep(tmp_path)
    assert list(tmp_path.iterdir())
    monkeypatch.setattr(checkpoints, "KEPT_SECONDS", -1.0)
    (tmp_path / "trials.json").write_bytes(b"x")
    checkpoints.sweep(tmp_path, "*.[!j]*")
    assert [each.name for each in tmp_path.iterdir()] == ["trials.json"]
    checkpoints.sweep(tmp_path)
    assert not list(tmp_path.iterdir())
    checkpoints.sweep(tmp_path / "none")


# --- parts of layers ------------------------------------------------------------------------------------------------


def test_a_region_is_placed_where_it_is() -> None:
    region = Rectangle(10, 20, 30, 40)
    made = restore(smooth(96, 96, 4), iterations=1, raster={"x": 5, "y": 6}, message={"region": region})
    raster = made.result.images["image"]
    assert (raster.x, raster.y, raster.width, raster.height) == (15, 26, 30, 40)


def test_filling_says_where_anything_changed() -> None:
    mask = np.zeros((96, 96, 1), np.uint8)
    mask[30:40, 30:50] = 255
    mask[40, 30:50] = 100
    made = restore(photo(), masks={"mask": mask}, mode="inpaint", iterations=2)
    covered = as_array(made.result.images["mask"], made.result.frames)
    assert np.array_equal(covered > 0, mask > 0)
