"""Start-up and end of the daemon: one per home folder, found through its connection file.

The lock is held for the daemon's life and freed by the system when it dies, whatever way; so whoever gets the lock may
replace a connection file that is lying there. The file is written last, when everything answers, and removed first.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import signal
import stat
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import zmq

from samovar import __version__, card, descriptors, keys, operation
from samovar.broker import notify
from samovar.broker.address import Address
from samovar.broker.door import Door, Keys, PortTaken, socket_path
from samovar.broker.heap import Heap
from samovar.broker.intake import Offer
from samovar.broker.log_file import LogFile
from samovar.broker.loop import Loop
from samovar.broker.notify import Notifier
from samovar.broker.other import Other
from samovar.broker.port import Bounds, Identity
from samovar.broker.worker_process import COMMAND
from samovar.lock import NAME, Taken, held
from samovar_link import discovery
from samovar_link.discovery import ConnectionFile
from samovar_link.errors import DaemonUnavailable

log = logging.getLogger(__name__)


def serve(
    port: int = 0,
    home: Path | None = None,
    bounds: Bounds | None = None,
    ready: Callable[[Identity], None] | None = None,
    worker_command: tuple[str, ...] = COMMAND,
    listen: Sequence[Address] = (),
) -> int:
    """Run the daemon until it is told to stop; the exit code.

    port : of the loopback tcp socket; 0 takes any free one
    home : folder of connection file, lock and log; None is the user's own
    bounds : what may wait and how long; None is what suits everybody
    ready : called once clients can connect
    listen : addresses beside the local ones; those with keys stand in no connection file
    """
    home = home or discovery.home()
    if sys.platform != "win32":
        os.umask(0o077)  # log and sockets are for this user, whatever the shell had set
    other = Other(home)
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        if fault := _fault_of(home):
            return _give_up(fault)
        while True:
            try:
                with held(home / NAME), _logging(home):
                    return _or_say_why(lambda: _serve(port, home, bounds or Bounds(), ready, worker_command, listen))
            except Taken:
                if (words := other.look()) is not None:
                    print(words)
                    return 0
            time.sleep(0.05)
    except DaemonUnavailable as error:
        return _give_up(str(error))
    except OSError as error:  # a disk that is full, a folder that cannot be written
        return _give_up(_unusable(home, error))


def _or_say_why(serve: Callable[[], int]) -> int:
    try:
        return serve()
    except (PortTaken, DaemonUnavailable) as error:
        return _give_up(str(error))
    except Exception:
        log.exception("the daemon ends because of an error")
        raise


@contextlib.contextmanager
def _starting() -> Iterator[None]:
    """What the system refuses a daemon that starts is for the user to know, and no defect. Raises DaemonUnavailable."""
    try:
        yield
    except (OSError, zmq.ZMQError) as error:
        raise DaemonUnavailable(_cannot_start(error)) from error


def _serve(
    port: int,
    home: Path,
    bounds: Bounds,
    ready: Callable[[Identity], None] | None,
    worker_command: tuple[str, ...],
    listen: Sequence[Address],
) -> int:
    heap = Heap()  # before libzmq has its threads
    notifier = Notifier()
    descriptors.raise_limit()
    descriptors.check()
    token = secrets.token_hex(32)
    with _starting():
        offer = Offer(operation.discover(), card.discover())
        opened = Keys(keys.own(keys.SERVER, home), keys.AllowList(home)) if any(each.curve for each in listen) else None
        door = Door(token, offer.limits, socket_path(home), port, listen=listen, keys=opened, bounds=bounds)
        everywhere = door.endpoints + door.remote_endpoints
        identity = Identity(__version__, os.getpid(), everywhere, str(log_path(home)))
        loop = Loop(heap, door, offer, identity, bounds, worker_command)
    file = ConnectionFile(os.getpid(), token, door.endpoints, version=__version__)
    path = home / discovery.FILE_NAME
    with _signals(loop):
        try:
            try:
                file.write(path)
            except OSError as error:
                door.close(linger_ms=0)
                return _give_up(_unusable(home, error))
            loop.now_and_then = lambda: _write_if_gone(file, path)
            log.info("samovar %s serves, pid %d, at %s", __version__, os.getpid(), ", ".join(everywhere))
            if opened is not None:
                log.info(
                    "other machines need its public key %s; allowed: %d",
                    keys.shown(opened.own.public),
                    len(door.gate.keys()),
                )
            notifier.tell(notify.READY)
            if ready is not None:
                ready(identity)
            loop.run()
            notifier.tell(notify.STOPPING)
        finally:
            with contextlib.suppress(OSError):  # what is left is known to be nobody's by the lock
                path.unlink()
    log.info("samovar ended")
    return 0


def _write_if_gone(file: ConnectionFile, path: Path) -> None:
    """Without it nobody would find this daemon, and its lock lets no other one start. A home that is gone as a whole is
    left alone."""
    if not os.path.exists(path) and os.path.isdir(path.parent):
        with contextlib.suppress(OSError):
            file.write(path)
            log.warning("%s was gone: written anew", path)


def log_path(home: Path) -> Path:
    return home / "log" / "samovar.log"


def _fault_of(home: Path) -> str:
    """Why the daemon does not live in this folder; "" if it does. What others could write in is closed to them."""
    if sys.platform == "win32":
        return ""
    status = home.stat()
    if status.st_uid != os.geteuid():
        return f"Samovar's folder {home} belongs to another user (number {status.st_uid}); choose another: SAMOVAR_HOME"
    if status.st_mode & 0o022:
        home.chmod(stat.S_IMODE(status.st_mode) & ~0o022)
    return ""


def _unusable(home: Path, error: OSError) -> str:
    if descriptors.are_out(error):
        return _cannot_start(error)
    return f"Samovar's folder {home} cannot be used: {error.strerror or error}"


def _cannot_start(error: OSError | zmq.ZMQError) -> str:
    """Names the file that was refused, but not where all would be."""
    name = "" if descriptors.are_out(error) else getattr(error, "filename", None)
    return f"the daemon cannot start: {f'{name}: ' if name else ''}{error.strerror or error}"


def _give_up(reason: str) -> int:
    print(f"samovar: {reason}", file=sys.stderr)
    return 1


@contextlib.contextmanager
def _signals(loop: Loop) -> Iterator[None]:
    """SIGTERM and SIGINT stop the loop; nothing is done in a thread that cannot have handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(number: int, frame: object) -> None:
        log.info("ending: %s", signal.Signals(number).name)
        loop.stop()

    before = {number: signal.signal(number, stop) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _logging(home: Path) -> Iterator[None]:
    """Log to a file that is rotated, and to stderr."""
    path = log_path(home)
    path.parent.mkdir(exist_ok=True, mode=0o700)
    if sys.platform != "win32":  # what an earlier version or a shell made, too
        path.parent.chmod(0o700)
        for each in path.parent.glob(f"{path.name}*"):
            each.chmod(0o600)
    handlers: list[logging.Handler] = [
        LogFile(path),
        logging.StreamHandler(),
    ]
    root = logging.getLogger()
    level = root.level
    for handler in handlers:
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.addHandler(handler)
    root.setLevel(os.environ.get("SAMOVAR_LOG", "INFO").upper())
    try:
        yield
    finally:
        root.setLevel(level)
        for handler in handlers:
            root.removeHandler(handler)
            handler.close()
