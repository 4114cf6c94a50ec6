"""Generators of drawn faces of our own, trained with `samovar train faces` on CC0 drawings.

docs/faces.md says on which, with which commands, how good they became, and what they are: avatars in four styles.
"""

from __future__ import annotations

from samovar.card import ModelCard, own


def _generator(id: str, title: str, help: str, sha256: str, options: dict[str, object]) -> ModelCard:
    return ModelCard(
        id=id, title=title, help=help, operations=("faces",), network="dcgan",
        weights=own(id.rpartition("/")[2], sha256), scale=1, receptive_field=0,
        licence="MIT", source="docs/faces.md", architecture="DCGAN", whole=True, options=options,
    )  # fmt: skip


CARDS = (
    _generator(
        "samovar/faces",
        "Drawn avatars (own)",
        "Faces in four styles of drawn avatars, 128 px. Small and quick.",
        "bdf92cde06602922d73b2fccd68bb1bcae3a4a173796827c39c104bb81875d6b",
        {
            "side": 128,
            "styles": ("lorelei", "loreleiBW", "notionists", "openPeeps"),
            "width": 48,
            "shuffle": 2,
        },
    ),
    _generator(
        "seed/dcgan",
        "As it began (DCGAN, 64 px)",
        "The network that faces began with, as it was published. Fewer of its faces are good: for comparison.",
        "bb2b8463560d203b10a31c77394182473e1cd0936d1202a08300043f498285d8",
        {"side": 64},
    ),
)
