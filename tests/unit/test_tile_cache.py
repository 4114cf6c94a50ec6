"""Tiles that are remembered: exact, bounded, and only those that a change touches are computed again."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from laboratory import Laboratory, noise, smear_card, smooth

from samovar.worker.tile_cache import TileCache, digest

SMEAR = {"model": "test/smear"}


def array(number: int) -> np.ndarray:
    return np.full(10, number, np.uint8)


def test_what_was_used_longest_ago_goes_first() -> None:
    cache = TileCache(budget_bytes=30)
    for number in range(3):
        cache.put(bytes([number]), [array(number)])
    cache.begin()
    assert cache.get(b"\0") is not None
    cache.put(b"\3", [array(3)])
    assert [cache.get(bytes([number])) is not None for number in range(4)] == [True, False, True, True]
    assert cache.size_bytes == 30
    cache.begin()
    cache.put(b"\4", [np.zeros(31, np.uint8)])
    assert cache.get(b"\4") is None and len(cache) == 3
    cache.clear()
    assert (len(cache), cache.size_bytes) == (0, 0)


def test_a_job_pushes_out_nothing_of_its_own() -> None:
    cache = TileCache(budget_bytes=30)
    for number in range(5):
        cache.put(bytes([number]), [array(number)])
    cache.begin()
    found = []
    for number in range(5):
        found.append(cache.get(bytes([number])) is not None)
        cache.put(bytes([number]), [array(number)])
    assert found == [True, True, True, False, False] and cache.size_bytes == 30


def test_of_a_picture_larger_than_the_budget_a_part_stays_known() -> None:
    picture = noise(128, 128, 3)
    warm = Laboratory(smear_card(), cache_bytes=256 * 256 * 3)  # half of what it takes at two bytes a value
    warm.run(picture, **SMEAR)
    for _ in range(2):
        assert warm.run(picture, **SMEAR).result.report.tiles.cached == 32


def test_a_digest_tells_pixels_shapes_and_words_apart() -> None:
    x = torch.rand(1, 3, 4, 6)
    other = x.clone()
    other[0, 2, 3, 5] += 1e-7
    parts = [x, other, x.reshape(1, 3, 6, 4), x[:, :, :, :3], x[0], b"x", "y"]
    assert len({digest(part) for part in parts}) == len(parts)
    assert digest(x) == digest(x.clone()) and digest("ab", "c") != digest("a", "bd")


@pytest.mark.parametrize(("dtype", "depth"), [("u8", 3), ("u16", 1), ("f32", 3), ("u8", 4)])
def test_only_the_tiles_that_a_stroke_touches_are_computed_again_and_equal_a_cold_run(dtype: str, depth: int) -> None:
    warm, picture = Laboratory(smear_card(), cache_bytes=1 << 24), noise(128, 128, depth, dtype=dtype)
    if depth == 4:
        picture[..., 3] = 255
    first = warm.run(picture, **SMEAR)
    assert (first.result.report.tiles.total, first.result.report.tiles.cached) == (64, 0)
    for step in range(20):
        y, x = 6 * step, (37 * step) % 120
        picture = picture.copy()
        picture[y : y + 4, x : x + 3, 0] = step
        again, cold = warm.run(picture, **SMEAR), Laboratory(smear_card()).run(picture, **SMEAR)
        tiles = again.result.report.tiles
        rows, columns = ({(at - 2) // 16, (at + size + 1) // 16} for at, size in ((y, 4), (x, 3)))
        touched = len([1 for row in rows for column in columns if 0 <= row < 8 and 0 <= column < 8])
        assert tiles.total == 64 and 64 - tiles.cached <= touched
        assert again.pixels.tobytes() == cold.pixels.tobytes()
    assert warm.run(picture, **SMEAR).result.report.tiles.cached == 64


def test_what_else_decides_the_pixels_is_part_of_the_key() -> None:
    warm, picture = Laboratory(smear_card(), cache_bytes=1 << 24), noise(32, 32, 3)
    warm.run(picture, **SMEAR)
    for changed in ({"noise": 1}, {"message": {"wrap_x": True}}):
        outcome = warm.run(picture, **SMEAR, **changed)  # type: ignore[arg-type]
        cold = Laboratory(smear_card()).run(picture, **SMEAR, **changed)  # type: ignore[arg-type]
        assert outcome.result.report.tiles.cached <= 2
        assert outcome.pixels.tobytes() == cold.pixels.tobytes()
    assert warm.run(picture[..., :1].copy(), **SMEAR).result.report.tiles.cached == 0
    assert warm.run(picture.astype(np.float32), **SMEAR).result.report.tiles.cached == 0


def test_pictures_of_a_batch_are_not_remembered() -> None:
    warm, picture = Laboratory(smear_card(), cache_bytes=1 << 24), noise(32, 32, 3)
    for _ in range(2):
        assert warm.run(picture, **SMEAR, message={"priority": "batch"}).result.report.tiles.cached == 0


def test_remembered_tiles_go_with_the_last_model() -> None:
    warm, picture = Laboratory(smear_card(), cache_bytes=1 << 24), noise(32, 32, 3)
    warm.run(picture, **SMEAR, message={"keep_alive_seconds": 10.0})
    warm.clock.now += 11
    warm.engine.expire()
    assert warm.run(picture, **SMEAR).result.report.tiles.cached == 0


@pytest.mark.slow
@pytest.mark.parametrize("model", ["waifu2x/cunet-art", "waifu2x/upconv7-art", "realesr/animevideo-x4"])
def test_the_same_picture_again_computes_nothing_with_any_network(model: str) -> None:
    warm = Laboratory(cache_bytes=1 << 28)
    picture = smooth(70, 90)
    parameters: dict[str, Any] = {"model": model}
    first, second = warm.run(picture, **parameters), warm.run(picture, **parameters)
    assert second.result.report.tiles.cached == second.result.report.tiles.total > 0
    cold = Laboratory().run(picture, **parameters)
    assert first.pixels.tobytes() == second.pixels.tobytes() == cold.pixels.tobytes()
