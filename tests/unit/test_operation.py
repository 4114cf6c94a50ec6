"""Declaring operations: what a dialog gets to see, what a client may send."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass

import pytest

from samovar import card, operation
from samovar.operation import Operation, Registry, param
from samovar_link.errors import BadRequest
from samovar_link.messages import ParameterInfo, Raster, Run, Value


@dataclass(frozen=True)
class Params:
    model: str = param("a/one", title="Model", help="which", model=True)
    amount: float = param(1.0, title="Amount", help="how much", unit="px", minimum=0, maximum=2)
    count: int = param(3, title="Count", help="how many", minimum=1)
    gentle: bool = param(True, title="Gentle", help="or not")
    mode: str = param("fast", title="Mode", help="how", choices={"fast": "Fast", "good": "Good"})


@operation.operation("brew", title="Brew", params=Params)
def brew(image: object, params: Params, job: object) -> object:
    """Makes
    tea.

    And this is for programmers.
    """
    return image


def parse(**values: Value) -> Params:
    made = brew.parse(values, ["a/one", "b/two"])
    assert isinstance(made, Params)
    return made


def test_a_dialog_gets_every_parameter_with_its_kind_and_range() -> None:
    info = brew.info()
    assert (info.id, info.title, info.help, info.roles, info.resizes) == (
        "brew",
        "Brew",
        "Makes tea.",
        ("image",),
        False,
    )
    assert [(each.name, each.kind, each.default) for each in info.parameters] == [
        ("model", "model", "a/one"), ("amount", "float", 1.0), ("count", "int", 3), ("gentle", "bool", True),
        ("mode", "choice", "fast"),
    ]  # fmt: skip
    amount: ParameterInfo = info.parameters[1]
    assert (amount.title, amount.help, amount.unit, amount.minimum, amount.maximum) == (
        "Amount",
        "how much",
        "px",
        0,
        2,
    )
    assert [choice.title for choice in info.parameters[4].choices] == ["Fast", "Good"]


def test_what_is_missing_takes_its_default_and_whole_numbers_may_stand_for_others() -> None:
    assert parse() == Params()
    made = parse(amount=2, model="b/two")
    assert made.amount == 2.0 and type(made.amount) is float and made.model == "b/two"


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ({"colour": 1}, "brew parameter is 'colour'; allowed: model, amount, count, gentle, mode"),
        ({"amount": 2.1}, "brew.amount is 2.1; allowed: 0..2 px"),
        ({"amount": float("nan")}, "brew.amount is nan; allowed: 0..2 px"),
        ({"amount": "1"}, "brew.amount is '1'; allowed: a number"),
        ({"count": 0}, "brew.count is 0; allowed: 1..inf"),
        ({"count": 1.5}, "brew.count is 1.5; allowed: a number"),
        ({"count": True}, "brew.count is True; allowed: a number"),
        ({"gentle": 1}, "brew.gentle is 1; allowed: true or false"),
        ({"mode": "slow"}, "brew.mode is 'slow'; allowed: fast, good"),
        ({"model": "c/three"}, "brew.model is 'c/three'; allowed: a/one, b/two"),
    ],
)
def test_what_is_not_allowed_is_refused_with_what_is(values: dict[str, Value], complaint: str) -> None:
    with pytest.raises(BadRequest) as caught:
        parse(**values)
    assert complaint in str(caught.value)


def run(**changes: object) -> Run:
    return Run(**{"job": "j", "operation": "brew", "images": {"image": Raster(1, 1, 3)}, **changes})  # type: ignore[arg-type]


def test_a_run_is_checked_as_a_whole() -> None:
    registry = Registry([brew])
    assert registry.check(run(), ["a/one"]) == Params()
    for images in ({}, {"image": Raster(1, 1, 3), "hints": Raster(1, 1, 4)}, {"mask": Raster(1, 1, 1)}):
        with pytest.raises(BadRequest, match="brew images"):
            registry.check(run(images=images), ["a/one"])
    with pytest.raises(BadRequest, match="operation is 'stew'; allowed: brew"):
        registry.check(run(operation="stew"), ["a/one"])


def test_what_keeps_the_size_takes_a_mask_and_nothing_else_does() -> None:
    image, mask = Raster(1, 1, 3), Raster(1, 1, 1)
    assert brew.info().optional_roles == ("mask",)
    Registry([brew]).check(run(images={"image": image, "mask": mask}), ["a/one"])
    larger = operation.operation("brew", title="Brew", params=Params, output_size=lambda *_: (2, 2))(lambda *_: None)
    own = operation.operation("brew", title="Brew", params=Params, roles=("image", "mask"))(lambda *_: None)
    assert larger.info().optional_roles == own.info().optional_roles == ()
    with pytest.raises(BadRequest, match="brew images"):
        Registry([larger]).check(run(images={"image": image, "mask": mask}), ["a/one"])


def test_an_operations_own_check_is_asked_last() -> None:
    def refuse(params: Params) -> None:
        if params.count > 3 and params.gentle:
            raise BadRequest("not both")

    picky = operation.operation("brew", title="Brew", params=Params, check=refuse)(lambda *_: None)
    assert picky.parse({"count": 4, "gentle": False}, []).count == 4
    with pytest.raises(BadRequest, match="not both"):
        picky.parse({"count": 4}, [])


def test_two_operations_cannot_have_one_id() -> None:
    with pytest.raises(ValueError, match="brew"):
        Registry([brew, brew])


@pytest.mark.parametrize("each", list(operation.discover()), ids=lambda each: each.id)
def test_every_operation_runs_with_defaults_and_explains_itself(each: Operation) -> None:
    each.parse({}, card.discover().ids(each.id))
    info = each.info()
    assert info.title and info.help
    assert all(parameter.title and parameter.help for parameter in info.parameters)


def test_finding_the_operations_and_models_imports_no_torch() -> None:
    code = "from samovar import card, operation; card.discover(); operation.discover()"
    code += "; import sys; print('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "False\n"
