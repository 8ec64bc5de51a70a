"""Finds the records of a JSON file of any size and layout: a record a line, an array, or objects written over several lines.

Only the ends of the records are found here; `json_records` parses them one by one, so that a record that cannot be read costs
only itself, and memory is bounded by the longest record.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from typing import IO

from rexplug.io.compression import DamagedFile
from rexplug.io.streams import continued
from rexplug.io.tabular import BadRecord, byte_lines, parse_json

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_ARRAY = re.compile(rb"\s*\[\s*(?:[\[{\]]|null\s*,|\Z)")
_QUOTE, _OPEN_ARRAY, _CLOSE_ARRAY = b'"[]'
_OPENED_BY = {b: a for a, b in (b"{}", b"[]")}
# From outside of a string up to the next bracket, over strings that are whole; and the rest of a string. Possessive: linear.
_OUTSIDE = re.compile(rb'[^"{}\[\]]*+(?:"[^"\\]*+(?:\\.[^"\\]*+)*+"[^"{}\[\]]*+)*+', re.DOTALL)
_INSIDE = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_READ_SIZE = 1 << 18


def json_texts(file: IO[bytes], longest: int) -> Iterator[tuple[int, bytes | BadRecord]]:
    """Yield (byte offset, text) of the records of a JSON file; how it is laid out is seen at its beginning.

    Args:
        file: the bytes from their beginning; need not be seekable.
        longest: bytes of the longest record that is held in memory; a longer one becomes a `BadRecord`.

    Raises:
        DamagedFile: the file ends within a value or an array, or brackets do not match, so that what follows cannot be found.
    """
    has_lines, offset, head = _layout(file, longest)
    if has_lines and head.find(b"\n") == len(head) - 1:
        yield offset, head
        offset += len(head)
        texts = byte_lines(file, longest)
    elif has_lines:
        texts = byte_lines(continued(head, file), longest)
    else:
        body = head.removeprefix(_BYTE_ORDER_MARK)
        offset += len(head) - len(body)
        texts = _values(continued(body, file), longest)
    for place, text in texts:
        yield offset + place, text


def has_a_record_per_line(file: IO[bytes], longest: int) -> bool:
    """Whether a JSON file has a record on each line, and so can be divided at lines."""
    return _layout(file, longest)[0]


def _layout(file: IO[bytes], longest: int) -> tuple[bool, int, bytes]:
    """Whether each line is a record, the offset of the first line that is not blank, and what was read from there.

    A first line that is no JSON is one that is broken, unless a whole object begins with it and ends on a later line or before
    another object.
    """
    offset, head = 0, b""
    while not head.strip():
        offset += len(head)
        if not (head := file.readline(longest + 1)):
            return True, offset, b""
    if _ARRAY.match(head.removeprefix(_BYTE_ORDER_MARK)):
        return False, offset, head
    if len(head) > longest or not isinstance(parse_json(head), BadRecord):
        return True, offset, head
    line = len(head)
    while (
        (value := _first_value(head)) is None
        and len(head) <= longest
        and (more := file.read(max(len(head), _READ_SIZE)))
    ):
        head += more
    end = line if value is None else value[0] + len(value[1])
    one_value = value is not None and not isinstance(parse_json(value[1]), BadRecord)
    has_lines = not one_value or (end < line and not head[end:line].lstrip().startswith(b"{"))
    return has_lines, offset, head


def _first_value(head: bytes) -> tuple[int, bytes] | None:
    """(offset, text) of the object that a file begins with; None if it begins with something else or does not end in `head`."""
    body = head.removeprefix(_BYTE_ORDER_MARK)
    if not body.lstrip().startswith(b"{"):
        return None
    try:
        place, text = next(_values(io.BytesIO(body), len(body)))
    except DamagedFile:
        return None
    return None if isinstance(text, BadRecord) else (len(head) - len(body) + place, text)


def _values(file: IO[bytes], longest: int) -> Iterator[tuple[int, bytes | BadRecord]]:
    """Yield (offset, text) of the objects that follow each other, and of the elements of arrays."""
    opened = bytearray()  # the brackets that the record under way has opened
    in_array = in_string = False
    begins_at = 0
    stray_at: int | None = None  # where something outside of records was met that is neither a comma nor white space
    before: list[bytes] = []  # what earlier buffers held of the record
    size = 0
    offset = 0  # of the buffer
    rest = b""
    while chunk := file.read(_READ_SIZE):
        buffer = rest + chunk
        start = pos = 0
        while True:
            if in_string:
                pos = _end(_INSIDE, buffer, pos)
                if pos == len(buffer) or buffer[pos] != _QUOTE:  # a backslash whose character is yet to be read
                    break
                in_string = False
                pos += 1
            end = _end(_OUTSIDE, buffer, pos)
            if not opened and stray_at is None and buffer[pos:end].strip(b" \t\r\n,"):
                stray_at = offset + pos
            pos = end
            if pos == len(buffer):
                break
            sign = buffer[pos]
            pos += 1
            if sign == _QUOTE:
                in_string = True
                continue
            if not opened and stray_at is not None:
                yield stray_at, _not_an_object()
                stray_at = None
            if opened:
                if sign not in _OPENED_BY:
                    opened.append(sign)
                    continue
                if opened.pop() != _OPENED_BY[sign]:
                    raise DamagedFile(f"the bracket at byte {offset + pos - 1} closes another kind of bracket")
                if not opened:
                    before.append(buffer[start:pos])
                    size += pos - start
                    yield begins_at, b"".join(before) if size <= longest else _too_long(longest)
            elif sign == (_CLOSE_ARRAY if in_array else _OPEN_ARRAY):
                in_array = not in_array
            elif sign not in _OPENED_BY:
                opened.append(sign)
                start, begins_at = pos - 1, offset + pos - 1
                before, size = [], 0
            else:
                raise DamagedFile(f"the bracket at byte {offset + pos - 1} closes what was not opened")
        if opened:
            size += pos - start
            before = [*before, buffer[start:pos]] if size <= longest else []
        offset += pos
        rest = buffer[pos:]
    if opened or in_string:
        raise DamagedFile(f"it ends within the value that begins at byte {begins_at}")
    if stray_at is not None:
        yield stray_at, _not_an_object()
    if in_array:
        raise DamagedFile("it ends within an array")


def _end(pattern: re.Pattern[bytes], buffer: bytes, pos: int) -> int:
    found = pattern.match(buffer, pos)
    assert found is not None
    return found.end()


def _not_an_object() -> BadRecord:
    return BadRecord("a value that is not a JSON object", 'expected objects like {"text": ...}')


def _too_long(longest: int) -> BadRecord:
    reason = f"longer than {longest} bytes"
    return BadRecord(reason, reason)
