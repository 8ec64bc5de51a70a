"""Calls into document sources: their documents, shards and the versions of their files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from rexplug.components import Component, Document, DocumentSource, Shard, Unreadable
from rexplug.errors import PluginError, brief
from rexplug.plugins.calls.call import PluginCall, bool_property, owner, unexpected, whole_number

_MOST_SHARDS = 1_000_000
"""More jobs than this fill the memory before the first one begins."""


def read_documents(source: DocumentSource, shard: Shard) -> Iterator[Document]:
    """Yield the documents of `source.documents(shard)`.

    Raises:
        PluginError: the source raised something else than a `RexplugError` or `OSError`, or yields something else than documents.
    """
    with PluginCall(source, "documents", shard):
        documents: object = source.documents(shard)
        if not isinstance(documents, Iterable):
            raise unexpected(source, "documents", documents, "documents; yield them, or return an iterator")
        for document in documents:
            if isinstance(document, Unreadable):
                yield _unreadable(source, document)
                continue
            require_document(source, "documents", document)
            yield document


def _unreadable(source: DocumentSource, record: Unreadable) -> Document:
    """The document that stands for a record that a source could not read."""
    for field in ("id", "reason", "place"):
        if not isinstance(value := getattr(record, field), str):
            raise PluginError(
                f"{owner(source)}{source.name}.documents() yielded an Unreadable with the {field} {brief(value)}; expected a str"
            )
    if not (record.id.isascii() and record.reason.isascii() and record.place.isascii()):
        # What cannot be read is often not valid Unicode: a reason that cites it is stored with question marks.
        texts = (text.encode("utf-8", "replace").decode() for text in (record.id, record.reason, record.place))
        record = Unreadable(*texts)
    return record.document()


def require_document(component: Component, method: str, document: object) -> None:
    """Check what a component yields as a document.

    Raises:
        PluginError: it is not a `Document`, or a field of it has another type than it should.
    """
    if not isinstance(document, Document):
        raise PluginError(
            f"{owner(component)}{component.name}.{method}() yielded {brief(document)}; expected a Document"
        )
    if type(document.id) is str and type(document.text) is str and type(document.metadata) is dict and not document.url:
        return  # nearly all documents; the rest is slower
    for field, kind in (("id", str), ("text", str), ("url", str | None), ("metadata", Mapping)):
        value = getattr(document, field)
        if not isinstance(value, kind):
            expected = {"url": "a str or None", "metadata": "a mapping"}.get(field, "a str")
            raise PluginError(
                f"{owner(component)}{component.name}.{method}() yielded a document with the {field} {brief(value)}; expected "
                f"{expected}"
            )


def count_shards(source: DocumentSource) -> int:
    """The number of shards of a source, at least 1: `source.num_shards()`."""
    with PluginCall(source, "num_shards"):
        returned: object = source.num_shards()
    count = whole_number(source, "num_shards", returned, at_least=1)
    if count > _MOST_SHARDS:
        raise unexpected(
            source, "num_shards", count, f"at most {_MOST_SHARDS:,}: a shard is a job with files of its own"
        )
    return count


def file_versions(source: DocumentSource) -> dict[str, list[Any]]:
    """File or address -> its size and version: `source.stamps()`."""
    with PluginCall(source, "stamps"):
        stamps: Any = source.stamps()
    if not isinstance(stamps, Mapping) or not all(
        isinstance(stamp, list | tuple) and stamp for stamp in stamps.values()
    ):
        raise unexpected(source, "stamps", stamps, "file -> [size, modification time]")
    return {str(path): list(stamp) for path, stamp in stamps.items()}


def is_synthetic(source: DocumentSource) -> bool:
    """Whether a program generated the texts of a source."""
    return bool_property(source, "synthetic")
