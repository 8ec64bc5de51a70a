"""Checks that the tokenizer of a recipe has the token ids that the starting checkpoint was trained with."""

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
    """The folder with the checkpoint's own tokenizer.json, if it is on this machine: beside its weights or in its run."""
    name = model.from_
    if name is None:
        return None
    folder = Path(name)
    if not folder.is_dir():
        file = cached_file(name, DEFINITION, model.revision)
        return file.parent if file is not None else None
    beside = folder if (folder / DEFINITION).is_file() else tokenizer_beside(folder)
    return beside if beside is not None and (beside / DEFINITION).is_file() else None


def ids_problem(model: Model, tokenizer: Path, learnt: Path, texts: Iterable[str] = ()) -> str | None:
    """Why the ids of a tokenizer do not fit a checkpoint, as a sentence; None if they do.

    Args:
        model: the checkpoint, as the recipe names it.
        tokenizer: the folder of the tokenizer.
        learnt: the folder of the checkpoint's own tokenizer.
        texts: texts on which the two are compared.

    Raises:
        DataError: one of the tokenizers is damaged.
    """
    if (tokenizer / DEFINITION).read_bytes() == (learnt / DEFINITION).read_bytes():
        return None
    conflict = id_conflict(tokenizer, learnt, texts)
    if conflict is None:
        return None
    # In a run directory the tokenizer is not beside the checkpoint.
    own = learnt if learnt == learnt_tokenizer(model) and Path(str(model.from_)).is_dir() else model.from_
    more = "; resize_vocabulary adds tokens after those of the checkpoint" if model.resize_vocabulary else ""
    return (
        f"model.from: '{model.from_}' was trained with other ids than the tokenizer has: {conflict}; use the checkpoint's own "
        f"tokenizer (tokenizer: {{from: {own}}}){more}"
    )


def not_compared(model: Model) -> str:
    """The remark on a checkpoint without a tokenizer."""
    return (
        f"model.from: '{model.from_}' has no tokenizer.json, so that its ids cannot be compared with those of the recipe's "
        "tokenizer"
    )


def require_learnt_ids(model: Model, tokenizer: Path, texts: Iterable[str] = ()) -> str | None:
    """Compare the tokenizer of a run with that of the checkpoint, which is downloaded if it is on the hub.

    Returns:
        a remark if the checkpoint has no tokenizer to compare with.

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
    except Exception:  # libraries raise all kinds of exceptions for a folder without a tokenizer
        return None
    return scratch
