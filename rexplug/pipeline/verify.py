"""Compares the files of a run with their checksums."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rexplug.checksums import FILE as CHECKSUMS
from rexplug.checksums import file_problem, folder_problems, read_checksums
from rexplug.errors import DataError, RexplugError
from rexplug.pipeline.manifest import Manifest
from rexplug.run_directory import RunDirectory, read_metrics, repair_hint


@dataclass
class VerifiedPart:
    """What `verify_run` found in one folder of a run."""

    folder: Path
    repair: str
    """How the user can restore it, as a clause."""
    files: int = 0
    """Number of files that were compared; 0 where none have checksums."""
    size: int = 0
    """Their size in bytes."""
    problems: list[str] = field(default_factory=list)
    """A sentence per difference."""


def verify_run(root: Path, *, content_up_to: int | None = None) -> Iterator[VerifiedPart]:
    """Compare every file of a run with its checksum, folder by folder.

    Args:
        root: the run directory.
        content_up_to: of files larger than this many bytes only the size is compared.

    Raises:
        DataError: the folder is not a run directory, or its manifest is damaged.
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
            again = f"a run skips it; {again}"
        yield _folder(folder, content_up_to, again)
    if run.model.is_dir():
        yield _folder(run.model, content_up_to, "--from export writes it again")
    for folder in sorted(path for path in (root / "exports").glob("*") if path.is_dir()):
        yield _folder(folder, content_up_to, "rexplug export writes it again")
    if run.metrics.exists():
        yield _metrics(run.metrics)
    elif manifest.finished_phases():
        yield VerifiedPart(run.root, "--from train makes it again", problems=[f"{run.metrics} is missing"])
    if not run.recipe.exists():
        yield VerifiedPart(run.root, "rexplug run RECIPE writes it again", problems=[f"{run.recipe} is missing"])
    yield from _recorded(run, manifest, content_up_to)
    missing: list[Path] = []
    for name, path in _expected(run, manifest):
        if not path.exists() and not any(path.is_relative_to(parent) for parent in missing):
            missing.append(path)
            yield VerifiedPart(
                path.parent, f"--from {name} makes it again", problems=[f"{path} is missing, and {name} is done"]
            )


def _recorded(run: RunDirectory, manifest: Manifest, limit: int | None) -> Iterator[VerifiedPart]:
    """The files whose checksums are in the manifest, by folder; for a file that two stages wrote the later entry counts."""
    places: dict[Path, dict[Path, tuple[str, Mapping[str, Any]]]] = {}
    for name, recorded in manifest.finished_stages().items():
        for path, entry in recorded.get("files", {}).items():
            places.setdefault((run.root / path).parent, {})[run.root / path] = name, entry
    for folder, files in places.items():
        stages = sorted({name for name, _ in files.values()})
        part = VerifiedPart(folder, f"--from {stages[0]} makes it again", len(files))
        part.size = sum(int(entry["bytes"]) for _, entry in files.values())
        for path, (_, entry) in files.items():
            problem = file_problem(path, entry, content=limit is None or entry["bytes"] <= limit)
            if problem is not None:
                part.problems.append(problem)
        yield part


def _folder(folder: Path, limit: int | None, repair: str) -> VerifiedPart:
    part = VerifiedPart(folder, repair, problems=list(folder_problems(folder, content_up_to=limit)))
    try:
        entries = read_checksums(folder)
    except DataError:
        return part
    part.files, part.size = len(entries), sum(int(entry["bytes"]) for entry in entries.values())
    return part


def _store(folder: Path, limit: int | None) -> VerifiedPart:
    from rexplug.tokens.store import TokenStore

    part = VerifiedPart(folder, "--from tokenize makes it again")
    try:
        store = TokenStore.open(folder)
        files = [file for shard in store.description["shards"] for file in shard["files"].values()]
        part.files, part.size = len(files), sum(int(file["bytes"]) for file in files)
        part.problems += store.verify(content_up_to=limit)
        for key in ("documents", "tokens"):
            stated, actual = store.description[key], sum(shard[key] for shard in store.description["shards"])
            if stated != actual:
                part.problems.append(
                    f"{folder / 'store.json'} is damaged: it says {stated:,} {key}, and its shards hold {actual:,}"
                )
    except RexplugError as error:
        part.problems.append(str(error))
    return part


def _checkpoints(run: RunDirectory) -> Iterator[Path]:
    """Every checkpoint; those of a phase by step, the final one last."""
    for phase in sorted(path for path in run.checkpoints.glob("[!.]*") if path.is_dir()):
        if any((phase / name).exists() for name in (CHECKSUMS, "config.json", "model.safetensors")):
            yield phase
        inner = [path for path in [*sorted(phase.glob("step-*")), phase / "final"] if path.is_dir()]
        yield from inner


def _metrics(path: Path) -> VerifiedPart:
    part = VerifiedPart(path, repair_hint(path), files=1)
    try:
        part.size = path.stat().st_size
        for _ in read_metrics(path):
            pass
    except DataError as error:
        part.problems.append(str(error).removesuffix(f"; {repair_hint(path)}"))
    return part


def _expected(run: RunDirectory, manifest: Manifest) -> Iterator[tuple[str, Path]]:
    """Stage and path of everything that finished stages must have written; folders come before what is in them."""
    for name, stage in manifest.finished_stages().items():
        for path in _outputs_of(run, name, stage.get("result") or {}):
            yield name, path


def _outputs_of(run: RunDirectory, name: str, result: Mapping[str, Any]) -> Iterator[Path]:
    group, _, rest = name.partition(".")
    if group == "curate":
        yield run.corpus
        for source in result.get("sources") or {}:
            yield from (run.corpus / source, run.corpus / source / "kept", run.corpus / source / CHECKSUMS)
    elif group == "tokenize":
        yield from (run.tokenizer, run.tokenizer / CHECKSUMS, run.tokens)
        for source in result:
            yield from (run.tokens / source, run.tokens / source / "store.json")
    elif group == "train":
        folder = run.checkpoints / rest if rest == "initial" else run.checkpoints / rest / "final"
        yield from (folder.parent, folder, folder / CHECKSUMS)
    elif name == "evaluate.baselines":
        yield run.baselines
    elif group == "evaluate":
        yield run.evaluation / rest
    elif group == "export":
        yield from (run.model, run.model / CHECKSUMS)
    elif group == "report":
        yield from (run.report, run.card)
    elif group == "relevance":
        yield run.relevance
