"""`rexplug tokens show` and `rexplug lineage` on a run directory."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import loud_plugin
import numpy as np
import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from rexplug.batches import PositionLog
from rexplug.batches.history import FILE
from rexplug.cli import main
from rexplug.phase_stream import phase_stream
from rexplug.plugins.discovery import load_plugins
from rexplug.recipe import dump_recipe, load_recipe
from rexplug.run_directory import RunDirectory
from rexplug.tokens.shards import write_shard
from rexplug.tokens.store import WORD_START, close_store
from rexplug.tokens.tokenizer import tokenizer_hash

ROOT = Path(__file__).parents[2]
TOKENIZER = {
    "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "decoder": None, "post_processor": None,
    "pre_tokenizer": {"type": "Whitespace"},
    "added_tokens": [
        {"id": i, "content": f"[{name}]", "special": True, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False}
        for i, name in enumerate(("PAD", "UNK", "CLS", "SEP", "MASK"))
    ],
    "model": {
        "type": "WordLevel", "unk_token": "[UNK]",
        "vocab": {f"[{n}]": i for i, n in enumerate(("PAD", "UNK", "CLS", "SEP", "MASK"))} | {f"w{i}": i for i in range(5, 200)},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The files of a run that trained six steps of `pretrain` and three of `extend`."""
    root = tmp_path_factory.mktemp("runs") / "ecommerce"
    recipe = load_recipe(ROOT / "recipes/ecommerce.yaml", (), load_plugins())
    run = RunDirectory(root)
    root.mkdir()
    run.recipe.write_text(dump_recipe(recipe))
    run.tokenizer.mkdir()
    (run.tokenizer / "tokenizer.json").write_text(json.dumps(TOKENIZER))
    channels = [WORD_START, *(scorer.channel for scorer in recipe.scorers)]
    for number, name in enumerate(recipe.sources):
        draw = np.random.default_rng(number)
        for shard in range(2):
            tokens = [draw.integers(5, 200, n).astype(np.uint32) for n in [*draw.integers(20, 300, 59), 3000]]
            write_shard(
                run.tokens / name, shard, tokens=tokens, vocabulary_size=200,
                channels={channel: [np.ones(len(t), np.uint8) for t in tokens] for channel in channels},
                documents={
                    "id": [f"{name}-{shard}-{i}" for i in range(60)],
                    "url": [f"https://shop.example/{i}" for i in range(60)],
                    "place": [f"{name}.jsonl:{60 * shard + i}" for i in range(60)],
                },
            )  # fmt: skip
        close_store(run.tokens / name, 2, channels, tokenizer_hash(run.tokenizer), 200)
    for phase, steps in zip(recipe.phases, (6, 3), strict=False):
        stream = phase_stream(recipe, phase, run)
        position = stream.start
        with PositionLog(run.checkpoints / phase.name / FILE, stream) as log:
            for _ in range(steps):
                _, position = stream.plan(position)
                log.append(position)
    return root


@pytest.fixture
def call(monkeypatch, capsys):
    """Calls the command line in this process: exit code, standard output, standard error."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["rexplug", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        return code or 0, captured.out, captured.err

    return call


def test_a_step_names_its_documents_and_a_document_its_step(run, call):
    code, out, err = call("lineage", run, "--phase", "pretrain", "--step", 4, "--limit", 0, "--json")
    assert code == 0
    rows = [json.loads(line) for line in out.splitlines()]
    assert f"pretrain, step 4: {sum(row['tokens'] for row in rows):,} tokens in " in err
    assert {row["source"] for row in rows} <= {"web", "retail"}
    row = rows[3]
    source, shard, number = row["id"].split("-")
    assert (row["source"], row["url"]) == (source, f"https://shop.example/{number}")
    assert row["place"] == f"{source}.jsonl:{60 * int(shard) + int(number)}"
    code, out, _ = call("lineage", run, "--document", row["id"], "--json", "--limit", 0)
    assert code == 0
    visits = [json.loads(line) for line in out.splitlines()]
    seen = [visit for visit in visits if visit["phase"] == "pretrain" and visit["seen"]]
    assert {"phase": "pretrain", "source": source, "step": 4, "seen": True, "row": row["row"], "part": row["part"],
            "epoch": row["epoch"]} in seen  # fmt: skip
    assert [visit for visit in visits if not visit["seen"]]


@pytest.mark.slow
def test_what_a_plugin_prints_is_not_among_the_rows(run, tmp_path):
    loud_plugin.install(tmp_path)
    done = loud_plugin.rexplug(tmp_path, "lineage", run, "--step", 1, "--phase", "pretrain", "--json")
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()]
    assert "print at import" in done.stderr.splitlines()


def test_why_no_phase_sees_a_document_is_listed_per_phase(run, call, tmp_path):
    early = tmp_path / "early"
    shutil.copytree(run, early)
    stages = {f"train.{name}": {"status": "done"} for name in ("pretrain", "extend", "anneal")}
    (early / "run.json").write_text(json.dumps({"stages": stages}))
    ids = [f"web-{shard}-{number}" for shard in range(2) for number in range(59)]
    answers = [(name, *call("lineage", early, "--document", name)) for name in ids]
    _, code, _, err = next(answer for answer in answers if not answer[2])
    assert code == 0
    lines = err.splitlines()
    assert lines[0] == "no phase has seen it or will:"
    assert lines[1].startswith("  pretrain: it ended before the document's turn came (")
    assert lines[2].startswith("  extend: the document is too short for it, which takes documents of at least ")
    assert lines[3].startswith("  anneal: it ended before the document's turn came (0 of the ")
    assert not any("to come" in answer[2] for answer in answers), "phases that are over see nothing any more"


def test_long_lists_are_cut(run, call):
    code, out, _ = call("lineage", run, "--phase", "pretrain", "--step", 2, "--limit", 3)
    lines = out.splitlines()
    assert code == 0
    assert lines[0].split() == ["row", "source", "id", "url", "part", "tokens", "epoch", "place"]
    assert len(lines) == 5
    assert lines[-1].startswith("... and ")
    assert lines[-1].endswith(" more; --limit 0 prints all")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "rexplug lineage takes either --step N or --document ID"),
        (("--step", "1", "--document", "x"), "rexplug lineage takes either --step N or --document ID"),
        (("--step", "1"), "several phases have been trained; name the one of step 1 with --phase: pretrain, extend"),
        (
            ("--step", "1", "--phase", "pre"),
            "--phase pre: unknown phase; the phases are pretrain, extend, anneal",
        ),
        (("--step", "7", "--phase", "pretrain"), "phase 'pretrain' has no step 7: 6 were recorded in "),
        (("--document", "nobody"), "no document of web, retail has the id 'nobody'"),
    ],
)
def test_unknown_values_are_reported(run, call, arguments, message):
    code, _, err = call("lineage", run, *arguments)
    assert code == 2
    assert message in err


def test_a_folder_that_is_not_a_run_is_named(tmp_path, call):
    assert (
        call("lineage", tmp_path, "--step", 1)[2]
        == f"rexplug: {tmp_path} is not a run directory: it has no run.json; give one like runs/NAME\n"
    )
    assert (
        f"{tmp_path} is neither a token store (store.json) nor a run that has some"
        in call("tokens", "show", tmp_path)[2]
    )


def test_counts_lengths_and_documents_of_all_stores(run, call):
    code, out, _ = call("tokens", "show", run)
    assert code == 0
    assert out.count("  documents  120 in 2 shards") == 2
    assert f"(uint16, vocabulary 200, tokenizer {tokenizer_hash(run / 'tokenizer')})" in out
    assert "  channels   word_start, salience-" in out
    assert "shortest 20" in out
    assert "median" in out
    assert "longest" in out
    assert "\n  web-0-0\n    w" in out


def test_one_store_and_one_document(run, call):
    code, out, _ = call("tokens", "show", run / "tokens/web", "--document", "web-1-7")
    assert code == 0
    assert "web-1-7" in out
    assert "retail" not in out
    code, _, err = call("tokens", "show", run, "--source", "web", "--document", "retail-0-1")
    assert (code, err) == (2, "rexplug: no document of web has the id 'retail-0-1'\n")
    code, _, err = call("tokens", "show", run, "--source", "wbe")
    assert (code, err) == (2, "rexplug: --source wbe: there is no such store; there are retail, web\n")


def test_a_tokenizer_that_cannot_be_read_is_named(run, call, tmp_path):
    (tmp_path / "tokenizer.json").write_text("{}")
    code, _, err = call("tokens", "show", run / "tokens/web", "--tokenizer", tmp_path)
    assert code == 2
    assert err.startswith(f"rexplug: {tmp_path}/tokenizer.json is not a tokenizer: ")
    assert err.count("\n") == 1


def test_altered_files_are_named(run, call, tmp_path):
    copy = tmp_path / "store"
    shutil.copytree(run / "tokens/web", copy)
    code, out, _ = call("tokens", "show", copy, "--verify")
    assert code == 0
    files = len([path for path in copy.glob("*-0000?.*") if not path.name.startswith("shard-")])
    assert f"  checksums  all {files} files as written" in out
    path = copy / "tokens-00001.npy"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    code, out, err = call("tokens", "show", copy, "--verify")
    assert code == 2
    assert f"  checksums  1 of {files} files differ" in out
    assert err == f"rexplug: {path} was altered: its content does not meet its checksum in store.json\n"
    path.write_bytes(content[:-2])
    assert "tokens-00001.npy is missing or truncated" in call("tokens", "show", copy)[2]


@pytest.mark.parametrize("arguments", [("tokens", "show"), ("lineage", "--phase", "pretrain", "--step", "2")])
def test_nothing_heavy_is_imported(run, arguments):
    name, *rest = arguments
    rest = [*rest, str(run)]
    code = (
        "import sys\nfrom rexplug.cli import main\ntry:\n    main()\nexcept SystemExit as end:\n    assert not end.code\n"
        "found = [m for m in ('torch', 'transformers', 'datatrove', 'composer', 'mteb', 'datasets') if m in sys.modules]\n"
        "assert not found, found\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, name, *rest], cwd=ROOT, capture_output=True, text=True, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr


def test_decoded_text_is_not_cut_inside_a_character(call, tmp_path):
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({sign: number for number, sign in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    run = RunDirectory(tmp_path)
    run.tokenizer.mkdir(parents=True)
    tokenizer.save(str(run.tokenizer / "tokenizer.json"))
    tokens = [np.array(tokenizer.encode("a" * n + "靴" * 300).ids, np.uint32) for n in range(3)]
    write_shard(
        run.tokens / "shoes", 0, tokens=tokens, vocabulary_size=256,
        channels={WORD_START: [np.ones(len(t), np.uint8) for t in tokens]},
        documents={"id": ["0", "1", "2"], "url": [None] * 3, "place": ["a:0", "a:1", "a:2"]},
    )  # fmt: skip
    close_store(run.tokens / "shoes", 1, [WORD_START], tokenizer_hash(run.tokenizer), 256)
    code, out, _ = call("tokens", "show", tmp_path)
    assert code == 0
    assert out.count("靴 ...") >= 2
    assert "\ufffd" not in out
