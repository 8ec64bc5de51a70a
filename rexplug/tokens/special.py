"""The special tokens of a tokenizer, read without transformers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rexplug.errors import DataError
from rexplug.io.tokenizer_files import read_definition, special_tokens, vocabulary


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """Ids of the special tokens; `all` holds every id that is never masked and never replaces a masked token."""

    cls: int
    sep: int
    pad: int
    mask: int
    vocabulary_size: int
    all: frozenset[int]

    @classmethod
    def read(cls, folder: Path) -> SpecialTokens:
        """Read the special tokens of a tokenizer folder.

        Raises:
            DataError: there is no tokenizer.json, it lacks one of [CLS], [SEP], [PAD] and [MASK], or one token has two of
                these roles.
        """
        definition = read_definition(folder)
        named, known = special_tokens(folder, definition), vocabulary(definition)
        ids = {}
        for role in ("cls", "sep", "pad", "mask"):
            token = named.get(role)
            if token is not None and token not in known:
                raise DataError(
                    f"the tokenizer in {folder} names '{token}' as its {role}_token, but tokenizer.json has no such token; "
                    "add it there, with the id that the model learnt"
                )
            if token is None:
                raise DataError(
                    f"the tokenizer in {folder} has no {role}_token; an encoder needs [CLS], [SEP], [PAD] and [MASK]"
                )
            ids[role] = known[token]
        for role, other in (("pad", "cls"), ("pad", "sep"), ("mask", "cls"), ("mask", "sep"), ("mask", "pad")):
            if ids[role] == ids[other]:
                raise DataError(
                    f"the tokenizer in {folder} uses '{named[role]}' as {role}_token and as {other}_token; each needs a token "
                    "of its own"
                )
        special = {int(token["id"]) for token in definition["added_tokens"] if token.get("special")} | set(ids.values())
        # [UNK], and tokens that only the config calls special, are not words either.
        special |= {known[token] for token in named.values() if token in known}
        return cls(**ids, vocabulary_size=max(known.values()) + 1, all=frozenset(special))
