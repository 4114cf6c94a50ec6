"""Messages to bytes and back: for every message, with the compiled msgpack and with the plug-ins' pure-Python one."""

from __future__ import annotations

import dataclasses
import tracemalloc
import types
import typing
from collections.abc import Iterator

import msgpack
import msgpack.fallback
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from samovar_link import codec, errors, messages
from samovar_link.errors import BadRequest, ProtocolError
from samovar_link.messages import Done, Failed, Limits, Message, ModelInfo, Ping, Raster, Run, Welcome

KINDS = list(messages.MESSAGES.values())
quick = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
shared_fixture = settings(quick, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])

PURE = types.SimpleNamespace(
    packb=lambda value: msgpack.fallback.Packer().pack(value), unpackb=msgpack.fallback.unpackb
)


@pytest.fixture(params=["compiled", "pure Python"])
def either_msgpack(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    if request.param == "pure Python":
        monkeypatch.setattr(codec, "msgpack", PURE)
    yield


def values(hint: object) -> st.SearchStrategy[object]:
    """Everything that a field of this type may hold."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return st.one_of([values(argument) for argument in arguments])
    if origin is tuple:
        return st.lists(values(arguments[0]), max_size=2).map(tuple)
    if origin is dict:
        return st.dictionaries(values(str), values(arguments[1]), max_size=2)
    if dataclasses.is_dataclass(hint):
        return instances(typing.cast(type, hint))
    plain: dict[object, st.SearchStrategy[object]] = {
        type(None): st.none(), bool: st.booleans(), int: st.integers(-(1 << 63), (1 << 64) - 1),
        float: st.floats(allow_nan=False).map(lambda x: x + 0.0),  # not -0.0: it equals the default 0.0
         str: st.text(st.characters(exclude_categories=["Cs"]), max_size=8),
    }  # fmt: skip
    return plain[hint]


def instances(cls: type) -> st.SearchStrategy[object]:
    hints = typing.get_type_hints(cls)
    return st.builds(cls, **{f.name: values(hints[f.name]) for f in dataclasses.fields(cls)})


anything = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6) | st.integers(-9, 9), inner, max_size=3)
    ),
    max_leaves=8,
)


@pytest.mark.slow
@pytest.mark.usefixtures("either_msgpack")
@pytest.mark.parametrize("cls", KINDS, ids=lambda cls: cls.__name__)
def test_every_message_comes_back_as_it_was(cls: type) -> None:
    @quick
    @given(instances(cls))
    def check(message: object) -> None:
        back = codec.decode(codec.encode(typing.cast(Message, message)))
        assert back == message and repr(back) == repr(message)  # repr: 1, 1.0 and True are equal

    check()


@pytest.mark.usefixtures("either_msgpack")
@settings(shared_fixture, max_examples=200)
@given(st.binary(max_size=40))
def test_random_bytes_are_refused_and_nothing_worse(data: bytes) -> None:
    with pytest.raises((ProtocolError, BadRequest)):
        codec.decode(data)


@pytest.mark.slow
@pytest.mark.usefixtures("either_msgpack")
@settings(shared_fixture, max_examples=200)
@given(st.sampled_from(KINDS), st.data())
def test_random_fields_are_a_message_or_refused(cls: type, data: st.DataObject) -> None:
    names = st.sampled_from([f.name for f in dataclasses.fields(cls)] or ["x"]) | st.text(max_size=3)
    fields = data.draw(st.dictionaries(names, anything, max_size=4))
    header = msgpack.packb([cls.__name__, fields])
    try:
        assert isinstance(codec.decode(header), cls)
    except (ProtocolError, BadRequest):
        assert codec.job_of(header)[0] in (cls.__name__, "")


@pytest.mark.parametrize(
    ("cls", "name"),
    [(cls, f.name) for cls in KINDS for f in dataclasses.fields(cls)],
    ids=lambda part: part if isinstance(part, str) else part.__name__,
)
def test_a_field_of_a_wrong_type_is_named(cls: type, name: str) -> None:
    right = {str: "x", int: 1, float: 0.5}
    fields = {field: right[hint] for field, hint in typing.get_type_hints(cls).items() if hint in right}
    with pytest.raises(BadRequest, match=rf"^{cls.__name__}\.{name} is b'bytes"):
        codec.decode(msgpack.packb([cls.__name__, {**fields, name: b"bytes fit no field"}]))


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"job": "a", "operation": "x", "images": {"mask": {"height": "1"}}}, r"Run\.images\[mask\]\.height is '1'"),
        ({"job": "a", "operation": "x", "parameters": {"scale": None}}, r"Run\.parameters\[scale\] is None"),
        ({"job": "a", "operation": "x", "seed": True}, r"Run\.seed is True"),
        ({"job": "a", "operation": "x", "seed": 1.5}, r"Run\.seed is 1\.5; allowed: an integer"),
        ({"job": "a", "operation": "x", "images": [1]}, r"Run\.images is \[1\]; allowed: a map"),
        ({"job": "a"}, r"Run\.operation is missing"),
    ],
)
def test_the_complaint_leads_to_the_field(fields: dict[str, object], complaint: str) -> None:
    with pytest.raises(BadRequest, match=complaint):
        codec.decode(msgpack.packb(["Run", fields]))


@pytest.mark.parametrize(
    "body", [b"", 7, [], ["Run"], ["Run", []], [7, {}], ["Run", {}, 1], {"Run": {}}, ["Run", {1: 2}]], ids=repr
)
def test_what_is_no_pair_of_kind_and_fields_is_a_protocol_error(body: object) -> None:
    with pytest.raises(ProtocolError):
        codec.decode(msgpack.packb(body))


@pytest.mark.usefixtures("either_msgpack")
@pytest.mark.parametrize(
    "data",
    [
        b"\x91" * 5000,
        b"\xdd\xff\xff\xff\xff",
        b"\xdf\xff\xff\xff\xff",
        b"\xc9\xff\xff\xff\xff\x01",
        b"\x92\xa1\xff\x80",
    ],
    ids=["deep", "long list", "long map", "long extension", "text that is none"],
)
def test_headers_meant_to_hurt_are_refused(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        codec.decode(data)


RUN = b"\x92\xa3Run\x83\xa3job\xa1a\xa9operation\xa1b\xa5newer"
ROW = b"\xdc\x0f\xa0"  # a list of 4000


@pytest.mark.usefixtures("either_msgpack")
@pytest.mark.parametrize("depth", [100, 600, 1000])
def test_a_field_of_any_depth_is_refused_in_one_short_line(depth: int) -> None:
    with pytest.raises((BadRequest, ProtocolError), match="Pong.nonce is|StackError") as caught:
        codec.decode(b"\x92\xa4Pong\x81\xa5nonce" + b"\x91" * depth + b"\xc0")
    assert len(str(caught.value)) < 200


@pytest.mark.slow
@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (RUN + b"\xdc\x0f\xff" * 1015, "not msgpack"),
        (RUN + b"\xdc\x27\x10" * 1015, "not msgpack"),
        (RUN + b"\xdc\x00\x7f" + (ROW + b"\x80" * 4000) * 127, "more than 65536 values"),
        (RUN + b"\xdc\x00\xf0" + (ROW + b"\x80" * 4000) * 240, "at most 524288 allowed"),
    ],
    ids=["lists that claim much", "lists that claim more", "half a megabyte of maps", "a megabyte of maps"],
)
def test_a_header_takes_no_more_memory_than_a_message_may(data: bytes, complaint: str) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError, match=complaint):
            codec.decode(data)
        assert tracemalloc.get_traced_memory()[1] < 48 << 20
    finally:
        tracemalloc.stop()


def test_the_pure_python_reader_stops_at_too_many_values(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codec, "msgpack", PURE)
    with pytest.raises(ProtocolError, match="more than 65536 values"):
        codec.decode(
            RUN + b"\x97" + (b"\xdc\x0f\xff" + b"\xc0" * 4095) * 6 + b"\xdc\x0a\xaa" + (b"\x9f" + b"\xc0" * 15) * 2730
        )


def test_an_offer_of_two_thousand_models_fits_a_header() -> None:
    """Whoever has that many must not be shut out by the limits above."""
    model = ModelInfo(
        "mine/model-of-some-name", "A model of some name", ("upscale", "denoise"), "What it is for", 2, (0, 1, 2, 3),
        "MIT", False, 1 << 24, "medium", False, "https://example.org/models",
    )  # fmt: skip
    welcome = Welcome(models=(model,) * 2000)
    assert codec.decode(codec.encode(welcome)) == welcome


@pytest.mark.usefixtures("either_msgpack")
def test_extension_types_are_no_part_of_the_protocol() -> None:
    with pytest.raises(ProtocolError, match="extension type 5"):
        codec.decode(b"\x92\xa4Ping\x81\xa1x\xc7\x00\x05")


@pytest.mark.parametrize("role", ["a\nb", "\x1b[31m", "x" * 100_000])
def test_a_complaint_is_one_line_whatever_the_client_calls_its_picture(role: str) -> None:
    for fields in ({"height": "1"}, {"height": 0, "width": 1, "channels": 1}):
        with pytest.raises(BadRequest, match=r"images\[") as caught:
            run = codec.decode(msgpack.packb(["Run", {"job": "a", "operation": "x", "images": {role: fields}}]))
            codec.check_images(run.images, [1], Limits())  # type: ignore[union-attr]
        assert str(caught.value).isprintable() and len(str(caught.value)) < 200


def test_keys_that_are_no_text_are_named_in_a_short_line() -> None:
    images = {bytes([0, number]): 1 for number in range(200)}
    with pytest.raises(BadRequest, match=r"^Run\.images is \{b'.*allowed: a map with text keys") as caught:
        codec.decode(msgpack.packb(["Run", {"job": "a", "operation": "x", "images": images}]))
    assert len(str(caught.value)) < 150


def test_a_header_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(ProtocolError, match="524289 bytes"):
        codec.decode(bytes(codec.MAX_HEADER_BYTES + 1))


def test_an_unknown_kind_can_be_told_from_nonsense() -> None:
    with pytest.raises(codec.UnknownKind) as caught:
        codec.decode(msgpack.packb(["Teleport", {}]))
    assert caught.value.kind == "Teleport"


def test_unknown_fields_are_ignored_at_every_depth() -> None:
    raster = {"height": 1, "width": 2, "channels": 3, "new": [1]}
    header = msgpack.packb(["Done", {"job": "a", "newer": {}, "images": {"image": raster}}])
    assert codec.decode(header) == Done("a", images={"image": Raster(1, 2, 3)})


def test_a_default_is_not_sent() -> None:
    assert msgpack.unpackb(codec.encode(Ping())) == ["Ping", {}]
    assert msgpack.unpackb(codec.encode(Run("a", "x"))) == ["Run", {"job": "a", "operation": "x"}]
    assert codec.decode(codec.encode(Welcome())) == Welcome()


def test_the_job_of_a_refused_message_is_found() -> None:
    header = msgpack.packb(["Run", {"job": "7f3a", "seed": "x"}])
    assert codec.job_of(header) == ("Run", "7f3a")
    assert codec.job_of(b"\xc1") == ("", "")


@pytest.mark.parametrize("cls", errors.REMOTE_ERRORS.values(), ids=lambda cls: cls.__name__)
def test_every_remote_error_crosses_the_wire(cls: type[errors.RemoteError]) -> None:
    error = cls("a fact", "a way out")
    message = codec.decode(codec.encode(Failed("a", error.code, error.message, error.hint)))
    assert isinstance(message, Failed)
    back = errors.remote_error(message.code, message.message, message.hint)
    assert type(back) is cls
    assert (back.message, back.hint, str(back)) == ("a fact", "a way out", "a fact (a way out)")


def test_the_table_of_remote_errors_is_complete() -> None:
    assert set(errors.REMOTE_ERRORS.values()) == set(errors.RemoteError.__subclasses__())


def test_an_error_of_a_newer_daemon_is_still_one() -> None:
    back = errors.remote_error("melted", "a fact")
    assert type(back) is errors.RemoteError and str(back) == "a fact"


# --- rasters against frames -----------------------------------------------------------------------------------------


def test_images_that_fit_their_frames_pass() -> None:
    codec.check_images({"image": Raster(2, 3, 4), "mask": Raster(2, 3, 1, "u16", frame=1)}, [24, 12], Limits())


@pytest.mark.parametrize(
    ("raster", "sizes", "complaint"),
    [
        (Raster(0, 1, 4), [0], r"images\[image\]\.height is 0"),
        (Raster(1, 100_000, 4), [400_000], r"images\[image\]\.width is 100000; allowed: 1\.\.65536"),
        (Raster(60_000, 60_000, 1), [1], "at most 268435456 pixels"),
        (Raster(1, 1, 5), [5], r"images\[image\]\.channels is 5"),
        (Raster(1, 1, 4, "f64"), [32], r"images\[image\]\.dtype is 'f64'"),
        (Raster(1, 1, 4, order="argb"), [4], r"images\[image\]\.order is 'argb'"),
        (Raster(1, 1, 4, frame=1), [4], r"images\[image\]\.frame is 1; allowed: 0\.\.0"),
        (Raster(1, 1, 4, frame=-1), [4], r"images\[image\]\.frame is -1"),
        (Raster(1, 1, 4, x=1 << 62), [4], r"images\[image\]\.x is 4611686018427387904; allowed: -2147483648\.\."),
        (Raster(1, 1, 4, y=-1 << 40), [4], r"images\[image\]\.y is -1099511627776"),
        (Raster(2, 3, 4), [23], "3x2, 4 channels of u8 need 24 bytes, but its frame has 23"),
        (Raster(1, 1, 4), [4, 4], "frames is 2; allowed: 1, one for each image"),
    ],
)
def test_images_that_do_not_fit_are_refused_by_name(raster: Raster, sizes: list[int], complaint: str) -> None:
    with pytest.raises(BadRequest, match=complaint):
        codec.check_images({"image": raster}, sizes, Limits())
