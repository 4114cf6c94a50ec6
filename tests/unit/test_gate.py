"""Who may come in, and that neither time nor words tell more."""

from __future__ import annotations

import ast
import hmac
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
import zmq

from samovar.broker import gate as gate_module
from samovar.broker.gate import LOCAL_DOMAIN, LOCAL_PROCESS, REMOTE_DOMAIN, Gate, Refusals, peer_of
from samovar.keys import AllowList

TOKEN = "5e" * 32


class Handshakes:
    """A gate, and what libzmq says to it: RFC 27."""

    def __init__(self, allowed: AllowList | None) -> None:
        self.context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        self.gate = Gate(self.context, TOKEN, allowed)
        self._libzmq = self.context.socket(zmq.REQ)
        self._libzmq.connect("inproc://zeromq.zap.01")

    def ask(self, domain: bytes, mechanism: bytes, *credentials: bytes, address: bytes = b"10.0.0.7") -> list[bytes]:
        """(code, text, user) of the answer."""
        self._libzmq.send_multipart([b"1.0", b"1", domain, address, b"", mechanism, *credentials])
        self.gate.answer()
        version, request, code, text, user, metadata = self._libzmq.recv_multipart()
        assert (version, request, metadata) == (b"1.0", b"1", b"")
        return [code, text, user]

    def close(self) -> None:
        self._libzmq.close()
        self.gate.close()
        self.context.term()


@pytest.fixture
def allowed(tmp_path: Path) -> AllowList:
    return AllowList(tmp_path)


@pytest.fixture
def handshakes(allowed: AllowList) -> Iterator[Handshakes]:
    found = Handshakes(allowed)
    yield found
    found.close()


def test_the_token_lets_in(handshakes: Handshakes) -> None:
    assert handshakes.ask(LOCAL_DOMAIN, b"PLAIN", b"samovar", TOKEN.encode()) == [b"200", b"OK", b""]


def test_whatever_is_wrong_the_answer_is_the_same(handshakes: Handshakes) -> None:
    wrong = [
        (b"PLAIN", b"samovar", b""),
        (b"PLAIN", b"samovar", b"0" * 64),
        (b"PLAIN", b"samovar", TOKEN[:-1].encode()),
        (b"PLAIN", b"samovar", TOKEN.encode() + b"x"),
        (b"PLAIN", b"", TOKEN.encode()),
        (b"PLAIN", b"root", TOKEN.encode()),
        (b"PLAIN", b"samovar"),
        (b"PLAIN", b"samovar", TOKEN.encode(), b""),
        (b"PLAIN", "sämovar".encode(), "ü".encode()),
        (b"NULL",),
        (b"CURVE", bytes(32)),
        (b"GSSAPI", b"x"),
    ]
    assert {tuple(handshakes.ask(LOCAL_DOMAIN, *each)) for each in wrong} == {(b"400", b"wrong token", b"")}


def test_a_key_on_the_list_lets_in_at_the_door_for_keys_only(handshakes: Handshakes, allowed: AllowList) -> None:
    key = zmq.curve_keypair()[0]
    raw = zmq.utils.z85.decode(key)
    silence = [b"300", b"", b""]
    assert handshakes.ask(REMOTE_DOMAIN, b"CURVE", raw) == silence
    allowed.allow(key.decode(), "laptop")
    assert handshakes.ask(REMOTE_DOMAIN, b"CURVE", raw) == [b"200", b"OK", key]
    assert handshakes.ask(LOCAL_DOMAIN, b"CURVE", raw)[0] == b"400"
    for mechanism, *credentials in (
        (b"CURVE", bytes(32)), (b"CURVE", raw[:31]), (b"CURVE", raw + b"x"), (b"CURVE",), (b"CURVE", raw, raw),
        (b"PLAIN", b"samovar", TOKEN.encode()), (b"NULL",),
    ):  # fmt: skip
        assert handshakes.ask(REMOTE_DOMAIN, mechanism, *credentials) == silence
    allowed.remove("laptop")
    assert handshakes.ask(REMOTE_DOMAIN, b"CURVE", raw) == silence


def test_without_a_list_no_key_lets_in() -> None:
    handshakes = Handshakes(None)
    try:
        assert handshakes.ask(REMOTE_DOMAIN, b"CURVE", bytes(32))[0] == b"300"
    finally:
        handshakes.close()


def test_the_comparisons_take_the_same_time_wherever_they_differ(
    handshakes: Handshakes, allowed: AllowList, monkeypatch: pytest.MonkeyPatch
) -> None:
    """User, token and every key of the list go through `compare_digest`, also after one was found to differ or fit."""
    compared: list[bytes] = []

    def compare(a: bytes, b: bytes) -> bool:
        compared.append(b)
        return hmac.compare_digest(a, b)

    fake = type("hmac", (), {"compare_digest": staticmethod(compare)})
    monkeypatch.setattr(gate_module, "hmac", fake)
    handshakes.ask(LOCAL_DOMAIN, b"PLAIN", b"nobody", b"nothing")
    assert compared == [b"samovar", TOKEN.encode()], "the token too, though the user was wrong"
    compared.clear()
    keys = [zmq.curve_keypair()[0] for _ in range(3)]
    for number, key in enumerate(keys):
        allowed.allow(key.decode(), str(number))
    for key in (keys[0], keys[2], zmq.curve_keypair()[0]):
        handshakes.ask(REMOTE_DOMAIN, b"CURVE", zmq.utils.z85.decode(key))
    assert len(compared) == 9


def test_no_secret_is_compared_in_another_way() -> None:
    tree = ast.parse(inspect.getsource(gate_module))
    compares = [ast.unparse(each) for each in ast.walk(tree) if isinstance(each, ast.Compare)]
    assert compares and not [
        each
        for each in compares
        if "token" in each.lower() or "credentials[" in each.replace("len(credentials[0])", "")
    ]


def test_a_peer_is_logged_once_and_not_more_peers_than_a_disk_bears(caplog: pytest.LogCaptureFixture) -> None:
    refusals = Refusals()
    for _ in range(3):
        refusals.note("10.0.0.7", "wrong token")
        refusals.note("10.0.0.7", "another reason")
    assert len(caplog.records) == 1 and "10.0.0.7: wrong token" in caplog.text
    for number in range(2000):
        refusals.note(f"10.0.{number >> 8}.{number & 255}", "wrong token")
    assert len(caplog.records) == 1000


def test_a_refusal_does_not_log_what_was_tried(handshakes: Handshakes, caplog: pytest.LogCaptureFixture) -> None:
    handshakes.ask(LOCAL_DOMAIN, b"PLAIN", b"samovar", b"my other password")
    assert "refused 10.0.0.7: wrong token" in caplog.text
    assert "my other password" not in caplog.text and TOKEN not in caplog.text


@pytest.mark.parametrize(
    ("address", "peer"), [(b"", LOCAL_PROCESS), (b"localhost:0:0:77", LOCAL_PROCESS), (b"10.0.0.7", "10.0.0.7")]
)
def test_a_local_process_has_no_address(address: bytes, peer: str) -> None:
    assert peer_of(address) == peer
