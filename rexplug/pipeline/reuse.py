"""Reuses the outputs of another run's identical stage, as hard links, instead of computing them again."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence

from rexplug.io.atomic import replacing
from rexplug.pipeline.manifest import Manifest
from rexplug.pipeline.stages import Stage
from rexplug.run_directory import RunDirectory


def find_donor(stage: Stage, fingerprint: str, manifest: Manifest, siblings: Sequence[RunDirectory]) -> Manifest | None:
    """The first of `siblings` that finished the stage with the same fingerprint and still has its outputs."""
    if stage.group == "report":
        return None  # a report describes its own run
    for sibling in siblings:
        if not sibling.manifest.exists():
            continue
        donor = Manifest.open(sibling)
        recorded = donor.stage(stage.name)
        outputs = [sibling.root / path.relative_to(manifest.run.root) for path in stage.outputs]
        same = recorded.get("fingerprint") == fingerprint and recorded.get("status") == "done"
        if same and all(path.exists() for path in outputs):
            return donor
    return None


def reuse_outputs(stage: Stage, donor: Manifest, manifest: Manifest, fingerprint: str) -> None:
    """Replace a stage's outputs and its entry in the manifest by those of the donor."""
    stage.remove_outputs()
    for path in stage.outputs:
        source = donor.run.root / path.relative_to(manifest.run.root)
        with replacing(path) as temporary:
            if source.is_dir():
                shutil.copytree(source, temporary, copy_function=_link)
            else:
                _link(str(source), str(temporary))
    if stage.adopt is not None:
        stage.adopt(donor.run)
    recorded = donor.stage(stage.name)
    # Paths in a result are those of the run that it belongs to.
    result = json.loads(json.dumps(recorded.get("result")).replace(str(donor.run.root), str(manifest.run.root)))
    manifest.set_stage(
        stage.name, status="done", fingerprint=fingerprint, inputs=dict(stage.inputs), started=recorded.get("started"),
        finished=recorded.get("finished"), seconds=recorded.get("seconds", 0.0), result=result,
        peak_memory_gib=recorded.get("peak_memory_gib"), taken_over_from=str(donor.run.root), stale=None,
        files=recorded.get("files", {}),
    )  # fmt: skip


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system, or one without hard links
        shutil.copy2(source, target)
