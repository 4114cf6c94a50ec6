"""How long pixels take through client, broker, worker and back, with an operation that does nothing to them.

    python tests/bench/overhead.py [--rounds 10] [--endpoint ipc|tcp]

Prints JSON: the round trip of a 4096x4096 and a 512x512 RGBA8 layer (median and best of the rounds), and the first as a
multiple of one memcpy of it, measured between the rounds so that both see the same machine. Nothing is asserted.
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import json
import os
import platform
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from samovar_link import Client, ConnectionFile
from samovar_link.discovery import FILE_NAME
from samovar_link.messages import Done, Raster, Run, Stop, Stopping, Welcome

LARGE, SMALL = 4096, 512


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])  # type: ignore[union-attr]
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--endpoint", choices=("ipc", "tcp"), default="ipc")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "SAMOVAR_HOME": home}
        daemon = subprocess.Popen([sys.executable, "-m", "samovar.broker"], env=environment, stderr=subprocess.DEVNULL)
        try:
            client, start_seconds = _connect(Path(home) / FILE_NAME, options.endpoint)
            with client:
                result = measure(client, options.rounds)
                client.send(Stop())
                while not isinstance(client.receive(5)[0], Stopping):
                    pass
            daemon.wait(5)
        finally:
            daemon.kill()
            daemon.wait()
    machine = {"cpus": os.cpu_count(), "load": os.getloadavg()[0], "python": platform.python_version()}
    print(json.dumps({"machine": machine, "start_ms": round(start_seconds * 1e3, 1), **result}, indent=1))


def _connect(path: Path, scheme: str) -> tuple[Client, float]:
    """A client of the daemon that was started just now, and the seconds until it said Welcome."""
    began = time.perf_counter()
    while not path.exists():
        time.sleep(0.001)
    file = ConnectionFile.read(path)
    endpoints = tuple(each for each in file.endpoints if each.startswith(scheme))
    client = Client(dataclasses.replace(file, endpoints=endpoints), name="bench", version="1")
    assert isinstance(client.receive(10)[0], Welcome)
    return client, time.perf_counter() - began


def measure(client: Client, rounds: int) -> dict[str, object]:
    pixels = {side: os.urandom(side * side * 4) for side in (LARGE, SMALL)}
    target = bytearray(len(pixels[LARGE]))
    times: dict[str, list[float]] = {"memcpy": [], "large": [], "small": []}
    inside: dict[str, list[float]] = {"large": [], "small": []}
    for _ in range(rounds):
        times["memcpy"] += [_copy(target, pixels[LARGE]) for _ in range(3)]
        for name, side in (("large", LARGE), ("small", SMALL), ("small", SMALL)):
            seconds, done = _round_trip(client, side, pixels[side])
            times[name].append(seconds)
            inside[name].append(done.report.seconds.total)
    warm = {name: values[3:] for name, values in times.items()}
    memcpy = statistics.median(warm["memcpy"])
    return {
        "memcpy_ms": _milliseconds(warm["memcpy"]),
        "overhead_4096_ms": _milliseconds(warm["large"]),
        "overhead_4096_in_daemon_ms": _milliseconds(inside["large"][3:]),
        "overhead_4096_over_memcpy": round(statistics.median(warm["large"]) / memcpy, 2),
        "best_over_memcpy": round(min(warm["large"]) / memcpy, 2),
        "small_512_ms": _milliseconds(warm["small"]),
        "small_512_in_daemon_ms": _milliseconds(inside["small"][3:]),
        "targets": {"overhead_4096_over_memcpy": 8, "small_512_ms": 4},
    }


def _milliseconds(values: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(values) * 1e3, 2), "best": round(min(values) * 1e3, 2)}


def _copy(target: bytearray, source: bytes) -> float:
    to = (ctypes.c_char * len(source)).from_buffer(target)
    began = time.perf_counter()
    ctypes.memmove(to, source, len(source))
    return time.perf_counter() - began


def _round_trip(client: Client, side: int, pixels: bytes) -> tuple[float, Done]:
    run = Run(secrets.token_hex(16), "identity", images={"image": Raster(side, side, 4)})
    began = time.perf_counter()
    done, frames = client.run(run, [pixels])
    seconds = time.perf_counter() - began
    assert isinstance(done, Done) and frames[0] == pixels
    return seconds, done


if __name__ == "__main__":
    main()
