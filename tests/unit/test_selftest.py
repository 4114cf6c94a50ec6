"""The models' self-tests."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from samovar import card, checkup
from samovar.worker import selftest
from samovar.worker.trial import picture
from samovar_link.errors import ModelUnavailable

FAST = "waifu2x/upconv7-art"


def test_every_set_of_weights_that_came_along_has_an_answer() -> None:
    embedded = {each.id: set(each.weights) for each in card.discover() if each.embedded and each.tiled}
    assert {model: set(variants) for model, variants in selftest.answers().items()} == embedded


@pytest.mark.parametrize("model", [each.id for each in card.discover() if each.embedded and each.tiled])
def test_every_model_that_came_along_passes(model: str) -> None:
    outcomes = list(selftest.run([model]))
    assert [each.fault for each in outcomes] == [""] * len(card.discover().get(model).weights)
    assert all(each.levels is not None and each.levels <= selftest.TOLERANCE for each in outcomes)


def test_the_answer_notices_what_a_user_would() -> None:
    its = card.discover().get(FAST)
    with torch.inference_mode():
        result = selftest.result_of(its, "")
        softer = torch.nn.functional.avg_pool2d(result, 3, 1, 1)
        for wrong in (result + 4 / 255, result.flip(1), softer, selftest.result_of(its, "noise3")):
            with pytest.raises(ModelUnavailable, match="fails its self-test here"):
                selftest.check(its, "", wrong)


def test_what_is_not_a_multiple_of_the_grid_has_an_answer() -> None:
    assert len(selftest.answer(picture(37))) == 2 * 3 * selftest.GRID**2


def test_they_run_in_a_process_of_their_own() -> None:
    (outcome,) = [each for each in checkup.selftests([FAST]) if each.variant == "noise1"]
    assert outcome.model == FAST and not outcome.fault and outcome.levels == 0


def test_a_process_that_dies_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    popen = subprocess.Popen
    dies = [sys.executable, "-c", "import os; print('worse', file=__import__('sys').stderr, flush=True); os.abort()"]
    monkeypatch.setattr(subprocess, "Popen", lambda command, **options: popen(dies, **options))
    assert [each.fault for each in checkup.selftests()] == ["the self-tests broke off: worse"]
