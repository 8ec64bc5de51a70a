"""Calls into components: errors that a plugin raises name the component and its input, and returned values are checked.

Every method and property that plugins may override is called by a function of this package, a module for each kind of component;
the rest of rexplug uses these functions. All of them raise `PluginError` where the plugin's code raises, or returns a value that
breaks its contract; `rexplug.plugins.calls.call` describes which exceptions pass.
"""

from rexplug.plugins.calls.call import PluginCall, owner, plugin_at_fault
from rexplug.plugins.calls.components import (
    all_input_files,
    check_component,
    component_from_entry,
    fit_component,
    foreign_classes,
    hub_names,
    input_files,
    option_files,
    recipe_entry,
    require_picklable,
)
from rexplug.plugins.calls.evaluation_results import require_result
from rexplug.plugins.calls.evaluators import (
    evaluate_model,
    evaluator_at_budget,
    evaluator_label,
    needs_held_out,
    test_texts,
    why_no_test_texts,
)
from rexplug.plugins.calls.filters import judge_document, judge_documents, step_name
from rexplug.plugins.calls.labellers import label_candidates, labelled_ids, labeller_instruction, own_documents
from rexplug.plugins.calls.masking import choose_tokens, masking_budget, salient_subset
from rexplug.plugins.calls.mixing import mixing_weights
from rexplug.plugins.calls.salience import explain_salience, needed_sources, score_document
from rexplug.plugins.calls.sources import count_shards, file_versions, is_synthetic, read_documents

__all__ = [
    "PluginCall",
    "all_input_files",
    "check_component",
    "choose_tokens",
    "component_from_entry",
    "count_shards",
    "evaluate_model",
    "evaluator_at_budget",
    "evaluator_label",
    "explain_salience",
    "file_versions",
    "fit_component",
    "foreign_classes",
    "hub_names",
    "input_files",
    "is_synthetic",
    "judge_document",
    "judge_documents",
    "label_candidates",
    "labelled_ids",
    "labeller_instruction",
    "masking_budget",
    "mixing_weights",
    "needed_sources",
    "needs_held_out",
    "option_files",
    "own_documents",
    "owner",
    "plugin_at_fault",
    "read_documents",
    "recipe_entry",
    "require_picklable",
    "require_result",
    "salient_subset",
    "score_document",
    "step_name",
    "test_texts",
    "why_no_test_texts",
]
