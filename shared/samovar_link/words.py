"""What both plug-ins say about a model or a job, in the same words."""

from __future__ import annotations

from .messages import JobInfo, ModelInfo, Pulling


def megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.0f} MB" if size_bytes >= 9.5e6 else f"{size_bytes / 1e6:.1f} MB"


def title(model: ModelInfo) -> str:
    """For a list, with what it would take to have it, if it is not here."""
    if model.available:
        return model.title
    size = f" {megabytes(model.download_bytes)}" if model.download_bytes else ""
    return f"{model.title}, needs{size} download"


def question(model: ModelInfo) -> str:
    """What the user has to know before a model is fetched."""
    licence = f"Licence: {model.licence or 'not known'}."
    if not model.commercial:
        licence += " What it makes must not be sold."
    source = f"\nPublished at {model.source}" if model.source else ""
    size = megabytes(model.download_bytes) if model.download_bytes else "some hundred MB"
    return f"{model.title} is not here yet: {size} have to be fetched once.\n\n{licence}{source}"


def amount(pulling: Pulling) -> str:
    """How much of a model is here, "12 of 64 MB"; "12 MB" where nobody told of how much."""
    if not pulling.total_bytes:
        return megabytes(pulling.have_bytes)
    return f"{megabytes(pulling.have_bytes).removesuffix(' MB')} of {megabytes(pulling.total_bytes)}"


def share(pulling: Pulling) -> float:
    """The same as a fraction, 0..1; 0 where nobody told of how much."""
    return min(1.0, pulling.have_bytes / pulling.total_bytes) if pulling.total_bytes else 0.0


def job(info: JobInfo, title: str) -> str:
    """One that can be taken up, for a list. title : of its operation"""
    state = "done" if info.state == "kept" else "waits" if info.state == "queued" else f"{info.fraction:.0%} done"
    return f"{title}, {state}, {info.age_seconds / 60:.0f} min ago"
