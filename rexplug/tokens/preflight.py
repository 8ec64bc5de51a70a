"""Whether a tokenizer that was made elsewhere suits training, and whether its ids are those that a checkpoint learnt."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from rexplug.errors import DataError
from rexplug.io.tokenizer_files import DEFINITION, open_tokenizer, read_definition, vocabulary
from rexplug.tokens.special import SpecialTokens

_EXAMPLES = 3
_UNUSED = re.compile(r"[\[<]\|?(unused|reserved)[\w ]*\|?[\]>]", re.IGNORECASE)
"""Tokens that BERT-like vocabularies keep free; no checkpoint has learnt what they stand for."""
TEXTS = (
    "The quick brown Fox jumps over the lazy dog, 1,234.50 times.",
    "Größe XL · crème brûlée · naïve façade · ÅNGSTRÖM",
    "  two  blanks,\ta tab\nand a new line ",
    "don't e-mail it's 100% (sic) [1] <b>&amp;</b> #5 @home C++ x_y",
    "東京 Москва αβγ 🙂 ½ ﬁne e\u0301",
    "iPhone15Pro ABC-123/45x67mm USB3.0",
)
"""Cases, accents, digits, blanks and scripts, by which tokenizers with the same vocabulary differ."""


def check_tokenizer(folder: Path) -> SpecialTokens:
    """Look whether a tokenizer folder can be trained with; returns its special tokens.

    Raises:
        DataError: it is damaged, lacks a special token, is not deterministic, or puts other tokens around a text than
            training does, so that the exported model would be given other input than it learnt from.
    """
    special = SpecialTokens.read(folder)
    fast = open_tokenizer(folder)
    try:
        fast.encode_batch(list(TEXTS))
    except BaseException as error:  # a panic of the library is no Exception
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise DataError(f"{folder / DEFINITION} cannot cut texts: {' '.join(str(error).split())[:200]}") from None
    bare = fast.encode("a", add_special_tokens=False).ids
    whole = fast.encode("a").ids
    if whole != [special.cls, *bare, special.sep]:
        around = " ".join(str(fast.id_to_token(number)) for number in whole) if whole else "nothing"
        wanted = f"{fast.id_to_token(special.cls)} a {fast.id_to_token(special.sep)}"
        raise DataError(
            f"the tokenizer in {folder} makes '{around}' of the text 'a', but models are trained on '{wanted}' and must be "
            "given the same later; write that template into tokenizer.json (post_processor: TemplateProcessing)"
        )
    return special


def id_conflict(ours: Path, theirs: Path, texts: Iterable[str] = ()) -> str | None:
    """How the ids of a tokenizer differ from those that a checkpoint learnt; None if they are the same.

    New tokens behind those of the checkpoint are no difference, and neither are tokens in places that it kept free.

    Args:
        ours: the folder of the tokenizer to train with.
        theirs: the folder with the checkpoint's own tokenizer.json.
        texts: compared besides those of `TEXTS`, where both have the same tokens.

    Raises:
        DataError: one of the tokenizers is damaged.
    """
    mine, learnt = vocabulary(read_definition(ours)), vocabulary(read_definition(theirs))
    shared = sum(token in learnt for token in mine)
    moved = [(token, number) for token, number in mine.items() if learnt.get(token, number) != number]
    if moved:
        shown = ", ".join(f"'{token}' is {number} and not {learnt[token]}" for token, number in moved[:_EXAMPLES])
        return f"{len(moved):,} of {shared:,} shared tokens have other ids ({shown})"
    at = {number: token for token, number in learnt.items()}
    other = [
        (token, number)
        for token, number in mine.items()
        if token not in learnt and number in at and _UNUSED.fullmatch(at[number]) is None
    ]
    if other:
        shown = ", ".join(f"{number} is '{token}' and not '{at[number]}'" for token, number in other[:_EXAMPLES])
        return f"{len(other):,} ids stand for other tokens ({shown})"
    if mine != learnt:
        return None
    return _text_conflict(open_tokenizer(ours), open_tokenizer(theirs), [*TEXTS, *texts])


def _text_conflict(ours: Any, theirs: Any, texts: Sequence[str]) -> str | None:
    """How two tokenizers with the same ids differ in the way they cut texts."""
    found = []
    for text in texts:
        mine, learnt = (fast.encode(text, add_special_tokens=False) for fast in (ours, theirs))
        if mine.ids == learnt.ids:
            continue
        place = next(
            (i for i, (a, b) in enumerate(zip(mine.ids, learnt.ids, strict=False)) if a != b),
            min(len(mine.ids), len(learnt.ids)),
        )
        found.append(tuple(" ".join(each.tokens[place : place + 3]) or "nothing" for each in (mine, learnt)))
    if not found:
        return None
    shown = ", ".join(f"'{a}' in place of '{b}'" for a, b in found[:_EXAMPLES])
    return f"the tokens are the same, but {len(found):,} of {len(texts):,} texts are cut otherwise ({shown})"
