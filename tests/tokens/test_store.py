"""The store's format: what is written is read, grows without being rewritten, and is rejected when it is damaged."""

import json
import time

import numpy as np
import pyarrow as pa
import pytest

import rexplug
from rexplug.tokens import index as token_index
from rexplug.tokens.shards import next_shard
from rexplug.tokens.store import WORD_START, TokenStore, close_store, has_shard, write_shard


def write(folder, number, lengths, vocabulary_size=1000, prefix="d"):
    draw = np.random.default_rng(number)
    tokens = [draw.integers(5, min(vocabulary_size, 900), n).astype(np.uint32) for n in lengths]
    write_shard(
        folder, number, tokens=tokens, channels={WORD_START: [(ids % 2).astype(np.uint8) for ids in tokens]},
        documents={
            "id": [f"{prefix}-{number}-{i}" for i in range(len(lengths))],
            "url": pa.array([None] * len(lengths), pa.string()),
            "place": [f"part-{number}.jsonl:{i}" for i in range(len(lengths))],
        },
        vocabulary_size=vocabulary_size,
    )  # fmt: skip
    return tokens


def close(folder, shards):
    return close_store(folder, shards, [WORD_START], "toy", 1000)


def test_what_is_written_is_read(tmp_path):
    lengths = [[7, 0, 3], [], [12]]
    tokens = [each for number, part in enumerate(lengths) for each in write(tmp_path, number, part)]
    assert close(tmp_path, 3) == {"documents": 4, "tokens": 22}
    store = TokenStore.open(tmp_path)
    assert (store.num_documents, store.num_tokens, store.channels) == (4, 22, (WORD_START,))
    assert store.lengths.tolist() == [7, 0, 3, 12]
    for number, each in enumerate(tokens):
        assert store.document(number).tolist() == each.tolist()
        assert store.document(number, 2, 5).tolist() == each[2:5].tolist()
        assert store.channel(WORD_START, number).tolist() == (each % 2).tolist()
        assert store.document(number).dtype == np.uint16
    assert store.ids([3, 0]) == ["d-2-0", "d-0-0"]
    assert store.rows([2]) == [{"id": "d-0-2", "url": None, "place": "part-0.jsonl:2"}]
    assert store.find("d-0-1") == [1]
    assert store.find("d-2-0") == [3]
    assert store.find("nobody") == []
    assert list(store.verify()) == []
    with pytest.raises(IndexError, match="has 4 documents; there is no number 4"):
        store.document(4)


def test_large_vocabularies_take_four_bytes(tmp_path):
    write_shard(
        tmp_path, 0, tokens=[np.arange(70_000, 70_003)], channels={}, documents={"id": ["b"]}, vocabulary_size=80_000
    )
    close_store(tmp_path, 1, [], "toy", 80_000)
    assert TokenStore.open(tmp_path).document(0).tolist() == [70_000, 70_001, 70_002]
    assert TokenStore.open(tmp_path).document(0).dtype == np.uint32


def test_the_same_id_twice_is_found_twice(tmp_path):
    for number in range(2):
        write_shard(
            tmp_path, number, tokens=[np.arange(5, 9)] * 3, channels={}, documents={"id": ["x", "same", "same"]},
            vocabulary_size=50,
        )  # fmt: skip
    close_store(tmp_path, 2, [], "toy", 50)
    assert TokenStore.open(tmp_path).find("same") == [1, 2, 4, 5]


def test_a_store_grows_without_being_rewritten(tmp_path):
    write(tmp_path, 0, [4, 5])
    close(tmp_path, 1)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    old = TokenStore.open(tmp_path)
    assert next_shard(tmp_path) == 1
    write(tmp_path, 1, [6])
    # Until it is closed again the store is what it was.
    assert TokenStore.open(tmp_path).num_documents == 2
    assert next_shard(tmp_path) == 2
    close(tmp_path, 2)
    grown = TokenStore.open(tmp_path)
    assert grown.lengths.tolist() == [4, 5, 6]
    assert old.lengths.tolist() == [4, 5]
    assert grown.identity != old.identity
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert {name for name in before if before[name] != after[name]} == {"store.json"}


def test_a_store_of_another_tokenizer_does_not_grow(tmp_path):
    write(tmp_path, 0, [4])
    close(tmp_path, 1)
    write(tmp_path, 1, [4])
    with pytest.raises(rexplug.DataError) as refused:
        close_store(tmp_path, 2, [WORD_START], "other", 1000)
    assert str(refused.value) == f"{tmp_path} was made with another tokenizer; write the shards into a new folder"


def test_a_shard_that_is_not_there_or_lacks_a_channel_is_named(tmp_path):
    write(tmp_path, 0, [4])
    with pytest.raises(rexplug.DataError, match="has no shard 1, and 2 were to be closed; write it first"):
        close(tmp_path, 2)
    with pytest.raises(rexplug.DataError, match="shard 0: there is no channel 'salience'; write the shard again"):
        close_store(tmp_path, 1, ["salience"], "toy", 1000)
    assert not (tmp_path / "store.json").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"documents": {"url": ["x"]}}, "shard 0: the documents have no column 'id'"),
        ({"documents": {"id": ["x"], "url": []}}, "shard 0: column 'url' has 0 entries for 1 documents"),
        (
            {"channels": {"word_start": [np.ones(3, np.uint8)]}},
            "shard 0: channel 'word_start' does not have one value per token",
        ),
    ],
)
def test_what_does_not_fit_is_not_written(tmp_path, changes, message):
    options = {"tokens": [np.arange(4)], "channels": {}, "documents": {"id": ["x"]}, "vocabulary_size": 50} | changes
    with pytest.raises(rexplug.DataError) as refused:
        write_shard(tmp_path, 0, **options)
    assert str(refused.value) == f"{tmp_path}, {message}"
    assert not has_shard(tmp_path, 0)


def test_a_shard_without_its_record_or_a_file_is_not_there(tmp_path):
    write(tmp_path, 0, [4])
    assert has_shard(tmp_path, 0)
    for name in ("documents-00000.parquet", "shard-00000.json"):
        kept = (tmp_path / name).read_bytes()
        (tmp_path / name).unlink()
        assert not has_shard(tmp_path, 0)
        (tmp_path / name).write_bytes(kept)
    assert has_shard(tmp_path, 0)


def test_damaged_shards_are_named_and_refused(tmp_path):
    write(tmp_path, 0, [7, 3])
    close(tmp_path, 1)
    tokens, ends = tmp_path / "tokens-00000.npy", tmp_path / "ends-00000.npy"
    whole = tokens.read_bytes()
    tokens.write_bytes(whole[:-4])
    with pytest.raises(rexplug.DataError) as refused:
        TokenStore.open(tmp_path)
    assert str(refused.value) == f"{tokens} is missing or truncated: it has 144 bytes, and its store says 148"
    tokens.write_bytes(whole + b"....")
    with pytest.raises(
        rexplug.DataError, match=r"tokens-00000\.npy was altered: it has 152 bytes, and its store says 148"
    ):
        TokenStore.open(tmp_path)
    tokens.unlink()
    with pytest.raises(rexplug.DataError, match=r"tokens-00000\.npy is missing or truncated: there is no such file"):
        TokenStore.open(tmp_path)
    tokens.write_bytes(whole)
    np.save(ends, np.array([7, 9], np.uint64))
    with pytest.raises(rexplug.DataError, match=r"ends-00000\.npy ends at token 9, but store\.json says 10"):
        TokenStore.open(tmp_path)
    # Documents that overlap, under the right size and tail, show when lengths are first asked for.
    np.save(ends, np.array([11, 10], np.uint64))
    with pytest.raises(rexplug.DataError, match="the ends of its documents do not increase"):
        TokenStore.open(tmp_path).lengths  # noqa: B018
    (tmp_path / "store.json").unlink()
    with pytest.raises(rexplug.DataError) as refused:
        TokenStore.open(tmp_path)
    assert str(refused.value) == f"{tmp_path / 'store.json'} is missing"


def test_one_altered_byte_fails_its_checksum(tmp_path):
    write(tmp_path, 0, [7, 3])
    write(tmp_path, 1, [5])
    close(tmp_path, 2)
    path = tmp_path / f"channel.{WORD_START}-00001.npy"
    content = bytearray(path.read_bytes())
    content[-2] ^= 1
    path.write_bytes(content)
    store = TokenStore.open(tmp_path)
    assert list(store.verify()) == [f"{path} was altered: its content does not meet its checksum in store.json"]


def test_an_older_format_is_refused(tmp_path):
    (tmp_path / "store.json").write_text(json.dumps({"format": 1}))
    with pytest.raises(rexplug.DataError, match="is a token store of format 1, not 2; run again --from tokenize"):
        TokenStore.open(tmp_path)


def test_a_large_store_keeps_its_index_and_makes_it_again_when_it_has_grown(tmp_path, monkeypatch):
    monkeypatch.setattr(token_index, "_CACHED_FROM", 100)
    monkeypatch.setattr(token_index, "_STEP", 2 * token_index.BLOCK)
    lengths = np.random.default_rng(0).integers(0, 9, 300)
    write(tmp_path, 0, lengths[:200])
    close(tmp_path, 1)
    assert (
        TokenStore.open(tmp_path).index.sample_counts(4, 2)[0][-1] == (-(-lengths[:200] // 4))[lengths[:200] >= 2].sum()
    )
    made = {path: path.stat().st_mtime_ns for path in (tmp_path / "index").iterdir()}
    assert len(made) == 3
    assert TokenStore.open(tmp_path).lengths.tolist() == lengths[:200].tolist()
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "index").iterdir()} == made
    write(tmp_path, 1, lengths[200:])
    close(tmp_path, 2)
    grown = TokenStore.open(tmp_path)
    assert grown.lengths.tolist() == lengths.tolist()
    counts, tokens = grown.index.sample_counts(4, 2)
    assert counts[-1] == (-(-lengths // 4))[lengths >= 2].sum()
    assert tokens == lengths[lengths >= 2].sum()


@pytest.mark.slow
def test_opening_takes_milliseconds_at_any_size(tmp_path):
    # 300 shards; opening maps none of them.
    for number in range(300):
        write(tmp_path, number, [3] * 40)
    close(tmp_path, 300)
    times = []
    for _ in range(5):
        began = time.process_time()
        store = TokenStore.open(tmp_path)
        times.append(time.process_time() - began)
    assert min(times) < 0.05
    assert store.num_documents == 12_000
    assert store._mapped == {}
