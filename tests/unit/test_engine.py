"""The engine: runs in, results out, with a network that needs no weights."""

from __future__ import annotations

import errno
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from laboratory import Clock, Laboratory, Smear, allocate, noise, smear_card, smooth

from samovar.card import ModelCard
from samovar.networks import Network
from samovar.worker.job import Job
from samovar.worker.pool import Pool
from samovar.worker.trouble import is_out_of_memory, may_go_on
from samovar_link.errors import BadRequest, ModelUnavailable, OutOfMemory
from samovar_link.messages import Raster, Rectangle, Run

SMEAR = {"model": "test/smear"}


@pytest.fixture
def laboratory() -> Laboratory:
    return Laboratory(smear_card())


# --- results and reports --------------------------------------------------------------------------------------------


def test_identity_gives_the_bytes_back_in_memory_of_its_own(laboratory: Laboratory) -> None:
    source = noise(5, 7, 3)
    outcome = laboratory.run(source, "identity", raster={"order": "bgra", "x": 3})
    np.testing.assert_array_equal(outcome.pixels, source)
    assert outcome.result.images["image"] == Raster(5, 7, 3, "u8", "bgra", x=3)
    assert outcome.result.report.model == "" and laboratory.loads == []


def test_the_report_says_what_ran(laboratory: Laboratory) -> None:
    report = laboratory.run(noise(20, 33, 3), **SMEAR).result.report
    assert (report.device, report.runtime, report.dtype) == ("cpu", "torch", "f32")
    assert (report.model, report.sha256) == ("test/smear", "plain-sha")
    assert report.tiles.total == 6 and report.tiles.cached == 0
    assert report.retries == ()


def test_only_the_run_that_loads_reports_seconds_of_loading(laboratory: Laboratory) -> None:
    assert laboratory.run(noise(4, 4, 3), **SMEAR).result.report.seconds.load == 2.0
    assert laboratory.run(noise(4, 4, 3), **SMEAR).result.report.seconds.load == 0.0
    assert laboratory.loads == [("test/smear", "")]


def test_the_first_pass_cleans_noise_and_the_others_do_not(laboratory: Laboratory) -> None:
    report = laboratory.run(noise(4, 4, 3), scale=4, noise=1, **SMEAR).result.report
    assert laboratory.loads == [("test/smear", "noise1"), ("test/smear", "")]
    assert report.sha256 == "noise-sha"


def test_a_picture_with_holes_goes_through_twice_and_one_with_constant_alpha_once(laboratory: Laboratory) -> None:
    holes, plain = smooth(8, 8, 4), smooth(8, 8, 4)
    plain[..., 3] = 90
    numbers = [laboratory.run(each, **SMEAR).result.report.tiles.total for each in (holes, plain)]
    assert numbers == [2, 1]


@pytest.mark.parametrize("x, y, moved", [(10, -3, (15, -5)), (0, 1, (0, 2))])
def test_the_offset_is_scaled_with_the_picture(laboratory: Laboratory, x: int, y: int, moved: tuple[int, int]) -> None:
    made = laboratory.run(noise(4, 4, 3), raster={"x": x, "y": y}, scale=1.5, **SMEAR).result.images["image"]
    assert (made.x, made.y) == moved


def test_the_same_request_gives_the_same_pixels(laboratory: Laboratory) -> None:
    first, second = (laboratory.run(smooth(30, 21, 4), scale=3, **SMEAR).pixels for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_importing_the_engine_imports_no_torch() -> None:
    code = "import sys, samovar.worker.engine, samovar.operation as o; o.discover(); print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"


# --- progress and cancel --------------------------------------------------------------------------------------------


def test_progress_never_goes_back_and_ends_at_one(laboratory: Laboratory) -> None:
    told = [each.fraction for each in laboratory.run(smooth(40, 40, 4), scale=4, **SMEAR).progress]
    assert told[0] == 0.0 and told[-1] == 1.0 and told == sorted(told)
    assert len(set(told)) > 20


def test_a_job_says_how_long_it_will_take_once_that_can_be_told() -> None:
    clock, told = Clock(), list[Any]()
    job = Job(
        Run("job", "upscale"), lambda message, _: told.append(message.eta_seconds), lambda: False, allocate, clock
    )
    for fraction in (0.0, 0.01, 0.25, 0.5, 1.0):
        job.progress(fraction)
        clock.now += 1.0
    assert told == [None, None, 6.0, 3.0, 0.0]


def test_what_the_user_looks_at_comes_first(laboratory: Laboratory) -> None:
    view = {"viewport": Rectangle(40, 20, 4, 4), "stream": True}
    shown = laboratory.run(noise(64, 64, 3), message=view, **SMEAR)
    first = shown.parts[0][0].images["image"]
    assert (first.x, first.y, first.width, first.height) == (64, 32, 32, 32)
    assert len(shown.parts) == shown.result.report.tiles.total == 16
    assert not laboratory.run(noise(64, 64, 3), **SMEAR).parts


def test_a_job_stops_between_two_tiles(laboratory: Laboratory) -> None:
    tiles = len(laboratory.run(noise(64, 64, 3), **SMEAR).progress)
    outcome = laboratory.run(noise(64, 64, 3), cancel_after=5, **SMEAR)
    assert outcome.result is None
    assert len(outcome.progress) == 5 < tiles


def test_after_a_cancelled_job_the_model_is_free_again(laboratory: Laboratory) -> None:
    laboratory.run(noise(64, 64, 3), cancel_after=5, **SMEAR)
    assert [model.in_use for model in laboratory.engine.loaded()] == [False]


# --- keeping models warm --------------------------------------------------------------------------------------------


def test_a_model_stays_for_the_seconds_asked_for_after_its_use(laboratory: Laboratory) -> None:
    laboratory.run(noise(4, 4, 3), message={"keep_alive_seconds": 60.0}, **SMEAR)
    (held,) = laboratory.engine.loaded()
    assert (held.model, held.device, held.runtime, held.size_bytes) == ("test/smear", "cpu", "torch f32", 4)
    assert held.unload_seconds == 60.0 and not held.in_use
    laboratory.clock.now += 59
    assert laboratory.engine.expire() == 1.0
    laboratory.clock.now += 1
    assert laboratory.engine.expire() is None
    assert laboratory.engine.loaded() == ()


def test_a_model_that_nobody_wants_kept_goes_at_once(laboratory: Laboratory) -> None:
    laboratory.run(noise(4, 4, 3), message={"keep_alive_seconds": 0.0}, **SMEAR)
    assert laboratory.engine.loaded() == ()


def test_a_model_kept_for_ever_never_expires(laboratory: Laboratory) -> None:
    laboratory.run(noise(4, 4, 3), message={"keep_alive_seconds": -1.0}, **SMEAR)
    laboratory.clock.now += 1e9
    assert laboratory.engine.expire() is None
    assert [held.unload_seconds for held in laboratory.engine.loaded()] == [None]


def test_a_model_in_use_never_goes() -> None:
    clock = Clock()
    pool = Pool(load=lambda *_: Smear(), clock=clock)
    with pool.lease(smear_card(), "", 60.0):
        with pool.lease(smear_card(), "", 0.0):
            pass
        clock.now += 1000
        assert pool.expire() is None
        assert [held.in_use for held in pool.loaded()] == [True]
    assert [held.unload_seconds for held in pool.loaded()] == [60.0]


# --- what can go wrong ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ({"model": "test/none"}, "upscale.model is 'test/none'"),
        ({"scale": 9.0, **SMEAR}, "upscale.scale is 9.0; allowed: 1..8 x"),
        ({"noise": 3, **SMEAR}, "variant of test/smear is 'noise3'"),
    ],
)
def test_bad_parameters_are_refused_by_name(laboratory: Laboratory, parameters: dict[str, Any], complaint: str) -> None:
    with pytest.raises(BadRequest) as caught:
        laboratory.run(noise(2, 2, 3), **parameters)
    assert complaint in str(caught.value)


@pytest.mark.parametrize("frame, complaint", [(1, "image frame is 1"), (0, "image bytes is 11")])
def test_a_frame_that_does_not_fit_is_refused(laboratory: Laboratory, frame: int, complaint: str) -> None:
    run = Run("job", "upscale", {**SMEAR}, {"image": Raster(2, 2, 3, frame=frame)})
    with pytest.raises(BadRequest, match=complaint):
        laboratory.engine.execute(run, [memoryview(bytes(11))], None)  # type: ignore[arg-type]


def failing(error: Exception) -> Callable[[ModelCard, str, str], Network]:
    class Failing(Smear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            raise error

    return lambda *_: Failing()


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("no more"),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:1] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_running_out_of_memory_is_said_so(error: Exception) -> None:
    laboratory = Laboratory(smear_card(), load=failing(error))
    with pytest.raises(OutOfMemory) as caught:
        laboratory.run(noise(4, 4, 3), **SMEAR)
    assert caught.value.__cause__ is error
    assert caught.value.hint == "work on a smaller part, ask for a smaller result, or choose a lighter model"


def test_other_errors_are_left_to_the_caller() -> None:
    laboratory = Laboratory(smear_card(), load=failing(ValueError("a defect")))
    with pytest.raises(ValueError, match="a defect"):
        laboratory.run(noise(4, 4, 3), **SMEAR)
    assert not is_out_of_memory(RuntimeError("memory of something else"))


def test_torch_really_says_that_memory_ran_out_in_the_way_we_look_for() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60)
    assert is_out_of_memory(caught.value)


def caused(error: Exception, cause: Exception) -> Exception:
    try:
        raise error from cause
    except Exception as raised:
        return raised


@pytest.mark.parametrize(
    ("error", "goes_on"),
    [
        (BadRequest("no"), False),
        (MemoryError("no more"), False),
        (torch.OutOfMemoryError("CUDA out of memory"), False),
        (caused(MemoryError("no shared memory"), OSError(errno.ENOSPC, "full")), False),
        (RuntimeError("CUDA error: device-side assert triggered"), True),
        (OSError(errno.EMFILE, "Too many open files"), True),
        (caused(OutOfMemory("no shared memory"), OSError(errno.EMFILE, "Too many open files")), True),
    ],
    ids=str,
)
def test_what_may_go_on_in_a_process_is_told_from_what_does_not(error: Exception, goes_on: bool) -> None:
    assert may_go_on(error) is goes_on


def test_missing_weights_come_through_with_their_hint() -> None:
    def load(*_: object) -> Network:
        raise ModelUnavailable("gone", "get it")

    with pytest.raises(ModelUnavailable, match="get it"):
        Laboratory(smear_card(), load=load).run(noise(4, 4, 3), **SMEAR)
