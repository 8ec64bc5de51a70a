"""Documents: curation on datatrove."""

from rexplug.corpus.curate import curate
from rexplug.corpus.files import read_documents

__all__ = ["curate", "read_documents"]
