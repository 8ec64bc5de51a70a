"""Runs the golden recipe and reduces what it wrote to values that can be compared.

Everything is read from the files of the run, except the masks: `_batches` is the only function that uses the package.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

HERE = Path(__file__).parent
RECIPE = HERE / "recipe.yaml"
CORPUS = HERE / "corpus.json"
"""Corpus, tokens and batches: the same on every platform."""
TRAINING = HERE / "training.json"
"""Metrics of the steps and the weights at the end, per platform on which they were recorded."""
TOLERANCE = 1e-4
"""Relative difference of losses, learning rates and gradient norms that another platform may show."""
_CPU_FLAGS = ("fma", "avx", "amx", "asimd", "sve", "bf16", "i8mm")


def run_golden(folder: Path, overrides: Sequence[str] = ()) -> Path:
    """Run the golden recipe with one thread on the CPU, up to the end of training, and return the run directory.

    Args:
        folder: an empty folder.
        overrides: `key=value` changes to the recipe, as on the command line.

    Raises:
        RuntimeError: the command failed; the text holds its output.
    """
    run = folder / "run"
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    environment = os.environ | threads | {
        "CUDA_VISIBLE_DEVICES": "", "HF_HUB_OFFLINE": "1", "REXPLUG_CACHE": str(folder / "cache"),
    }  # fmt: skip
    command = [
        sys.executable,
        "-m",
        "rexplug",
        "run",
        str(RECIPE),
        *overrides,
        "--run-dir",
        str(run),
        "--until",
        "train",
    ]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"the golden run ended with exit code {done.returncode}:\n{done.stdout}{done.stderr}")
    return run


def corpus_values(run: Path) -> dict[str, Any]:
    """Hashes and counts of corpus, tokenizer, token stores and batches."""
    sources = sorted(path.name for path in (run / "corpus").iterdir() if path.is_dir())
    return {
        "corpus": {source: _source_values(run / "corpus" / source) for source in sources},
        "tokenizer": _tokenizer_digest(run / "tokenizer" / "tokenizer.json"),
        "tokens": {source: _store_values(run / "tokens" / source) for source in sources},
        "batches": _batch_digests(run),
    }


def training_values(run: Path) -> dict[str, Any]:
    """Metrics of each step, and a hash of the final weights."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    names = ("phase", "step", "tokens", "masked", "loss", "source_loss", "learning_rate", "gradient_norm")
    phase = lines[-1]["phase"]
    weights = (run / "checkpoints" / phase / "final" / "model.safetensors").read_bytes()
    return {
        "steps": [{name: line[name] for name in names} for line in lines],
        "weights": _digest(weights[8 + int.from_bytes(weights[:8], "little") :]),  # without the header
    }


def this_platform() -> dict[str, str]:
    """What decides the bits of a training step: machine, processor, instruction set and torch."""
    import torch

    try:
        cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        cpuinfo = ""
    fields = dict(line.split(":", 1) for line in cpuinfo.split("\n\n")[0].splitlines() if ":" in line)
    fields = {name.strip(): value.strip() for name, value in fields.items()}
    flags = fields.get("flags", fields.get("Features", "")).split()
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": " ".join(
            fields.get(name, "") for name in ("vendor_id", "cpu family", "model", "model name")
        ).strip() or platform.processor(),
        "instructions": " ".join(sorted(flag for flag in flags if flag.startswith(_CPU_FLAGS))),
        "capability": torch.backends.cpu.get_cpu_capability(),
        "overrides": " ".join(
            f"{name}={os.environ[name]}"
            for name in ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS", "MKL_CBWR")
            if name in os.environ
        ),
        "torch": torch.__version__,
        "threads": "1",
    }  # fmt: skip


def differences(recorded: Any, measured: Any, *, tolerance: float = 0.0, at: str = "") -> list[str]:
    """One line per value that differs, with its path. Only floats may differ, and by at most `tolerance` (relative)."""
    if isinstance(recorded, dict) and isinstance(measured, dict):
        return [
            line
            for key in sorted({*recorded, *measured})
            for line in differences(
                recorded.get(key), measured.get(key), tolerance=tolerance, at=f"{at}.{key}" if at else key
            )
        ]
    if isinstance(recorded, list) and isinstance(measured, list) and len(recorded) == len(measured):
        return [
            line
            for number, pair in enumerate(zip(recorded, measured, strict=True))
            for line in differences(*pair, tolerance=tolerance, at=f"{at}[{number}]")
        ]
    if isinstance(recorded, float) and isinstance(measured, float):
        same = abs(recorded - measured) <= tolerance * abs(recorded)
    else:
        same = recorded == measured
    return [] if same else [f"{at}: recorded {recorded!r}, now {measured!r}"]


def _source_values(folder: Path) -> dict[str, Any]:
    dropped: Counter[str] = Counter()
    for path in sorted(folder.glob("dropped/*.parquet")):
        dropped.update(f"{row['step']}: {row['reason']}" for row in pq.read_table(path).to_pylist())
    values: dict[str, Any] = {"dropped": dict(sorted(dropped.items()))}
    for part in ("kept", "held_out"):
        rows = [row for path in sorted(folder.glob(f"{part}/*.parquet")) for row in pq.read_table(path).to_pylist()]
        texts = json.dumps([[row["id"], row["text"]] for row in rows], ensure_ascii=False)
        values[part] = {"documents": len(rows), "sha256": _digest(texts.encode())}
    return values


def _tokenizer_digest(path: Path) -> str:
    model = json.loads(path.read_text(encoding="utf-8"))["model"]
    return _digest(json.dumps([sorted(model["vocab"].items()), model["merges"]], ensure_ascii=False).encode())


def _store_values(folder: Path) -> dict[str, Any]:
    # The salience channel's file carries a hash of the scorer's options in its name.
    patterns = {"ids": "tokens-*.npy", "ends": "ends-*.npy", "word_start": "channel.word_start-*.npy",
                "salience": "channel.salience-*.npy"}  # fmt: skip
    arrays = {
        name: np.concatenate([np.load(path) for path in sorted(folder.glob(pattern))])
        for name, pattern in patterns.items()
    }
    return {"count": len(arrays["ids"])} | {name: _digest(_as_bytes(array)) for name, array in arrays.items()}


def _batch_digests(run: Path) -> dict[str, list[str]]:
    digests: dict[str, list[str]] = {}
    for phase, rows in _batches(run):
        content = b"".join(_as_bytes(array) for row in rows for array in row)
        digests.setdefault(phase, []).append(_digest(content)[:16])
    return digests


def _batches(run: Path) -> Iterator[tuple[str, list[tuple[np.ndarray, ...]]]]:
    """Phase and rows of every batch; a row is (masked token ids, labels, position ids, cu_seqlens)."""
    from rexplug.pipeline.lineage import run_lineages

    for phase, lineage in run_lineages(run).items():
        for batch, _ in lineage.history.stream.batches():
            yield phase, [(row.token_ids, row.labels, row.position_ids, row.cu_seqlens) for row in batch.rows]


def _as_bytes(array: np.ndarray) -> bytes:
    """The values as little-endian int64 after their number, so that a changed type or a shifted end changes the hash."""
    return len(array).to_bytes(8, "little") + array.astype("<i8").tobytes()


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
