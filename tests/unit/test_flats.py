"""Flat areas are exact: what sees one colour only gets the plain network's answer, and nothing else does."""

from __future__ import annotations

import torch
from laboratory import Smear, smear_card

from samovar.worker.enlarge import enlarge
from samovar.worker.flats import Flats
from samovar.worker.image import Image
from samovar.worker.passage import Passage

CARD = smear_card()


class Rough(Smear):
    """A level too bright in every other column."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = super().forward(x)
        return y + (torch.arange(y.shape[-1]) % 2) / 255


def through(image: Image, flats: bool) -> Image:
    return enlarge(image, Passage(Rough(), CARD, flats=Flats(Smear, CARD) if flats else None))[0]


def test_only_what_sees_one_colour_is_mended() -> None:
    image = torch.zeros((1, 3, 40, 44))
    image[:, :, :, 20:] = torch.tensor([0.2, 0.4, 0.6]).view(1, 3, 1, 1)
    image[:, 1, 30, 30] = 0.9
    mended, rough, exact = through(image, True), through(image, False), enlarge(image, Passage(Smear(), CARD))[0]
    untouched = torch.zeros((40, 44), dtype=torch.bool)
    untouched[:, 18:22] = True  # sees the edge between columns 19 and 20
    untouched[28:33, 28:33] = True  # sees the dot
    here = untouched.repeat_interleave(2, 0).repeat_interleave(2, 1)
    assert torch.equal(mended[0][:, here], rough[0][:, here])
    torch.testing.assert_close(mended[0][:, ~here], exact[0][:, ~here], atol=1e-6, rtol=0)


def test_a_tile_of_many_colours_keeps_those_with_few_pixels_as_they_are() -> None:
    image = torch.arange(20).div(40).repeat_interleave(8).expand(1, 3, 8, -1).contiguous()
    mended, rough, exact = (enlarge(image, Passage(network, CARD, side=160, flats=flats))[0] for network, flats in (
        (Rough(), Flats(Smear, CARD)), (Rough(), None), (Smear(), None),
    ))  # fmt: skip
    differs = (mended != rough).any(1)[0].any(0).view(20, 16)
    assert differs.any(1).sum() == 16
    assert torch.equal(torch.where(mended != rough, mended, exact), exact)
