"""Reads what a web page says about its subject for machines, and what its tables and prices say for readers.

Only the standard library and lxml are imported, since this runs in the process that extracts pages.
"""

from rexplug.corpus.structured_data.page import named_text, structured_data

__all__ = ["named_text", "structured_data"]
