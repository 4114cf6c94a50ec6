"""Row `restore`: how soon a picture is better, how near to its best it stops by itself, and what a step costs.

The clean picture is known here and nowhere else: fits run in this process, step by step, and each is compared with it.
What shows meanwhile, how soon it stops when told to, and the memory are measured on a daemon.
"""

from __future__ import annotations

import math
import secrets
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from samovar.prior import recipes, source
from samovar.prior.fit import Fit
from samovar.prior.observation import Observation
from samovar.prior.recipes import Recipe
from samovar_link import Client
from samovar_link.messages import BATCH, Cancel, Cancelled, Done, Enough, Failed, Progress, Raster, Run

from . import daemon
from .memory import MIB, Watch, resident
from .picture import Picture, frame, with_alpha
from .plan import Plan
from .row import Figure, Row, rounded

SIGMA = 25.0
GAIN_DB, GAIN_SECONDS = 8.0, 60.0
MISSING, MISSING_DB = 0.5, 25.0
SCALE = 4
NEAR_DB = 1.0
SHOWN_SECONDS = 2.0
PATIENCE_SECONDS = 120.0
ENDLESS = 20000  # steps; a small picture would be over before it can be cancelled on a fast machine
GOES_ON = 1.5
"""Times as many steps as where it stopped, to see whether the best is still to come."""
TIMED_STEPS = 3


@dataclass
class Course:
    """A fit with a known end.

    gains : dB of each step's picture; when : seconds of work after each step
    stopped : dB of what it chose by itself, NaN if it never did; stop_step : when that was
    """

    gains: list[float]
    when: list[float]
    stopped: float = math.nan
    stop_step: int = 0

    @property
    def best(self) -> float:
        return max(self.gains)

    @property
    def below_best(self) -> float:
        """By how much what it chose is worse than its best."""
        return max(0.0, self.best - (self.gains[-1] if math.isnan(self.stopped) else self.stopped))

    def seconds_to(self, gain: float) -> float:
        return next((when for each, when in zip(self.gains, self.when, strict=True) if each >= gain), math.inf)


def measure(plan: Plan) -> list[Row]:
    side, limit = plan.sizes.restore, plan.sizes.restore_seconds
    figures, detail = [], {}
    for name in ("astronaut", "coffee"):
        clean = photograph(name, side)
        noisy = with_noise(clean)
        plan.say(f"restore: {name} {side}², noise")
        course = follow(Observation(noisy, _all(noisy)), recipes.FAST["denoise"], clean, limit)
        floor = psnr(noisy, clean)
        figures.append(Figure(
            f"{name} {side}², noise of {SIGMA:g}, to +{GAIN_DB:g} dB", course.seconds_to(floor + GAIN_DB), "s",
            GAIN_SECONDS, at_least=False,
        ))  # fmt: skip
        figures.append(Figure("gain where it stops by itself", _end(course) - floor, "dB"))
        figures.append(_near(course))
        detail[name] = _told(course, floor)
    half = side // 2
    clean = photograph("astronaut", side)[..., half // 4 : half // 4 + half, half // 2 : half // 2 + half]
    plan.say(f"restore: {half}², {MISSING:.0%} of the pixels missing")
    known = (torch.rand(1, 1, half, half, generator=torch.Generator().manual_seed(0)) >= MISSING).float()
    course = follow(Observation(clean * known, known), recipes.FAST["holes"], clean, limit)
    figures.append(Figure(f"{half}² with {MISSING:.0%} missing", _end(course), "dB", MISSING_DB))
    figures.append(_near(course))
    detail["missing"] = _told(course, psnr(clean * known, clean))
    clean = patch_rich(side)
    small = _shrunk(clean)
    bicubic = functional.interpolate(small, scale_factor=float(SCALE), mode="bicubic").clamp(0, 1)
    plan.say(f"restore: {small.shape[-1]}² to {side}²")
    course = follow(Observation(small, _all(small), SCALE), recipes.FAST["upscale"], clean, limit)
    figures.append(
        Figure(f"{small.shape[-1]}² by {SCALE}, over bicubic", _end(course) - psnr(bicubic, clean), "dB", 0.0)
    )
    figures.append(_near(course))
    detail["upscale"] = _told(course, psnr(bicubic, clean))
    for method, recipe in (("fast", recipes.FAST["denoise"]), ("classic", recipes.CLASSIC["denoise"])):
        for each in plan.sizes.restore_sides:
            plan.say(f"restore: steps of {method} at {each}²")
            figures.append(Figure(f"1000 steps of {method} at {each}²", 1000 * step_seconds(recipe, each), "s"))
    figures += _in_the_daemon(plan, detail)
    return [Row("restore", "`restore` from the picture alone, its two methods", tuple(figures), detail=detail)]


def _near(course: Course) -> Figure:
    return Figure("where it stops, below its best", course.below_best, "dB", NEAR_DB, at_least=False)


def _end(course: Course) -> float:
    """dB of what a user gets."""
    return course.gains[-1] if math.isnan(course.stopped) else course.stopped


def _told(course: Course, floor: float) -> dict[str, Any]:
    return {
        "before_db": rounded(floor), "best_db": rounded(course.best), "best_step": course.gains.index(course.best) + 1,
        "stopped_db": rounded(_end(course)), "stopped_step": course.stop_step, "seconds": rounded(course.when[-1]),
        "steps": len(course.gains),
    }  # fmt: skip


def follow(observation: Observation, recipe: Recipe, clean: Tensor, limit_seconds: float) -> Course:
    """Fit, and compare with the clean picture at each step, also beyond where it would stop."""
    fit = begin(observation, recipe)
    course = Course([], [])
    spent = 0.0
    while fit.count < recipe.iterations and spent < limit_seconds:
        began = time.perf_counter()
        fit.step()
        spent += time.perf_counter() - began
        mean = fit.mean
        assert mean is not None
        course.gains.append(psnr(mean, clean))
        course.when.append(spent)
        if fit.over and not course.stop_step:
            assert fit.picture is not None
            course.stopped, course.stop_step = psnr(fit.picture, clean), fit.count
        if course.stop_step and fit.count > GOES_ON * course.stop_step:
            break
    return course


def begin(observation: Observation, recipe: Recipe, device: str = "cpu", low: bool = False) -> Fit:
    """A fit of a whole picture, as `restore` begins it."""
    tall, wide = Fit.size(observation, recipe)
    height, width = (side * observation.factor for side in observation.values.shape[-2:])
    given = source.make(recipe.input, recipe.shape.depth, 0, range(tall), range(wide), height, width)
    return Fit(observation, recipe, 0, given, device=device, low=low)


def step_seconds(recipe: Recipe, side: int, steps: int = TIMED_STEPS) -> float:
    """Of one step on a picture of this side, the median of a few."""
    clean = photograph("astronaut", side)
    fit = begin(Observation(clean, _all(clean)), recipe)
    fit.step()
    times = []
    for _ in range(steps):
        began = time.perf_counter()
        fit.step()
        times.append(time.perf_counter() - began)
    return statistics.median(times)


# --- the daemon -----------------------------------------------------------------------------------------------------


def _in_the_daemon(plan: Plan, detail: dict[str, Any]) -> list[Figure]:
    side, large = plan.sizes.restore, plan.sizes.restore_large
    noisy = _pixels(with_noise(photograph("astronaut", side)))
    with daemon.running(plan.home) as own, own.connect() as client:
        plan.say(f"restore: what shows at {side}²")
        run = _request(noisy, iterations=ENDLESS)
        client.send(run, [frame(with_alpha(noisy))])
        began = time.perf_counter()
        gaps = []
        for _ in range(plan.sizes.previews):
            _shown(client, run.job)
            now = time.perf_counter()
            gaps.append(now - began)
            began = now
        client.send(Cancel(run.job))
        cancelled = daemon.until(client, run.job, Cancelled)
        run = _request(noisy, iterations=ENDLESS)
        client.send(run, [frame(with_alpha(noisy))])
        _shown(client, run.job)
        client.send(Enough(run.job))
        kept = daemon.until(client, run.job, Done)
        plan.say(f"restore: memory for {large}²")
        picture = with_alpha(_pixels(photograph("astronaut", large)))
        worker = daemon.status(client).worker_pid
        most = {}
        for method, iterations in (("fast", 2), ("classic", 1)):
            run = _request(picture[..., :3], iterations=iterations, method=method)
            if not Path("/proc/self/status").exists():
                break
            shared = 2 * picture.nbytes
            with Watch(worker, shared) as watch:
                client.send(run, [frame(picture)])
                daemon.until(client, run.job, Done)
            most[method] = max(watch.most_bytes, resident(worker)["VmHWM"] - shared) / MIB  # the second takes more
        detail["resident_mib"] = {"peak": rounded(resident(worker)["VmHWM"] / MIB)} if most else {}
    return [
        Figure("between two that show, the longest", max(gaps[1:]), "s", SHOWN_SECONDS, at_least=False),
        Figure("the first that shows", gaps[0], "s"),
        Figure("until it is cancelled", cancelled * 1e3, "ms"),
        Figure("until it ends with what there is", kept * 1e3, "ms"),
        *(Figure(f"memory for {large}², {method}", value, "MiB") for method, value in most.items()),
    ]


def _request(pixels: Picture, **parameters: Any) -> Run:
    height, width = pixels.shape[:2]
    images = {"image": Raster(height, width, 4)}
    return Run(secrets.token_hex(16), "restore", parameters, images, stream=True, priority=BATCH)


def _shown(client: Client, job: str) -> None:
    """Wait until something shows."""
    while True:
        message, _ = client.receive(PATIENCE_SECONDS)
        if isinstance(message, Failed) and message.job == job:
            raise RuntimeError(message.message)
        if isinstance(message, Progress) and message.job == job and message.images:
            return


# --- pictures -------------------------------------------------------------------------------------------------------


def photograph(name: str, side: int) -> Tensor:
    """The middle of one of scikit-image's, scaled to (1, 3, side, side), 0..1."""
    import pyvips
    from skimage import data

    pixels = getattr(data, name)()
    short = min(pixels.shape[:2])
    top, left = ((length - short) // 2 for length in pixels.shape[:2])
    middle = np.ascontiguousarray(pixels[top : top + short, left : left + short])
    scaled = pyvips.Image.new_from_array(middle).resize(side / short, kernel="lanczos3").numpy()
    return torch.from_numpy(scaled.copy()).permute(2, 0, 1)[None].float() / 255


def patch_rich(side: int) -> Tensor:
    """Bricks: what repeats is what a picture can be enlarged from."""
    import pyvips
    from skimage import data

    pixels = data.brick()  # type: ignore[no-untyped-call]
    scaled = pyvips.Image.new_from_array(pixels).resize(side / pixels.shape[0], kernel="lanczos3").numpy()
    gray = torch.from_numpy(scaled.copy().reshape(side, side)).float() / 255
    return gray.expand(1, 1, -1, -1).contiguous()


def _shrunk(clean: Tensor) -> Tensor:
    """By Lanczos and to 8 bits, as a file would have it."""
    import pyvips

    planes = [
        pyvips.Image.new_from_array(np.ascontiguousarray(plane.mul(255).round().numpy().astype(np.uint8)))
        .resize(1 / SCALE, kernel="lanczos3")
        .numpy()
        .reshape(clean.shape[-2] // SCALE, clean.shape[-1] // SCALE)
        for plane in clean[0]
    ]
    return torch.from_numpy(np.stack(planes)).float()[None] / 255


def with_noise(clean: Tensor) -> Tensor:
    """Gaussian, cut to 8 bits."""
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(0)) * SIGMA / 255
    return (clean + noise).clamp(0, 1).mul(255).round().div(255)


def _all(values: Tensor) -> Tensor:
    return torch.ones(1, 1, *values.shape[-2:])


def _pixels(image: Tensor) -> Picture:
    return np.ascontiguousarray(image[0].mul(255).round().permute(1, 2, 0).numpy().astype(np.uint8))


def psnr(one: Tensor, other: Tensor) -> float:
    error = float((one.clamp(0, 1) - other).square().mean())
    return math.inf if not error else -10 * math.log10(error)
