"""A training that is broken off and gone on with, beside one that never was."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from samovar.training.loop import Training


def both(training: Callable[[str], Training], after: int) -> tuple[Training, Training]:
    """(the whole one, the one that went on), having asserted that all their networks are the same to the bit.

    training : makes the one of a name, whose checkpoint goes by that name
    after : steps after which it is broken off
    """

    def stop(each: Training) -> None:
        if each.step == after:
            raise KeyboardInterrupt

    whole, broken = training("whole"), training("broken")
    assert whole.run(600)
    with pytest.raises(KeyboardInterrupt):
        broken.run(600, stop)
    later = training("broken")
    assert later.resume() and later.step == after and later.run(600)
    for one, other in zip(whole.task.turns, later.task.turns, strict=True):
        states = one.network.state_dict(), other.network.state_dict()
        assert states[0] and states[0].keys() == states[1].keys()
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    return whole, later
