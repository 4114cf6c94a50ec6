"""What both plug-ins say about a model."""

from __future__ import annotations

import pytest

from samovar_link import words
from samovar_link.messages import ModelInfo, Pulling


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
