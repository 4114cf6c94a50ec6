"""The connection file: written whole, readable by its user only, and every damage told in one sentence."""

from __future__ import annotations

import json
import os
import stat
import sys
from pathlib import Path

import pytest

from samovar_link import discovery
from samovar_link.discovery import ConnectionFile
from samovar_link.errors import DaemonUnavailable
from samovar_link.messages import PROTOCOL

WRITTEN = ConnectionFile(pid=4242, token="secret", endpoints=("ipc:///a", "tcp://127.0.0.1:5"), version="0.1.0")


@pytest.fixture(autouse=True)
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("SAMOVAR_CONNECTION_FILE", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SAMOVAR_HOME", str(tmp_path / "home"))
    return tmp_path


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "new" / "connection.json"
    WRITTEN.write(path)
    assert ConnectionFile.read(path) == WRITTEN
    assert os.listdir(path.parent) == ["connection.json"]


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
def test_only_its_user_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "connection.json"
    WRITTEN.write(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "connection.json"
    WRITTEN.write(path)

    def full(*_: object, **__: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(json, "dump", full)
    with pytest.raises(OSError, match="No space"):
        ConnectionFile(pid=1, token="x", endpoints=()).write(path)
    assert ConnectionFile.read(path) == WRITTEN
    assert os.listdir(tmp_path) == ["connection.json"]


def private(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    path.chmod(0o600)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no modes")
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_may_read_or_write_is_not_used(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "connection.json"
    WRITTEN.write(path)
    path.chmod(mode)
    with pytest.raises(DaemonUnavailable, match=rf"mode {mode:04o}.*not used; run: chmod 600 {path}") as caught:
        ConnectionFile.read(path)
    assert "secret" not in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no owners of this kind")
def test_a_file_of_another_user_is_not_used(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    WRITTEN.write(empty_home / "home" / "connection.json")
    other = os.geteuid() + 1
    monkeypatch.setattr(os, "geteuid", lambda: other)
    with pytest.raises(DaemonUnavailable, match=rf"another user \(number {other - 1}, this one is {other}\), so it is"):
        discovery.find()


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", "null", "{}", '{"pid": 1, "token": "x", "endpoints": ["a"]}', '{"pid": "x"}', "\0\xff"],
    ids=["empty", "cut off", "list", "number", "null", "no field", "no protocol", "pid is text", "binary"],
)
def test_a_damaged_file_is_one_sentence_with_a_way_out(tmp_path: Path, text: str) -> None:
    path = tmp_path / "connection.json"
    private(path, text.encode("latin-1"))
    with pytest.raises(DaemonUnavailable, match="is damaged; stop Samovar, delete the file") as caught:
        ConnectionFile.read(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "right_with",
    [
        {"pid": "1e999"}, {"pid": "[" * 5000 + "]" * 5000}, {"protocol": "-Infinity"}, {"token": '""'},
        {"token": '"' + "t" * 256 + '"'}, {"token": r'"\ud800"'}, {"endpoints": r'["ipc://\ud800"]'},
        {"version": '"' + "v" * 70_000 + '"'},
    ],
    ids=["infinite", "deep", "no protocol", "no token", "long token", "half a character", "half an endpoint", "long"],
)  # fmt: skip
def test_what_no_connection_can_be_made_of_is_a_damaged_file(tmp_path: Path, right_with: dict[str, str]) -> None:
    fields = {"pid": "1", "token": '"t"', "endpoints": '["ipc:///a"]', "protocol": "1", "version": '"1"'}
    path = tmp_path / "connection.json"
    text = "{" + ", ".join(f'"{name}": {value}' for name, value in {**fields, **right_with}.items()) + "}"
    private(path, text.encode())
    with pytest.raises(DaemonUnavailable, match="is damaged; stop Samovar, delete the file"):
        ConnectionFile.read(path)


def test_an_unreadable_file_is_one_sentence_with_a_way_out(tmp_path: Path) -> None:
    with pytest.raises(DaemonUnavailable, match="cannot be read .*; make it readable"):
        ConnectionFile.read(tmp_path)  # a folder: root may read every file


def test_no_file_means_not_running() -> None:
    with pytest.raises(DaemonUnavailable, match="not running; start it with: samovar serve --detach"):
        discovery.find()


def test_samovar_home_moves_it(empty_home: Path) -> None:
    WRITTEN.write(empty_home / "home" / "connection.json")
    assert discovery.find() == (empty_home / "home" / "connection.json", WRITTEN)


def test_samovar_connection_file_wins(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAMOVAR_CONNECTION_FILE", str(empty_home / "elsewhere.json"))
    assert discovery.candidates() == [empty_home / "elsewhere.json"]


@pytest.mark.skipif(sys.platform != "linux", reason="Flatpak")
def test_inside_a_flatpak_the_users_own_folder_is_tried_too(empty_home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SAMOVAR_HOME")
    monkeypatch.setenv("HOME", str(empty_home))
    monkeypatch.setenv("XDG_DATA_HOME", str(empty_home / "sandbox"))
    outside = empty_home / ".local" / "share" / "samovar" / "connection.json"
    assert discovery.candidates() == [empty_home / "sandbox" / "samovar" / "connection.json", outside]
    WRITTEN.write(outside)
    assert discovery.find() == (outside, WRITTEN)


def test_another_protocol_names_both_versions(empty_home: Path) -> None:
    other = ConnectionFile(pid=1, token="x", endpoints=("ipc:///a",), protocol=PROTOCOL + 1, version="9.9")
    other.write(empty_home / "home" / "connection.json")
    with pytest.raises(DaemonUnavailable, match=rf"Samovar 9\.9 speaks protocol {PROTOCOL + 1}.*{PROTOCOL}: update"):
        discovery.find()
