"""The borders that ARCHITECTURE.md draws, read from the imports themselves."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DAEMON, LINK = ROOT / "daemon" / "samovar", ROOT / "shared" / "samovar_link"
EDITOR_MODULES = {"krita", "pykrita", "PyQt5", "PyQt6", "gi"}
LINK_ALLOWED = {"msgpack", *sys.stdlib_module_names}


def imported(path: Path) -> set[str]:
    """Top names of all absolute imports in a file, wherever they stand."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def files(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.rglob("*.py") if "_msgpack" not in path.parts)
    assert found, folder
    return found


@pytest.mark.parametrize("path", files(LINK), ids=lambda path: path.name)
def test_the_link_imports_only_the_standard_library_and_msgpack(path: Path) -> None:
    assert imported(path) <= LINK_ALLOWED


@pytest.mark.parametrize("folder", ["krita_plugin", "gimp_plugin"])
def test_the_plug_ins_import_only_the_standard_library_and_their_editor(folder: str) -> None:
    for path in files(ROOT / folder):
        private = {sibling.stem for sibling in path.parent.iterdir()} | {"samovar_link"}
        assert imported(path) <= set(sys.stdlib_module_names) | EDITOR_MODULES | private, path


def test_no_editor_is_imported_by_the_daemon() -> None:
    for path in files(DAEMON):
        assert not imported(path) & EDITOR_MODULES, path


def test_the_protocol_core_does_no_input_or_output() -> None:
    forbidden = {"socket", "select", "selectors", "threading", "time", "os", "subprocess"}
    for name in ("zmtp.py", "messages.py", "codec.py", "errors.py"):
        assert not imported(LINK / name) & forbidden, name


def test_nothing_unpickles() -> None:
    forbidden = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal"}
    for folder in (DAEMON, LINK, ROOT / "krita_plugin", ROOT / "gimp_plugin"):
        for path in files(folder):
            assert not imported(path) & forbidden, path
            for call in re.findall(r"torch\.load\([^)]*\)", path.read_text(encoding="utf-8")):
                assert "weights_only=True" in call, path


@pytest.mark.slow
@pytest.mark.parametrize("module", ["samovar.broker", "samovar.cli", "samovar.operation", "samovar.card"])
def test_torch_stays_below_the_worker(module: str) -> None:
    """Also after the declarations of all operations and models were found."""
    program = (
        f"import sys, {module}, samovar.operation, samovar.card\n"
        "samovar.operation.discover(), samovar.card.discover()\n"
        "sys.exit(', '.join({'torch', 'numpy'} & set(sys.modules)) or 0)"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
