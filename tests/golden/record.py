"""Records the golden values: `python tests/golden/record.py`.

On another platform than those recorded this adds its training metrics. Where values of corpus, tokens or batches differ
from those recorded, or those of this platform, nothing is written without `--replace`, which also forgets the metrics of
all other platforms: they belong to the old values.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from golden.golden_run import CORPUS, TRAINING, corpus_values, differences, run_golden, this_platform, training_values


def main() -> int:
    """Run the golden recipe and write the JSON files; 1 if values changed and `--replace` was not given."""
    with tempfile.TemporaryDirectory() as folder:
        run = run_golden(Path(folder))
        corpus, training = corpus_values(run), training_values(run)
    here = this_platform()
    recorded = _read(TRAINING, [])
    same = [entry for entry in recorded if entry["platform"] == here]
    changed = differences(_read(CORPUS, corpus), corpus)
    for entry in same:
        changed += differences({name: entry[name] for name in training}, training)
    if changed and "--replace" not in sys.argv[1:]:
        sys.stderr.write("\n".join([*changed, "nothing written; --replace records the new values", ""]))
        return 1
    others = [] if changed else [entry for entry in recorded if entry["platform"] != here]
    _write(CORPUS, corpus)
    _write(TRAINING, [*others, {"platform": here, **training}])
    return 0


def _read(path: Path, default: Any) -> Any:
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else default


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
