"""The filter that replaces personal data: e-mail addresses, phone numbers and IP addresses."""

from __future__ import annotations

import ipaddress
import re
from typing import ClassVar

from rexplug.components import CorpusFilter, Document, Verdict

_EMAIL = re.compile(
    r"\b[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,64}(?:\.[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]{1,64}){0,8}@"
    r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}\b"
)
_IP4 = re.compile(r"(?<![\d.])(?:\d{1,3}\.){3}\d{1,3}(?![\d.]*\d)")
_IP6 = re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
# Written as phone numbers are: with + and country code, or in groups with the separators of a number in North America,
# or after a word that says so. Article numbers, prices and measures have none of these.
_PHONE = re.compile(
    r"(?<![\w+])(?:\+\d{1,3}[ .\-/]?(?:\(0?\d{1,4}\)[ .\-/]?)?\d{1,4}(?:[ .\-/]?\d{2,4}){2,4}|"
    r"(?:1[ .\-])?\(\d{3}\)[ .\-]?\d{3}[ .\-]\d{4}|(?:1[.\-])?\d{3}([.\-])\d{3}\1\d{4}|"
    r"(?<=[Tt]el )\d[\d ./\-]{5,18}\d|(?<=[Tt]el: )\d[\d ./\-]{5,18}\d|(?<=[Tt]el\. )\d[\d ./\-]{5,18}\d|"
    r"(?<=[Pp]hone: )\d[\d ./\-]{5,18}\d|(?<=[Ff]ax: )\d[\d ./\-]{5,18}\d)(?!\w)"
)


class PersonalData(CorpusFilter):
    """Replaces e-mail addresses, phone numbers and public IP addresses by fixed placeholders; drops nothing.

    A placeholder does not depend on order or worker, unlike the addresses that datatrove takes in turn. Phone numbers are
    recognised by how they are written, so that article numbers stay; some numbers will be missed.
    """

    name: ClassVar[str] = "personal_data"

    emails: str | None = "email@example.com"
    """Replacement of e-mail addresses; null leaves them."""
    phones: str | None = "<phone>"
    """Replacement of phone numbers; null leaves them."""
    ips: str | None = "192.0.2.1"
    """Replacement of public IP addresses (the default is reserved for documentation); null leaves them."""

    def judge(self, document: Document) -> Verdict:
        """Keeps every document; the score is the number of replacements."""
        text, count = document.text, 0
        if self.emails is not None and "@" in text:
            text, number = _EMAIL.subn(lambda _: self.emails or "", text)
            count += number
        if self.ips is not None:
            for pattern in (_IP4, _IP6):
                text, number = self._ips(pattern, text)
                count += number
        if self.phones is not None:
            text, number = _PHONE.subn(lambda _: self.phones or "", text)
            count += number
        return Verdict(True, score=count, text=text if count else None)

    def _ips(self, pattern: re.Pattern[str], text: str) -> tuple[str, int]:
        count = 0

        def replace(match: re.Match[str]) -> str:
            nonlocal count
            try:
                public = ipaddress.ip_address(match.group()).is_global
            except ValueError:
                return match.group()
            count += public
            return self.ips or "" if public else match.group()

        return pattern.sub(replace, text), count
