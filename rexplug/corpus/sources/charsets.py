"""Text from bytes: charset labels as browsers read them, what a page declares, and a guess where nothing is declared."""

from __future__ import annotations

import codecs
import io
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import IO, Annotated, Any, cast

import webencodings
from pydantic import AfterValidator

from rexplug.io.streams import continued

REPLACEMENT = "\ufffd"
"""Stands in a text for bytes that its charset does not know."""
_BYTE_ORDER_MARKS = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_BE: "utf-16-be", codecs.BOM_UTF16_LE: "utf-16-le"}
# The decoders of the WHATWG Encoding Standard where Python's of the same name know fewer characters.
_WIDER = {"gbk": "gb18030", "iso-2022-jp": "iso2022_jp_ext", "x-user-defined": "cp1252"}
_HEAD = 4096
"""Bytes of a page in which a declaration is searched; the HTML Standard asks for the first 1,024."""
_COMMENT = re.compile(rb"<!--.*?(?:-->|\Z)", re.DOTALL)
_META = re.compile(rb"""<meta[\s/][^>]*?(?<=[\s;"'/])charset\s*=\s*["']?\s*([^\s"'/>;]+)""", re.IGNORECASE)
_XML = re.compile(rb"""\s*<\?xml\s[^>]*?encoding\s*=\s*["']\s*([^\s"'>]+)""")
_PARAMETER = re.compile(r"""(?:^|[;,\s])charset\s*=\s*["']?\s*([^\s"';,]+)""", re.IGNORECASE)


def codec_of(label: str) -> str | None:
    """Python's codec for a label as browsers read it (`latin1` and `ascii` are windows-1252, `gb2312` is gb18030).

    None for a label that the WHATWG Encoding Standard does not list, and for the charsets that it refuses to decode.
    """
    encoding = webencodings.lookup(label)
    if encoding is None or encoding.name == "replacement":
        return None
    return _WIDER.get(encoding.name) or str(encoding.codec_info.name)


def _known(label: str) -> str:
    _codec(label)
    return label


Charset = Annotated[str, AfterValidator(_known)]
"""An option that names a charset: a label that browsers know, or a codec of Python such as `cp850`."""


def _codec(label: str) -> str:
    """The codec for the value of an option.

    Raises:
        ValueError: there is none.
    """
    if codec := codec_of(label):
        return codec
    with suppress(LookupError, UnicodeError, ValueError):
        if b"a".decode(label) == "a":
            return label
    raise ValueError(f"{label!r} is not a charset that is known here; examples: utf-8, windows-1252, shift_jis, cp850")


def content_type_charset(content_type: str) -> str | None:
    """The charset that a Content-Type header names, as it is written there."""
    found = _PARAMETER.search(content_type)
    return found.group(1) if found else None


def declared_charsets(page: bytes) -> Iterator[str]:
    """The charsets that a page names at its beginning, in `meta` elements outside of comments and in an XML declaration."""
    head = page[:_HEAD]
    for found in _META.finditer(_COMMENT.sub(b"", head)):
        label = found.group(1).decode("ascii", "replace")
        # Bytes in which a `meta` element can be read are not UTF-16, whatever it says.
        yield "utf-8" if (codec_of(label) or "").startswith("utf-16") else label
    if declaration := _XML.match(head):
        label = declaration.group(1).decode("ascii", "replace")
        yield "utf-8" if (codec_of(label) or "").startswith("utf-16") else label


def decoded_page(content: bytes, charset: str | None = None) -> str:
    """Decode a page; `charset` is that of the HTTP header, which has precedence over what the page declares itself."""
    return decoded(content, charset, *declared_charsets(content))


def decoded(content: bytes, *labels: str | None) -> str:
    """Decode bytes by their byte-order mark, else by the first label that is known, else as UTF-8.

    As in browsers, single bytes that the charset does not know become U+FFFD. Where these are more than half of all
    characters beyond ASCII, the label (or UTF-8) is taken for wrong, and the most likely charset is used.
    """
    for mark, codec in _BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            return _decode(content[len(mark) :], codec)
    declared = next(filter(None, (codec_of(label) for label in labels if label)), None)
    candidates = [declared, "utf-8"] if declared else ["utf-8"]
    for codec in candidates:
        with suppress(UnicodeDecodeError):
            return content.decode(codec)
        text = _decode(content, codec)
        if 2 * text.count(REPLACEMENT) <= len(text) - len(text.encode("ascii", "ignore")):
            return text
    return _decode(content, _guess(content) or candidates[0])


def decoded_as(content: bytes, charset: str) -> str:
    """Decode bytes by the value of a `Charset` option; a byte-order mark has precedence."""
    for mark, codec in _BYTE_ORDER_MARKS.items():
        if content.startswith(mark):
            return _decode(content[len(mark) :], codec)
    return _decode(content, _codec(charset))


def text_stream(raw: IO[bytes], charset: str) -> io.TextIOWrapper:
    """The text of open bytes by the value of a `Charset` option, line ends as they are; a byte-order mark has precedence."""
    head = raw.read(3)
    codec = _codec(charset)
    for mark, of_mark in _BYTE_ORDER_MARKS.items():
        if head.startswith(mark):
            codec, head = of_mark, head[len(mark) :]
            break
    return io.TextIOWrapper(continued(head, raw), codec, errors=_errors(codec), newline="")


def utf8_stream(file: IO[bytes]) -> IO[bytes]:
    """The open bytes themselves, or those of the same text in UTF-8 if they begin with a byte-order mark of UTF-16."""
    if cast("io.BufferedReader", file).peek(2)[:2] not in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
        return file
    return io.BufferedReader(_Recoded(io.TextIOWrapper(file, "utf-16", errors="replace", newline="")))


class _Recoded(io.RawIOBase):
    """The text of a stream as UTF-8."""

    def __init__(self, text: io.TextIOWrapper) -> None:
        self._text = text

    def readable(self) -> bool:
        """The stream can only be read."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Fill the beginning of the buffer; a character has 4 bytes at most."""
        data = self._text.read(len(buffer) // 4).encode()
        buffer[: len(data)] = data
        return len(data)


def _decode(content: bytes, codec: str) -> str:
    return content.decode(codec, _errors(codec))


def _errors(codec: str) -> str:
    return _EUC_JP if codec == "euc_jp" else "replace"


def _guess(content: bytes) -> str | None:
    """The most likely charset by its statistics; None if there is none, or nothing that could tell."""
    try:
        import cchardet
    except ImportError:
        return None
    label = cchardet.detect(content[:100_000])["encoding"]
    with suppress(ValueError):
        return _codec(label) if label else None
    return None


_EUC_JP = "rexplug.euc_jp"


def _as_shift_jis(error: UnicodeError) -> tuple[str, int]:
    """Decode two bytes that Python's EUC-JP does not know by way of Shift_JIS.

    Its table lacks the rows of NEC and IBM (circled digits, Roman numerals, units), which browsers know and pages use.
    """
    if not isinstance(error, UnicodeDecodeError):
        raise error
    lead, trail = (*error.object[error.start : error.start + 2], 0)[:2]
    if 0xA1 <= lead <= 0xFE and 0xA1 <= trail <= 0xFE:
        row, cell = lead - 0xA1, trail - 0xA1
        first = row // 2 + (0x81 if row < 62 else 0xC1)
        second = cell + 0x9F if row % 2 else cell + (0x40 if cell < 63 else 0x41)
        with suppress(UnicodeDecodeError):
            return bytes((first, second)).decode("cp932"), error.start + 2
    return REPLACEMENT, error.start + 1


codecs.register_error(_EUC_JP, _as_shift_jis)
