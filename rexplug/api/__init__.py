"""rexplug from Python: everything that the command line does, as functions that print nothing.

    import rexplug

    recipe = rexplug.load_recipe("recipes/ecommerce.yaml", ["phases.anneal.tokens=200k"])
    run = rexplug.run(recipe, run_dir="runs/notebook")
    model = run.load_model()

Mistakes that the user can repair are raised as subclasses of `rexplug.RexplugError`, whose text says where, what is wrong and
what would be right. Loading this package is cheap: each function imports what it needs when it is called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rexplug.api.ablation import AblationResult, ablate
from rexplug.api.corpus import (
    CorpusReport,
    corpus_report,
    decode,
    document_outcomes,
    length_quantiles,
    open_token_stores,
    stored_tokenizer,
)
from rexplug.api.evaluation import compare, evaluate, write_comparison
from rexplug.api.folders import RunLike, StrPath
from rexplug.api.lineage import DocumentSteps, StepDocuments, documents_of_step, steps_of_document
from rexplug.api.plugins import (
    check_plugin,
    component_kinds,
    find_components,
    installed_plugins,
    new_plugin,
    option_docs,
)
from rexplug.api.recipes import check, default_run_dir, dump_recipe, load_recipe, plan, recipe_schema
from rexplug.api.results import Run, SourceCounts, StageRecord, open_run
from rexplug.api.runs import (
    damage_in,
    export_checkpoint,
    run,
    train_with_main_rank,
    verify,
    write_report,
)
from rexplug.api.streams import Batch, Stream, StreamRow, open_stream, preview
from rexplug.errors import RunInterrupted
from rexplug.lazy import lazy_names
from rexplug.progress import Progress
from rexplug.renamed import Renamed

if TYPE_CHECKING:
    from rexplug.batches.mask_rates import MaskRates
    from rexplug.components import Component
    from rexplug.corpus.provenance import DocumentOutcome
    from rexplug.pipeline.preflight.report import PreflightReport
    from rexplug.pipeline.stages import Incomplete
    from rexplug.planning import (
        Disk,
        Forecast,
        GpuForecast,
        Memory,
        Plan,
        PlannedPhase,
        SourceSize,
        SourceUse,
        StageForecast,
    )
    from rexplug.planning.sources import BYTES_PER_TOKEN
    from rexplug.plugins.registry import Registry
    from rexplug.recipe import Recipe
    from rexplug.report.compare import Cell, Comparison
    from rexplug.report.preview import PhasePreview, RowPreview, SamplePreview
    from rexplug.report.results import ModelResults
    from rexplug.tokens.store import TokenStore

__all__ = [
    "BYTES_PER_TOKEN",
    "AblationResult",
    "Batch",
    "Cell",
    "Comparison",
    "Component",
    "CorpusReport",
    "Disk",
    "DocumentOutcome",
    "DocumentSteps",
    "Forecast",
    "GpuForecast",
    "Incomplete",
    "MaskRates",
    "Memory",
    "ModelResults",
    "PhasePreview",
    "Plan",
    "PlannedPhase",
    "PreflightReport",
    "Progress",
    "Recipe",
    "Registry",
    "RowPreview",
    "Run",
    "RunInterrupted",
    "RunLike",
    "SamplePreview",
    "SourceCounts",
    "SourceSize",
    "SourceUse",
    "StageForecast",
    "StageRecord",
    "StepDocuments",
    "StrPath",
    "Stream",
    "StreamRow",
    "TokenStore",
    "ablate",
    "check",
    "check_plugin",
    "compare",
    "component_kinds",
    "corpus_report",
    "damage_in",
    "decode",
    "default_run_dir",
    "document_outcomes",
    "documents_of_step",
    "dump_recipe",
    "evaluate",
    "export_checkpoint",
    "find_components",
    "installed_plugins",
    "length_quantiles",
    "load_recipe",
    "new_plugin",
    "open_run",
    "open_stream",
    "open_token_stores",
    "option_docs",
    "plan",
    "preview",
    "recipe_schema",
    "run",
    "steps_of_document",
    "stored_tokenizer",
    "train_with_main_rank",
    "verify",
    "write_comparison",
    "write_report",
]  # fmt: skip

RENAMED = {"Expected": Renamed("StageForecast", until="0.2"), "OnGpu": Renamed("GpuForecast", until="0.2")}
"""Former name -> what replaces it."""

# Types of results.
__getattr__ = lazy_names(__name__, {
    "rexplug.components": ("Component",),
    "rexplug.corpus.provenance": ("DocumentOutcome",),
    "rexplug.pipeline.preflight.report": ("PreflightReport",),
    "rexplug.pipeline.stages": ("Incomplete",),
    "rexplug.planning": (
        "Disk", "StageForecast", "Forecast", "SourceSize", "Memory", "GpuForecast", "Plan", "PlannedPhase", "SourceUse",
    ),
    "rexplug.planning.sources": ("BYTES_PER_TOKEN",),
    "rexplug.plugins.registry": ("Registry",),
    "rexplug.recipe": ("Recipe",),
    "rexplug.report.compare": ("Cell", "Comparison"),
    "rexplug.batches.mask_rates": ("MaskRates",),
    "rexplug.report.preview": ("PhasePreview", "RowPreview", "SamplePreview"),
    "rexplug.report.results": ("ModelResults",),
    "rexplug.tokens.store": ("TokenStore",),
}, RENAMED)  # fmt: skip


def __dir__() -> list[str]:
    return sorted(__all__)
