"""The example plugin of the pages of the plugin API, and small files that its components read."""

import importlib.util
import json
import random
import sqlite3
import sys
from functools import cached_property
from pathlib import Path

import numpy as np
import pytest

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def legal():
    spec = importlib.util.spec_from_file_location("legal_example", HERE / "legal.py")
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, in which the examples find their files."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def laws(folder):
    """A database with sections of made-up laws, one without a text."""
    draw = random.Random(0)
    things = ["leases", "wills", "fines", "boats", "wells", "fences", "permits", "guilds"]
    rows = [
        (
            f"law-{number}",
            f"On {draw.choice(things)} and {draw.choice(things)}",
            " ".join(f"Who owns {draw.choice(things)} follows section {draw.randint(1, 99)}." for _ in range(8)),
        )
        for number in range(60)
    ]
    with sqlite3.connect(folder / "laws.sqlite") as database:
        database.execute("CREATE TABLE sections (id, title, text)")
        database.executemany("INSERT INTO sections VALUES (?, ?, ?)", [*rows, ("law-60", "On nothing", None)])
    database.close()


@pytest.fixture
def opinions(folder):
    """A file of three opinions, of which one is sealed."""
    (folder / "opinions").mkdir()
    (folder / "opinions/2026.opinions").write_text("Appeal denied under § 12.\n\nSEALED\n\nNew trial ordered.")


@pytest.fixture
def cases(folder):
    """Cases of two areas of law, which differ in their letters."""
    rows = [("1", "aaaa", "tax"), ("2", "aaab", "tax"), ("3", "zzzz", "labour"), ("4", "zzzy", "labour")]
    lines = [json.dumps({"id": key, "text": text, "area": area}) for key, text, area in rows]
    (folder / "cases.jsonl").write_text("\n".join(lines))


class CountsLetters:
    """An encoder that counts the letters of a text, and believes that every masked word is `owner`."""

    @cached_property
    def tokenizer(self):
        from tokenizers import Tokenizer, models, pre_tokenizers, processors
        from transformers import PreTrainedTokenizerFast

        words = ["[CLS]", "[SEP]", "[MASK]", "[UNK]", "the", "tenant", "owner", "pays", "."]
        fast = Tokenizer(models.WordLevel({word: number for number, word in enumerate(words)}, "[UNK]"))
        fast.pre_tokenizer = pre_tokenizers.Whitespace()
        fast.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 0), ("[SEP]", 1)]
        )
        return PreTrainedTokenizerFast(tokenizer_object=fast, mask_token="[MASK]", unk_token="[UNK]")

    def encode(self, texts):
        return np.array([[text.lower().count(chr(code)) for code in range(97, 123)] for text in texts], np.float32)

    def predict_masked(self, rows, positions, top=1):
        assert all((row[places] == 2).all() for row, places in zip(rows, positions, strict=True))
        return [np.full((len(places), top), 6) for places in positions]


@pytest.fixture
def encoder():
    return CountsLetters()
