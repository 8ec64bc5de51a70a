"""Damaged input, killed processes, filters used twice, and real text."""

import gzip
import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from separate_shards import split_of

from rexplug.components import CorpusFilter, CorpusSample, Verdict
from rexplug.corpus.curate import curate
from rexplug.corpus.filters import Length
from rexplug.corpus.sources import Csv, Jsonl, TextFiles
from rexplug.document_files import read_documents
from rexplug.errors import DataError
from rexplug.progress import Silent
from rexplug.recipe.schema import Curation, Executor

DATA = Path(os.environ.get("REXPLUG_DATA", Path(__file__).parents[2] / "../shared/data"))


def run(source, folder, *, workers=1, deduplicate="none", held_out=0.0):
    curation = Curation(held_out=held_out, deduplicate=deduplicate, executor=Executor(workers=workers))
    statistics = curate(
        {"web": source}, curation, seed=3, corpus=folder / "corpus", fitted=folder / "fitted", progress=Silent()
    )
    return statistics["sources"]["web"]


def contents(folder):
    return {
        part: [(d.id, d.text) for d in read_documents(folder / "corpus" / "web" / part)]
        for part in ("kept", "held_out", "dropped")
    }


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (rb'{"text": "half a pair \ud800"}', "a lone surrogate, which is not valid Unicode"),
        (rb'{"text": "fine", "url": "\udfff"}', "a lone surrogate, which is not valid Unicode"),
        (b"[" * 100_000, "invalid JSON"),
        (b"\xff\xfe", "invalid UTF-8"),
        (b'"a string"', "a line that is not a JSON object"),
        (b'{"text": 3}', "no text in text"),
    ],
)
def test_a_bad_line_costs_only_itself(tmp_path, line, reason):
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "before"}\n' + line + b'\n{"text": "after"}\n')
    web = run(Jsonl(paths=str(tmp_path / "a.jsonl")), tmp_path)
    assert [d.text for d in read_documents(tmp_path / "corpus" / "web" / "kept")] == ["before", "after"]
    assert web["steps"][0]["step"] == "read"
    assert (web["steps"][0]["in"], web["steps"][0]["reasons"]) == (3, {reason: 1})
    [dropped] = read_documents(tmp_path / "corpus" / "web" / "dropped")
    assert (dropped.id, dropped.metadata["place"]) == ("a.jsonl:19", f"{tmp_path / 'a.jsonl'}:19")


def test_reading_is_counted_over_all_shards_also_where_nothing_was_wrong(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b'{"text": "one"}\n{"text": "two"}\n')
    (tmp_path / "b.jsonl").write_bytes(b'{"text": "three"}\n{\n')
    web = run(Jsonl(paths=str(tmp_path / "*.jsonl")), tmp_path)
    assert (web["steps"][0]["in"], web["steps"][0]["kept"]) == (4, 3)


@pytest.mark.parametrize(
    ("name", "source", "content"),
    [
        ("a.jsonl.zst", Jsonl, b"no zstandard"),
        ("a.jsonl.gz", Jsonl, gzip.compress(b'{"text": "x"}\n' * 5000, mtime=0)[:60]),
        ("a.csv.gz", Csv, b"no gzip"),
        ("a.txt.gz", TextFiles, b"no gzip"),
        ("a.txt.zst", TextFiles, b"no zstandard"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_damaged_file_of_any_kind_is_named(tmp_path, name, source, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError) as caught:
        run(source(paths=str(tmp_path / name)), tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / name} is damaged: ")


def test_a_long_field_of_a_csv_file_is_read(tmp_path):
    (tmp_path / "a.csv").write_text("text\n" + "wood " * 40_000 + "\n")
    assert run(Csv(paths=str(tmp_path / "a.csv")), tmp_path)["kept"]["documents"] == 1


def test_one_filter_twice_is_counted_apart(tmp_path):
    lines = ["one", "one two", "one two three four"]
    (tmp_path / "a.jsonl").write_text("".join(json.dumps({"text": line}) + "\n" for line in lines))
    source = Jsonl(paths=str(tmp_path / "a.jsonl"), filters=(Length(min_words=2), Length(max_words=3)))
    steps = run(source, tmp_path)["steps"]
    assert [(s["step"], s["in"], s["kept"], s["reasons"]) for s in steps] == [
        ("length", 3, 2, {"too short": 1}),
        ("length", 2, 1, {"too long": 1}),
    ]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    files=st.lists(
        st.lists(st.sampled_from(["oak chair", "Oak  CHAIR", "elm", "ash table", "x", "{"]), max_size=6),
        min_size=1,
        max_size=3,
    )
)
def test_every_document_ends_in_one_place_and_the_first_of_equals_stays(tmp_path_factory, files):
    folder = tmp_path_factory.mktemp("run")
    for number, lines in enumerate([*files, ["yew"]]):
        text = "".join((line if line == "{" else json.dumps({"text": line})) + "\n" for line in lines)
        (folder / f"{number}.jsonl").write_text(text)
    web = run(
        Jsonl(paths=str(folder), split=split_of(folder), filters=(Length(min_words=1),)), folder, deduplicate="exact"
    )
    parts = contents(folder)
    everything = sorted(document for part in parts.values() for document in part)
    assert len(everything) == len({id for id, _ in everything}) == web["read"]["documents"]
    expected, seen = [], set()
    for line in (line for lines in [*files, ["yew"]] for line in lines if line != "{"):
        key = " ".join(line.lower().split())
        if key not in seen:
            expected.append(line)
        seen.add(key)
    assert [text for _, text in parts["kept"]] == expected
    for before, after in zip(web["steps"], web["steps"][1:], strict=False):
        assert before["in"] - sum(before["reasons"].values()) == before["kept"] == after["in"]


class Learner(CorpusFilter):
    """Learns the longest text and counts how often it was fitted."""

    name = "test.learner"
    longest: int = 0

    def judge(self, document):
        return Verdict(len(document.text) < self.longest, "the longest")

    def fit(self, corpus: CorpusSample):
        with (corpus.folder / "asked").open("a") as file:
            file.write("x")
        return Learner(longest=max(len(d.text) for source in corpus.documents.values() for d in source))


def test_what_a_filter_learnt_is_used_and_kept(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n{\n{"text": "abc"}\n')
    source = Jsonl(paths=str(tmp_path / "a.jsonl"), filters=(Learner(),))
    for _ in range(2):
        assert run(source, tmp_path)["steps"][-1]["reasons"] == {"the longest": 1}
    [asked] = (tmp_path / "fitted").glob("*/asked")
    assert asked.read_text() == "x"


SCRIPT = """
    import os, signal, sys
    from pathlib import Path
    from rexplug.components import CorpusFilter, Verdict
    from rexplug.corpus.curate import curate
    from rexplug.corpus.sources import Jsonl
    from rexplug.errors import DataError
    from rexplug.progress import Silent
    from rexplug.recipe.schema import Curation, Executor

    folder, victim, workers = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])

    class Killer(CorpusFilter):
        name = "test.killer"
        def judge(self, document):
            with open(folder / "judged", "a") as file:
                file.write(document.id + "\\n")
            if document.text == "kill" and (folder / "armed").exists():
                if victim != "self always":
                    (folder / "armed").unlink()
                os.kill(os.getppid() if victim == "parent" else os.getpid(), signal.SIGKILL)
                if victim == "parent":
                    signal.pause()
            return Verdict(True)

    if __name__ == "__main__":
        split = max(path.stat().st_size for path in (folder / "in").iterdir())  # each file is a shard of its own
        source = Jsonl(paths=str(folder / "in"), split=split, filters=(Killer(),))
        try:
            curate({"web": source}, Curation(deduplicate="none", held_out=0.3, executor=Executor(workers=workers)),
                   seed=3, corpus=folder / "corpus", fitted=folder / "fitted", progress=Silent())
        except DataError as error:
            sys.exit(str(error))
"""


def prepare(folder):
    (folder / "in").mkdir(parents=True)
    for number in range(4):
        lines = [{"text": f"page {number} {line}"} for line in range(20)] + ([{"text": "kill"}] if number == 2 else [])
        (folder / "in" / f"{number}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "script.py").write_text(textwrap.dedent(SCRIPT))


def start(folder, victim, workers):
    # Returns when nobody holds the output any more: a worker that outlives the main process runs into the timeout.
    return subprocess.run(
        [sys.executable, folder / "script.py", folder, victim, str(workers)],
        capture_output=True,
        text=True,
        timeout=120,
    )


def texts(folder):
    return {part: [text for _, text in documents] for part, documents in contents(folder).items()}


@pytest.mark.slow
@pytest.mark.parametrize(("victim", "workers"), [("self", 1), ("self always", 2), ("parent", 2)])
def test_killed_and_started_again_equals_never_killed(tmp_path, victim, workers):
    prepare(tmp_path / "whole")
    assert start(tmp_path / "whole", "nobody", workers).returncode == 0

    folder = tmp_path / "killed"
    prepare(folder)
    (folder / "armed").touch()
    first = start(folder, victim, workers)
    if victim == "self always":
        assert first.stderr.startswith(
            "a worker died while it worked on 'web', shard 3 of 4 (killed, or out of memory: signal 9)"
        )
    else:
        assert first.returncode == -signal.SIGKILL
    finished = {path.stem for path in (folder / "corpus" / ".work" / "web" / "filtered").glob("*.json")}
    assert "00002" not in finished
    if workers == 1:
        assert finished == {"00000", "00001"}

    (folder / "judged").unlink()
    (folder / "armed").unlink(missing_ok=True)
    assert start(folder, victim, workers).returncode == 0
    again = {line.split(".")[0] for line in (folder / "judged").read_text().splitlines()}
    assert again.isdisjoint({str(int(stem)) for stem in finished})
    assert texts(folder) == texts(tmp_path / "whole")
    assert not (folder / "corpus" / ".work").exists()


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "general-text").is_dir(), reason=f"no {DATA / 'general-text'} (set REXPLUG_DATA)")
def test_real_text(tmp_path):
    from rexplug.corpus.filters import GopherQuality, GopherRepetition

    source = Jsonl(
        paths=str(DATA / "general-text" / "*.jsonl.zst"), limit=200, filters=(GopherQuality(), GopherRepetition())
    )
    one = run(source, tmp_path / "one", deduplicate="minhash", held_out=0.1)
    two = run(source, tmp_path / "two", workers=2, deduplicate="minhash", held_out=0.1)
    for step in [*one["steps"], *two["steps"]]:
        del step["seconds"]
    assert one == two
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert one["read"]["documents"] == 200
    assert one["kept"]["documents"] > 50
    assert set(one["steps"][0]["reasons"]) <= {"gopher_short_doc", "gopher_below_alpha_threshold", "gopher_enough_stop_words",
        "gopher_below_avg_threshold", "gopher_above_avg_threshold", "gopher_too_many_hashes", "gopher_too_many_ellipsis",
        "gopher_too_many_bullets", "gopher_too_many_end_ellipsis"}  # fmt: skip
