"""Files from a server that may drop, lie, stall, redirect, or hold another file: the right file or a sentence."""

from __future__ import annotations

import errno
import hashlib
import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from samovar.weights import download
from samovar.weights.download import Source, fetch
from samovar_link.errors import ModelUnavailable

CONTENT = random.Random(1).randbytes(3 << 20)
DIGEST = hashlib.sha256(CONTENT).hexdigest()
SHORT = httpx.Timeout(0.3)
NAME = "model.pth"

Answer = Callable[["Handler", int], None]
"""(request, byte from which the file is asked for)"""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        start = int(wanted.removeprefix("bytes=").rstrip("-")) if wanted else 0
        self.server.starts.append(start)  # type: ignore[attr-defined]
        self.server.answer(self, start)  # type: ignore[attr-defined]

    def log_message(self, *_: object) -> None:
        pass

    def begin(self, status: int, length: int, **headers: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def begin_part(self, start: int, content: bytes = CONTENT) -> None:
        if start:
            self.begin(206, len(content) - start, Content_Range=f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.begin(200, len(content))

    def hang_up(self) -> None:
        self.close_connection = True


class Server:
    """starts : from where each request wanted the file"""

    def __init__(self) -> None:
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.starts = self.starts = []  # type: ignore[attr-defined]
        self.answer(whole)
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()

    def answer(self, answer: Answer) -> None:
        self._http.answer = answer  # type: ignore[attr-defined]

    def source(self, path: str = NAME, **changes: Any) -> Source:
        fields = {
            "url": f"http://127.0.0.1:{self._http.server_port}/{path}",
            "size_bytes": len(CONTENT),
            "sha256": DIGEST,
        }
        return Source(**{**fields, **changes})

    def close(self) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()


def whole(request: Handler, start: int) -> None:
    request.begin_part(start)
    request.wfile.write(CONTENT[start:])


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def get(server: Server, tmp_path: Path) -> Callable[..., Path]:
    """Fetches from the server without waiting between tries; the file's path."""

    def get(told: Callable[[int], None] = lambda have: None, **changes: Any) -> Path:
        fetch(server.source(**changes), tmp_path / NAME, told, lambda seconds: None, SHORT)
        return tmp_path / NAME

    return get


def test_the_file_comes_whole_and_what_comes_is_told(get: Callable[..., Path]) -> None:
    told: list[int] = []
    assert get(told.append).read_bytes() == CONTENT
    assert told == sorted(told) and told[-1] == len(CONTENT)
    assert [each.name for each in get().parent.iterdir() if not each.name.endswith(".lock")] == [NAME]


def test_what_is_there_is_not_fetched_again_and_what_is_damaged_is(get: Callable[..., Path], server: Server) -> None:
    path = get()
    get()
    assert len(server.starts) == 1
    path.write_bytes(CONTENT[:-1] + b"?")
    assert get().read_bytes() == CONTENT and len(server.starts) == 2


def test_a_prefix_of_the_digest_is_enough(get: Callable[..., Path]) -> None:
    assert get(sha256=DIGEST[:8]).read_bytes() == CONTENT


def test_where_nobody_told_the_size_the_server_does(get: Callable[..., Path], server: Server) -> None:
    def drop(request: Handler, start: int) -> None:
        request.begin_part(start)
        request.wfile.write(CONTENT[start : start + (1 << 20)])
        request.hang_up()

    server.answer(drop)
    assert get(size_bytes=0).read_bytes() == CONTENT
    get(size_bytes=0)
    assert server.starts == [0, 1 << 20, 2 << 20]


def test_a_server_that_tells_no_size_either_is_not_listened_to(get: Callable[..., Path], server: Server) -> None:
    def endless(request: Handler, start: int) -> None:
        request.send_response(200)
        request.end_headers()
        request.wfile.write(CONTENT)
        request.hang_up()

    server.answer(endless)
    with pytest.raises(ModelUnavailable, match="answers with a file of no known bytes"):
        get(size_bytes=0)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_random_interruptions_end_with_the_right_file(server: Server, tmp_path: Path) -> None:
    chance = random.Random(7)

    def drop(request: Handler, start: int) -> None:
        request.begin_part(start)
        request.wfile.write(CONTENT[start : start + chance.randrange(len(CONTENT) // 3)])
        request.hang_up()

    server.answer(drop)
    for turn in range(50):
        target = tmp_path / f"{turn}" / NAME

        def told(have: int) -> None:
            if chance.random() < 0.05:
                raise KeyboardInterrupt

        while True:
            try:
                fetch(server.source(), target, told, lambda seconds: None, SHORT)
            except KeyboardInterrupt:
                assert not target.exists()
                continue
            except ModelUnavailable as error:  # five times in a row less than a chunk
                assert "ended early" in str(error) or "peer closed" in str(error)
                assert not target.exists()
                continue
            break
        assert target.read_bytes() == CONTENT
    assert any(server.starts), "it went on where it broke off"


def test_a_connection_that_breaks_goes_on_where_it_broke(get: Callable[..., Path], server: Server) -> None:
    def half(request: Handler, start: int) -> None:
        request.begin_part(start)
        request.wfile.write(CONTENT[start : start + (1 << 20)])
        request.hang_up()

    server.answer(half)
    assert get().read_bytes() == CONTENT
    assert server.starts == [0, 1 << 20, 2 << 20]


def test_a_server_that_knows_no_ranges_sends_it_all_again(get: Callable[..., Path], server: Server) -> None:
    def stubborn(request: Handler, start: int) -> None:
        request.begin(200, len(CONTENT))
        request.wfile.write(CONTENT if start else CONTENT[: 1 << 20])
        request.hang_up()

    server.answer(stubborn)
    assert get().read_bytes() == CONTENT
    assert server.starts == [0, 1 << 20]


@pytest.mark.parametrize("announced", [len(CONTENT) - 1000, len(CONTENT) + 1000])
def test_a_server_that_lies_about_the_length(get: Callable[..., Path], server: Server, announced: int) -> None:
    def liar(request: Handler, start: int) -> None:
        request.begin(200, announced)
        request.wfile.write(CONTENT[:announced])
        request.hang_up()

    server.answer(liar)
    if announced > len(CONTENT):
        assert get().read_bytes() == CONTENT  # all of it came
        return
    with pytest.raises(ModelUnavailable, match="cannot fetch"):
        get()


def test_more_than_the_file_is_not_the_file(get: Callable[..., Path], server: Server, tmp_path: Path) -> None:
    def more(request: Handler, start: int) -> None:
        request.begin(200, len(CONTENT) + 5)
        request.wfile.write(CONTENT + b"extra")

    server.answer(more)
    with pytest.raises(ModelUnavailable, match="more than the file holds"):
        get()
    assert nothing_in(tmp_path)


def test_a_wrong_byte_never_gets_the_right_name(get: Callable[..., Path], server: Server, tmp_path: Path) -> None:
    wrong = CONTENT[:1000] + b"?" + CONTENT[1001:]

    def answer(request: Handler, start: int) -> None:
        request.begin_part(start, wrong)
        request.wfile.write(wrong[start:])

    server.answer(answer)
    with pytest.raises(ModelUnavailable, match=r"not model\.pth: sha256 .*expected .*nothing was kept"):
        get()
    assert nothing_in(tmp_path)


def test_a_part_of_another_file_is_thrown_away_and_all_fetched_anew(
    get: Callable[..., Path], server: Server, tmp_path: Path
) -> None:
    (tmp_path / f".{NAME}.part").write_bytes(bytes(1000))
    assert get().read_bytes() == CONTENT
    assert server.starts == [1000, 0]


@pytest.mark.parametrize("status", [206, 416])
def test_an_answer_that_does_not_fit_what_is_there_starts_over(
    get: Callable[..., Path], server: Server, tmp_path: Path, status: int
) -> None:
    (tmp_path / f".{NAME}.part").write_bytes(CONTENT[:1000])

    def odd(request: Handler, start: int) -> None:
        if not start:
            whole(request, 0)
        elif status == 206:
            request.begin(206, 10, Content_Range=f"bytes 0-9/{len(CONTENT)}")
            request.wfile.write(CONTENT[:10])
        else:
            request.begin(416, 0)

    server.answer(odd)
    assert get().read_bytes() == CONTENT


def test_redirects_are_followed(get: Callable[..., Path], server: Server) -> None:
    def redirect(request: Handler, start: int) -> None:
        if request.path == "/elsewhere":
            whole(request, start)
        else:
            request.begin(302, 0, Location="/elsewhere")

    server.answer(redirect)
    assert get().read_bytes() == CONTENT


def test_a_server_that_stalls_is_given_up_and_what_came_is_kept(
    get: Callable[..., Path], server: Server, tmp_path: Path
) -> None:
    end = threading.Event()

    def stall(request: Handler, start: int) -> None:
        request.begin_part(start)
        request.wfile.write(CONTENT[start : max(start, 1 << 20)])
        end.wait(10)
        request.hang_up()

    server.answer(stall)
    try:
        with pytest.raises(ModelUnavailable, match=r"timed out.*what came so far is kept"):
            get()
    finally:
        end.set()
    assert (tmp_path / f".{NAME}.part").stat().st_size == 1 << 20
    server.answer(whole)
    assert get().read_bytes() == CONTENT and server.starts[-1] == 1 << 20


@pytest.mark.parametrize(("status", "words"), [(404, "404 Not Found.*may have moved"), (503, "503.*try again")])
def test_a_refusal_is_one_sentence(get: Callable[..., Path], server: Server, status: int, words: str) -> None:
    server.answer(lambda request, start: request.begin(status, 0))
    with pytest.raises(ModelUnavailable, match=words):
        get()
    assert len(server.starts) == (1 if status == 404 else download.ATTEMPTS)


def test_without_a_network_there_is_one_sentence(tmp_path: Path) -> None:
    source = Source("http://127.0.0.1:9/x", 10, "0" * 64)
    with pytest.raises(ModelUnavailable, match=r"^cannot fetch model\.pth from 127\.0\.0\.1: .*check the connection"):
        fetch(source, tmp_path / NAME, sleep=lambda seconds: None)
    assert nothing_in(tmp_path)


def test_a_proxy_of_the_environment_is_used(
    get: Callable[..., Path], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = []

    def proxy(request: Handler, start: int) -> None:
        seen.append(request.path)
        whole(request, start)

    server.answer(proxy)
    monkeypatch.setenv("HTTP_PROXY", server.source("").url)
    assert get(url="http://models.invalid/model.pth").read_bytes() == CONTENT
    assert seen == ["http://models.invalid/model.pth"]


def test_too_little_room_is_told_before_anything_comes(
    get: Callable[..., Path], server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage("/")
    monkeypatch.setattr(download.shutil, "disk_usage", lambda path: usage._replace(free=1 << 20))
    with pytest.raises(ModelUnavailable, match=r"needs 3 MB more, and 1 MB are free"):
        get()
    assert not server.starts


def test_a_disk_that_fills_up_is_left_as_it_was(
    get: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(ModelUnavailable, match=r"the disk is full: model\.pth needs 3 MB"):
        get()
    assert nothing_in(tmp_path)


@pytest.mark.slow
def test_two_who_fetch_the_same_file_do_not_clash(server: Server, tmp_path: Path) -> None:
    def slow(request: Handler, start: int) -> None:
        request.begin_part(start)
        for at in range(start, len(CONTENT), 1 << 18):
            request.wfile.write(CONTENT[at : at + (1 << 18)])
            time.sleep(0.02)

    server.answer(slow)
    threads = [threading.Thread(target=fetch, args=(server.source(), tmp_path / NAME)) for _ in range(3)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert (tmp_path / NAME).read_bytes() == CONTENT
    assert server.starts == [0], "the others waited for the first"


def nothing_in(folder: Path) -> bool:
    return not [each for each in folder.iterdir() if not each.name.endswith(".lock")]
