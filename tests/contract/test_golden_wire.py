"""Bytes that were once on the wire must mean the same for ever: an old plug-in talks to a new daemon.

`golden/protocol-1.json` holds frame 0 of each kind of message, as hexadecimal, as it was first released. Never edit
an entry; a new kind, or a kind with a new field, gets one more:

    python tests/contract/test_golden_wire.py        # appends what EXAMPLES has and the file has not
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from samovar_link import codec, messages
from samovar_link.messages import (
    Attach,
    Cancel,
    Cancelled,
    Choice,
    Done,
    Enough,
    Failed,
    Hello,
    JobInfo,
    Limits,
    LoadedModel,
    Message,
    ModelInfo,
    OperationInfo,
    ParameterInfo,
    Ping,
    Pong,
    Progress,
    Pull,
    Pulled,
    Pulling,
    Raster,
    Rectangle,
    Refused,
    Report,
    Run,
    Seconds,
    Status,
    StatusReport,
    Stop,
    Stopping,
    StopPull,
    Tiles,
    Train,
    Unload,
    Unloaded,
    Warm,
    Warmed,
    Welcome,
)  # fmt: skip

FILE = Path(__file__).parent / "golden" / f"protocol-{messages.PROTOCOL}.json"
JOB = "0123456789abcdef0123456789abcdef"

OPERATION = OperationInfo(
    "upscale", "Upscale", help="Enlarge", roles=("image", "mask"), resizes=True, hidden=True,
    parameters=(
        ParameterInfo(
            "scale", "float", 2.0, title="Scale", help="How much", unit="x", minimum=1.0, maximum=8.0, step=0.5
        ),
        ParameterInfo("style", "choice", "art", choices=(Choice("art", "Drawing"), Choice("photo", "Photo"))),
        ParameterInfo("noise", "int", -1),
        ParameterInfo("smooth", "bool", True),
    ),
)  # fmt: skip
MODEL = ModelInfo(
    "waifu2x/cunet-art", "CUNet", ("upscale",), help="Drawings", scale=2, noise_levels=(-1, 0, 3), licence="MIT",
    available=False, download_bytes=1 << 33,
)  # fmt: skip

EXAMPLES: dict[str, Message] = {
    "Hello": Hello(protocol=1, client="krita", version="0.1.0"),
    "Welcome": Welcome(
        version="0.1.0", pid=4242, operations=(OPERATION,), models=(MODEL,),
        limits=Limits(max_pixels=1, max_side=2, max_output_pixels=3, max_jobs_per_client=4, lease_seconds=5.5),
    ),
    "Welcome, bare": Welcome(),
    "Refused": Refused("Run", "bad-request", "a fact", "a way out"),
    "Run": Run(
        JOB, "upscale", parameters={"scale": 2.0, "noise": -1, "style": "art", "smooth": True},
        images={"image": Raster(3, 5, 4, "u16", "bgra", -7, 9, 0), "mask": Raster(3, 5, 1, frame=1)},
        wrap_x=True, wrap_y=True, region=Rectangle(1, 2, 3, 4), viewport=Rectangle(-1, 0, 9, 9), priority="batch",
        keep_alive_seconds=-1.0, seed=1 << 40,
    ),
    "Run, bare": Run(JOB, "identity"),
    "Run, streaming": Run(JOB, "upscale", images={"image": Raster(3, 5, 4)}, stream=True),
    "Run, keeping": Run(JOB, "upscale", images={"image": Raster(3, 5, 4)}, keep_result=True),
    "Progress": Progress(JOB, 0.25, "tiles", eta_seconds=1.5, images={"image": Raster(1, 1, 3, x=64, y=128)}),
    "Progress, part": Progress(
        JOB, 0.5, images={"image": Raster(2, 4, 4, x=8, y=2)}, whole=Raster(6, 10, 4, x=-2, y=2)
    ),
    "Done": Done(
        JOB, images={"image": Raster(6, 10, 4, "f32")},
        report=Report(
            "cuda:0", "torch", "bf16", "waifu2x/cunet-art", "ab" * 32, Tiles(12, 3), Seconds(1.0, 2.0, 3.0, 4.0, 10.5),
            retries=("out of memory: tile 512 -> 256",),
        ),
    ),
    "Failed": Failed(JOB, "out-of-memory", "a fact", "a way out"),
    "Cancel": Cancel(JOB),
    "Enough": Enough(JOB),
    "Cancelled": Cancelled(JOB),
    "Attach": Attach(JOB),
    "Warm": Warm("upscale", {"model": "waifu2x/cunet-art", "noise": 1}, keep_alive_seconds=60.0),
    "Warmed": Warmed("upscale", ("waifu2x/cunet-art noise1", "waifu2x/cunet-art")),
    "Unload": Unload("waifu2x/cunet-art"),
    "Unload, all": Unload(),
    "Unloaded": Unloaded(("waifu2x/cunet-art noise1",), 1 << 33),
    "Pull": Pull("swinir/photo-x4"),
    "Pulling": Pulling("swinir/photo-x4", 1 << 20, 1 << 33),
    "StopPull": StopPull("swinir/photo-x4"),
    "Pulled": Pulled("swinir/photo-x4"),
    "Pulled, stopped": Pulled("swinir/photo-x4", stopped=True),
    "Welcome, with sources": Welcome(models=(ModelInfo("a/b", "B", ("upscale",), source="https://example.org"),)),
    "Ping": Ping(7),
    "Pong": Pong(7),
    "Status": Status(),
    "StatusReport": StatusReport(
        version="0.1.0", pid=4242, uptime_seconds=1.25, endpoints=("ipc:///x",), clients=2, worker="busy",
        worker_pid=4243, device="cpu", jobs=(JobInfo(JOB, "upscale", "running", "krita", "m", 0.5, 2.0),),
        models=(LoadedModel("m", "cpu", 1 << 33, "torch", True, None), LoadedModel("n", "cpu", 1, "torch", False, 9.5)),
    ),
    "Train": Train(JOB),
    "StatusReport, with a training": StatusReport(trainings=(JobInfo(JOB, "train upscale", "resting", "cli", "mine"),)),
    "Welcome, with what creates": Welcome(operations=(OperationInfo("faces", "Faces", menu="render", creates=True),)),
    "Welcome, with a limit of frames": Welcome(limits=Limits(max_frames=3)),
    "Stop": Stop(),
    "Stopping": Stopping(),
}  # fmt: skip

GOLDEN: dict[str, str] = json.loads(FILE.read_text()) if FILE.exists() else {}


@pytest.mark.parametrize("name", GOLDEN)
def test_old_bytes_mean_what_they_meant(name: str) -> None:
    assert codec.decode(bytes.fromhex(GOLDEN[name])) == EXAMPLES[name]


def test_every_kind_of_message_has_golden_bytes() -> None:
    assert {type(EXAMPLES[name]).__name__ for name in GOLDEN} == set(messages.MESSAGES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_is_sent_today_is_what_an_old_peer_knows(name: str) -> None:
    assert codec.encode(EXAMPLES[name]).hex() == GOLDEN[name]


if __name__ == "__main__":
    new = {name: codec.encode(message).hex() for name, message in EXAMPLES.items() if name not in GOLDEN}
    FILE.write_text(json.dumps({**GOLDEN, **new}, indent=1) + "\n")
    print(f"{FILE}: {len(new)} added")
