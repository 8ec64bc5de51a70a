"""The special tokens of a tokenizer, read without transformers."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rexplug.errors import DataError


@dataclass(frozen=True, slots=True)
class SpecialTokens:
    """Ids of the special tokens; `all` holds every id that is never masked and never drawn as a random token."""

    cls: int
    sep: int
    pad: int
    mask: int
    vocabulary_size: int
    all: frozenset[int]

    @classmethod
    def read(cls, folder: Path) -> SpecialTokens:
        """Read them from a tokenizer folder.

        Raises:
            DataError: there is no fast tokenizer, or it lacks one of [CLS], [SEP], [PAD] and [MASK].
        """
        try:
            definition = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DataError(f"{folder} holds no fast tokenizer (tokenizer.json): {error}") from None
        config = _optional(folder / "tokenizer_config.json") | _optional(folder / "special_tokens_map.json")
        added = {token["content"]: token["id"] for token in definition["added_tokens"]}
        vocabulary = definition["model"]["vocab"]
        pieces = vocabulary if isinstance(vocabulary, dict) else {piece[0]: i for i, piece in enumerate(vocabulary)}
        ids = {}
        for role in ("cls", "sep", "pad", "mask"):
            entry = config.get(f"{role}_token", f"[{role.upper()}]")
            content = entry["content"] if isinstance(entry, dict) else entry
            found = added.get(content, pieces.get(content))
            if found is None:
                raise DataError(
                    f"the tokenizer in {folder} has no {role}_token; an encoder needs [CLS], [SEP], [PAD] and [MASK]"
                )
            ids[role] = int(found)
        special = {token["id"] for token in definition["added_tokens"] if token["special"]} | set(ids.values())
        size = max([*pieces.values(), *added.values()]) + 1
        return cls(**ids, vocabulary_size=size, all=frozenset(special))


def _optional(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
