"""Writes the retrieval task of the suite: passages of a book that no run trains on, to be found by their headings.

python -m rexplug_textbooks.task CHAPTERS FOLDER
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from pathlib import Path

import rexplug
from rexplug_textbooks import Exposition, Sections, blocks

HELD_OUT = ("Microbiology",)
READ = ("Anatomy and Physiology", "Astronomy", "Chemistry", "Psychology")
"""Books to train on; their headings and passages are the pairs that a fine-tune learns from."""


def passages(chapters: str, books: tuple[str, ...], words: int = 60) -> dict[str, tuple[str, str]]:
    """Id -> (heading, the first words below it), of headings that a book has once and that have enough text below them."""
    found = {}
    for document in Sections(paths=chapters, books=books).documents(rexplug.Shard(0, 1)):
        text = Exposition(min_words=1).judge(document).text if isinstance(document, rexplug.Document) else ""
        for number, (heading, body) in enumerate(blocks(text or "")):
            title, below = heading.lstrip("# "), body.split()
            if title and len(below) >= words // 2 and "key terms" not in title.lower():
                found[f"{document.id}.{number}"] = title, " ".join(below[:words])
    count = Counter(title.lower() for title, _ in found.values())
    return {key: pair for key, pair in found.items() if count[pair[0].lower()] == 1}


def write(chapters: str, folder: Path, pairs: int = 600) -> None:
    """Write the files of the task: `corpus.jsonl`, `queries.jsonl`, `qrels.tsv` and `train.jsonl` with at most `pairs` pairs."""
    test = passages(chapters, HELD_OUT)
    measured = {title.lower() for title, _ in test.values()}
    train = [pair for pair in passages(chapters, READ).values() if pair[0].lower() not in measured]
    train = train[:: -(-len(train) // pairs) or 1]
    _write(folder / "corpus.jsonl", [{"_id": key, "text": text} for key, (_, text) in test.items()])
    _write(folder / "queries.jsonl", [{"_id": key, "text": title} for key, (title, _) in test.items()])
    _write(folder / "train.jsonl", [{"query": title, "text": text} for title, text in train])
    relevant = "".join(f"{key}\t{key}\t1\n" for key in test)
    (folder / "qrels.tsv").write_text(f"query-id\tcorpus-id\tscore\n{relevant}", encoding="utf-8")


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    write(sys.argv[1], Path(sys.argv[2]))
