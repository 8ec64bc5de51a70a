"""Sources of documents: files of records, folders of pages, web archives, datasets. Importing them loads no library that reads."""

from rexplug.components.document import ERROR
from rexplug.corpus.sources.archives import Warc
from rexplug.corpus.sources.files import FileSource
from rexplug.corpus.sources.folders import HtmlFiles, TextFiles
from rexplug.corpus.sources.hub import HuggingFace
from rexplug.corpus.sources.tabular import Csv, Jsonl, Parquet

__all__ = [
    "ERROR",
    "Csv",
    "FileSource",
    "HtmlFiles",
    "HuggingFace",
    "Jsonl",
    "Parquet",
    "TextFiles",
    "Warc",
]
