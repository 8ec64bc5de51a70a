"""Documents: curation on datatrove."""

from rexplug.corpus.curate import curate
from rexplug.document_files import read_documents

__all__ = ["curate", "read_documents"]
