"""Names that plugins and scripts may rely on: a name that goes away or a new one is a decision, made here."""

import rexplug
from rexplug import api, testing
from rexplug.plugins.discovery import API_VERSION
from rexplug.plugins.hookspecs import KINDS

PLUGIN_NAMES = [
    "Budget",
    "Candidate",
    "Component",
    "CorpusFilter",
    "CorpusSample",
    "DataError",
    "Difference",
    "Document",
    "DocumentSource",
    "Encoder",
    "EvaluatedItem",
    "EvaluationContext",
    "EvaluationResult",
    "Evaluator",
    "Example",
    "ExampleTask",
    "Fields",
    "FileSource",
    "FineTuned",
    "FineTuning",
    "FineTuningTask",
    "HubName",
    "InputFile",
    "Labeller",
    "LabellingContext",
    "MaskedWord",
    "MaskingPolicy",
    "Metric",
    "MixingSchedule",
    "NotApplicable",
    "Piece",
    "PluginError",
    "Quantity",
    "Ramp",
    "RankedDocument",
    "Reason",
    "Recipe",
    "RecipeError",
    "Renamed",
    "ReportSection",
    "RetrievalCollection",
    "RexplugError",
    "Run",
    "SalienceScorer",
    "Scores",
    "Shard",
    "TaggedText",
    "TaggingTask",
    "TokenBatch",
    "TokenizedDocument",
    "TrainableEncoder",
    "Unreadable",
    "Use",
    "Verdict",
    "__version__",
    "api",
    "bootstrap_metric",
    "check",
    "compare",
    "evaluate",
    "fold",
    "holm_correction",
    "hookimpl",
    "load_recipe",
    "lower_words",
    "open_run",
    "open_stream",
    "paired_test",
    "plan",
    "random_tokens",
    "read_lines",
    "read_records",
    "run",
    "split_of",
    "split_words",
]


FUNCTIONS = [
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
]


def test_names_for_plugins():
    assert sorted(rexplug.__all__) == PLUGIN_NAMES
    assert API_VERSION == 1


def test_hooks():
    assert list(KINDS) == [
        "rexplug_document_sources", "rexplug_corpus_filters", "rexplug_labellers", "rexplug_mixing_schedules",
        "rexplug_masking_policies", "rexplug_salience_scorers", "rexplug_evaluators",
    ]  # fmt: skip


def test_checks_for_plugins():
    assert testing.__all__ == [
        "check_corpus_filter", "check_document_source", "check_evaluator", "check_labeller", "check_masking_policy",
        "check_mixing_schedule", "check_plugin", "check_salience_scorer", "run_tiny",
    ]  # fmt: skip


def test_functions_for_scripts():
    assert [name for name in api.__all__ if name[0].islower()] == FUNCTIONS
