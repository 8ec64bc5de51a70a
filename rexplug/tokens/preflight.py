"""Checks a tokenizer that was made elsewhere: can it be trained with, and are its ids those that a checkpoint learnt?"""

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
"""Tokens that BERT-like vocabularies reserve; no checkpoint has learnt a meaning for them."""
TEXTS = (
    "The quick brown Fox jumps over the lazy dog, 1,234.50 times.",
    "Größe XL · crème brûlée · naïve façade · ÅNGSTRÖM",
    "  two  blanks,\ta tab\nand a new line ",
    "don't e-mail it's 100% (sic) [1] <b>&amp;</b> #5 @home C++ x_y",
    "東京 Москва αβγ 🙂 ½ ﬁne e\u0301",
    "iPhone15Pro ABC-123/45x67mm USB3.0",
)
"""Texts with cases, accents, digits, white space and scripts in which tokenizers with the same vocabulary differ."""


def check_tokenizer(folder: Path) -> SpecialTokens:
    """Check that the tokenizer of a folder can be trained with; returns its special tokens.

    Raises:
        DataError: it is damaged, lacks a special token, cannot tokenize texts, or puts other tokens around a text than
            training does, so that the exported model would be given other input than it learnt from.
    """
    special = SpecialTokens.read(folder)
    fast = open_tokenizer(folder)
    try:
        fast.encode_batch(list(TEXTS))
    except BaseException as error:  # a panic of the library is not an Exception
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise DataError(f"{folder / DEFINITION} cannot tokenize texts: {' '.join(str(error).split())[:200]}") from None
    bare = fast.encode("a", add_special_tokens=False).ids
    complete = fast.encode("a").ids
    if complete != [special.cls, *bare, special.sep]:
        actual = " ".join(str(fast.id_to_token(number)) for number in complete) if complete else "nothing"
        expected = f"{fast.id_to_token(special.cls)} a {fast.id_to_token(special.sep)}"
        raise DataError(
            f"the tokenizer in {folder} makes '{actual}' of the text 'a', but models are trained on '{expected}' and must be "
            "given the same later; write that template into tokenizer.json (post_processor: TemplateProcessing)"
        )
    return special


def id_conflict(ours: Path, learnt: Path, texts: Iterable[str] = ()) -> str | None:
    """How the ids of a tokenizer differ from those that a checkpoint learnt, as a clause; None if they do not.

    New tokens after those of the checkpoint are allowed, and so are tokens in the place of reserved ones.

    Args:
        ours: the folder of the tokenizer to train with.
        learnt: the folder with the checkpoint's own tokenizer.json.
        texts: tokenized with both besides `TEXTS`, where both have the same tokens.

    Raises:
        DataError: one of the tokenizers is damaged.
    """
    our_ids, learnt_ids = vocabulary(read_definition(ours)), vocabulary(read_definition(learnt))
    num_shared = sum(token in learnt_ids for token in our_ids)
    moved = [(token, number) for token, number in our_ids.items() if learnt_ids.get(token, number) != number]
    if moved:
        shown = ", ".join(f"'{token}' is {number} and not {learnt_ids[token]}" for token, number in moved[:_EXAMPLES])
        return f"{len(moved):,} of {num_shared:,} shared tokens have other ids ({shown})"
    learnt_tokens = {number: token for token, number in learnt_ids.items()}
    replaced = [
        (token, number)
        for token, number in our_ids.items()
        if token not in learnt_ids and number in learnt_tokens and _UNUSED.fullmatch(learnt_tokens[number]) is None
    ]
    if replaced:
        shown = ", ".join(
            f"{number} is '{token}' and not '{learnt_tokens[number]}'" for token, number in replaced[:_EXAMPLES]
        )
        return f"{len(replaced):,} ids stand for other tokens ({shown})"
    if our_ids != learnt_ids:
        return None
    return _text_conflict(open_tokenizer(ours), open_tokenizer(learnt), [*TEXTS, *texts])


def _text_conflict(our_tokenizer: Any, learnt_tokenizer: Any, texts: Sequence[str]) -> str | None:
    """How two tokenizers with the same ids differ in the way they tokenize texts; None if they do not."""
    differences = []
    for text in texts:
        our, learnt = (fast.encode(text, add_special_tokens=False) for fast in (our_tokenizer, learnt_tokenizer))
        if our.ids == learnt.ids:
            continue
        place = next(
            (i for i, (a, b) in enumerate(zip(our.ids, learnt.ids, strict=False)) if a != b),
            min(len(our.ids), len(learnt.ids)),
        )
        differences.append(tuple(" ".join(side.tokens[place : place + 3]) or "nothing" for side in (our, learnt)))
    if not differences:
        return None
    shown = ", ".join(f"'{a}' in place of '{b}'" for a, b in differences[:_EXAMPLES])
    return (
        f"the tokens are the same, but {len(differences):,} of {len(texts):,} texts are tokenized differently ({shown})"
    )
