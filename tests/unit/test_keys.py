"""Keys of this machine and of others, and where the daemon may listen with them."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest
import zmq

from samovar import keys
from samovar.broker.address import Address, BadAddress, parse
from samovar.cli.program import run
from samovar.keys import CLIENT, SERVER, AllowList
from samovar_link.errors import BadRequest, DaemonUnavailable

needs_modes = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")


def a_key() -> str:
    return zmq.curve_keypair()[0].decode()


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# --- our own ----------------------------------------------------------------------------------------------------------


def test_a_pair_is_made_once_and_stays(tmp_path: Path) -> None:
    first = keys.own(SERVER, tmp_path)
    assert zmq.curve_public(first.secret.encode()).decode() == first.public
    assert keys.own(SERVER, tmp_path) == first
    assert keys.own(CLIENT, tmp_path) != first
    assert first.secret not in repr(first)


@needs_modes
def test_keys_are_for_this_user_only_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        keys.own(SERVER, tmp_path)
        AllowList(tmp_path).allow(a_key(), "laptop")
    finally:
        os.umask(before)
    assert mode(tmp_path / "keys") == 0o700
    assert {each.name: mode(each) for each in (tmp_path / "keys").iterdir()} == {
        "server.json": 0o600, "allowed.txt": 0o600,
    }  # fmt: skip


@needs_modes
@pytest.mark.parametrize("name", ["server.json", "allowed.txt", ""])
def test_keys_that_others_may_read_are_not_used(tmp_path: Path, name: str) -> None:
    pair = keys.own(SERVER, tmp_path)
    AllowList(tmp_path).allow(a_key(), "laptop")
    path = tmp_path / "keys" / name
    path.chmod(0o755)
    with pytest.raises(DaemonUnavailable, match=f"{path} can be read by other users") as caught:
        keys.own(SERVER, tmp_path)
        AllowList(tmp_path).names()
    assert pair.secret not in str(caught.value)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"public": "a", "secret": "b"}', "other"])
def test_a_damaged_pair_says_so(tmp_path: Path, content: str) -> None:
    public = keys.own(CLIENT, tmp_path).public
    path = tmp_path / "keys" / "server.json"
    secret = zmq.curve_keypair()[1].decode()
    path.write_text(f'{{"public": "{public}", "secret": "{secret}"}}' if content == "other" else content)
    path.chmod(0o600)
    with pytest.raises(DaemonUnavailable, match=r"server\.json is damaged; delete it"):
        keys.own(SERVER, tmp_path)


# --- those of others --------------------------------------------------------------------------------------------------


def test_what_is_allowed_is_known_at_once_also_by_who_asked_before(tmp_path: Path) -> None:
    asked, key = AllowList(tmp_path), a_key()
    assert asked.names() == {}
    AllowList(tmp_path).allow(key, "the laptop")
    assert asked.names() == {key: "the laptop"}
    AllowList(tmp_path).remove("the laptop")
    assert asked.names() == {}


def test_a_key_is_given_in_hexadecimal_or_as_zeromq_writes_it(tmp_path: Path) -> None:
    key = a_key()
    assert keys.shown(key) == zmq.utils.z85.decode(key).hex() and keys.checked(keys.shown(key).upper()) == key
    AllowList(tmp_path).allow(keys.shown(key), "laptop")
    AllowList(tmp_path).allow(key, "laptop")
    assert AllowList(tmp_path).names() == {key: "laptop"}


@pytest.mark.parametrize(
    "key",
    [
        "",
        "x" * 39,
        "x" * 41,
        "x" * 64,
        "0" * 63,
        "\n" * 40,
        "~" * 40,
        "é" * 40,
        "../../../../../../../../../etc/passwd..",
    ],
)
def test_what_is_no_key_is_not_allowed(tmp_path: Path, key: str) -> None:
    with pytest.raises(BadRequest, match="key is .*a public key of 64 hexadecimal digits"):
        AllowList(tmp_path).allow(key, "laptop")
    assert AllowList(tmp_path).names() == {}


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 61])
def test_a_name_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadRequest, match=r"name is .*1\.\.60 printable"):
        AllowList(tmp_path).allow(a_key(), name)


def test_neither_a_key_nor_a_name_stands_twice(tmp_path: Path) -> None:
    allowed, key = AllowList(tmp_path), a_key()
    allowed.allow(key, "laptop")
    allowed.allow(key, "laptop")
    with pytest.raises(BadRequest, match="allowed already, as laptop"):
        allowed.allow(key, "other")
    with pytest.raises(BadRequest, match="another key of the name laptop"):
        allowed.allow(a_key(), "laptop")
    assert allowed.names() == {key: "laptop"}


def test_who_is_not_there_cannot_be_removed(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="name is 'x'; allowed: none, for no key is allowed"):
        AllowList(tmp_path).remove("x")


def test_a_damaged_list_lets_nobody_in_and_says_so_once(tmp_path: Path) -> None:
    allowed = AllowList(tmp_path)
    allowed.allow(a_key(), "laptop")
    with (tmp_path / "keys" / "allowed.txt").open("a") as file:
        file.write("nonsense\n")
    with pytest.raises(DaemonUnavailable, match="damaged in line 2, so nobody is let in"):
        allowed.names()
    assert allowed.names() == {}


def test_the_command_shows_allows_and_removes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SAMOVAR_HOME", str(tmp_path))
    key = a_key()
    assert run(["keys"]) == 0
    shown = capsys.readouterr().out
    assert keys.shown(keys.own(SERVER, tmp_path).public) in shown and "no other machine is allowed" in shown
    assert keys.own(SERVER, tmp_path).secret not in shown
    assert run(["keys", "allow", keys.shown(key), "laptop"]) == 0 and run(["keys"]) == 0
    assert AllowList(tmp_path).names() == {key: "laptop"}
    assert f"laptop   {keys.shown(key)}" in capsys.readouterr().out
    assert run(["keys", "allow", "short", "tablet"]) == 1
    assert capsys.readouterr().err.startswith("samovar: key is 'short'; allowed: a public key")
    assert run(["keys", "remove", "laptop"]) == 0 and run(["keys", "show"]) == 0
    assert keys.shown(key) not in capsys.readouterr().out


# --- where it listens -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "curve", "endpoint"),
    [
        ("tcp://127.0.0.1:7700", False, "tcp://127.0.0.1:7700"),
        ("tcp://localhost:7700", False, "tcp://127.0.0.1:7700"),
        ("tcp://127.0.0.1:0", True, "tcp://127.0.0.1:*"),
        ("tcp://0.0.0.0:7700", True, "tcp://0.0.0.0:7700"),
        ("tcp://[::1]:7700", True, "tcp://[::1]:7700"),
    ],
)
def test_an_address_is_understood(given: str, curve: bool, endpoint: str) -> None:
    assert parse(given, curve=curve) == Address(endpoint, curve, "[" in endpoint)


@pytest.mark.parametrize("given", ["tcp://0.0.0.0:1", "tcp://192.168.1.5:7700", "tcp://[::]:1", "tcp://8.8.8.8:1"])
def test_what_other_machines_reach_is_not_opened_without_keys(given: str) -> None:
    with pytest.raises(BadAddress, match="can be reached from other machines, so it is opened only with keys"):
        parse(given, curve=False)


@pytest.mark.parametrize("given", ["", "7700", "ipc:///tmp/x", "tcp://127.0.0.1", "tcp://eth0:1", "tcp://*:1",
                                   "tcp://127.0.0.1:70000", "tcp://127.0.0.1:x", "tcp://example.org:1"])  # fmt: skip
@pytest.mark.parametrize("curve", [False, True])
def test_what_is_no_address_is_refused(given: str, curve: bool) -> None:
    with pytest.raises(BadAddress, match="allowed: tcp://HOST:PORT"):
        parse(given, curve=curve)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--listen", "tcp://0.0.0.0:7700"], "0.0.0.0 can be reached from other machines"),
        (["--detach", "--listen", "tcp://0.0.0.0:7700"], "0.0.0.0 can be reached from other machines"),
        (["--listen", "nonsense", "--curve"], "--listen is 'nonsense'; allowed: tcp://HOST:PORT"),
        (["--curve"], "--curve is for an address of --listen"),
    ],
)
def test_serve_refuses_it_as_wrong_usage(words: list[str], sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["serve", *words]) == 2
    assert capsys.readouterr().err.startswith(f"samovar: {sentence}")
