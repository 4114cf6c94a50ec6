"""The borders that ARCHITECTURE.md draws, read from the imports themselves."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from samovar import card

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


PICKLERS = {
    "pickle", "_pickle", "cPickle", "pickletools", "copyreg", "dill", "cloudpickle", "joblib", "shelve", "marshal",
    "multiprocessing", "xmlrpc", "yaml", "jsonpickle",
}  # fmt: skip
"""What reads pickles, sends them, or runs what a file says in a way of its own."""


def unsafe_calls(source: str) -> list[str]:
    """Calls that may run what they read: torch.load unless for weights only, numpy.load with pickles, and so on."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        name, given = ast.unparse(node.func), {each.arg: ast.unparse(each.value) for each in node.keywords}
        last = name.rpartition(".")[2]
        if (
            (name == "torch.load" and given.get("weights_only") != "True")
            or (last in ("recv_pyobj", "send_pyobj"))
            or (last == "load" and given.get("allow_pickle", "False") != "False")
            or name in ("eval", "exec", "torch.package.PackageImporter", "torch.hub.load", "pickle.loads")
        ):
            found.append(ast.unparse(node))
    return found


def test_nothing_unpickles() -> None:
    for folder in (DAEMON, LINK, ROOT / "krita_plugin", ROOT / "gimp_plugin"):
        for path in files(folder):
            assert not imported(path) & PICKLERS, path
            assert unsafe_calls(path.read_text(encoding="utf-8")) == [], path


@pytest.mark.parametrize(
    "source",
    [
        "torch.load(path)", "torch.load(path, weights_only=False)", "torch.load(\n    path,\n    map_location=f(),\n)",
        "np.load(path, allow_pickle=True)", "socket.recv_pyobj()", "eval(text)", "exec(text)",
    ],
)  # fmt: skip
def test_what_would_unpickle_is_found(source: str) -> None:
    assert unsafe_calls(source) and not unsafe_calls("torch.load(path, weights_only=True); np.load(path); model.eval()")


def test_torchscript_is_run_only_where_the_catalogue_knows_all_of_the_file() -> None:
    """It is a program. Only `lama.py` opens it, whose files are compared with their whole sha256 before."""
    users = [path.name for path in files(DAEMON) if "torch.jit.load" in path.read_text(encoding="utf-8")]
    assert users == ["lama.py"]
    weights = [weight for each in card.discover() if each.network == "lama" for weight in each.weights.values()]
    assert weights and all(len(weight.sha256) == 64 for weight in weights)


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
