"""Filters and formatters of datatrove: `{use: datatrove.filter, class: RegexFilter, options: {regex_exp: "(?i)lorem"}}`."""

from __future__ import annotations

import inspect
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from rexplug.components import CorpusFilter, Document, Verdict
from rexplug.corpus.datatrove.blocks import block_call, checked_options, datatrove_names, find_block
from rexplug.corpus.datatrove.named_block import NamedBlock
from rexplug.corpus.fasttext_package import fasttext
from rexplug.errors import DataError, error_text


class DatatroveFilter(NamedBlock, CorpusFilter):
    """A filter or formatter of datatrove, by the name of its class.

    What a formatter or filter changes in the text is kept, and a filter's reason becomes the reason in the statistics, where
    the step is called `datatrove.<class>`.
    """

    name: ClassVar[str] = "datatrove.filter"
    block_kind = "filter"

    class_: str = Field(alias="class")
    """A class of `datatrove.pipeline.filters` or `.formatters`, e.g. `GopherQualityFilter`; or the dotted path of one in another
    package, e.g. `my_package.blocks.MyFilter`."""
    options: dict[str, Any] = Field(default_factory=dict, validate_default=True)
    """Arguments of the class, checked against its signature."""

    @property
    def step_name(self) -> str:
        """What statistics call this step, e.g. `datatrove.GopherQualityFilter`."""
        return self.called

    @cached_property
    def _block(self) -> Any:
        options = checked_options("filter", self.class_, self.options)
        try:
            return _build(find_block("filter", self.class_), options)
        except DataError:
            raise
        except (Exception, SystemExit) as error:  # each class checks its options in its own way
            raise DataError(f"datatrove refuses these options: {error_text(error)}") from None

    def check(self) -> None:
        """Build the block, so that refused options and missing packages show before the run.

        Raises:
            DataError: an option has a value that the class cannot work with, or it would download something.
        """
        names = datatrove_names(find_block("filter", self.class_))
        if "FastTextClassifierFilter" in names and "model_url" in self.options:
            path = str(self.options["model_url"])
            if not Path(path).is_file():
                raise DataError(f"model_url: {path} is not a file; models are never downloaded")
            if not (self.options.get("keep_labels") or self.options.get("remove_labels")):
                raise DataError("write `keep_labels` or `remove_labels`; without one nothing would be dropped")
        if "LanguageFilter" in names and self.options.get("backend", "ft176") != "ft176":
            raise DataError("only the backend ft176 works without a download")
        self._block  # noqa: B018

    def judge(self, document: Document) -> Verdict:
        """The verdict of datatrove's class and its reason; a changed text is returned."""
        block = self._block
        if hasattr(block, "format"):
            with block_call(block, "format", f"on document '{document.id}'"):
                text = block.format(document.text)
            return Verdict(True, text=text if text != document.text else None)
        if not document.url and "URLFilter" in datatrove_names(type(block)):
            return Verdict(False, "no address")
        from datatrove.data import Document as DatatroveDocument

        metadata = {**document.metadata, **({"url": document.url} if document.url else {})}
        copy = DatatroveDocument(text=document.text, id=document.id, metadata=metadata)
        with block_call(block, "filter", f"on document '{document.id}'"):
            answer = block.filter(copy)
            keep, reason = answer if isinstance(answer, tuple) else (bool(answer), "")
        if not keep:
            return Verdict(False, str(reason or type(block).__name__))
        return Verdict(True, text=copy.text if copy.text != document.text else None)

    def __getstate__(self) -> dict[Any, Any]:
        """Without the block, which may hold models that do not pickle: each worker builds its own."""
        state = super().__getstate__()
        kept = {key: value for key, value in state["__dict__"].items() if key != "_block"}
        return {**state, "__dict__": kept}


def _build(block_class: type[Any], options: dict[str, Any]) -> Any:
    """Build the block so that it downloads nothing and its verdict on a document does not depend on the documents before."""
    parameters = inspect.signature(block_class).parameters
    if "language" in parameters and "language" not in options:
        # The default would load a spaCy model for the same words, at a tenth of the speed.
        from rexplug.corpus.datatrove.word_tokenizer import RegexWordTokenizer

        options["language"] = RegexWordTokenizer()
    names = datatrove_names(block_class)
    if "PIIFormatter" in names:
        # It takes its replacements in turn, so that a text would depend on what the worker saw before: give it one of each.
        for option in ("email_replacement", "ip_replacement"):
            if option not in parameters:
                continue
            replacement = options.get(option, parameters[option].default)
            options[option] = replacement if isinstance(replacement, str) else tuple(replacement)[:1]
    if "FastTextClassifierFilter" in names and "newline_replacement" in parameters:
        options.setdefault("newline_replacement", " ")  # the default, nothing, glues two words together
    block = block_class(**options)
    if "FastTextClassifierFilter" in names and "model_url" in options:
        # Set from outside: its own cache is keyed by path and serves an old model under a new one's name.
        block._model = fasttext().FastText._FastText(model_path=str(options["model_url"]))
    if "LanguageFilter" in names and options.get("backend", "ft176") == "ft176":
        from rexplug.corpus.filters.language import Language

        # Set from outside: the class has no option for the place of its model, and would download it.
        block.model.MODEL_URL = str(Language().model_path())
    if "URLFilter" in names:
        from tldextract import TLDExtract

        # Set from outside: by default it asks the network for the list of public suffixes; a copy comes with the package.
        block.tldextractor = TLDExtract(suffix_list_urls=(), cache_dir=None)
    return block
