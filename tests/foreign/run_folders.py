"""Damages a small finished run in some hundred ways and gives every command that reads a run to each.

    python tests/foreign/run_folders.py [FOLDER [COMMAND ...]]    prints a table: damage, command, exit code, message

FOLDER keeps the run for the next time; a temporary one if left out. The tests give each damaged folder the commands that read
what is damaged, and in their slow part all that concern it.

Each command must work (exit code 0) or end in one message (exit code 2) that names the file or folder. What is random is drawn with
a fixed seed.
"""

from __future__ import annotations

import contextlib
import io
import json
import pickle
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

SEED = 17
RECIPE = """
name: small
sources: {{web: {{use: text, paths: {texts}}}}}
curation: {{deduplicate: exact, held_out: 0.2}}
tokenizer: {{use: train, vocabulary: 320}}
model: {{size: nano}}
phases:
  - name: anneal
    tokens: 2k
    context: 64
    batch_tokens: 512
    learning_rate: {{peak: 1e-3}}
    mixing: {{use: annealing.constant, shares: {{web: 1}}}}
    masking: {{use: guided_mlm.guided, scorer: ecommerce.attributes, rate: 0.3}}
evaluators: [{{use: masked_recovery, documents: 4, words: 16, published: false}}]
"""
WORDS = ("river", "boots", "waterproof", "jacket", "Norvale", "500 ml", "minister", "red", "spoke", "town")
COMMANDS: dict[str, tuple[str, ...]] = {
    "verify": ("verify", "RUN"),
    "report": ("report", "RUN"),
    "compare": ("compare", "RUN", "RUN@anneal"),
    "export": ("export", "RUN", "--to", "OUT"),
    "export beside": ("export", "RUN"),
    "lineage step": ("lineage", "RUN", "--step", "1"),
    "lineage document": ("lineage", "RUN", "--document", "ID"),
    "corpus show": ("corpus", "show", "RUN", "--examples"),
    "corpus why": ("corpus", "why", "RUN", "ID"),
    "tokens show": ("tokens", "show", "RUN", "--verify"),
    "evaluate": ("evaluate", "RUN", "--recipe", "RECIPE", "--run-dir", "RUN", "--out", "OUT/results"),
    "run": ("run", "RECIPE", "--run-dir", "RUN", "--quiet"),
}
QUICK = ("verify", "compare", "lineage document", "corpus show", "corpus why", "tokens show")
"""Commands that take less than a second."""
READERS = {
    "nothing": QUICK,
    "run.json not": ("verify", "report"),
    "run.json without": ("verify", "report"),
    "run.json trained": ("verify", "report"),
    "run.json": ("verify", "corpus show", "compare"),
    "recipe.yaml of": ("verify", "report"),
    "recipe.yaml": ("verify", "lineage document"),
    "metrics": ("verify", "report"),
    "plan": ("verify", "report"),
    "statistics": ("verify", "corpus show"),
    "kept": ("verify", "corpus why"),
    "held out": ("verify", "corpus why"),
    "dropped": ("verify", "corpus why"),
    "corpus": ("verify", "corpus show", "corpus why"),
    "tokenizer": ("verify", "tokens show", "export"),
    "store.json": ("verify", "tokens show", "lineage document"),
    "tokens": ("verify", "tokens show", "lineage document"),
    "ids": ("verify", "lineage document"),
    "documents": ("verify", "lineage document"),
    "positions": ("verify", "lineage document"),
    "weights": ("verify", "export"),
    "checkpoint": ("verify", "export"),
    "result": ("verify", "compare"),
    "scores": ("verify", "compare"),
    "scorer": ("verify", "report"),
    "exports": ("verify", "export beside"),
    "evaluation": ("verify", "compare"),
    "run ": QUICK,
}
"""Beginnings of damages, and the commands that read what is damaged and take less than a second; `verify` for the others."""
SLOW = {
    "report": ("nothing", "run.json", "recipe.yaml", "metrics", "statistics", "plan", "result", "scores", "run a"),
    "export": ("tokenizer", "weights", "checkpoint", "final", "corpus gone", "stopped, weights"),
    "export beside": ("exports",),
    "evaluate": ("model", "corpus gone", "tokenizer gone"),
    "run": (
        "run.json",
        "corpus a",
        "store.json {}",
        "tokens gone",
        "stopped",
        "run ",
        "plan",
        "scorer",
        "lock",
        "initial",
        "state",
    ),
}
"""Commands that take longer, and the beginnings of the damages that concern them."""

Damage = Callable[[Path, random.Random], None]


@dataclass(frozen=True)
class Answer:
    """Exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def message(self) -> str:
        """The error message without the progress before it."""
        _, found, after = self.err.rpartition("rexplug: ")
        return (found + after).strip()

    def fault(self, run: Path) -> str | None:
        """How the answer breaks the rules; None if it does not."""
        if "Traceback" in self.err or self.code not in (0, 2):
            return f"exit code {self.code}: {self.message.splitlines()[-1] if self.message else self.err[-200:]}"
        if self.code == 2:
            if self.err.count("rexplug: ") != 1:
                return "not one message"
            if run.name not in self.message:
                return "the message names no file"
            if max(map(len, self.message.splitlines())) > 1500:
                return "the message is too long"
        return None


def call(*arguments: str) -> Answer:
    """Run a command in this process, as the console script does."""
    from rexplug import cli

    out, err = io.StringIO(), io.StringIO()
    before, sys.argv = sys.argv, ["rexplug", *arguments]
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                code = cli._run()
            except SystemExit as error:
                code = int(error.code or 0)
    finally:
        sys.argv = before
    return Answer(code, out.getvalue(), err.getvalue())


def build(folder: Path) -> Path:
    """Make a small run in `folder`; returns its recipe."""
    texts = folder / "texts"
    texts.mkdir(parents=True)
    draw = random.Random(3)
    for number in range(40):
        words = " ".join(draw.choice(WORDS) for _ in range(draw.randrange(20, 120)))
        (texts / f"{number:02d}.txt").write_text(f"Page {number} of the shop: {words}.")
    recipe = folder / "recipe.yaml"
    recipe.write_text(RECIPE.format(texts=texts))
    done = call("run", str(recipe), "--run-dir", str(folder / "run"), "--quiet")
    assert done.code == 0, done.err
    return recipe


# -- damages --


def write(name: str, content: str | bytes) -> Damage:
    """Replace the content of a file."""

    def damage(run: Path, draw: random.Random) -> None:
        (run / name).write_bytes(content.encode() if isinstance(content, str) else content)

    return damage


def write_over(name: str, old: str, new: str) -> Damage:
    """Replace a text everywhere in a file."""

    def damage(run: Path, draw: random.Random) -> None:
        text = (run / name).read_text()
        assert old in text
        (run / name).write_text(text.replace(old, new))

    return damage


def cut(name: str, share: float = 0.5) -> Damage:
    """Truncate a file."""

    def damage(run: Path, draw: random.Random) -> None:
        content = (run / name).read_bytes()
        (run / name).write_bytes(content[: int(len(content) * share)])

    return damage


def flip(name: str) -> Damage:
    """Flip a random bit in the second half of a file."""

    def damage(run: Path, draw: random.Random) -> None:
        content = bytearray((run / name).read_bytes())
        content[draw.randrange(len(content) // 2, len(content))] ^= 1 << draw.randrange(8)
        (run / name).write_bytes(content)

    return damage


def noise(name: str) -> Damage:
    """Replace a file by as many random bytes."""

    def damage(run: Path, draw: random.Random) -> None:
        (run / name).write_bytes(draw.randbytes((run / name).stat().st_size))

    return damage


def gone(name: str) -> Damage:
    """Remove a file or folder."""

    def damage(run: Path, draw: random.Random) -> None:
        path = run / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return damage


def folder_for_file(name: str) -> Damage:
    """A folder in place of a file."""

    def damage(run: Path, draw: random.Random) -> None:
        (run / name).unlink()
        (run / name).mkdir()

    return damage


def file_for_folder(name: str) -> Damage:
    """A file in place of a folder."""

    def damage(run: Path, draw: random.Random) -> None:
        shutil.rmtree(run / name)
        (run / name).write_text("not a folder")

    return damage


def value(name: str, path: str, new: object) -> Damage:
    """Another value in a JSON file."""

    def damage(run: Path, draw: random.Random) -> None:
        content = json.loads((run / name).read_text())
        place = content
        *parents, last = path.split("/")
        for parent in parents:
            place = place[int(parent) if isinstance(place, list) else parent]
        place[int(last) if isinstance(place, list) else last] = new
        (run / name).write_text(json.dumps(content))

    return damage


def pickled(name: str, content: object) -> Damage:
    """A file of torch.save that is not an optimizer state."""

    def damage(run: Path, draw: random.Random) -> None:
        import torch

        torch.save(content, run / name)

    return damage


def linked(name: str, to: str | None = None) -> Damage:
    """Move a folder and link to it; with `to`, link to a path that does not exist."""

    def damage(run: Path, draw: random.Random) -> None:
        path = run / name
        if to is None:
            elsewhere = run.parent / f"elsewhere-{path.name}"
            path.rename(elsewhere)
            path.symlink_to(elsewhere)
        else:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
            path.symlink_to(to)

    return damage


def table(name: str, columns: dict[str, list[object]]) -> Damage:
    """A Parquet file with other columns."""

    def damage(run: Path, draw: random.Random) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        pq.write_table(pa.table(columns), run / name)

    return damage


def emptied(run: Path, draw: random.Random) -> None:
    """An empty run directory."""
    shutil.rmtree(run)
    run.mkdir()


def swap_ids(run: Path, draw: random.Random) -> None:
    """Swap the ids of two tokens of the tokenizer."""
    path = run / "tokenizer" / "tokenizer.json"
    content = json.loads(path.read_text())
    vocabulary = content["model"]["vocab"]
    one, other = draw.sample(sorted(token for token, number in vocabulary.items() if number > 10), 2)
    vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
    path.write_text(json.dumps(content))


def stopped(*more: Damage) -> Damage:
    """Make the phase unfinished, with a checkpoint of a step as its last one, then apply `more`."""

    def damage(run: Path, draw: random.Random) -> None:
        value("run.json", "stages/train.anneal/status", "running")(run, draw)
        (run / "checkpoints/anneal/final").rename(run / STEP)
        for extra in more:
            extra(run, draw)

    return damage


KEPT = "corpus/web/kept/00000.parquet"
TOKENS = "tokens/web/tokens-00000.npy"
FINAL = "checkpoints/anneal/final"
STEP = "checkpoints/anneal/step-000000004"
RESULT = "evaluation/anneal/masked_recovery.json"
DEEP = "[" * 100_000

DAMAGES: dict[str, Damage] = {
    "nothing": lambda run, draw: None,
    "run.json empty": write("run.json", ""),
    "run.json cut": cut("run.json"),
    "run.json noise": noise("run.json"),
    "run.json gone": gone("run.json"),
    "run.json a folder": folder_for_file("run.json"),
    "run.json a list": write("run.json", "[]"),
    "run.json null": write("run.json", "null"),
    "run.json {}": write("run.json", "{}"),
    "run.json deep": write("run.json", DEEP),
    "run.json stages a list": value("run.json", "stages", []),
    "run.json a stage a number": value("run.json", "stages/curate", 3),
    "run.json inputs a list": value("run.json", "stages/train.anneal/inputs", []),
    "run.json seconds a text": value("run.json", "stages/train.anneal/seconds", "long"),
    "run.json status a number": value("run.json", "stages/curate/status", 5),
    "run.json result a text": value("run.json", "stages/train.anneal/result", "fine"),
    "run.json result {}": value("run.json", "stages/train.anneal/result", {}),
    "run.json corpus result {}": value("run.json", "stages/curate/result", {}),
    "run.json tokens result odd": value("run.json", "stages/tokenize/result", {"web": 3}),
    "run.json evaluation result odd": value("run.json", "stages/evaluate.anneal/result", {"masked_recovery": 1}),
    "run.json memory a text": value("run.json", "stages/report/peak_memory_gib", "much"),
    "run.json versions a list": value("run.json", "versions", []),
    "recipe.yaml gone": gone("recipe.yaml"),
    "recipe.yaml empty": write("recipe.yaml", ""),
    "recipe.yaml noise": noise("recipe.yaml"),
    "recipe.yaml a folder": folder_for_file("recipe.yaml"),
    "recipe.yaml cut": cut("recipe.yaml"),
    "metrics.jsonl cut": cut("metrics.jsonl", 0.93),
    "metrics.jsonl empty": write("metrics.jsonl", ""),
    "metrics.jsonl gone": gone("metrics.jsonl"),
    "metrics.jsonl noise": noise("metrics.jsonl"),
    "metrics.jsonl lists": write("metrics.jsonl", "[1]\n[2]\n"),
    "metrics.jsonl {}": write("metrics.jsonl", "{}\n{}\n"),
    "metrics.jsonl nulls": write("metrics.jsonl", '{"phase": "anneal", "step": null, "tokens": null, "loss": null}\n'),
    "metrics.jsonl a folder": folder_for_file("metrics.jsonl"),
    "statistics.json empty": write("corpus/statistics.json", ""),
    "statistics.json a list": write("corpus/statistics.json", "[]"),
    "statistics.json {}": write("corpus/statistics.json", "{}"),
    "statistics.json a source null": write("corpus/statistics.json", '{"sources": {"web": null}}'),
    "statistics.json gone": gone("corpus/statistics.json"),
    "kept cut": cut(KEPT),
    "kept empty": write(KEPT, ""),
    "kept noise": noise(KEPT),
    "kept flipped": flip(KEPT),
    "kept other columns": table(KEPT, {"key": ["a"], "body": ["b"]}),
    "kept null ids": table(KEPT, {"id": [None], "text": [None], "url": [None], "metadata": ["[]"]}),
    "kept gone": gone("corpus/web/kept"),
    "held out cut": cut("corpus/web/held_out/00000.parquet"),
    "dropped noise": noise("corpus/web/dropped/00000.parquet"),
    "corpus gone": gone("corpus"),
    "corpus a file": file_for_folder("corpus"),
    "corpus a link": linked("corpus"),
    "corpus a link to nothing": linked("corpus", "/nonexistent/corpus"),
    "corpus a link to itself": linked("corpus", "corpus"),
    "tokenizer cut": cut("tokenizer/tokenizer.json"),
    "tokenizer {}": write("tokenizer/tokenizer.json", "{}"),
    "tokenizer ids swapped": swap_ids,
    "tokenizer gone": gone("tokenizer"),
    "store.json empty": write("tokens/web/store.json", ""),
    "store.json {}": write("tokens/web/store.json", "{}"),
    "store.json format 1": value("tokens/web/store.json", "format", 1),
    "store.json shards a number": value("tokens/web/store.json", "shards", 7),
    "store.json a shard {}": value("tokens/web/store.json", "shards/0", {}),
    "store.json counts texts": value("tokens/web/store.json", "tokens", "many"),
    "tokens cut": cut(TOKENS),
    "tokens flipped": flip(TOKENS),
    "tokens noise": noise(TOKENS),
    "ids noise": noise("tokens/web/ids-00000.npy"),
    "documents noise": noise("tokens/web/documents-00000.parquet"),
    "tokens gone": gone("tokens"),
    "weights cut": cut(f"{FINAL}/model.safetensors"),
    "weights empty": write(f"{FINAL}/model.safetensors", ""),
    "weights flipped": flip(f"{FINAL}/model.safetensors"),
    "weights gone": gone(f"{FINAL}/model.safetensors"),
    "checkpoint config {}": write(f"{FINAL}/config.json", "{}"),
    "checkpoint checksums odd": write(f"{FINAL}/checksums.json", '{"files": []}'),
    "state {}": write(f"{FINAL}/state.json", "{}"),
    "state a list": write(f"{FINAL}/state.json", "[]"),
    "final gone": gone(FINAL),
    "final a file": file_for_folder(FINAL),
    "checkpoints a link": linked("checkpoints"),
    "initial weights noise": noise("checkpoints/initial/model.safetensors"),
    "positions cut": cut("checkpoints/anneal/positions.log", 0.9),
    "positions noise": noise("checkpoints/anneal/positions.log"),
    "positions empty": write("checkpoints/anneal/positions.log", ""),
    "stopped": stopped(),
    "stopped, optimizer noise": stopped(noise(f"{STEP}/optimizer.pt")),
    "stopped, optimizer cut": stopped(cut(f"{STEP}/optimizer.pt")),
    "stopped, optimizer empty": stopped(write(f"{STEP}/optimizer.pt", "")),
    "stopped, optimizer a pickle": stopped(write(f"{STEP}/optimizer.pt", pickle.dumps(Path("x")))),
    "stopped, optimizer a list": stopped(pickled(f"{STEP}/optimizer.pt", [1, 2]), gone(f"{STEP}/checksums.json")),
    "stopped, optimizer {}": stopped(pickled(f"{STEP}/optimizer.pt", {}), gone(f"{STEP}/checksums.json")),
    "stopped, optimizer of another model": stopped(
        pickled(f"{STEP}/optimizer.pt", {"state": {}, "param_groups": [{"params": [0]}]}),
        gone(f"{STEP}/checksums.json"),
    ),
    "stopped, weights flipped": stopped(flip(f"{STEP}/model.safetensors")),
    "stopped, weights cut": stopped(cut(f"{STEP}/model.safetensors"), gone(f"{STEP}/checksums.json")),
    "stopped, state odd": stopped(
        value(f"{STEP}/state.json", "position", {"batch": "x"}), gone(f"{STEP}/checksums.json")
    ),
    "stopped, metrics noise": stopped(noise("metrics.jsonl")),
    "stopped, metrics {}": stopped(write("metrics.jsonl", "{}\n[]\n3\n")),
    "result a list": write(RESULT, "[]"),
    "result {}": write(RESULT, "{}"),
    "result cut": cut(RESULT),
    "result metrics a number": value(RESULT, "metrics", 3),
    "result main unknown": value(RESULT, "main", "nothing"),
    "scores cut": cut("evaluation/anneal/masked_recovery.scores"),
    "scores a list": write("evaluation/anneal/masked_recovery.scores", "[]"),
    "evaluation gone": gone("evaluation"),
    "plan.json a list": write("plan.json", "[]"),
    "plan.json cut": cut("plan.json"),
    "plan.json stages odd": value("plan.json", "stages", {"train.anneal": 3}),
    "model weights cut": cut("model/model.safetensors"),
    "model gone": gone("model"),
    "scorer noise": lambda run, draw: noise(str(next((run / "fitted").glob("*.json")).relative_to(run)))(run, draw),
    "run.json not a number": write_over("run.json", '"seconds": ', '"seconds": NaN, "before": '),
    "run.json without versions": write_over("run.json", '"versions"', '"revisions"'),
    "run.json trained texts": value("run.json", "stages/train.anneal/result", {"tokens": "x", "steps": None}),
    "run.json files a list": value("run.json", "stages/curate/files", [1]),
    "run.json files nothing": value("run.json", "stages/curate/files", None),
    "recipe.yaml of another run": write_over("recipe.yaml", "web", "net"),
    "metrics.jsonl texts": write("metrics.jsonl", '{"phase": "anneal", "step": 1, "tokens": 5, "loss": "x"}\n'),
    "metrics.jsonl without sources": write(
        "metrics.jsonl", '{"phase": "anneal", "step": 1, "tokens": 5, "loss": 2.0}\n'
    ),
    "plan.json not a number": write("plan.json", '{"stages": {"train.anneal": {"seconds": NaN}}, "phases": {}}'),
    "statistics.json steps numbers": value("corpus/statistics.json", "sources/web/steps", [1]),
    "statistics.json counts texts": value("corpus/statistics.json", "sources/web/read", {"documents": "x"}),
    "store.json counts negative": value("tokens/web/store.json", "tokens", -5),
    "store.json counts too large": value("tokens/web/store.json", "documents", 10**20),
    "scorer a file": file_for_folder("fitted"),
    "model a file": file_for_folder("model"),
    "exports a file": write("exports", "not a folder"),
    "lock a folder": folder_for_file(".lock"),
    "run a file": file_for_folder("."),
    "run empty": emptied,
    "run a link": linked("."),
}


def readers(name: str) -> tuple[str, ...]:
    """The quick commands that read what is damaged."""
    return next((commands for start, commands in READERS.items() if name.startswith(start)), ("verify",))


def others(name: str) -> tuple[str, ...]:
    """The other commands that concern a damage; `run` comes last, since it repairs."""
    slow = (command for command, starts in SLOW.items() if name.startswith(starts))
    return tuple(command for command in (*QUICK, *slow) if command not in readers(name))


def damaged(original: Path, where: Path, name: str) -> Path:
    """A copy of a run below `where`, damaged."""
    run = where / "damaged-run"
    shutil.copytree(original, run)
    if name == "run a link":
        elsewhere = where / "elsewhere"
        run.rename(elsewhere)
        run.symlink_to(elsewhere)
    else:
        DAMAGES[name](run, random.Random(f"{SEED}/{name}"))
    return run


def ask(run: Path, recipe: Path, command: str) -> Answer:
    """Run a command on a run directory."""
    out = run.parent / "out"
    names = {"RUN": str(run), "RECIPE": str(recipe), "OUT": str(out), "ID": document_id(recipe)}
    arguments = []
    for each in COMMANDS[command]:
        for name, text in names.items():
            if each == name or each.startswith((f"{name}/", f"{name}@")):
                each = text + each.removeprefix(name)
                break
        arguments.append(each)
    return call(*arguments)


def document_id(recipe: Path) -> str:
    """The id of a document of the run."""
    import pyarrow.parquet as pq

    return str(pq.read_table(recipe.parent / "run" / KEPT, columns=["id"])["id"][0].as_py())


def answers(recipe: Path, where: Path, name: str, commands: tuple[str, ...]) -> Iterator[tuple[str, Answer, Path]]:
    """The answer of each command to a damaged run; `run` comes last, since it repairs."""
    run = damaged(recipe.parent / "run", where, name)
    for command in commands:
        yield command, ask(run, recipe, command), run


def main(folder: Path, commands: tuple[str, ...]) -> None:
    """Print the table."""
    began = time.monotonic()
    recipe = folder / "recipe.yaml" if (folder / "recipe.yaml").exists() else build(folder)
    faults: dict[str, list[str]] = {}
    for number, name in enumerate(DAMAGES):
        where = folder / f"case-{number}"
        where.mkdir()
        for command, answer, run in answers(recipe, where, name, commands):
            fault = answer.fault(run)
            if fault:
                faults.setdefault(name, []).append(f"{command}: {fault}")
            shown = " ".join(answer.message.split())[:200] if answer.code else ""
            print(f"{'FAULT' if fault else 'ok':<6}{name:<36}{command:<18}{answer.code}  {fault or shown}", flush=True)  # noqa: T201
        shutil.rmtree(where)
    print(f"{len(faults)} of {len(DAMAGES)} folders with a fault; {time.monotonic() - began:.0f} s")  # noqa: T201


if __name__ == "__main__":
    sys.path.pop(0)  # this folder has a module called as the package tokenizers
    with tempfile.TemporaryDirectory() as temporary:
        main(Path([*sys.argv[1:], temporary][0]).resolve(), tuple(sys.argv[2:]) or tuple(COMMANDS))
