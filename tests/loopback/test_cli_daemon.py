"""The program `samovar` as a shell user meets it: real processes, a real daemon, real files."""

from __future__ import annotations

import functools
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import pyvips

from samovar_link.discovery import FILE_NAME, ConnectionFile

Done = subprocess.CompletedProcess[str]
COMMAND = [sys.executable, "-m", "samovar"]
PHOTO = ("--model", "waifu2x/upconv7-photo")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]


def samovar(environment: dict[str, str], *arguments: object, **options: Any) -> Done:
    return subprocess.run(
        [*COMMAND, *map(str, arguments)], env=environment, capture_output=True, text=True, timeout=120, **options
    )


def sentence(done: Done, code: int) -> str:
    """The one line of an error; the exit code must be `code`."""
    assert done.returncode == code, done
    (line,) = done.stderr.splitlines()
    assert line.startswith("samovar: ") and "Traceback" not in done.stderr
    return line


def image(width: int, height: int, channels: int, dtype: type = np.uint8) -> Any:
    """A smooth picture with an edge, as libvips has it."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [(x * 3 + y * (k + 1) + 90 * (x > width // 2)) % 256 / 255 for k in range(channels)]
    pixels = (np.stack(planes, -1) * np.iinfo(dtype).max).astype(dtype)
    deep = dtype is np.uint16
    made = pyvips.Image.new_from_memory(pixels.tobytes(), width, height, channels, "ushort" if deep else "uchar")
    return made.copy(interpretation=("rgb16" if deep else "srgb") if channels > 2 else "grey16" if deep else "b-w")


@pytest.fixture
def home(tmp_path: Path) -> Iterator[dict[str, str]]:
    """An environment in which no daemon runs; one that a test started is stopped."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("SAMOVAR_")}
    environment = {**inherited, "SAMOVAR_HOME": str(tmp_path / "home")}
    yield environment
    assert samovar(environment, "stop").returncode == 0


@pytest.fixture
def drawing(tmp_path: Path) -> Path:
    path = tmp_path / "drawing.png"
    image(40, 30, 3).pngsave(str(path))
    return path


# --- the work -------------------------------------------------------------------------------------------------------


def test_upscale_keeps_alpha_depth_profile_exif_and_resolution(shared_daemon: Any, tmp_path: Path) -> None:
    source = image(40, 30, 4, np.uint16).copy(xres=11.811, yres=11.811)
    source.set_type(pyvips.GValue.blob_type, "icc-profile-data", pyvips.Operation.call("profile_load", "srgb"))
    source.set_type(pyvips.GValue.gstr_type, "exif-ifd0-Artist", "Ann (Ann, ASCII, 4 components, 4 bytes)")
    source.pngsave(str(tmp_path / "in.png"))
    done = samovar(shared_daemon.environment, "upscale", tmp_path / "in.png", "-o", tmp_path / "out.png", *PHOTO)
    assert done.returncode == 0, done
    result = pyvips.Image.new_from_file(str(tmp_path / "out.png"))
    assert (result.width, result.height, result.bands, result.format) == (80, 60, 4, "ushort")
    assert result.get("icc-profile-data") == source.get("icc-profile-data")
    assert result.get("exif-ifd0-Artist").startswith("Ann ")
    assert result.xres * 25.4 == pytest.approx(300, abs=0.1)
    levels = np.unique(result.numpy()[..., :3])
    assert len(levels) > 256, "16 bits went through 8"
    back = result.resize(0.5).numpy()[2:-2, 2:-2].astype(float) - source.numpy()[2:-2, 2:-2]
    assert abs(np.median(back)) < 600, "the result does not look like the source"


@pytest.mark.parametrize(("scale", "size"), [("1", (40, 30)), ("1.5", (60, 45)), ("3", (120, 90))])
def test_the_factor_may_be_any(shared_daemon: Any, drawing: Path, scale: str, size: tuple[int, int]) -> None:
    out = drawing.with_name("out.tif")
    done = samovar(shared_daemon.environment, "upscale", drawing, "-o", out, *PHOTO, "--scale", scale, "--noise", "1")
    assert done.returncode == 0, done
    made = pyvips.Image.tiffload(str(out))
    assert (made.width, made.height) == size


def test_the_second_run_from_a_new_process_loads_nothing(home: dict[str, str], drawing: Path) -> None:
    line = ("upscale", drawing, "-o", drawing.with_name("out.png"), *PHOTO, "--json")
    first, second = (json.loads(samovar(home, *line).stdout) for _ in range(2))
    assert first["seconds"]["load"] > 0 and second["seconds"]["load"] == 0
    assert first["model"] == second["model"] == "waifu2x/upconv7-photo"
    assert len(first["sha256"]) == 64 and first["tiles"]["total"] >= 1 and first["retries"] == []
    models = json.loads(samovar(home, "ps", "--json").stdout)["models"]
    assert [each["model"] for each in models] == ["waifu2x/upconv7-photo"]
    assert models[0]["size_bytes"] > 1_000_000 and 0 < models[0]["unload_seconds"] <= 300


def test_a_folder_with_a_broken_picture_is_done_but_for_that_one(shared_daemon: Any, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in ("a.png", "c.png", "d.png"):
        image(20, 10, 1).pngsave(str(tmp_path / "in" / name))
    whole = (tmp_path / "in" / "d.png").read_bytes()
    (tmp_path / "in" / "b.png").write_bytes(whole[: len(whole) // 2])
    done = samovar(
        shared_daemon.environment, "upscale", tmp_path / "in", "-o", tmp_path / "out", *PHOTO, "--json"
    )  # fmt: skip
    assert "b.png is damaged or cut short" in sentence(done, 1)
    results = json.loads(done.stdout)
    assert [Path(each["input"]).name for each in results if "error" not in each] == ["a.png", "c.png", "d.png"]
    assert sorted(os.listdir(tmp_path / "out")) == ["a.png", "c.png", "d.png"]
    assert pyvips.Image.new_from_file(str(tmp_path / "out" / "d.png")).bands == 1


def test_input_and_output_may_be_the_same_file(shared_daemon: Any, drawing: Path) -> None:
    assert samovar(shared_daemon.environment, "upscale", drawing, "-o", drawing, *PHOTO).returncode == 0
    assert pyvips.Image.pngload(str(drawing)).width == 80


# --- bad input ------------------------------------------------------------------------------------------------------


def png(width: int, height: int) -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "there is no such file"), (b"text", "is not a picture that Samovar reads"),
     (png(0, 0), "has no pixels: it says it is 0x0"), (png(100_000, 100_000), "is too large: 100000x100000"),
     (png(9, 9), "is damaged or cut short")],
)  # fmt: skip
def test_a_bad_file_is_one_sentence(shared_daemon: Any, tmp_path: Path, content: bytes | None, words: str) -> None:
    if content is not None:
        (tmp_path / "bad.png").write_bytes(content)
    done = samovar(shared_daemon.environment, "upscale", tmp_path / "bad.png", "-o", tmp_path / "out.png")
    line = sentence(done, 1)
    assert words in line and str(tmp_path / "bad.png") in line
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [("--model", "none/such", "'none/such' is not one of"), ("--scale", "0", "0.0 is not in the range 1.0<=x<=8.0"),
     ("--scale", "9", "9.0 is not in the range"), ("--noise", "4", "4 is not in the range -1<=x<=3")],
)  # fmt: skip
def test_a_bad_option_is_wrong_usage(home: dict[str, str], drawing: Path, option: str, value: str, words: str) -> None:
    done = samovar(home, "upscale", drawing, "-o", drawing.with_name("out.png"), option, value)
    assert words in sentence(done, 2)
    assert "not running" in samovar(home, "status").stderr, "wrong usage started a daemon"


def noise(folder: Path) -> Path:
    """A picture that no compression makes small."""
    pixels = np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)
    pyvips.Image.new_from_memory(pixels.tobytes(), 300, 300, 3, "uchar").pngsave(str(folder / "noise.png"))
    return folder / "noise.png"


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 64 KB."""
    folder = tmp_path / "full"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", folder], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting a small file system takes root; a limit on file size stands in for it")
    yield folder
    subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize("extension", ["png", "tif", "jpg", "webp"])
def test_a_full_disk_leaves_the_old_file(shared_daemon: Any, full_disk: Path, tmp_path: Path, extension: str) -> None:
    out = full_disk / f"out.{extension}"
    out.write_bytes(b"the old file")
    done = samovar(shared_daemon.environment, "identity", noise(tmp_path), "-o", out)
    assert f"{out} could not be written" in (line := sentence(done, 1)) and "free some space" in line
    assert out.read_bytes() == b"the old file" and os.listdir(full_disk) == [out.name]


def test_a_limit_on_file_size_leaves_the_old_file(shared_daemon: Any, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    out = tmp_path / "out.tif"
    out.write_bytes(b"the old file")
    done = samovar(
        shared_daemon.environment, "identity", noise(tmp_path), "-o", out,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
    )  # fmt: skip
    assert "could not be written" in sentence(done, 1)
    assert out.read_bytes() == b"the old file"


# --- the daemon -----------------------------------------------------------------------------------------------------


def test_a_daemon_of_another_protocol_version_is_said(daemon: Any, drawing: Path) -> None:
    fields = json.loads(daemon.connection_file.read_text())
    daemon.connection_file.write_text(json.dumps({**fields, "protocol": 99, "version": "9.9"}))
    done = samovar(daemon.environment, "upscale", drawing, "-o", drawing.with_name("out.png"))
    assert "9.9 speaks protocol 99" in (line := sentence(done, 1)) and "update the older" in line
    assert "speaks protocol 99" in sentence(samovar(daemon.environment, "status"), 1)


def test_a_damaged_connection_file_is_said(daemon: Any, drawing: Path) -> None:
    daemon.connection_file.write_text('{"pid": 1')
    done = samovar(daemon.environment, "upscale", drawing, "-o", drawing.with_name("out.png"))
    assert "is damaged" in (line := sentence(done, 1)) and str(daemon.connection_file) in line


def test_an_unreadable_connection_file_is_said(daemon: Any, drawing: Path) -> None:
    daemon.connection_file.unlink()
    daemon.connection_file.mkdir()  # nobody reads a folder as a file, root included
    try:
        done = samovar(daemon.environment, "upscale", drawing, "-o", drawing.with_name("out.png"))
    finally:
        daemon.connection_file.rmdir()
    assert "cannot be read" in (line := sentence(done, 1)) and "make it readable" in line


def test_a_wrong_token_is_said(daemon: Any, drawing: Path) -> None:
    fields = json.loads(daemon.connection_file.read_text())
    daemon.connection_file.write_text(json.dumps({**fields, "token": "0" * 64}))
    assert "refused this client's token" in sentence(samovar(daemon.environment, "status"), 1)


def test_a_port_that_is_taken_is_said(home: dict[str, str]) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        for detach in ([], ["--detach"]):
            done = samovar(home, "serve", "--port", port, *detach)
            assert done.returncode == 1
            assert str(port) in done.stderr.splitlines()[-1] and "Traceback" not in done.stderr


def test_a_daemon_killed_under_a_job_is_said(daemon: Any, drawing: Path) -> None:
    job = start(daemon.environment, drawing, seconds=60)
    workers = daemon.workers()
    os.kill(daemon.pid, signal.SIGKILL)
    output, errors = job.communicate(timeout=30)
    psutil.wait_procs(workers, timeout=10)
    assert job.returncode == 1 and output == ""
    (line,) = errors.splitlines()
    assert "went away" in line and "samovar serve --detach" in line


def test_ctrl_c_cancels_the_job_and_exits_130(daemon: Any, drawing: Path) -> None:
    job = start(daemon.environment, drawing, seconds=60)
    began = time.monotonic()
    job.send_signal(signal.SIGINT)
    output, errors = job.communicate(timeout=30)
    assert job.returncode == 130 and "Traceback" not in errors
    assert time.monotonic() - began < 2
    wait_for(lambda: not jobs(daemon.environment), 3)
    assert not drawing.with_name("out.png").exists()


def start(environment: dict[str, str], drawing: Path, seconds: float) -> subprocess.Popen[str]:
    """A job that runs for so long, begun. It hears Ctrl-C even where these tests were started in the background."""
    job = subprocess.Popen(
        [*COMMAND, "identity", str(drawing), "-o", str(drawing.with_name("out.png")), "--seconds", str(seconds)],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        preexec_fn=functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    wait_for(lambda: any(each["state"] == "running" for each in jobs(environment)), 20)
    return job


def jobs(environment: dict[str, str]) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = json.loads(samovar(environment, "ps", "--json").stdout)["jobs"]
    return listed


def wait_for(condition: Callable[[], bool], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.05)


def test_serve_detached_status_and_stop(home: dict[str, str], tmp_path: Path) -> None:
    assert "not running" in sentence(samovar(home, "status"), 1)
    assert json.loads(samovar(home, "status", "--json").stdout)["running"] is False
    started = samovar(home, "serve", "--detach", "--listen", "tcp://127.0.0.1:0", "--curve")
    assert started.returncode == 0 and "serves" in started.stdout
    status = json.loads(samovar(home, "status", "--json").stdout)
    file = ConnectionFile.read(tmp_path / "home" / FILE_NAME)
    assert status["running"] and status["pid"] == file.pid
    assert len(status["endpoints"]) == len(file.endpoints) + 1, "the door for other machines stands in no file"
    assert started.stdout.endswith(f"pid {file.pid}, at {', '.join(status['endpoints'])}\n")
    assert status["endpoint"] in file.endpoints and status["connection_file"] == str(tmp_path / "home" / FILE_NAME)
    again = samovar(home, "serve", "--detach")
    assert again.returncode == 0 and f"already running: pid {file.pid}" in again.stdout
    assert f"pid {file.pid}" in samovar(home, "logs").stdout
    for said in ("Samovar has stopped.\n", "Samovar is not running.\n"):
        stopped = samovar(home, "stop")
        assert (stopped.returncode, stopped.stdout) == (0, said)
    assert not psutil.pid_exists(file.pid) or psutil.Process(file.pid).status() == psutil.STATUS_ZOMBIE


def test_unload_gives_back_what_ps_shows(daemon: Any, drawing: Path) -> None:
    environment = daemon.environment
    for noise in ("-1", "1"):
        line = ("upscale", drawing, "-o", drawing.with_name("out.png"), *PHOTO, "--noise", noise, "--keep-alive", "-1")
        assert samovar(environment, *line).returncode == 0
    (worker,) = daemon.workers()
    names = [PHOTO[1], f"{PHOTO[1]} noise1"]
    shown = samovar(environment, "ps").stdout.splitlines()
    assert all(f"{name} " in line and " MB  stays" in line for name, line in zip(names, shown[1:3], strict=True))
    assert "allowed: " in sentence(samovar(environment, "unload", "no/such"), 1)
    assert samovar(environment, "unload", "waifu2x/cunet-art").stdout.startswith("waifu2x/cunet-art is not loaded")
    said = samovar(environment, "unload", PHOTO[1]).stdout.splitlines()
    assert said[:2] == [f"Unloaded {name}" for name in names] and "MB of weights are gone" in said[2]
    assert samovar(environment, "upscale", drawing, "-o", drawing.with_name("out.png"), *PHOTO).returncode == 0
    assert worker.is_running()
    freed = json.loads(samovar(environment, "unload", "--json").stdout)
    assert freed["models"] == names[:1] and freed["size_bytes"] > 1_000_000
    assert not worker.is_running()


def test_doctor_finds_the_daemon_and_keeps_its_secret(daemon: Any) -> None:
    done = samovar(daemon.environment, "doctor", "--json")
    facts = json.loads(done.stdout)
    assert facts["daemon"]["running"] and facts["daemon"]["pid"] == daemon.pid and facts["daemon"]["mode"] == "0600"
    assert {each["state"] for each in facts["models"] if not each["state"].startswith("needs ")} == {"ok"}
    assert daemon.connection.token not in done.stdout + samovar(daemon.environment, "doctor").stdout
    assert done.returncode == (1 if facts["problems"] else 0)
