"""The folder of models: what the user put there is looked at once, and what cannot be used says why."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from samovar import card
from samovar.card import WeightFile
from samovar.weights import files, store
from samovar.weights.store import Finding
from samovar_link.errors import BadRequest, ModelUnavailable

FOUND = {
    "sha256": "", "refused": "", "architecture": "Compact", "purpose": "SR", "scale": 2, "channels": 3, "multiple": 1,
    "context": 32, "parameters": 5,
}  # fmt: skip


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.setenv("SAMOVAR_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "models").mkdir(parents=True)
    yield tmp_path / "home" / "models"


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Files are not really looked at: each is a Compact unless its name begins with "bad"."""
    seen: list[Path] = []

    def look(command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        path = Path(command[-1])
        seen.append(path)
        fields = {"refused": "it is bad"} if path.name.startswith("bad") else {**FOUND, "sha256": store.sha256(path)}
        return subprocess.CompletedProcess(command, 0, json.dumps(fields), "")

    monkeypatch.setattr(store.subprocess, "run", look)
    return seen


def drop(folder: Path, name: str, content: bytes = b"weights") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def test_a_file_that_was_dropped_in_is_looked_at_once_and_offered(folder: Path, examined: list[Path]) -> None:
    path = drop(folder, "My model.PTH")
    assert not [each for each in card.discover() if each.id.startswith("own/")]
    assert store.examine_new() == [path] and store.examine_new() == []
    found = card.discover().get("own/My-model")
    assert (found.operations, found.scale, found.receptive_field) == (("upscale",), 2, 32)
    assert files.checked(found.weights[""]) == path and found.info().available
    assert examined == [path]


def test_a_file_that_changed_is_looked_at_again(folder: Path, examined: list[Path]) -> None:
    path = drop(folder, "model.pth")
    store.examine_new()
    old = card.discover().get("own/model").weights[""]
    drop(folder, "model.pth", b"others")
    os.utime(path, ns=(1, 1))
    os.utime(folder, ns=(1, 1))
    with pytest.raises(BadRequest, match="model is 'own/model'"):
        card.discover().get("own/model")
    with pytest.raises(ModelUnavailable, match="is damaged or of another version"):
        files.checked(old)
    assert store.examine_new() == [path]
    assert card.discover().get("own/model").weights[""].sha256 != old.sha256


def test_a_file_is_new_once_nobody_writes_to_it_also_if_the_clock_was_set_back(
    folder: Path, examined: list[Path]
) -> None:
    path = drop(folder, "model.pth")
    assert not store.has_new(60.0), "it may still be written to"
    for age_seconds in (3600, -3600):
        os.utime(path, (time.time() - age_seconds,) * 2)
        assert store.has_new(60.0)
        store.examine_new()
        assert not store.has_new(60.0)


def test_what_is_refused_is_not_offered_and_not_looked_at_again(folder: Path, examined: list[Path]) -> None:
    path = drop(folder, "bad.pth")
    assert store.examine_new() == [path] and store.examine_new() == []
    assert store.finding(path).refused == "it is bad"  # type: ignore[union-attr]
    assert list(store.own_cards()) == []


def test_other_files_in_the_folder_are_left_alone(folder: Path, examined: list[Path]) -> None:
    drop(folder, "readme.txt")
    drop(folder, ".hidden.pth")
    (folder / "swinir.pth").mkdir()
    assert store.examine_new() == []


def test_a_file_is_added_under_a_name_and_removed(folder: Path, tmp_path: Path, examined: list[Path]) -> None:
    source = drop(tmp_path, "4x_Thing.safetensors")
    added = store.add(source, "thing")
    assert added.id == "own/thing" and (folder / "thing.safetensors").read_bytes() == b"weights"
    assert card.discover().get("own/thing") == added and examined == [source]
    with pytest.raises(ModelUnavailable, match="there is a model own/thing already"):
        store.add(source, "thing")
    store.remove(added.weights[""])
    assert list(folder.iterdir()) == [] and list(store.own_cards()) == []


@pytest.mark.parametrize("name", ["../out", "a/b", "/etc/x", ".hidden", ".."])
def test_a_name_cannot_lead_out_of_the_folder(folder: Path, tmp_path: Path, examined: list[Path], name: str) -> None:
    with pytest.raises(BadRequest, match="name is .*without folders"):
        store.add(drop(tmp_path, "model.pth"), name)
    assert list(folder.iterdir()) == [] and not examined


def test_a_file_that_is_refused_is_not_added(folder: Path, tmp_path: Path, examined: list[Path]) -> None:
    with pytest.raises(ModelUnavailable, match="^it is bad$"):
        store.add(drop(tmp_path, "bad.pth"))
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("purpose", ["FaceSR"])
def test_a_model_for_which_there_is_no_operation_says_so(
    folder: Path, monkeypatch: pytest.MonkeyPatch, purpose: str
) -> None:
    told = json.dumps({**FOUND, "purpose": purpose})
    monkeypatch.setattr(store.subprocess, "run", lambda *_, **__: subprocess.CompletedProcess([], 0, told, ""))
    assert store.examine(drop(folder, "model.pth")).refused == (
        f"model.pth is a model for {purpose}, for which Samovar has no operation"
    )


@pytest.mark.parametrize(("code", "words"), [(-11, "SIGSEGV"), (1, "MemoryError")])
def test_a_file_that_takes_its_reader_down_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, code: int, words: str
) -> None:
    done = subprocess.CompletedProcess([], code, "", "Traceback\nMemoryError")
    monkeypatch.setattr(store.subprocess, "run", lambda *_, **__: done)
    assert store.examine(drop(folder, "model.pth")).refused == f"model.pth ended the program that read it ({words})"


def test_a_file_that_is_never_done_is_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object, **__: object) -> None:
        raise subprocess.TimeoutExpired("x", 1)

    monkeypatch.setattr(store.subprocess, "run", never)
    assert store.examine(drop(folder, "model.pth")).refused == "model.pth could not be read within 300 s"


def test_what_is_remembered_of_another_version_is_looked_at_again(folder: Path) -> None:
    path = drop(folder, "model.pth")
    (folder / ".model.pth.json").write_text(json.dumps({"something": "else"}))
    assert store.finding(path) is None


def test_a_fetched_model_is_offered_before_it_is_here_and_removed_with_its_folder(folder: Path) -> None:
    found = card.discover().get("span/anime-x2")
    info = found.info()
    assert (info.available, info.download_bytes, info.speed) == (False, 15830922, "medium")
    (weight,) = found.weights.values()
    with pytest.raises(ModelUnavailable, match="run: samovar models pull span/anime-x2"):
        files.checked(weight)
    (folder / weight.path).parent.mkdir(parents=True)
    drop(folder, weight.path)
    assert found.info().available
    with pytest.raises(ModelUnavailable, match="is damaged or of another version.*samovar models pull span/anime-x2"):
        files.checked(weight)
    store.remove(weight)
    assert not (folder / "span" / "anime-x2").exists()


def test_asking_for_the_cards_again_costs_a_look_at_the_folder(folder: Path, examined: list[Path]) -> None:
    for number in range(20):
        drop(folder, f"{number}.pth")
    store.examine_new()
    assert len(store.own_cards()) == 20
    began = time.perf_counter()
    for _ in range(100):
        store.own_cards()
    assert time.perf_counter() - began < 0.2


@pytest.mark.parametrize("refused", ["folder", "finding"])
def test_while_no_file_can_be_opened_the_models_stay_on_offer_as_they_were(
    folder: Path, examined: list[Path], monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    drop(folder, "first.pth")
    store.examine_new()
    assert [each.id for each in store.own_cards()] == ["own/first"]
    drop(folder, "second.pth")
    store.examine_new()

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "iterdir" if refused == "folder" else "read_text", refuse)
        assert [each.id for each in store.own_cards()] == ["own/first"]
        patch.setattr(store.discovery, "home", lambda: folder.parent.parent)
        (folder.parent.parent / "models").mkdir()
        drop(folder.parent.parent / "models", "other.pth")
        assert store.own_cards() == (), "of another folder nothing is known"
    assert [each.id for each in store.own_cards()] == ["own/first", "own/second"]


@pytest.mark.slow
@pytest.mark.skipif(importlib.util.find_spec("spandrel") is None, reason="pip install 'samovar[models]'")
def test_a_real_look_at_a_file_that_would_run_a_program(folder: Path, tmp_path: Path) -> None:
    import torch
    from test_tensors import Touch

    path = folder / "evil.pth"
    torch.save({"params": Touch(tmp_path / "touched")}, path)
    assert "could run a program" in store.examine(path).refused
    assert not (tmp_path / "touched").exists()
    assert isinstance(store.finding(path), Finding)


def test_a_file_of_the_folder_needs_no_package() -> None:
    with pytest.raises(
        ModelUnavailable, match=r"x\.pth is not in the folder of models \(run: samovar models add FILE\)"
    ):
        files.locate(WeightFile("", "x.pth", ""))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no such limit")
def test_a_package_that_could_not_be_looked_for_is_not_missing_for_ever() -> None:
    """importlib.metadata takes a folder that it cannot list for an empty one, and remembers that."""
    program = (
        "import os, resource, sys; from samovar import card; from samovar.weights import files\n"
        "weight = card.discover().get('waifu2x/cunet-art').weights['']\n"
        "before = resource.getrlimit(resource.RLIMIT_NOFILE)\n"
        "lowest = os.dup(0); os.close(lowest)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, (lowest, before[1]))\n"
        "try: files.read(weight)\n"
        "except OSError as error: print(error.strerror)\n"
        "resource.setrlimit(resource.RLIMIT_NOFILE, before)\n"
        "print(len(files.read(weight)))"
    )
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert found.stdout == "Too many open files\n2\n", found.stderr
