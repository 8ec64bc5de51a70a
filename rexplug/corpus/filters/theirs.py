"""datatrove's own filters and formatters by name: `{use: datatrove.GopherQualityFilter, min_doc_words: 30}`.

Their options are read from the installed source without importing it (an import takes a third of a second, and every
command lists components), and checked like any other options.
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache, cached_property
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, create_model

from rexplug.components import CorpusFilter, Document, Verdict
from rexplug.errors import DataError

# Options that are objects of Python or that concern datatrove's own writing of files.
_OURS = {"self", "exclusion_writer", "batch_size"}
# Functions cannot be written in a recipe; the others download on their own, which curation never does.
_LEFT_OUT = {"LambdaFilter", "BaseFilter", "BaseFormatter", "C4BadWordsFilter", "UnigramLogProbFilter", "SamplerFilter"}
_ENDINGS = ("Filter", "Formatter")
_FOLDERS = ("filters", "formatters")


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
            from rexplug.corpus.words import RegexWordTokenizer

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
    spec = find_spec("datatrove")
    if spec is None or spec.origin is None:
        return ()
    made = []
    for folder in _FOLDERS:
        for path in sorted((Path(spec.origin).parent / "pipeline" / folder).glob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if isinstance(node, ast.ClassDef) and node.name.endswith(_ENDINGS) and node.name not in _LEFT_OUT:
                    made.append(_component(node, f"datatrove.pipeline.{folder}.{path.stem}"))
    return tuple(made)


def _component(node: ast.ClassDef, module: str) -> type[CorpusFilter]:
    fields: dict[str, Any] = {}
    for argument, default in _options(node):
        annotation = ast.unparse(argument.annotation) if argument.annotation else "any value"
        said = f"As datatrove has it ({annotation})."
        required = default is _REQUIRED
        kind = Any if required or default is None else _kind(default)
        fields[argument.arg] = (kind, Field(... if required else default, description=said))
    lines = (ast.get_docstring(node) or "").strip().splitlines()
    made: type[CorpusFilter] = create_model(node.name, __base__=Datatrove, __module__=__name__, **fields)
    made.__doc__ = f"datatrove's {node.name}{': ' + lines[0].strip().rstrip('.:') if lines else ''}."
    made.name = f"datatrove.{node.name}"
    made.module, made.theirs = module, node.name
    made.__abstractmethods__ = frozenset()
    setattr(sys.modules[__name__], node.name, made)  # where pickle looks for it
    return made


_REQUIRED = object()


def _options(node: ast.ClassDef) -> Iterator[tuple[ast.arg, Any]]:
    """The arguments of `__init__` with their defaults."""
    for function in node.body:
        if isinstance(function, ast.FunctionDef) and function.name == "__init__":
            arguments = function.args.args
            defaults: list[ast.expr | None] = [None] * (len(arguments) - len(function.args.defaults))
            for argument, default in zip(arguments, [*defaults, *function.args.defaults], strict=True):
                if argument.arg not in _OURS:
                    yield argument, _REQUIRED if default is None else _value(default)


def _value(node: ast.expr) -> Any:
    try:
        return ast.literal_eval(node)
    except ValueError:
        return None  # a constant of datatrove, such as the language; its own default applies


def _kind(default: Any) -> Any:
    if isinstance(default, bool):
        return bool
    if isinstance(default, int | float):
        return int | float | None
    if isinstance(default, str):
        return str | tuple[str, ...] | None
    return Any


def __getattr__(name: str) -> Any:
    """Workers unpickle the classes by name before anybody listed them."""
    if not name.startswith("_"):
        for each in datatrove_filters():
            if each.__name__ == name:
                return each
    raise AttributeError(name)
