"""Row `memory`: what the worker needs for a large picture beyond the picture and its result.

Both lie in memory that the worker shares with the broker, and count as resident in both as soon as they are touched.
So what the worker needs beyond them, at any moment, is all that is resident less what of its shared memory may be they:
anything more in shared memory counts, and so do libraries. The kernel's own record of the peak is held against what
was sampled, and the larger one told.
"""

from __future__ import annotations

import threading
from pathlib import Path

from . import daemon
from .dirty import SCALE, upscale
from .picture import photograph, with_alpha
from .plan import Plan
from .row import Figure, Row, rounded

TARGET_MIB = 1024.0
SAMPLE_SECONDS = 0.02
MIB = 1 << 20


def measure(plan: Plan) -> list[Row]:
    side = plan.sizes.memory
    measured = f"peak resident memory of the worker for {side}² RGBA8 to {int(side * SCALE)}², beyond input and output"
    if not Path("/proc/self/status").exists():
        return [Row("memory", measured, note="Needs Linux's /proc.")]
    picture = with_alpha(photograph(side, 5))
    shared = picture.nbytes + int(picture.nbytes * SCALE * SCALE)
    with daemon.running(plan.home) as own, own.connect() as client:
        upscale(client, with_alpha(photograph(256)), plan, "")
        worker = daemon.status(client).worker_pid
        before = resident(worker)
        with Watch(worker, shared) as watch:
            seconds, report, _ = upscale(client, picture, plan, f"memory: {side}²")
        highest = resident(worker)["VmHWM"]
    most = max(watch.most_bytes, highest - shared)
    return [
        Row(
            "memory", measured, (Figure("beyond input and output", most / MIB, "MiB", TARGET_MIB, at_least=False),),
            detail={
                "input_and_output_mib": rounded(shared / MIB), "peak_resident_mib": rounded(highest / MIB),
                "before_mib": rounded(before["VmRSS"] / MIB), "seconds": rounded(seconds),
                "tiles": report.tiles.total, "runtime": f"{report.runtime} {report.dtype}",
            },
        )
    ]  # fmt: skip


def resident(pid: int) -> dict[str, int]:
    """Bytes of a process: VmRSS and of these RssShmem, and the peak, VmHWM."""
    lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    fields = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    return {name: int(fields[name][0]) << 10 for name in ("VmRSS", "RssShmem", "VmHWM")}


def beyond(now: dict[str, int], shared_bytes: int) -> int:
    """What is resident less that much of the shared memory, as far as it is touched already."""
    return now["VmRSS"] - min(now["RssShmem"], shared_bytes)


class Watch:
    """Samples a process during the `with` block.

    shared_bytes : of its shared memory, what does not count
    """

    def __init__(self, pid: int, shared_bytes: int) -> None:
        self.most_bytes = 0
        self._pid = pid
        self._shared_bytes = shared_bytes
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._sample, name="memory", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._end.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._end.wait(SAMPLE_SECONDS):
            try:
                now = resident(self._pid)
            except (OSError, KeyError):
                return  # it has ended
            self.most_bytes = max(self.most_bytes, beyond(now, self._shared_bytes))
