"""Generators of drawn faces of our own, trained with `samovar train faces` on CC0 drawings.

docs/faces.md says on which, with which commands, how good they became, and what they are: avatars in four styles.
"""

from __future__ import annotations

from samovar.card import ModelCard, own


def _generator(
    id: str, title: str, help: str, network: str, file: str, sha256: str, options: dict[str, object], architecture: str
) -> ModelCard:
    return ModelCard(
        id=id, title=title, help=help, operations=("faces",), network=network,
        weights=own(file, sha256), scale=1, receptive_field=0,
        licence="MIT", source="docs/faces.md", architecture=architecture, whole=True, options=options,
    )  # fmt: skip


CARDS = (
    _generator(
        "samovar/faces",
        "Drawn avatars (own)",
        "Faces in four styles of drawn avatars, 128 px. Small and quick.",
        "fastgan",
        "faces",
        "2fef93ee60c6568d314ecdc60ba2bff44f870c807fd63fee727904f8e208ee58",
        {"styles": ("lorelei", "loreleiBW", "notionists", "openPeeps")},
        "FastGAN",
    ),
)
