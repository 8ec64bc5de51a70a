"""How a model is used: the prompts before its texts, their longest length, and how its embeddings are compared.

Read from the files of sentence-transformers models; no torch, so that `rexplug check` reads them too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, get_args

from rexplug.errors import DataError, brief
from rexplug.io.json_files import read_json_object
from rexplug.recipe.evaluation import ModelOptions, Similarity

Role = Literal["query", "document"]
"""The role of a text in a retrieval task."""
_FILE = "config_sentence_transformers.json"
_DOCUMENT_PROMPTS = ("document", "passage", "corpus")
"""Names under which models keep the prompt of documents, in the order in which sentence-transformers looks for them."""
_OTHER_KINDS = {
    "CrossEncoder": "scores pairs of texts and does not embed texts",
    "SparseEncoder": "embeds texts as weights of words",
}


@dataclass(frozen=True)
class ModelUsage:
    """How texts are embedded and embeddings compared.

    Attributes:
        prompt: put before a text that is neither a query nor a document.
        query_prompt: put before a query.
        document_prompt: put before a document.
        named: all prompts by name; mteb looks up those of its tasks in them.
        similarity: how embeddings are compared.
        dimensions: embeddings are cut after so many; None if they are not.
    """

    prompt: str = ""
    query_prompt: str = ""
    document_prompt: str = ""
    named: Mapping[str, str] = field(default_factory=dict)
    similarity: Similarity = "cosine"
    dimensions: int | None = None

    def prompt_of(self, role: Role | None) -> str:
        """The prompt before a text of this role."""
        if role is None:
            return self.prompt
        return self.query_prompt if role == "query" else self.document_prompt

    def with_options(self, options: ModelOptions) -> ModelUsage:
        """This usage, with the options that are given in place of its own settings."""
        given = options.given
        kept = {
            name: given[name] for name in ("prompt", "query_prompt", "document_prompt", "similarity") if name in given
        }
        roles = {
            role: given[key]
            for role, key in (("query", "query_prompt"), ("document", "document_prompt"))
            if key in given
        }
        return replace(self, named={**self.named, **roles}, **kept)


def read_usage(folder: Path) -> ModelUsage:
    """The usage that the folder of a sentence-transformers model describes.

    Raises:
        DataError: the file is damaged, or describes a model that does not give a single embedding for a text.
    """
    path = folder / _FILE
    if not path.exists() and not path.is_symlink():
        return ModelUsage()
    config = read_json_object(path)
    kind = config.get("model_type")
    if isinstance(kind, str) and kind in _OTHER_KINDS:
        raise DataError(
            f"{path}: the model is a {kind}, which {_OTHER_KINDS[kind]}; evaluators need one vector for each text"
        )
    prompts = config.get("prompts") or {}
    if not isinstance(prompts, dict) or not all(isinstance(text, str | None) for text in prompts.values()):
        raise DataError(f"{path}: prompts is {brief(prompts)}; write a mapping of names to texts")
    named = {str(name): text for name, text in prompts.items() if text is not None}
    default = config.get("default_prompt_name")
    if default is not None and default not in prompts:
        raise DataError(f"{path}: default_prompt_name is {brief(default)}, and prompts has none of that name")
    dimensions = config.get("truncate_dim")
    if dimensions is not None and (not isinstance(dimensions, int) or isinstance(dimensions, bool) or dimensions < 1):
        raise DataError(f"{path}: truncate_dim is {brief(dimensions)}; write a positive whole number")
    known: tuple[Similarity, ...] = get_args(Similarity)
    # As in sentence-transformers: an unknown name means the default.
    similarity = next((name for name in known if name == config.get("similarity_fn_name")), known[0])
    # sentence-transformers writes an empty `document` beside a `passage`, which it then no longer finds by itself.
    document = next((named[name] for name in _DOCUMENT_PROMPTS if named.get(name)), "")
    return ModelUsage(
        prompt="" if default is None else named.get(default, ""),
        query_prompt=named.get("query", ""),
        document_prompt=document,
        named={**named, "document": document} if document else named,
        similarity=similarity,
        dimensions=dimensions,
    )
