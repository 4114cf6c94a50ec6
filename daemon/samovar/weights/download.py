"""Fetches one file from the network: resumed where it broke off, checked while it comes, and under its own name only
once it is the right one.

What came so far lies beside the target as `.part` and stays there when the connection breaks or the user has enough,
so that the next try goes on from there. It is removed when it turns out to be the wrong file and when the disk is full.
"""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import httpx
from filelock import FileLock, Timeout

import samovar
from samovar.weights import store
from samovar_link.errors import ModelUnavailable

Told = Callable[[int], None]
"""Called with the bytes that are there, now and then, also while nothing comes; may raise to stop."""

CHUNK_BYTES = 1 << 18
MOST_BYTES = 4 << 30
"""Of a file whose size only the server knows."""
ATTEMPTS = 5
"""In a row that bring nothing new, before it is given up."""
TIMEOUT = httpx.Timeout(20.0, connect=10.0)
_LOCK_SECONDS = 0.2
_SPARE_BYTES = 64 << 20
_OK, _PARTIAL, _NOT_SATISFIABLE = 200, 206, 416
_WORTH_A_RETRY = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Source:
    """Where a file comes from, and how it is known.

    url : http or https; redirects are followed, for it is the digest that counts
    size_bytes : exactly; 0 where only the server knows
    sha256 : hexadecimal, whole or its first 8 digits or more
    """

    url: str
    size_bytes: int
    sha256: str

    @property
    def host(self) -> str:
        return httpx.URL(self.url).host


class _Broken(Exception):
    """The connection brought less than the file. `told` says why, for the last sentence."""


def fetch(
    source: Source, target: Path, told: Told = lambda have: None, sleep: Callable[[float], None] = time.sleep,
    timeout: httpx.Timeout = TIMEOUT,
) -> None:  # fmt: skip
    """Have the file at `target`. Nothing is done if the right one is there.

    Proxies and certificates are those of the environment. Of two who fetch the same file, one waits for the other.

    Raises ModelUnavailable with one sentence and what to do; whatever `told` raises.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    with _alone(target, told):
        if not is_right(target, source):
            _Fetching(source, target, told, sleep, timeout).run()


def is_right(path: Path, source: Source) -> bool:
    """Whether a file is there and is the one."""
    try:
        right_size = source.size_bytes in (0, path.stat().st_size)
        return right_size and store.sha256(path).startswith(source.sha256)
    except FileNotFoundError:
        return False


class _alone:
    """Nobody else fetches this file within the `with` block."""

    def __init__(self, target: Path, told: Told) -> None:
        self._lock = FileLock(target.with_name(f".{target.name}.lock"))
        self._told = told

    def __enter__(self) -> None:
        while True:
            try:
                self._lock.acquire(timeout=_LOCK_SECONDS)
                return
            except Timeout:
                self._told(0)

    def __exit__(self, *error: object) -> None:
        self._lock.release()


class _Fetching:
    """have : bytes that lie in the part, of which `digest` is the digest"""

    def __init__(
        self, source: Source, target: Path, told: Told, sleep: Callable[[float], None], timeout: httpx.Timeout
    ) -> None:
        self._source, self._target, self._told, self._sleep = source, target, told, sleep
        self._part = target.with_name(f".{target.name}.part")
        self._have = 0
        self._size = source.size_bytes
        self._digest = hashlib.sha256()
        self._client = httpx.Client(
            follow_redirects=True, timeout=timeout,
            headers={"User-Agent": f"samovar/{samovar.__version__}", "Accept-Encoding": "identity"},
        )  # fmt: skip

    def run(self) -> None:
        try:
            with self._client:
                self._take_up()
                self._check_room()
                resumed = self._have > 0
                self._complete()
                if not self._is_right() and resumed:  # what was there before may have been of another file
                    self._start_over()
                    self._complete()
            if not self._is_right():
                found = self._digest.hexdigest()
                self._part.unlink(missing_ok=True)
                raise ModelUnavailable(
                    f"what came from {self._source.host} is not {self._target.name}: sha256 {found[:16]}..., expected "
                    f"{self._source.sha256[:16]}...", "nothing was kept; try again later, or from another network",
                )  # fmt: skip
            os.replace(self._part, self._target)
        except OSError as error:
            self._no_room(error)

    def _take_up(self) -> None:
        """What an earlier try left."""
        try:
            with self._part.open("rb") as file:
                while chunk := file.read(CHUNK_BYTES):
                    self._count(chunk)
        except FileNotFoundError:
            pass
        if self._size and self._have > self._size:
            self._start_over()

    def _start_over(self) -> None:
        self._part.unlink(missing_ok=True)
        self._have, self._digest = 0, hashlib.sha256()

    def _count(self, chunk: bytes) -> None:
        self._digest.update(chunk)
        self._have += len(chunk)
        self._told(self._have)

    def _is_right(self) -> bool:
        return self._have == self._size and self._digest.hexdigest().startswith(self._source.sha256)

    def _check_room(self) -> None:
        missing = max(0, self._size - self._have)
        free = shutil.disk_usage(self._target.parent).free
        if free < missing + _SPARE_BYTES:
            raise ModelUnavailable(
                f"{self._target.name} needs {missing / 1e6:.0f} MB more, and {free / 1e6:.0f} MB are free at "
                f"{self._target.parent}", "make room and try again",
            )  # fmt: skip

    def _complete(self) -> None:
        """Try until all bytes are there. Raises ModelUnavailable when several tries in a row brought nothing."""
        vain, most = 0, self._have
        while not self._size or self._have < self._size:
            try:
                self._receive()
            except (httpx.TransportError, _Broken) as error:
                reason = str(error) or type(error).__name__
            else:
                reason = "the connection ended early"
            if self._size and self._have >= self._size:
                return
            vain, most = (0, self._have) if self._have > most else (vain + 1, most)
            if vain >= ATTEMPTS:
                raise ModelUnavailable(
                    f"cannot fetch {self._target.name} from {self._source.host}: {reason}",
                    "check the connection and try again; what came so far is kept" if self._have else
                    "check the connection and try again",
                )  # fmt: skip
            self._told(self._have)
            self._sleep(0.5 * 2**vain if vain else 0.0)

    def _receive(self) -> None:
        """One request, for what is missing."""
        headers = {"Range": f"bytes={self._have}-"} if self._have else {}
        with self._client.stream("GET", self._source.url, headers=headers) as response:
            self._check_status(response)
            self._size = self._size or self._announced(response)
            with self._part.open("ab", buffering=0) as file:  # whoever ends this process ends it at no loss
                for chunk in response.iter_raw():
                    if self._have + len(chunk) > self._size:
                        break
                    file.write(chunk)
                    self._count(chunk)
                else:
                    os.fsync(file.fileno())
                    return
            raise self._wrong(response, "more than the file holds")

    def _check_status(self, response: httpx.Response) -> None:
        status = response.status_code
        if status == _PARTIAL and self._have:
            start = response.headers.get("Content-Range", "").removeprefix("bytes ").split("-")[0]
            if start == str(self._have):
                return
            self._start_over()
            raise _Broken("the server sent another part than was asked for")
        if status == _OK:
            self._start_over()  # all of it comes, whatever was asked for
        elif status == _NOT_SATISFIABLE:
            self._start_over()
            raise _Broken("the server knows less of the file")
        elif status in _WORTH_A_RETRY:
            raise _Broken(f"the server answers {status} {response.reason_phrase}")
        else:
            raise self._wrong(response, f"{status} {response.reason_phrase}")

    def _announced(self, response: httpx.Response) -> int:
        """The size of the whole file, as the server tells it."""
        length = response.headers.get("Content-Length", "")
        size_bytes = self._have + int(length) if length.isdigit() else 0
        if not 0 < size_bytes <= MOST_BYTES:
            raise self._wrong(response, f"a file of {length or 'no known'} bytes")
        return size_bytes

    def _wrong(self, response: httpx.Response, what: str) -> ModelUnavailable:
        self._part.unlink(missing_ok=True)
        return ModelUnavailable(
            f"cannot fetch {self._target.name}: {response.url.host} answers with {what}",
            "the file may have moved; a newer Samovar may know where to",
        )  # fmt: skip

    def _no_room(self, error: OSError) -> None:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            self._part.unlink(missing_ok=True)
            raise ModelUnavailable(
                f"the disk is full: {self._target.name} needs {self._size / 1e6:.0f} MB at "
                f"{self._target.parent}", "nothing was kept; make room and try again",
            ) from error  # fmt: skip
        raise error
