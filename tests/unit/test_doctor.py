"""The doctor: every fault it knows gets a sentence, and no secret gets out."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from samovar import doctor
from samovar.card import Catalogue, ModelCard, WeightFile
from samovar.checkup import Outcome
from samovar.install import install_gimp, install_krita, krita, places
from samovar.models import catalogue
from samovar_link.discovery import FILE_NAME, ConnectionFile
from samovar_link.messages import StatusReport

TOKEN = "f00dfeed" * 8


@pytest.fixture(autouse=True)
def healthy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home without daemon and editors; torch is not asked, which takes seconds."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SAMOVAR_HOME", str(tmp_path / "samovar"))
    monkeypatch.setenv("PATH", str(tmp_path))
    for variable in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "GIMP3_DIRECTORY", "SAMOVAR_CONNECTION_FILE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr(doctor, "_device", lambda problems: {"name": "cpu"})
    monkeypatch.setattr(doctor.card, "discover", lambda: Catalogue([]))
    monkeypatch.setattr(doctor.checkup, "selftests", lambda: iter([Outcome("a/b", "", 0.5, 0)]))


def connection_file(tmp_path: Path, mode: int = 0o600) -> Path:
    path = tmp_path / "samovar" / FILE_NAME
    ConnectionFile(4711, TOKEN, ("ipc:///nowhere/x.sock",)).write(path)
    path.chmod(mode)
    return path


def test_a_healthy_installation_has_no_problem() -> None:
    facts = doctor.examine()
    assert facts["problems"] == []
    assert "No problem found." in doctor.as_text(facts)
    json.dumps(facts)


def test_a_daemon_that_does_not_answer_is_a_problem_and_its_token_stays_secret(tmp_path: Path) -> None:
    connection_file(tmp_path)
    facts = doctor.examine()
    assert "does not answer" in facts["problems"][0] and facts["daemon"]["mode"] == "0600"
    assert TOKEN not in json.dumps(facts) + doctor.as_text(facts)


def test_a_token_that_others_can_read_is_a_problem(tmp_path: Path) -> None:
    path = connection_file(tmp_path, 0o644)
    assert any(f"chmod 600 {path}" in problem for problem in doctor.examine()["problems"])


def test_a_running_daemon_is_described(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connection_file(tmp_path)
    report = StatusReport(version="0.0.1", pid=4711, worker="idle", device="cuda:0")
    monkeypatch.setattr(doctor, "_status", lambda: (report, "ipc:///nowhere/x.sock"))
    facts = doctor.examine()
    assert facts["daemon"]["running"] and facts["daemon"]["device"] == "cuda:0"
    assert "runs, pid 4711, ipc:///nowhere/x.sock, worker idle cuda:0" in doctor.as_text(facts)
    assert any("run: samovar stop" in problem for problem in facts["problems"]), "another version runs"


def test_weights_that_are_missing_are_a_problem_with_the_command_that_helps(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = {"": WeightFile("samovar-no-such-package==1", "x.bin", "00")}
    card = ModelCard("a/b", "B", ("upscale",), "none", weights, 2, 1, "MIT", "")
    monkeypatch.setattr(doctor.card, "discover", lambda: Catalogue([card]))
    facts = doctor.examine()
    assert facts["models"][0]["state"] == "damaged or missing"
    assert "pip install --force-reinstall samovar-no-such-package==1" in facts["problems"][0]


def test_the_plug_ins_are_found_where_install_puts_them() -> None:
    install_krita()
    install_gimp()
    facts = doctor.examine()
    assert [each["installed"] for each in facts["editors"]] == [True, True]
    assert facts["problems"] == []


def test_a_plug_in_that_is_switched_off_or_of_another_samovar_is_a_problem() -> None:
    (folder,) = install_krita()
    krita.set_enabled(places.kritas()[0].settings, False)
    (folder / "daemon.json").write_text('{"command": ["/gone/python", "-m", "samovar"]}')
    problems = doctor.examine()["problems"]
    assert any("Python Plugin Manager" in problem for problem in problems)
    assert any("run: samovar install krita" in problem for problem in problems)


def test_a_gimp_script_that_may_not_be_executed_is_a_problem() -> None:
    (folder,) = install_gimp()
    (folder / "samovar_gimp.py").chmod(0o644)
    assert any("chmod +x" in problem for problem in doctor.examine()["problems"])


def test_the_last_error_of_the_log_is_told(tmp_path: Path) -> None:
    from samovar.broker.serve import log_path

    path = log_path(tmp_path / "samovar")
    path.parent.mkdir(parents=True)
    path.write_text("1 ERROR a: first\n2 INFO b: fine\n3 ERROR c: second\n4 INFO d: fine\n")
    facts = doctor.examine()
    assert facts["log"]["last_error"] == "3 ERROR c: second"
    assert "3 ERROR c: second" in doctor.as_text(facts)


def test_a_missing_package_is_a_problem_unless_it_is_optional(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "PACKAGES", ("samovar-none", "spandrel"))
    facts = doctor.examine()
    assert [problem.split(";")[0] for problem in facts["problems"]] == ["the package samovar-none is missing"]


def test_a_torch_that_does_not_load_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(doctor, "_ASK_TORCH", "raise ImportError('libcudart.so.13 is missing')")
    problems: list[str] = []
    facts: dict[str, Any] = doctor._device(problems)
    assert facts == {"name": "unknown"} and "libcudart.so.13 is missing" in problems[0]


def test_models_that_were_not_fetched_are_no_problem_and_not_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.card, "discover", lambda: Catalogue(catalogue.CARDS))
    facts = doctor.examine()
    found = {each["id"]: (each["licence"], each["state"]) for each in facts["models"]}
    assert found["span/anime-x2"] == ("MIT", "needs 15830922 bytes")
    assert not any("span/anime-x2" in problem for problem in facts["problems"])
    assert "span/anime-x2" not in doctor.as_text(facts)


def test_a_model_that_fails_its_self_test_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    outcomes = [Outcome("a/b", "noise1", 0.5, fault="a/b noise1 fails its self-test here"), Outcome("a/c", "", 0.5, 1)]
    monkeypatch.setattr(doctor.checkup, "selftests", lambda: iter(outcomes))
    facts = doctor.examine()
    assert facts["problems"] == ["a/b noise1 fails its self-test here"]
    assert "self-tests   1 of 2 passed, 1.0 s" in doctor.as_text(facts)
    assert doctor.examine(run_models=False)["self_tests"] == []


def test_what_the_trials_found_is_told(tmp_path: Path) -> None:
    trials = {
        "a/b noise1 0123": [
            {"runtime": "torch f32", "seconds": 0.0995, "psnr": math.inf, "refused": ""},
            {
                "runtime": "openvino f32",
                "seconds": math.inf,
                "psnr": math.inf,
                "refused": "flat areas do not stay flat",
            },
        ]
    }
    (tmp_path / "samovar").mkdir()
    (tmp_path / "samovar" / "trials.json").write_text(json.dumps(trials))
    facts = doctor.examine()
    assert "trial        a/b noise1: torch f32 100 ms, openvino f32 flat areas do not stay flat" in doctor.as_text(
        facts
    )
    assert "Infinity" not in json.dumps(facts)
