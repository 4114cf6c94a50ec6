"""Errands: processes that do what takes long, heard on the loop's thread."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest

from samovar.broker.errands import Errand, Errands


class Loop:
    """Stands in for the broker's: waits until it is woken."""

    def __init__(self) -> None:
        self.woken = threading.Event()
        self.said: list[dict[str, Any]] = []
        self.ended: list[str] = []
        self.errands = Errands(self.woken.set, (sys.executable, "-c"))

    def start(self, program: str) -> Errand:
        return self.errands.start([program], self.said.append, self.ended.append)

    def until(self, done: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not done():
            assert self.woken.wait(max(0.0, deadline - time.monotonic())), "nothing came"
            self.woken.clear()
            self.errands.deliver()


@pytest.fixture
def loop() -> Loop:
    return Loop()


def test_what_it_prints_is_heard_line_by_line_and_its_end_last(loop: Loop) -> None:
    loop.start("print('{\"a\": 1}', flush=True); print('no json'); print('[1]'); print('{\"a\": 2}')")
    loop.until(lambda: bool(loop.ended))
    assert loop.said == [{"a": 1}, {"a": 2}] and loop.ended == [""]


def test_the_last_words_of_one_that_fails_are_the_reason(loop: Loop) -> None:
    loop.start("import sys; print('much', file=sys.stderr); sys.exit('samovar: no network')")
    loop.until(lambda: bool(loop.ended))
    assert loop.ended == ["no network"]


def test_one_that_fails_without_a_word_has_a_reason_too(loop: Loop) -> None:
    loop.start("import os; os._exit(7)")
    loop.until(lambda: bool(loop.ended))
    assert loop.ended == ["it ended with exit status 7"]


def test_much_on_stderr_does_not_stop_it(loop: Loop) -> None:
    loop.start("import sys; sys.stderr.write('x' * (1 << 20)); print('{\"a\": 1}')")
    loop.until(lambda: bool(loop.ended))
    assert loop.said == [{"a": 1}] and loop.ended == [""]


def test_it_can_be_ended_before_its_time(loop: Loop) -> None:
    errand = loop.start("import time; print('{}', flush=True); time.sleep(60)")
    loop.until(lambda: bool(loop.said))
    errand.stop()
    loop.until(lambda: bool(loop.ended))
    assert loop.ended == ["it ended with exit status -15"]
    errand.stop(), errand.pause(), errand.resume()  # of what is over nothing more comes


def test_it_stands_still_and_goes_on_and_can_be_ended_while_it_stands(loop: Loop) -> None:
    errand = loop.start(
        "import itertools, time\nfor i in itertools.count(): print('{\"i\": %d}' % i, flush=True); time.sleep(0.01)"
    )
    loop.until(lambda: len(loop.said) > 3)
    errand.pause()
    time.sleep(0.2)
    loop.errands.deliver()
    count = len(loop.said)
    time.sleep(0.3)
    loop.errands.deliver()
    assert len(loop.said) == count
    errand.resume()
    loop.until(lambda: len(loop.said) > count + 3)
    errand.pause()
    errand.stop()
    loop.until(lambda: bool(loop.ended))
    assert loop.ended == ["it ended with exit status -15"]


def test_one_that_cannot_be_started_has_ended() -> None:
    loop = Loop()
    loop.errands = Errands(loop.woken.set, ("/nowhere/samovar",))
    loop.start("")
    loop.until(lambda: bool(loop.ended))
    assert loop.ended == ["/nowhere/samovar cannot be started: No such file or directory"]


def test_closing_ends_them_all(loop: Loop) -> None:
    loop.start("import signal, time; signal.signal(15, signal.SIG_IGN); print('{}', flush=True); time.sleep(60)")
    loop.until(lambda: bool(loop.said))
    began = time.monotonic()
    loop.errands.close()
    assert time.monotonic() - began < 10
