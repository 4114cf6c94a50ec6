"""Loading a model before it is needed, and dropping it before its time: the engine's side."""

from __future__ import annotations

import pytest
from laboratory import Laboratory, Smear, noise, smear_card

from samovar.card import ModelCard
from samovar.worker.pool import Pool
from samovar_link.errors import BadRequest
from samovar_link.messages import Value

SMEAR = {"model": "test/smear"}
BYTES = 4  # of its one weight


@pytest.fixture
def laboratory() -> Laboratory:
    return Laboratory(smear_card())


def smears(*operations: str) -> ModelCard:
    return smear_card(operations=operations, scale=2 if "upscale" in operations else 1)


def held(laboratory: Laboratory) -> dict[str, float | None]:
    """Names of the models in memory, and when they go."""
    return {each.model: each.unload_seconds for each in laboratory.engine.loaded()}


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("upscale", {"scale": 2.0}), ("upscale", {"scale": 1.0}), ("upscale", {"scale": 2.5}),
        ("upscale", {"noise": 1}), ("upscale", {"scale": 4.0, "noise": 1}),
        ("denoise", {"noise": 1}), ("denoise", {"noise": 1, "strength": 0.0}),
    ],
)  # fmt: skip
def test_what_is_warmed_is_what_a_run_loads(operation: str, parameters: dict[str, Value]) -> None:
    warm, cold = Laboratory(smears(operation)), Laboratory(smears(operation))
    names = warm.engine.warm(operation, {**SMEAR, **parameters}, 300.0)
    cold.run(noise(8, 8, 3), operation, **SMEAR, **parameters)
    assert sorted(warm.loads) == sorted(cold.loads)
    assert list(names) == [f"{model} {variant}".strip() for model, variant in warm.loads]
    warm.run(noise(8, 8, 3), operation, **SMEAR, **parameters)
    assert len(warm.loads) == len(cold.loads), "the run found it cold"


def test_warming_twice_loads_once(laboratory: Laboratory) -> None:
    for _ in range(3):
        assert laboratory.engine.warm("upscale", SMEAR, 300.0) == ("test/smear",)
    assert laboratory.loads == [("test/smear", "")]


def test_warming_never_shortens_a_stay(laboratory: Laboratory) -> None:
    laboratory.run(noise(4, 4, 3), message={"keep_alive_seconds": 100.0}, **SMEAR)
    for seconds, stays in ((0.0, 100.0), (10.0, 100.0), (200.0, 200.0), (-1.0, None), (5.0, None)):
        laboratory.engine.warm("upscale", SMEAR, seconds)
        assert held(laboratory) == {"test/smear": stays}


def test_a_warmed_model_goes_when_nobody_used_it(laboratory: Laboratory) -> None:
    laboratory.engine.warm("upscale", SMEAR, 60.0)
    laboratory.clock.now += 60.0
    laboratory.engine.expire()
    assert held(laboratory) == {}


def test_a_method_without_weights_has_its_libraries_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    laboratory, readied = Laboratory(), []
    ready = laboratory.engine._ready_pool
    monkeypatch.setattr(laboratory.engine, "_ready_pool", lambda: readied.append(True) or ready())
    assert laboratory.engine.warm("inpaint", {"model": "patchmatch"}, 300.0) == () and readied == [True]
    assert laboratory.engine.warm("identity", {}, 300.0) == () and readied == [True]


def test_what_needs_no_model_warms_nothing(laboratory: Laboratory) -> None:
    assert laboratory.engine.warm("identity", {}, 300.0) == () and laboratory.loads == []


def test_a_model_that_is_not_there_is_refused_by_name(laboratory: Laboratory) -> None:
    with pytest.raises(BadRequest, match=r"upscale.model is 'no/such'; allowed: test/smear"):
        laboratory.engine.warm("upscale", {"model": "no/such"}, 300.0)


def test_a_model_is_unloaded_with_its_variants_and_no_other() -> None:
    laboratory = Laboratory(smear_card(), smear_card(id="test/other"))
    laboratory.engine.warm("upscale", {**SMEAR, "scale": 4.0, "noise": 1}, 300.0)
    laboratory.engine.warm("upscale", {"model": "test/other"}, 300.0)
    assert laboratory.engine.unload("test/smear") == (("test/smear noise1", "test/smear"), 2 * BYTES)
    assert list(held(laboratory)) == ["test/other"]
    assert laboratory.engine.unload("test/smear") == ((), 0)


def test_all_models_are_unloaded_even_those_kept_for_ever(laboratory: Laboratory) -> None:
    assert laboratory.engine.unload("") == ((), 0)
    laboratory.engine.warm("upscale", SMEAR, -1.0)
    assert laboratory.engine.unload("") == (("test/smear",), BYTES) and held(laboratory) == {}


def test_with_the_last_model_go_the_tiles_that_are_remembered() -> None:
    laboratory = Laboratory(smear_card(), cache_bytes=1 << 20)
    cached = []
    for unloaded in ("", "test/smear", "test/smear"):
        laboratory.engine.unload(unloaded)
        cached += [laboratory.run(noise(8, 8, 3), **SMEAR).result.report.tiles.cached for _ in range(2)]
    assert cached == [0, 1, 0, 1, 0, 1]


def test_what_a_job_uses_stays() -> None:
    pool = Pool(load=lambda *_: Smear())
    pool.warm(smear_card(), "noise1", 300.0)
    with pool.lease(smear_card(), "", 300.0):
        assert pool.unload() == (("test/smear noise1",), BYTES)
        assert pool.unload() == ((), 0)
    assert pool.unload("test/smear") == (("test/smear",), BYTES)
