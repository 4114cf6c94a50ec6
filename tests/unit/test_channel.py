"""Both ends of the channel in one process."""

from __future__ import annotations

import gc
import os
import socket
import struct
import sys
from collections.abc import Callable, Iterator
from typing import cast

import msgpack
import pytest

from samovar.channel import Channel, Drop, Held, Ready, Said
from samovar.segment import Block, Segment, SegmentPool
from samovar_link import codec
from samovar_link.errors import BadRequest, ProtocolError
from samovar_link.messages import Cancel, Done, LoadedModel, Message, Progress, Raster, Run


class Line:
    """A broker's and a worker's end, each with its pool."""

    def __init__(self) -> None:
        self.sockets = socket.socketpair()
        for end in self.sockets:
            end.setblocking(False)
        self.pools = SegmentPool(0, lambda: 0.0), SegmentPool(1, lambda: 0.0)
        self.broker, self.worker = (Channel(end, pool) for end, pool in zip(self.sockets, self.pools, strict=True))

    def close(self) -> None:
        for channel in (self.broker, self.worker):
            channel.close()
        for pool in self.pools:
            pool.close()


@pytest.fixture
def line() -> Iterator[Line]:
    line = Line()
    yield line
    line.close()


def only(packets: list[tuple[Said, list[Block]]]) -> tuple[Said, list[Block]]:
    (packet,) = packets
    return packet


def test_messages_arrive_as_they_were(line: Line) -> None:
    messages = [
        Cancel("j"), Ready("cpu"), Held((LoadedModel("m", "cpu", 5, "torch", unload_seconds=1.5),)),
        Run("j", "upscale", {"scale": 2.0}, {"image": Raster(1, 2, 3)}), Progress("j", 0.5, "tiles"),
    ]  # fmt: skip
    for message in messages:
        line.broker.send(message)
    assert [message for message, _ in line.worker.receive()] == messages


def test_pixels_cross_without_a_copy_and_the_memory_comes_back(line: Line) -> None:
    block = line.pools[0].take(1000)
    block.view[:3] = b"abc"
    line.broker.send(Run("j", "x"), [block])
    _, (seen,) = only(line.worker.receive())
    assert bytes(seen.view[:3]) == b"abc" and len(seen) == 1000
    seen.view[0:1] = b"z"
    assert bytes(block.view[:3]) == b"zbc"
    block.release()
    assert line.pools[0].free_bytes == 0, "the worker still has it"
    seen.release()
    line.broker.receive()
    assert line.pools[0].free_bytes > 0


def test_a_known_segment_needs_no_second_descriptor(line: Line) -> None:
    block = line.pools[0].take(1000)
    for _ in range(3):
        line.broker.send(Run("j", "x"), [block])
    packets = line.worker.receive() + line.worker.receive()  # a read ends behind a descriptor
    seen = [blocks[0].segment for _, blocks in packets]
    assert seen[0] is seen[1] is seen[2]


def test_a_result_that_is_the_input_goes_back_without_a_copy(line: Line) -> None:
    block = line.pools[0].take(1000)
    line.broker.send(Run("j", "x"), [block])
    _, (seen,) = only(line.worker.receive())
    line.worker.send(Done("j"), [seen])
    seen.release()
    _, (back,) = only(line.broker.receive())
    assert back.segment is block.segment
    block.release()
    assert line.pools[0].free_bytes == 0, "the result is in use"
    back.release()
    assert line.pools[0].free_bytes > 0


def test_a_dropped_segment_is_unmapped_by_the_peer(line: Line) -> None:
    block = line.pools[0].take(1000)
    line.broker.send(Run("j", "x"), [block])
    _, (seen,) = only(line.worker.receive())
    seen.release()
    block.release()
    line.broker.receive()
    line.pools[0].expire(keep_bytes=0)
    assert line.worker.receive() == [] and line.worker._attached == {}


def test_a_peer_that_goes_gives_back_everything(line: Line) -> None:
    block = line.pools[0].take(1000)
    line.broker.send(Run("j", "x"), [block])
    block.release()
    line.worker.receive()
    line.worker.close()
    with pytest.raises(EOFError):
        while True:
            line.broker.receive()
    line.broker.close()
    assert line.pools[0].used_bytes == 0 and line.pools[0].free_bytes > 0


def test_a_new_worker_gets_the_descriptor_again(line: Line) -> None:
    block = line.pools[0].take(1000)
    block.view[:1] = b"k"
    line.broker.send(Run("j", "x"), [block])
    line.broker.close()
    ends = socket.socketpair()
    second, worker = Channel(ends[0], line.pools[0]), Channel(ends[1], SegmentPool(1, lambda: 0.0))
    second.send(Run("j", "x"), [block])
    _, (seen,) = only(worker.receive())
    assert bytes(seen.view[:1]) == b"k"
    second.close()
    worker.close()


def test_what_does_not_fit_the_socket_waits_and_arrives_in_order(line: Line) -> None:
    long = "x" * 50_000
    for number in range(30):
        line.broker.send(Progress(str(number), 0.0, long), [line.pools[0].take(10)] if number == 20 else [])
    assert line.broker.wants_write
    packets: list[tuple[Said, list[Block]]] = []
    while len(packets) < 30:
        packets += line.worker.receive()
        line.broker.flush()
    assert [message.job for message, _ in packets if isinstance(message, Progress)] == [str(n) for n in range(30)]
    assert [len(blocks) for _, blocks in packets] == [0] * 20 + [1] + [0] * 9
    assert not line.broker.wants_write


def test_sending_to_a_dead_peer_is_no_error(line: Line) -> None:
    line.worker.close()
    line.broker.send(Cancel("j"))
    with pytest.raises(EOFError):
        line.broker.receive()
    line.broker.close()
    line.broker.send(Cancel("j"))


# --- an end that has lost its mind ------------------------------------------------------------------------------------

CANCEL = codec.encode(Cancel("j"))


def packet(*content: object) -> bytes:
    body = msgpack.packb(list(content))
    return struct.pack("<I", len(body)) + body


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"\xff\xff\xff\xff", "packet of 4294967295 bytes"),
        (struct.pack("<I", 1) + b"\xc1", "not msgpack"),
        (packet(), "not msgpack"),
        (packet(7, []), "not header and mentions"),
        (packet(CANCEL, 7), "not header and mentions"),
        (packet(b"\xc1", []), "frame 0 is not msgpack"),
        (packet(msgpack.packb(["Cancel", {"job": 7}]), []), "Cancel.job is 7"),
        (packet(CANCEL, [None]), "no segment"),
        (packet(CANCEL, [[1, 16, 0, 16]]), "no segment"),
        (packet(CANCEL, [[1, 16, -1, 16, None]]), "no segment"),
        (packet(CANCEL, [["1", 16, 0, 16, None]]), "no segment"),
        (packet(CANCEL, [[1, 16, 0, 16, None]]), "came without its memory"),
        (packet(CANCEL, [[0, 16, 0, 16, None]]), "which is not in use"),
        (packet(codec.encode(cast(Message, Drop(5))), []), "which never came"),
        (struct.pack("<I", 3000) + b"\x92" + (b"\xdc\x0f\xff" * 1000).ljust(2999, b"\xc0"), "not msgpack"),
    ],
)  # fmt: skip
def test_what_no_peer_of_ours_would_say_is_named(line: Line, data: bytes, complaint: str) -> None:
    line.sockets[1].send(data)
    with pytest.raises((ProtocolError, BadRequest), match=complaint) as caught:
        line.broker.receive()
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(("offset", "length"), [(0, 1001), (1000, 1), (1 << 40, 1)])
def test_a_block_is_never_shorter_than_its_mention(line: Line, offset: int, length: int) -> None:
    line.pools[0].take(1 << 16)
    offset += (1 << 16) - 1000 if offset <= 1000 else 0
    line.sockets[1].send(packet(CANCEL, [[0, 1 << 16, offset, length, None]]))
    with pytest.raises(ProtocolError, match="which has fewer"):
        line.broker.receive()


def test_what_came_before_nonsense_gives_its_memory_back(line: Line) -> None:
    block = line.pools[0].take(1000)
    mention = [0, block.segment.capacity, 0, 1000, None]
    line.sockets[1].send(packet(CANCEL, [mention, mention]) + packet(CANCEL, [mention, None]))
    with pytest.raises(ProtocolError):
        line.broker.receive()
    block.release()
    assert line.pools[0].used_bytes == 0


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors")
def test_a_peer_cannot_name_one_of_our_descriptors(line: Line) -> None:
    ours = os.open(os.devnull, os.O_RDONLY)
    try:
        line.sockets[1].send(packet(CANCEL, [[1, 16, 0, 16, str(ours)]]))
        with pytest.raises(ProtocolError, match="came without its memory"):
            line.broker.receive()
        os.fstat(ours)  # it is still open
    finally:
        os.close(ours)


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors")
def test_a_descriptor_that_cannot_be_mapped_is_named_and_closed(line: Line) -> None:
    read, write = os.pipe()
    socket.send_fds(line.sockets[1], [packet(CANCEL, [[1, 16, 0, 16, None]])], [read])
    with pytest.raises(ProtocolError, match="segment 1 of 16 bytes cannot be mapped"):
        line.broker.receive()
    os.close(read)
    with pytest.raises(BrokenPipeError):  # nobody has its other end
        os.write(write, b"x")
    os.close(write)


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors")
def test_descriptors_without_end_are_not_collected(line: Line) -> None:
    with pytest.raises(ProtocolError, match="descriptors that no segment needs"):
        for _ in range(20):
            socket.send_fds(line.sockets[1], [packet(CANCEL, [])], [0] * 50)
            line.broker.receive()


def test_what_cannot_be_sent_lends_nothing(line: Line) -> None:
    block = line.pools[0].take(1000)
    with pytest.raises(OverflowError):
        line.broker.send(Progress("j", 0.5, images={"image": Raster(1 << 70, 1, 1)}), [block])
    block.release()
    assert line.pools[0].used_bytes == 0


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
def test_closing_leaves_no_descriptors() -> None:
    gc.collect()
    before = len(os.listdir("/proc/self/fd"))
    line = Line()
    line.broker.send(Run("j", "x"), [line.pools[0].take(1000), line.pools[0].take(1000)])
    line.worker.receive()
    line.broker.send(Run("j", "x"), [line.pools[0].take(1000)])  # not read any more
    line.close()
    gc.collect()
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.fixture
def no_more_files() -> Iterator[Callable[[int], None]]:
    """Call it with how many more this process may open. Its limit is as it was afterwards."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)

    def allow(more: int) -> None:
        lowest = os.dup(0)
        os.close(lowest)
        resource.setrlimit(resource.RLIMIT_NOFILE, (lowest + more, before[1]))

    yield allow
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the lowest free descriptor may not be the last")
def test_a_segment_that_cannot_be_handed_over_is_no_memory_and_leaves_the_line_as_it_was(
    line: Line, no_more_files: Callable[[int], None]
) -> None:
    first, second = line.pools[0].take(1000), line.pools[0].take(1 << 20)
    gc.collect()
    no_more_files(1)
    with pytest.raises(MemoryError, match="hand over"):
        line.broker.send(Run("j", "x"), [first, second])
    no_more_files(50)
    assert line.worker.receive() == []
    line.broker.send(Run("j", "x"), [first, second])
    _, blocks = only(line.worker.receive())
    assert len(blocks) == 2
    for block in (*blocks, first, second):
        block.release()
    line.broker.receive()
    assert line.pools[0].used_bytes == 0


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the lowest free descriptor may not be the last")
def test_a_segment_lost_on_the_way_is_said_and_what_came_before_it_is_given_back(
    line: Line, no_more_files: Callable[[int], None]
) -> None:
    ours, theirs = line.pools[0].take(1000), line.pools[1].take(1000)
    line.broker.send(Run("j", "x"), [ours])
    _, (seen,) = only(line.worker.receive())
    line.worker.send(Done("j"), [seen])
    line.worker.send(Done("k"), [theirs])
    ours.release()
    gc.collect()
    no_more_files(0)
    with pytest.raises(ProtocolError, match="without its memory: Too many open files"):
        while True:
            line.broker.receive()
    line.broker.close()
    assert line.pools[0].used_bytes == 0


def test_a_segment_that_cannot_be_mapped_is_said(line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    line.worker.send(Done("k"), [line.pools[1].take(1000)])

    def refuse(*_: object) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr(Segment, "attach", refuse)
    with pytest.raises(ProtocolError, match=r"cannot be mapped: .*Cannot allocate memory"):
        line.broker.receive()
