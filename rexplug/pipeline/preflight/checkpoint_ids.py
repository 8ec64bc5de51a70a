"""Whether the tokenizer of a recipe gives the ids that the checkpoint it goes on from has learnt."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from pathlib import Path

from rexplug.errors import DataError
from rexplug.evaluation.models import tokenizer_beside
from rexplug.io.hub import cached_file
from rexplug.io.tokenizer_files import DEFINITION
from rexplug.recipe.schema import Model
from rexplug.tokens.preflight import id_conflict
from rexplug.tokens.tokenizer import convert_tokenizer, fetch_tokenizer


def learnt_tokenizer(model: Model) -> Path | None:
    """The folder of the checkpoint's own tokenizer.json, if it is on this machine: beside its weights or in its run."""
    name = model.from_
    if name is None:
        return None
    folder = Path(name)
    if not folder.is_dir():
        found = cached_file(name, DEFINITION, model.revision)
        return found.parent if found is not None else None
    beside = folder if (folder / DEFINITION).is_file() else tokenizer_beside(folder)
    return beside if beside is not None and (beside / DEFINITION).is_file() else None


def ids_problem(model: Model, tokenizer: Path, learnt: Path, texts: Iterable[str] = ()) -> str | None:
    """What is wrong with the ids of the tokenizer in a folder for a checkpoint whose own tokenizer lies in `learnt`.

    Raises:
        DataError: one of the tokenizers is damaged.
    """
    if (tokenizer / DEFINITION).read_bytes() == (learnt / DEFINITION).read_bytes():
        return None
    conflict = id_conflict(tokenizer, learnt, texts)
    if conflict is None:
        return None
    # The tokenizer of the run that a checkpoint belongs to has a place of its own.
    own = learnt if learnt == learnt_tokenizer(model) and Path(str(model.from_)).is_dir() else model.from_
    more = "; resize_vocabulary adds tokens behind those of the checkpoint" if model.resize_vocabulary else ""
    return (
        f"model.from: '{model.from_}' learnt other ids than the tokenizer has: {conflict}; use the checkpoint's own "
        f"tokenizer (tokenizer: {{from: {own}}}){more}"
    )


def not_compared(model: Model) -> str:
    """The remark on a checkpoint that brings no tokenizer."""
    return (
        f"model.from: '{model.from_}' brings no tokenizer.json, so that nobody can tell whether its ids are those of the "
        "recipe's tokenizer"
    )


def require_learnt_ids(model: Model, tokenizer: Path, texts: Iterable[str] = ()) -> str | None:
    """Compare the tokenizer of a run with that of the checkpoint, which is fetched where it lies on the hub.

    Returns a remark if there was nothing to compare with.

    Raises:
        DataError: the ids differ.
    """
    if model.from_ is None:
        return None
    with tempfile.TemporaryDirectory() as scratch:
        learnt = learnt_tokenizer(model) or _fetched(model, Path(scratch))
        if learnt is None:
            return not_compared(model)
        problem = ids_problem(model, tokenizer, learnt, texts)
    if problem is not None:
        raise DataError(problem)
    return None


def _fetched(model: Model, scratch: Path) -> Path | None:
    """The checkpoint's tokenizer, downloaded, or converted if it has no tokenizer.json; None if it has none."""
    name = str(model.from_)
    try:
        folder = fetch_tokenizer(name, model.revision)
        if (folder / DEFINITION).exists():
            return folder
        convert_tokenizer(name, scratch, model.revision)
    except Exception:  # whatever libraries make of a folder without a tokenizer
        return None
    return scratch
