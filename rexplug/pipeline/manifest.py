"""`run.json`: which stages ran with which inputs, so that the next run can skip those that are still valid."""

from __future__ import annotations

import fcntl
import os
import platform
import resource
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from rexplug.checksums import is_entry
from rexplug.errors import DataError, shorten
from rexplug.io.atomic import write_json
from rexplug.run_directory import RunDirectory, read_json, repair_hint
from rexplug.version import __version__

_PACKAGES = (
    "torch", "mosaicml", "transformers", "tokenizers", "datatrove", "datasets", "mteb",
    "sentence-transformers", "flash-attn", "numpy", "pydantic", "pluggy",
)  # fmt: skip


def now() -> str:
    """The present time in UTC, ISO 8601, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _shape_problem(values: Any) -> str | None:
    """Where the contents of `run.json` differ from what `Manifest` writes, as a clause."""
    if not isinstance(values, dict):
        return f"it holds {_short(values)} instead of an object"
    stages = values.get("stages")
    if not isinstance(stages, dict):
        return f"'stages' is {_short(stages)} instead of an object"
    kinds: dict[str, tuple[type, ...]] = {
        "status": (str,), "fingerprint": (str,), "inputs": (dict,), "seconds": (int, float), "result": (dict, type(None)),
        "peak_memory_gib": (int, float, type(None)), "files": (dict,),
    }  # fmt: skip
    for key in ("versions", "plugins", "host"):
        if not isinstance(values.get(key, {}), dict):
            return f"'{key}' is {_short(values[key])} instead of an object"
    for name, stage in stages.items():
        if not isinstance(stage, dict):
            return f"'stages.{name}' is {_short(stage)} instead of an object"
        for key, kind in kinds.items():
            if key in stage and (not isinstance(stage[key], kind) or isinstance(stage[key], bool)):
                return f"'stages.{name}.{key}' is {_short(stage[key])}"
        if any(not is_entry(entry) for entry in stage.get("files", {}).values()):
            return f"'stages.{name}.files' does not hold sizes and checksums"
        result = stage.get("result")
        if name.partition(".")[0] in ("curate", "tokenize", "evaluate") and result is not None:
            wrong = next(
                (key for key, value in result.items() if key != "seconds" and not isinstance(value, dict | list)), None
            )
            if wrong is not None and not (name == "curate" and wrong != "sources"):
                return f"'stages.{name}.result.{wrong}' is {_short(result[wrong])} instead of an object"
    return None


@dataclass
class Manifest:
    """The contents of `run.json`; every change is written to the file at once."""

    run: RunDirectory
    values: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def open(cls, run: RunDirectory) -> Manifest:
        """Read the manifest of a run, or start an empty one.

        Raises:
            DataError: the file is damaged.
        """
        if not run.manifest.exists():
            return cls(run, {"stages": {}})
        values = read_json(run.manifest)
        problem = _shape_problem(values)
        if problem is not None:
            raise DataError(f"{run.manifest} is damaged: {problem}; {repair_hint(run.manifest)}")
        return cls(run, values)

    @classmethod
    def existing(cls, run: RunDirectory) -> Manifest:
        """Read the manifest of a folder that must be a run directory.

        Raises:
            DataError: the folder is not a run directory, or its manifest is damaged.
        """
        if not run.root.is_dir():
            what = "is a file" if run.root.exists() else "does not exist"
            raise DataError(f"{run.root} {what}; give a run directory like runs/NAME")
        if not run.manifest.is_file():
            raise DataError(
                f"{run.root} is not a run directory: it has no {run.manifest.name}; give one like runs/NAME"
            )
        return cls.open(run)

    def stage(self, name: str) -> dict[str, Any]:
        """The entry of a stage; empty if it never started."""
        return dict(self.values["stages"].get(name, {}))

    def finished_stages(self) -> dict[str, dict[str, Any]]:
        """Name -> entry of the stages that are done, even if the recipe has changed since."""
        return {name: stage for name, stage in self.values["stages"].items() if stage.get("status") == "done"}

    def finished_phases(self) -> list[str]:
        """The phases whose training is done, even if the recipe has changed since."""
        stages = [name.partition(".") for name in self.finished_stages()]
        return [phase for group, _, phase in stages if group == "train" and phase != "initial"]

    def set_stage(self, name: str, **values: Any) -> None:
        """Update the entry of a stage and write the manifest."""
        self.values["stages"].setdefault(name, {}).update(values)
        self.write()

    def update(self, **values: Any) -> None:
        """Update entries of the run itself and write the manifest."""
        self.values.update(values)
        self.write()

    def write(self) -> None:
        """Write `run.json` atomically."""
        write_json(self.run.manifest, self.values)


@contextmanager
def locked(run: RunDirectory) -> Iterator[None]:
    """Hold the lock of a run directory, so that no second run works in it.

    Raises:
        DataError: another process holds it.
    """
    run.root.mkdir(parents=True, exist_ok=True)
    with (run.root / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DataError(
                f"another rexplug run is using {run.root}; wait for it, or give this one its own folder with --run-dir"
            ) from None
        yield


def versions() -> dict[str, str]:
    """Versions of Python, rexplug and the packages that decide results."""
    installed = {"python": platform.python_version(), "rexplug": __version__}
    for package in _PACKAGES:
        try:
            installed[package] = version(package)
        except PackageNotFoundError:
            continue
    return installed


def host() -> dict[str, Any]:
    """The operating system, number of processors and memory of this machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processors": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(memory / 2**30, 1),
    }


def peak_memory_gib() -> float:
    """Peak memory so far of this process or of one of its finished child processes, in GiB."""
    unit = 1 if sys.platform == "darwin" else 1024
    most = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return round(most * unit / 2**30, 2)


def differences(old: Mapping[str, Any], new: Mapping[str, Any], path: str = "") -> list[str]:
    """Where two nested mappings differ, as `path: old -> new`, in the order of the new one.

    Lists of equal length are compared item by item; items are named by number, as in overrides.
    """
    changes = []
    for key in [*new, *(key for key in old if key not in new)]:
        here = f"{path}.{key}" if path else str(key)
        before, after = old.get(key), new.get(key)
        if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
            before, after = dict(enumerate(before)), dict(enumerate(after))
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            changes += differences(before, after, here)
        elif before != after:
            changes.append(f"{here}: {_short(before)} -> {_short(after)}")
    return changes


def _short(value: Any) -> str:
    return "nothing" if value is None else shorten(str(value))
