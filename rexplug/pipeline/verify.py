"""Whether the files of a run are still what was written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from rexplug.checksums import folder_problems, read_checksums
from rexplug.errors import DataError, RexplugError
from rexplug.pipeline.manifest import Manifest
from rexplug.run_directory import RunDirectory, mend, read_metrics


@dataclass
class Verified:
    """A part of a run: its folder, how many files and bytes were compared, what differs, and what makes it again.

    A part whose files were written without checksums has none to compare.
    """

    folder: Path
    mend: str
    files: int = 0
    size: int = 0
    problems: list[str] = field(default_factory=list)


def verify_run(root: Path, *, content_up_to: int | None = None) -> Iterator[Verified]:
    """Read every file of a run and compare it with its checksum, part by part; of files larger than `content_up_to` bytes only
    the size is compared.

    Raises:
        DataError: the folder is no run, or its manifest is damaged.
    """
    run = RunDirectory(root)
    manifest = Manifest.existing(run)
    for folder in sorted(path.parent for path in run.corpus.glob("*/kept")):
        yield _folder(folder, content_up_to, "--from curate makes it again")
    if run.tokenizer.is_dir():
        yield _folder(run.tokenizer, content_up_to, "--from tokenize makes it again")
    for path in sorted(run.tokens.glob("*/store.json")):
        yield _store(path.parent, content_up_to)
    for folder in _checkpoints(run):
        phase = folder.name if folder.parent == run.checkpoints else folder.parent.name
        again = f"--from train.{phase} trains it again"
        if folder.name.startswith("step-"):
            again = f"a run passes over it; {again}"
        yield _folder(folder, content_up_to, again)
    if run.model.is_dir():
        yield _folder(run.model, content_up_to, "--from export writes it again")
    for folder in sorted(path for path in (root / "exports").glob("*") if path.is_dir()):
        yield _folder(folder, content_up_to, "rexplug export writes it again")
    if run.metrics.exists():
        yield _metrics(run.metrics)
    gone = [
        (name, path)
        for name, path in _outputs(run, manifest)
        if manifest.stage(name).get("status") == "done" and not path.exists()
    ]
    for name, path in gone:
        yield Verified(path, f"--from {name} makes it again", problems=[f"{path} is missing, and {name} is done"])


def _folder(folder: Path, limit: int | None, mend: str) -> Verified:
    found = Verified(folder, mend, problems=list(folder_problems(folder, content_up_to=limit)))
    try:
        entries = read_checksums(folder)
    except DataError:
        return found
    found.files, found.size = len(entries), sum(int(entry["bytes"]) for entry in entries.values())
    return found


def _store(folder: Path, limit: int | None) -> Verified:
    from rexplug.tokens import TokenStore

    found = Verified(folder, "--from tokenize makes it again")
    try:
        store = TokenStore.open(folder)
        files = [file for shard in store.description["shards"] for file in shard["files"].values()]
        found.files, found.size = len(files), sum(int(file["bytes"]) for file in files)
        found.problems += store.verify(content_up_to=limit)
    except RexplugError as error:
        found.problems.append(str(error))
    return found


def _checkpoints(run: RunDirectory) -> Iterator[Path]:
    """Every checkpoint, those of a phase by its steps and the final one last."""
    for phase in sorted(path for path in run.checkpoints.glob("[!.]*") if path.is_dir()):
        if (phase / "config.json").exists():
            yield phase
        inner = [path for path in [*sorted(phase.glob("step-*")), phase / "final"] if path.is_dir()]
        yield from inner


def _metrics(path: Path) -> Verified:
    found = Verified(path, mend(path), files=1)
    try:
        found.size = path.stat().st_size
        for _ in read_metrics(path):
            pass
    except DataError as error:
        found.problems.append(str(error).removesuffix(f"; {mend(path)}"))
    return found


def _outputs(run: RunDirectory, manifest: Manifest) -> Iterator[tuple[str, Path]]:
    """What finished stages must have left."""
    one: dict[str, Callable[[], Path]] = {
        "curate": lambda: run.corpus, "tokenize": lambda: run.tokens, "export": lambda: run.model,
        "report": lambda: run.report, "relevance": lambda: run.relevance, "evaluate.baselines": lambda: run.baselines,
    }  # fmt: skip
    for name in manifest.values["stages"]:
        group, _, rest = name.partition(".")
        if name in one:
            yield name, one[name]()
        elif group == "train":
            yield name, run.checkpoints / rest
        elif group == "evaluate":
            yield name, run.evaluation / rest
