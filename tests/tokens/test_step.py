"""Tokenization on datatrove's executors and on our workers: the same store, and no finished work is lost."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rexplug.progress import Silent
from rexplug.recipe.schema import Executor, Tokenizer
from rexplug.tokens.store import TokenStore
from rexplug.tokens.tokenize import tokenize
from rexplug.tokens.tokenizer import make_tokenizer

TEXTS = ["Waterproof jacket, size XL, 500 ml", "Größe: 東京 🙂", "Brand: Norvale. Free shipping on boots!", ""] * 20


def write_corpus(root):
    kept = root / "shop/kept"
    kept.mkdir(parents=True)
    for number in range(3):
        part = TEXTS[number * 20 : number * 20 + 20 + 10 * number] if number < 2 else []
        columns = {
            "id": pa.array([f"{number}-{i}" for i in range(len(part))], pa.string()), "text": pa.array(part, pa.string()),
            "url": pa.array([None if i % 2 else f"https://shop.example/{i}" for i in range(len(part))], pa.string()),
            "metadata": pa.array(
                [json.dumps({"place": f"in.jsonl:{i}"} if i % 3 else {}) for i in range(len(part))], pa.string()
            ),
        }  # fmt: skip
        pq.write_table(pa.table(columns), kept / f"{number:05d}.parquet")
    spec = Tokenizer(use="train", vocabulary=320)
    make_tokenizer(spec, root, ["shop"], seed=1, folder=root / "tokenizer", progress=Silent())


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus")
    write_corpus(root)
    return root


def ours(corpus, tokens, workers=1):
    return tokenize(
        corpus, ["shop"], corpus / "tokenizer", {}, tokens=tokens, executor=Executor(workers=workers), progress=Silent()
    )["shop"]


def contents(folder):
    found = {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.suffix != ".parquet"}
    return found | {path.name: pq.read_table(path).to_pydict() for path in sorted(folder.glob("*.parquet"))}


def test_documents_keep_id_address_hash_and_where_the_source_read_them(corpus, tmp_path):
    counts = ours(corpus, tmp_path)
    table = pq.read_table(tmp_path / "shop/documents-00000.parquet").to_pydict()
    assert table["id"][:3] == ["0-0", "0-1", "0-2"]
    assert table["url"][:2] == ["https://shop.example/0", None]
    assert table["place"][:3] == ["00000.parquet:0", "in.jsonl:1", "in.jsonl:2"]
    assert table["hash"][0] == table["hash"][4] != table["hash"][1]
    assert len(table["hash"][0]) == 16
    store = TokenStore.open(tmp_path / "shop")
    assert {key: counts[key] for key in ("documents", "tokens", "longest")} == {
        "documents": 50, "tokens": int(store.lengths.sum()), "longest": int(store.lengths.max()),
    }  # fmt: skip
    assert counts["characters"] == sum(len(text) for text in TEXTS[:20] + TEXTS[20:50])
    assert counts["words"] == sum(int(store.channel("word_start", i).sum()) for i in range(50))


# -- start executor --
def tokenize_with_datatrove(kept, store, tokenizer, logs):
    from datatrove.executor import LocalPipelineExecutor

    from rexplug.tokens.step import ReadKept, TokenizeDocuments
    from rexplug.tokens.tokenize import close

    files = list(kept.glob("*.parquet"))
    steps = [ReadKept(kept), TokenizeDocuments(store, tokenizer, scorers={})]
    stats = LocalPipelineExecutor(steps, tasks=len(files), workers=1, logging_dir=str(logs)).run()
    close(store, shards=len(files), tokenizer=tokenizer, scorers=[])
    return stats


# -- end executor --


def test_datatrove_s_executor_makes_the_same_store(corpus, tmp_path):
    from datatrove.utils.logging import logger

    logger.disable("datatrove")
    ours(corpus, tmp_path / "ours")
    folder = tmp_path / "executor/shop"
    stats = tokenize_with_datatrove(corpus / "shop/kept", folder, corpus / "tokenizer", logs=tmp_path / "logs")
    assert contents(folder) == contents(tmp_path / "ours/shop")
    assert stats.stats[1]["tokens"].total == TokenStore.open(folder).num_tokens


def test_documents_of_datatrove_s_readers_are_taken_too(corpus, tmp_path):
    from datatrove.data import Document

    from rexplug.tokens.step import TokenizeDocuments
    from rexplug.tokens.tokenize import close

    given = [
        Document("Size XL", "a", metadata={"url": "https://shop.example/a", "place": 3}),
        Document("", "b"),
        Document("Größe: 東京", "c"),
    ]
    step = TokenizeDocuments(tmp_path, corpus / "tokenizer", scorers={})
    assert list(step(given)) == given
    close(tmp_path, shards=1, tokenizer=corpus / "tokenizer", scorers=[])
    store = TokenStore.open(tmp_path)
    rows = store.rows([0, 1, 2], ["id", "url", "place"])
    assert [tuple(row.values()) for row in rows] == [
        ("a", "https://shop.example/a", "3"), ("b", None, None), ("c", None, None),
    ]  # fmt: skip
    assert [document.metadata["token_count"] for document in given] == store.lengths.tolist()


def test_any_number_of_workers_and_no_shard_twice(corpus, tmp_path):
    ours(corpus, tmp_path / "1")
    ours(corpus, tmp_path / "2", workers=2)
    assert contents(tmp_path / "1/shop") == contents(tmp_path / "2/shop")
    (tmp_path / "1/shop/documents-00001.parquet").unlink()
    (tmp_path / "1/shop/.tmp-1-tokens-00001.npy").write_bytes(b"half")
    kept = (tmp_path / "1/shop/tokens-00000.npy").stat().st_mtime_ns
    ours(corpus, tmp_path / "1")
    assert (tmp_path / "1/shop/tokens-00000.npy").stat().st_mtime_ns == kept
    assert contents(tmp_path / "1/shop") == contents(tmp_path / "2/shop")


SCRIPT = """
    import os, signal, sys
    from pathlib import Path
    import numpy as np
    import rexplug
    from rexplug.progress import Silent
    from rexplug.recipe.schema import Executor
    from rexplug.tokens.tokenize import tokenize

    folder, victim = Path(sys.argv[1]), sys.argv[2]

    class Killer(rexplug.SalienceScorer):
        name = "test.killer"
        def score(self, document):
            with open(folder / "scored", "a") as file:
                file.write(document.id + "\\n")
            if document.id == "1-3" and (folder / "armed").exists():
                (folder / "armed").unlink()
                os.kill(os.getppid() if victim == "parent" else os.getpid(), signal.SIGKILL)
                if victim == "parent":
                    signal.pause()
            return np.zeros(len(document.token_ids), np.uint8)

    if __name__ == "__main__":
        try:
            tokenize(folder, ["shop"], folder / "tokenizer", {"s": Killer()}, tokens=folder / "tokens",
                     executor=Executor(workers=2, retries=0), progress=Silent())
        except rexplug.DataError as error:
            sys.exit(str(error))
"""


@pytest.mark.slow
@pytest.mark.parametrize("victim", ["self", "parent"])
def test_killed_and_started_again_equals_never_killed(tmp_path, victim):
    write_corpus(tmp_path)
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))

    def start():
        return subprocess.run(
            [sys.executable, script, tmp_path, victim], capture_output=True, text=True, timeout=120, env=os.environ
        )

    (tmp_path / "armed").touch()
    first = start()
    if victim == "self":
        assert first.stderr.startswith(
            "a worker died while it worked on the tokens of 'shop', shard 2 of 3 (killed, or out of memory: signal 9), "
        )
        assert first.stderr.rstrip().endswith("With less memory, lower curation.executor.workers")
    else:
        assert first.returncode == -signal.SIGKILL
    finished = {path.stem.split("-")[1] for path in (tmp_path / "tokens/shop").glob("documents-*.parquet")}
    assert "00001" not in finished
    (tmp_path / "scored").unlink()
    assert start().returncode == 0
    again = {f"{int(line.split('-')[0]):05d}" for line in Path(tmp_path / "scored").read_text().splitlines()}
    assert "00001" in again
    assert again.isdisjoint(finished)
    whole = tmp_path / "whole"
    (tmp_path / "tokens").rename(whole)
    assert start().returncode == 0
    assert contents(whole / "shop") == contents(tmp_path / "tokens/shop")
