"""The core's filters: quality, web rules, language, addresses, lines, personal data, and datatrove's own by name."""

from rexplug.corpus.filters.addresses import Addresses
from rexplug.corpus.filters.gopher import GopherQuality, GopherRepetition
from rexplug.corpus.filters.language import Language
from rexplug.corpus.filters.length import Length
from rexplug.corpus.filters.lines import Boilerplate
from rexplug.corpus.filters.personal import PersonalData
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
