"""The protocol. What is written here is what travels; everything else follows from it.

A message is frame 0, msgpack `[kind, fields]`, where `kind` is the class name and `fields` maps field names to
values; frames 1..n are raw pixels, never copied into msgpack. `Raster.frame` says which one.

Rules for whoever edits this file:
1. A new field has a default. Nothing is renamed, retyped, reordered or reused.
2. Unknown fields are ignored, unknown kinds are answered with `Refused`.
3. Only scalars, strings, tuples, string-keyed dicts and dataclasses of this file: no pickle, no file names.
4. A change that an old peer would misread raises `PROTOCOL`.
5. Standard library only, Python 3.10 syntax: this runs inside the editors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Union

PROTOCOL = 1
"""Version of the protocol. Peers with different numbers do not talk."""

Value = Union[bool, int, float, str]
"""A parameter's value on the wire."""

DTYPE_BYTES = {"u8": 1, "u16": 2, "f16": 2, "f32": 4}
"""Bytes per channel of each pixel type; little endian."""

CHANNEL_NAMES = {1: "gray", 2: "gray+alpha", 3: "rgb", 4: "rgb+alpha"}
ORDERS = ("rgba", "bgra")
PACKINGS = ("zstd",)
"""How a frame may be packed: as one Zstandard frame, which says how much is in it."""
BATCH = "batch"
PRIORITIES = ("interactive", BATCH)


class _Record:
    """What all dataclasses of this file share: compared, hashed and shown by their fields.

    `dataclass` would write and compile that anew for each of them, which takes as long as half of a plug-in's start.
    """

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and vars(other) == vars(self)

    def __hash__(self) -> int:
        return hash((type(self), *vars(self).values()))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


# --- pixels ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class Raster(_Record):
    """Describes the pixels of one frame: rows top to bottom, no padding, channels interleaved.

    Straight (unassociated) alpha, last. sRGB-encoded, 0..255, 0..65535 or nominally 0..1. `order` "bgra" swaps
    the first and third channel of colour rasters; of gray ones it says how colours are to come that are made of them.
    `x`, `y` place the raster in the editor's image, in pixels, and come back scaled with the result. `frame` indexes
    the message's pixel frames. `packed` is one of `PACKINGS` if the frame is made smaller for the way between two
    daemons, "" if it is as described here.
    """

    height: int
    width: int
    channels: int
    dtype: str = "u8"
    order: str = "rgba"
    x: int = 0
    y: int = 0
    frame: int = 0
    packed: str = ""

    @property
    def size_bytes(self) -> int:
        return self.height * self.width * self.channels * DTYPE_BYTES[self.dtype]


@dataclass(frozen=True, eq=False, repr=False)
class Rectangle(_Record):
    """Part of an image, in pixels of the role `image`; the lower right border is outside."""

    x: int
    y: int
    width: int
    height: int


# --- meeting --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class Hello(_Record):
    """Client -> daemon, first message. Answered by `Welcome`, or `Refused` if the protocols differ."""

    protocol: int = PROTOCOL
    client: str = ""
    version: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class Choice(_Record):
    """One value of a parameter that has a fixed list of them.

    resizes, fills : with it the result has another size than the layer, or is made anew where the role "mask" says:
        that picture is then needed, or not taken
    samples : with it the role "mask", if it comes, says what of the layer is the sample; the result, which `resizes`,
        is a layer of its own. The parameters "width" and "height" are its size, 0 that of the layer
    blend : how the result, which is then no picture by itself, is to be laid over the layer: "color" (hue and chroma of
        the upper, lightness of the lower) or "multiply"; "" where it takes the layer's place
    """

    id: str
    title: str
    resizes: bool = False
    fills: bool = False
    blend: str = ""
    samples: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class ParameterInfo(_Record):
    """How to draw one parameter. `kind` is "bool", "int", "float", "choice" or "model".

    A "model" parameter takes the id of any `ModelInfo` that lists the operation.
    """

    name: str
    kind: str
    default: Value
    title: str = ""
    help: str = ""
    unit: str = ""
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[Choice, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class OperationInfo(_Record):
    """One operation: what it needs (`roles`, first one is the layer itself) and what can be set.

    `resizes` says that the result may have another size than the layer. Of the `optional_roles`, "mask" is gray, placed
    by its x and y beside the layer, and says how much of the result is taken (0 outside it): where it is 0, the layer's
    pixels come back to the bit. Among the `roles`, it says what is to be made anew. Any other of them is a picture with
    transparency, placed by its x and y beside the layer, too: "hints" are strokes of colour.

    random : `Run.seed` decides the result, so that another one is worth asking for
    live : it goes on for as long as it is let, all of the result shows while it gets better, and `Enough` ends it. Ask
        for it with the priority "batch", so that it makes room for what takes a moment, and with `keep_result`
    whole : all of the layer decides what becomes of a part: send all of it, and the part as `Run.region`
    colours : the result has colours, also that of a gray layer: RGB for gray, RGBA for gray with alpha
    menu : what it is akin to: "enhance", "colors", "render"
    seamless : results that repeat are what it is for: ask for `Run.wrap_x` and `wrap_y` beside its parameters
    creates : it makes layers of their own out of nothing: of the role "image" only kind and place count, so that a
        pixel of it is enough
    """

    id: str
    title: str
    help: str = ""
    roles: tuple[str, ...] = ("image",)
    parameters: tuple[ParameterInfo, ...] = ()
    resizes: bool = False
    hidden: bool = False
    optional_roles: tuple[str, ...] = ()
    random: bool = False
    live: bool = False
    whole: bool = False
    colours: bool = False
    menu: str = "enhance"
    seamless: bool = False
    creates: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class ModelInfo(_Record):
    """One model as a dialog shows it. `noise_levels` is empty for a model without that choice.

    available : whether it can be used at once; otherwise `download_bytes` have to be fetched first
    speed : "fast", "medium", "slow" or "very slow" on a processor; "" where the daemon does not tell
    commercial : whether its licence lets what it makes be sold
    source : where its authors publish it
    """

    id: str
    title: str
    operations: tuple[str, ...]
    help: str = ""
    scale: int = 1
    noise_levels: tuple[int, ...] = ()
    licence: str = ""
    available: bool = True
    download_bytes: int = 0
    speed: str = ""
    commercial: bool = True
    source: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class Limits(_Record):
    """What the daemon accepts; checked there, told here so that a client can refuse early. `max_frames` of pixels in
    one message."""

    max_pixels: int = 1 << 28
    max_side: int = 1 << 16
    max_output_pixels: int = 1 << 30
    max_jobs_per_client: int = 256
    lease_seconds: float = 3.0
    max_frames: int = 16


@dataclass(frozen=True, eq=False, repr=False)
class Welcome(_Record):
    """Daemon -> client, answers `Hello`. All a plug-in needs to draw its dialogs. Comes again when the offer changed,
    because models were fetched, added or removed."""

    protocol: int = PROTOCOL
    version: str = ""
    pid: int = 0
    operations: tuple[OperationInfo, ...] = ()
    models: tuple[ModelInfo, ...] = ()
    limits: Limits = field(default_factory=Limits)
    packings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class Refused(_Record):
    """Daemon -> client: a message that belongs to no job was not understood or not allowed. `kind` names it."""

    kind: str
    code: str
    message: str
    hint: str = ""


# --- work -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class Run(_Record):
    """Client -> daemon: do this. Answered by any number of `Progress`, then one of `Done`, `Failed`, `Cancelled`.

    Carries everything that decides the outcome. `job` is chosen by the client and unique (a random hex string of
    32 characters is); all answers carry it. `images` maps a role of the operation to its raster. Of the layer, the
    pixels around `region` are seen, but only those in it are computed and come back, at their place. What lies in
    `viewport` is computed first. With `stream`, parts of the result come with `Progress` as they are finished.

    A client that falls silent loses its jobs. With `keep_result` the job goes on without it, and its end is kept for
    `Attach`: some ten minutes, until newer results need the room, or until the client lets go of it with `Cancel`.

    Another daemon as the client says in `packs` how many bytes a second the link carries (0: nothing is to be packed):
    where it is then here sooner, a result comes packed.
    """

    job: str
    operation: str
    parameters: dict[str, Value] = field(default_factory=dict)
    images: dict[str, Raster] = field(default_factory=dict)
    wrap_x: bool = False
    wrap_y: bool = False
    region: Rectangle | None = None
    viewport: Rectangle | None = None
    priority: str = "interactive"
    keep_alive_seconds: float = 300.0
    seed: int = 0
    stream: bool = False
    keep_result: bool = False
    packs: float = 0.0


@dataclass(frozen=True, eq=False, repr=False)
class Train(_Record):
    """Client -> daemon: carry out the training that `samovar train` put down under that name in Samovar's folder; so no
    message names a file. It rests while there are jobs, and goes on without its client.

    Answered by any number of `Progress`, then one of `Done` (without pixels; the last of the notes says as JSON how
    good it became), `Failed`, `Cancelled`; or by `Refused`. For one that is under way it is an `Attach`, which follows
    it as well. `Cancel` by one who follows it ends it; what it has learned is put aside.
    """

    job: str


@dataclass(frozen=True, eq=False, repr=False)
class Progress(_Record):
    """Daemon -> client. `fraction` (0..1) never decreases within a job. `stage` is one word or two for the user.

    Of a job that asked to `stream`, `images` may hold a finished part of the result, placed by its x and y as that of
    `whole`, which describes the result as `Done` will. Parts are for showing: some may be missing (they are not kept
    for a client that does not read), and where the operation goes on after the network they only come close. All pixels
    come again with `Done`.
    """

    job: str
    fraction: float
    stage: str = ""
    eta_seconds: float | None = None
    images: dict[str, Raster] = field(default_factory=dict)
    whole: Raster | None = None


@dataclass(frozen=True, eq=False, repr=False)
class Tiles(_Record):
    """How many tiles the result is made of, and how many of them came from the cache."""

    total: int = 0
    cached: int = 0


@dataclass(frozen=True, eq=False, repr=False)
class Seconds(_Record):
    """Where the time went. `queue` waiting, also while a batch job lets others go ahead, `load` starting the worker and
    reading weights, `transfer` moving pixels between broker and worker, `compute` the operation, `total` from receipt
    of `Run` to sending of `Done`."""

    queue: float = 0.0
    load: float = 0.0
    transfer: float = 0.0
    compute: float = 0.0
    total: float = 0.0


@dataclass(frozen=True, eq=False, repr=False)
class Report(_Record):
    """How a result came about. `retries` holds one sentence per step down from the plan, `notes` what else the user may
    want to know."""

    device: str = ""
    runtime: str = ""
    dtype: str = ""
    model: str = ""
    sha256: str = ""
    tiles: Tiles = field(default_factory=Tiles)
    seconds: Seconds = field(default_factory=Seconds)
    retries: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class Done(_Record):
    """Daemon -> client: the job's result. Most operations fill the role `image` only."""

    job: str
    images: dict[str, Raster] = field(default_factory=dict)
    report: Report = field(default_factory=Report)


@dataclass(frozen=True, eq=False, repr=False)
class Failed(_Record):
    """Daemon -> client: the job ended without a result. `code` is that of a class in `errors`."""

    job: str
    code: str
    message: str
    hint: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class Cancel(_Record):
    """Client -> daemon. Idempotent: cancelling an unknown or finished job is not an error.

    Answered by `Cancelled`, unless the job's `Done` or `Failed` was already on its way. Of a job that is over, a result
    that is kept is let go.
    """

    job: str


@dataclass(frozen=True, eq=False, repr=False)
class Enough(_Record):
    """Client -> daemon: what shows of a `live` job is good enough: it ends with that, by `Done`.

    Any client may say so, not only the job's own. Of a job that waits, is over, or is of another kind, it is not
    heeded.
    """

    job: str


@dataclass(frozen=True, eq=False, repr=False)
class Cancelled(_Record):
    """Daemon -> client: the job is no more, and nothing of it will follow."""

    job: str


@dataclass(frozen=True, eq=False, repr=False)
class Attach(_Record):
    """Client -> daemon: take up a job after its connection was lost, from a new one.

    Of a job that waits or runs, a `Progress` comes at once and what comes of it goes to this client alone from now on;
    another that still waits for it is told with `Failed`. Of a job that is over and kept (`Run.keep_result`), its
    `Done` comes with all pixels, or its `Failed`, as often as asked for. Any other is `Failed` with "unknown-job".
    """

    job: str


# --- models in memory ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class Warm(_Record):
    """Client -> daemon: load what a `Run` of this operation with these parameters would use, so that it finds it hot.

    Starts the worker if none runs; waits while any job waits or runs. Answered by `Warmed` or `Refused`. A client has
    one at a time: a newer one takes the place of one that still waits, which is then not answered. Of what is loaded
    already the stay is prolonged, never shortened.
    """

    operation: str
    parameters: dict[str, Value] = field(default_factory=dict)
    keep_alive_seconds: float = 300.0


@dataclass(frozen=True, eq=False, repr=False)
class Warmed(_Record):
    """Daemon -> client, answers `Warm`: these models are in memory, named as in `LoadedModel`."""

    operation: str
    models: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class Unload(_Record):
    """Client -> daemon: drop a model with all its variants, or all models. What a job uses at the moment stays.

    Answered by `Unloaded`, while a job runs at the end of its tile. All models while no job runs: the worker ends, and
    the answer comes when it is gone.
    """

    model: str = ""


@dataclass(frozen=True, eq=False, repr=False)
class Unloaded(_Record):
    """Daemon -> client, answers `Unload`: what left memory, named as in `LoadedModel`, and how much that was."""

    models: tuple[str, ...] = ()
    size_bytes: int = 0


# --- models on disk -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class Pull(_Record):
    """Client -> daemon: fetch the files of a model that is offered and not `available`. The user was asked.

    Answered by any number of `Pulling`, then `Pulled`, or `Refused` with the reason. Of several clients that want the
    same model each is told. What was broken off goes on where it was. As soon as nobody who asked is left, it ends.
    """

    model: str


@dataclass(frozen=True, eq=False, repr=False)
class Pulling(_Record):
    """Daemon -> client: how far it is."""

    model: str
    have_bytes: int = 0
    total_bytes: int = 0


@dataclass(frozen=True, eq=False, repr=False)
class StopPull(_Record):
    """Client -> daemon: this client wants the model no more. Idempotent. Answered by `Pulled` with `stopped`, unless
    the model is there by then."""

    model: str


@dataclass(frozen=True, eq=False, repr=False)
class Pulled(_Record):
    """Daemon -> client: the model can be used; or, with `stopped`, nobody fetches it any more for this client. Before
    it comes a `Welcome` with the offer as it is now."""

    model: str
    stopped: bool = False


# --- the rest -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False, repr=False)
class Ping(_Record):
    """Either direction; answered by `Pong` with the same `nonce`. Any message of a client renews its leases."""

    nonce: int = 0


@dataclass(frozen=True, eq=False, repr=False)
class Pong(_Record):
    """Answers `Ping`."""

    nonce: int = 0


@dataclass(frozen=True, eq=False, repr=False)
class Status(_Record):
    """Client -> daemon. Answered by `StatusReport`."""


@dataclass(frozen=True, eq=False, repr=False)
class JobInfo(_Record):
    """One job. `state` is "queued", "running", or "kept": over, and its result is kept for `Attach`. A training that
    lets others go ahead is "resting".

    orphan : no client waits for it, `Attach` takes it up
    """

    job: str
    operation: str
    state: str
    client: str = ""
    model: str = ""
    fraction: float = 0.0
    age_seconds: float = 0.0
    orphan: bool = False


@dataclass(frozen=True, eq=False, repr=False)
class LoadedModel(_Record):
    """One model held in memory. `unload_seconds` counts down while unused; None means it stays."""

    model: str
    device: str
    size_bytes: int
    runtime: str
    in_use: bool = False
    unload_seconds: float | None = None


@dataclass(frozen=True, eq=False, repr=False)
class StatusReport(_Record):
    """Daemon -> client, answers `Status`. `worker` is "none", "starting", "idle" or "busy". `trainings` are jobs of
    which nothing comes to be placed."""

    version: str = ""
    pid: int = 0
    uptime_seconds: float = 0.0
    endpoints: tuple[str, ...] = ()
    clients: int = 0
    worker: str = "none"
    worker_pid: int = 0
    device: str = ""
    jobs: tuple[JobInfo, ...] = ()
    models: tuple[LoadedModel, ...] = ()
    trainings: tuple[JobInfo, ...] = ()


@dataclass(frozen=True, eq=False, repr=False)
class Stop(_Record):
    """Client -> daemon: end. Running jobs are cancelled. Answered by `Stopping`."""


@dataclass(frozen=True, eq=False, repr=False)
class Stopping(_Record):
    """Daemon -> every client: the daemon ends now."""


Message = Union[
    Hello, Welcome, Refused, Run, Progress, Done, Failed, Cancel, Enough, Cancelled, Attach, Warm, Warmed, Unload,
    Unloaded, Train, Pull, Pulling, StopPull, Pulled, Ping, Pong, Status, StatusReport, Stop, Stopping,
]  # fmt: skip

MESSAGES: dict[str, type] = {cls.__name__: cls for cls in Message.__args__}  # type: ignore[attr-defined]
"""Every kind that may stand in frame 0."""
