"""What both plug-ins say about a model, and about faces."""

from __future__ import annotations

import pytest

from samovar import operation
from samovar_link import request, words
from samovar_link.messages import ModelInfo, Pulling, Value


@pytest.mark.parametrize(
    ("have", "total", "said", "share"),
    [
        (0, 64_000_000, "0.0 of 64 MB", 0.0),
        (16_000_000, 64_000_000, "16 of 64 MB", 0.25),
        (70_000_000, 64_000_000, "70 of 64 MB", 1.0),
        (12_000_000, 0, "12 MB", 0.0),  # nobody told of how much
    ],
)
def test_how_much_is_here(have: int, total: int, said: str, share: float) -> None:
    pulling = Pulling("a/b", have, total)
    assert (words.amount(pulling), words.share(pulling)) == (said, share)


def test_what_is_not_here_says_what_it_would_take() -> None:
    far = ModelInfo("a/b", "B", ("upscale",), available=False, download_bytes=206_000_000, licence="MIT")
    assert words.title(far) == "B, needs 206 MB download"
    assert words.question(far) == "B is not here yet: 206 MB have to be fetched once.\n\nLicence: MIT."
    assert words.title(ModelInfo("a/b", "B", ("upscale",))) == "B"
    unknown = ModelInfo("a/b", "B", ("upscale",), available=False, commercial=False, source="https://example.org")
    assert words.title(unknown) == "B, needs download"
    assert words.question(unknown).endswith(
        "Licence: not known. What it makes must not be sold.\nPublished at https://example.org"
    )


@pytest.mark.parametrize(
    ("values", "names", "numbers"),
    [
        ({"seed": 7}, ["Face 7", "Face 8", "Face 9"], [7, 8, 9]),
        ({}, ["Face 0", "Face 1"], [0, 1]),
        ({"seed": 7, "way": "vary"}, ["Face 7", "Face 7, variation 1", "Face 7, variation 2"], [7, None, None]),
        (
            {"seed": 7, "way": "mix", "other": 3, "count": 3},
            ["Face 7", "Face 7 with 50% of face 3", "Face 3"],
            [7, None, 3],
        ),
        ({"seed": 7, "way": "mix", "other": 3, "count": 1}, ["Face 7 with 50% of face 3"], [None]),
    ],
)
def test_faces_are_named_by_the_numbers_that_bring_them_back(
    values: dict[str, Value], names: list[str], numbers: list[int | None]
) -> None:
    faces = operation.discover().get("faces").info()
    assert [request.face(faces, values, index) for index in range(len(names))] == names
    assert [request.number(faces, values, index) for index in range(len(names))] == numbers


@pytest.mark.parametrize(
    ("values", "sheet"),
    [
        ({}, (4, 4, 128)),
        ({"count": 6, "size": "64"}, (3, 2, 64)),
        ({"count": 6, "only": 5, "size": "512"}, (1, 1, 512)),
    ],
)
def test_a_sheet_is_as_large_as_its_cells(values: dict[str, Value], sheet: tuple[int, int, int]) -> None:
    assert request.sheet(operation.discover().get("faces").info(), values) == sheet
