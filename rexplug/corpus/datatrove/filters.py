"""datatrove's own filters and formatters by name: `{use: datatrove.GopherQualityFilter, min_doc_words: 30}`.

Their options are read from the installed source (`rexplug.corpus.datatrove.introspect`) and checked like any other options.
"""

from __future__ import annotations

import sys
from functools import cache, cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, ClassVar

from pydantic import create_model

from rexplug.components import CorpusFilter, Document, Verdict
from rexplug.corpus.datatrove.introspect import Block, blocks
from rexplug.errors import DataError

# Options that are objects of Python or that concern datatrove's own writing of files.
_OURS = {"self", "exclusion_writer", "batch_size"}
# Functions cannot be written in a recipe; the others download on their own, which curation never does.
_LEFT_OUT = {"LambdaFilter", "BaseFilter", "BaseFormatter", "C4BadWordsFilter", "UnigramLogProbFilter", "SamplerFilter"}


class Datatrove(CorpusFilter):
    """What the classes below share: build datatrove's block from the options, ask it, and tell its answer as ours."""

    module: ClassVar[str] = ""
    theirs: ClassVar[str] = ""

    @cached_property
    def _block(self) -> Any:
        made = getattr(import_module(self.module), self.theirs)
        fields = type(self).model_fields
        options = {name: getattr(self, name) for name in fields if getattr(self, name) != fields[name].default}
        if "language" in fields and "language" not in options:
            from rexplug.corpus.datatrove.word_tokenizer import RegexWordTokenizer

            options["language"] = RegexWordTokenizer()
        try:
            block = made(**options)
        except Exception as error:
            raise DataError(f"datatrove refuses these options: {error}") from None
        if self.theirs == "LanguageFilter" and options.get("backend", "ft176") == "ft176":
            from rexplug.corpus.filters.language import Language

            block.model.MODEL_URL = str(Language()._path())
        if self.theirs == "FastTextClassifierFilter":
            from fasttext.FastText import _FastText

            # Its own cache is keyed by path and serves an old model under a new one's name; and the default replacement
            # of a line break, nothing, glues two words together.
            block._model = _FastText(model_path=str(options["model_url"]))
            block.newline_replacement = options.get("newline_replacement", " ")
        if self.theirs == "PIIFormatter":
            # It takes its replacements in turn, so that a text would depend on what the worker saw before it.
            for replacer in (block.emails_replacer, block.ip_replacer):
                replacer.replacements = replacer.replacements[:1]
        if self.theirs == "URLFilter":
            # By default it asks the network for the list of public suffixes; a copy comes with the package.
            from tldextract import TLDExtract

            block.tldextractor = TLDExtract(suffix_list_urls=(), cache_dir=None)
        return block

    def check(self) -> None:
        """Build the block, so that refused options and missing packages show before the run."""
        if self.theirs == "FastTextClassifierFilter":
            path = str(getattr(self, "model_url", ""))
            if not Path(path).is_file():
                raise DataError(f"model_url: {path} is no file; models are never downloaded")
            if not (getattr(self, "keep_labels", None) or getattr(self, "remove_labels", None)):
                raise DataError("write `keep_labels` or `remove_labels`; without one nothing would be dropped")
        if self.theirs == "LanguageFilter" and getattr(self, "backend", "ft176") != "ft176":
            raise DataError("only the backend ft176 works without a download")
        self._block  # noqa: B018

    def judge(self, document: Document) -> Verdict:
        """datatrove's answer and reason; what it changed in the text is returned."""
        from datatrove.data import Document as Theirs

        metadata = {**document.metadata, **({"url": document.url} if document.url else {})}
        theirs = Theirs(text=document.text, id=document.id, metadata=metadata)
        block = self._block
        if hasattr(block, "format"):
            changed = block.format(document.text)
            return Verdict(True, text=changed if changed != document.text else None)
        if self.theirs == "URLFilter" and not document.url:
            return Verdict(False, "no address")
        answer = block.filter(theirs)
        keep, reason = answer if isinstance(answer, tuple) else (bool(answer), "")
        if not keep:
            return Verdict(False, str(reason or self.theirs))
        return Verdict(True, text=theirs.text if theirs.text != document.text else None)


@cache
def datatrove_filters() -> tuple[type[CorpusFilter], ...]:
    """A component class for each filter and formatter that the installed datatrove has; empty if there is none."""
    found = (*blocks("filters", "Filter"), *blocks("formatters", "Formatter"))
    return tuple(_component(block) for block in found if block.name not in _LEFT_OUT)


def _component(block: Block) -> type[CorpusFilter]:
    made: type[CorpusFilter] = create_model(
        block.theirs, __base__=Datatrove, __module__=__name__, **block.options(_OURS)
    )
    made.__doc__ = f"datatrove's {block.theirs}{f': {block.doc}' if block.doc else ''}."
    made.name = f"datatrove.{block.name}"
    made.module, made.theirs = block.module, block.theirs
    made.__abstractmethods__ = frozenset()
    setattr(sys.modules[__name__], block.theirs, made)  # where pickle looks for it
    return made


def __getattr__(name: str) -> Any:
    """Workers unpickle the classes by name before anybody listed them."""
    if not name.startswith("_"):
        for each in datatrove_filters():
            if each.__name__ == name:
                return each
    raise AttributeError(name)
