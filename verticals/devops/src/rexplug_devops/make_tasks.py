"""Writes two tasks for the evaluators `mteb` and `retrieval`: python -m rexplug_devops.make_tasks FOLDER.

FOLDER holds the questions (*.jsonl, perhaps .gz or .zst); the tasks become its folders `answers` and `tags`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Literal

import rexplug
from rexplug_devops import ANSWER, Questions

TAGS = ("docker", "jenkins", "kubernetes", "ansible", "terraform", "git", "gitlab", "azure-devops")
"""The classes of `tags`: frequent tags that name a tool or platform."""


def _questions(folder: Path, part: Literal["train", "test"]) -> list[tuple[str, str, list[str], list[str]]]:
    """Id, title, tags and answers of each question."""
    read = Questions(paths=(f"{folder}/*.jsonl*",), part=part).documents(rexplug.Shard(0, 1))
    documents = [each for each in read if isinstance(each, rexplug.Document) and each.metadata["title"]]
    return [(d.id, d.metadata["title"], d.metadata["tags"] or [], d.text.split(ANSWER)[1:]) for d in documents]


def _write(path: Path, rows: Iterable[object]) -> None:
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def main(folder: Path) -> None:
    """Write `answers` (find the answers to a title among all answers) and `tags` (the tool that a title is about)."""
    train, test = _questions(folder, "train"), _questions(folder, "test")
    answers = [(key, f"{key}#{n}", text) for key, _, _, texts in test for n, text in enumerate(texts, 1)]
    _write(folder / "answers/corpus.jsonl", ({"_id": key, "text": text} for _, key, text in answers))
    _write(folder / "answers/queries.jsonl", ({"_id": key, "text": title} for key, title, _, _ in test))
    lines = "".join(f"{question}\t{key}\t1\n" for question, key, _ in answers)
    (folder / "answers/qrels.tsv").write_text(f"query-id\tcorpus-id\tscore\n{lines}", encoding="utf-8")
    pairs = ({"query": title, "text": texts[0]} for _, title, _, texts in train if texts)
    _write(folder / "answers/train.jsonl", pairs)
    for part, questions in (("train", train), ("test", test)):
        named = [(title, [tag for tag in tags if tag in TAGS]) for _, title, tags, _ in questions]
        _write(
            folder / f"tags/{part}.jsonl",
            ({"text": title, "label": tags[0]} for title, tags in named if len(tags) == 1),
        )
    for name, kind in (("answers", "retrieval"), ("tags", "classification")):
        (folder / name / "task.yaml").write_text(f"type: {kind}\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
