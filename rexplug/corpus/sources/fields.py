"""Options that say which fields of a record make a document, and the document they make."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from rexplug.components import Document, DocumentSource
from rexplug.corpus.sources.files import ERROR, InputFile, Names, document


class Fields(DocumentSource):
    """Which fields of a record make a document; `a.b` means field b inside field a."""

    text: Names = ("text",)
    """Field or fields that hold the text; several are joined by a blank line, missing ones left out."""
    id: str | None = None
    """Field that holds the id; if left out, the id is the file and the record's position in it."""
    url: str | None = "url"
    """Field that holds the address, if there is one."""
    metadata: dict[str, str] = Field(default_factory=dict)
    """Further fields to carry along: name in the metadata -> field."""

    def document(self, record: Mapping[str, Any], file: InputFile, place: int) -> Document:
        """Turn a record into a document; lists of text count as lines."""
        parts = []
        for name in self.text:
            value = _field(record, name)
            if isinstance(value, list):
                value = "\n".join(str(item) for item in value if item)
            if isinstance(value, str) and (value := value.strip()):
                parts.append(value)
        own_id = _field(record, self.id) if self.id else None
        url = _field(record, self.url) if self.url else None
        further = {key: _field(record, name) for key, name in self.metadata.items()}
        if not parts:
            further[ERROR] = f"no text in {' or '.join(self.text)}"
        text = parts[0] if len(parts) == 1 else "\n\n".join(parts)
        return document(
            file, place, text, str(url) if url else None, str(own_id) if own_id is not None else None, **further
        )


def _field(record: Mapping[str, Any], name: str) -> Any:
    if name in record or "." not in name:
        return record.get(name)
    inner: Any = record
    for part in name.split("."):
        inner = inner.get(part) if isinstance(inner, Mapping) else None
    return inner
