"""The example plugin of the pages of the plugin API, and small files that its components read."""

import importlib.util
import random
import sqlite3
import sys
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
def laws(tmp_path):
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
    path = tmp_path / "laws.sqlite"
    with sqlite3.connect(path) as database:
        database.execute("CREATE TABLE sections (id, title, text)")
        database.executemany("INSERT INTO sections VALUES (?, ?, ?)", [*rows, ("law-60", "On nothing", None)])
    database.close()
    return path


@pytest.fixture
def opinions(tmp_path):
    folder = tmp_path / "opinions"
    folder.mkdir()
    (folder / "2026.opinions").write_text("Appeal denied under § 12.\n\nSEALED\n\nNew trial ordered.")
    return folder


class CountsLetters:
    """An encoder that counts the letters of a text."""

    def encode(self, texts):
        return np.array([[text.lower().count(chr(code)) for code in range(97, 123)] for text in texts], np.float32)


@pytest.fixture
def encoder():
    return CountsLetters()
