"""The core's filters: quality, web rules, language, URLs, boilerplate lines, personal data."""

from rexplug.corpus.filters.boilerplate import Boilerplate
from rexplug.corpus.filters.gopher import GopherQuality, GopherRepetition
from rexplug.corpus.filters.language import Language
from rexplug.corpus.filters.length import Length
from rexplug.corpus.filters.pii import PersonalData
from rexplug.corpus.filters.url import Addresses
from rexplug.corpus.filters.web import C4Quality, FineWebQuality

__all__ = [
    "Addresses",
    "Boilerplate",
    "C4Quality",
    "FineWebQuality",
    "GopherQuality",
    "GopherRepetition",
    "Language",
    "Length",
    "PersonalData",
]
