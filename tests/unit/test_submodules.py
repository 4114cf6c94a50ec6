"""What is found by lying in a folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from samovar import submodules


def test_all_modules_of_a_package_and_an_error_where_there_are_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("teapot_full", "teapot_empty"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    for name in ("one", "two"):
        (tmp_path / "teapot_full" / f"{name}.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    for _ in range(2):
        assert [each.__name__ for each in submodules.load("teapot_full")] == ["teapot_full.one", "teapot_full.two"]
    with pytest.raises(OSError, match="teapot_empty cannot be read, or is empty"):
        submodules.load("teapot_empty")
