"""What was measured, and what it was to be."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Figure:
    """One number. `unit` "x" is a ratio; `target` None: told for what it says, nothing was promised.

    at_least : the target is to be reached, otherwise it is not to be exceeded
    """

    name: str
    value: float
    unit: str = "x"
    target: float | None = None
    at_least: bool = True

    @property
    def met(self) -> bool | None:
        if self.target is None:
            return None
        return self.value >= self.target if self.at_least else self.value <= self.target

    @property
    def target_words(self) -> str:
        """As the table shows it, "≥ 4 x"; "" where there is none."""
        return "" if self.target is None else f"{'≥' if self.at_least else '≤'} {self.target:.4g} {self.unit}"


@dataclass(frozen=True)
class Row:
    """One question and its figures.

    measure : what was done, with the sizes that were really used
    note : one or two sentences: why a target was missed, what was left out
    detail : the numbers behind the figures, JSON values
    """

    id: str
    measure: str
    figures: tuple[Figure, ...] = ()
    note: str = ""
    detail: dict[str, Any] = field(default_factory=dict)

    @property
    def met(self) -> bool | None:
        """Whether all targets were met; None if there is none."""
        judged = [figure.met for figure in self.figures if figure.met is not None]
        return all(judged) if judged else None

    def fields(self) -> dict[str, Any]:
        """The row as JSON."""
        figures = [
            {"name": each.name, "value": rounded(each.value), "unit": each.unit, "target": each.target_words,
             "met": each.met}
            for each in self.figures
        ]  # fmt: skip
        return {
            "id": self.id, "measure": self.measure, "met": self.met, "figures": figures, "note": self.note,
            "detail": self.detail,
        }  # fmt: skip


def rounded(value: float) -> float:
    """To three digits, which is more than such a measurement holds."""
    if not value or not math.isfinite(value):
        return value
    return round(value, 2 - math.floor(math.log10(abs(value))))


def percentile(values: Sequence[float], percent: float) -> float:
    """The smallest value that `percent` of the values do not exceed (nearest rank)."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(percent / 100 * len(ordered)) - 1)]


def milliseconds(values: Sequence[float]) -> dict[str, float]:
    """Times in seconds as the detail of a row shows them."""
    return {
        "median_ms": rounded(statistics.median(values) * 1e3),
        "best_ms": rounded(min(values) * 1e3),
        "worst_ms": rounded(max(values) * 1e3),
        "count": len(values),
    }
