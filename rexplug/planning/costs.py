"""What each stage has to do, and how long that takes where nothing was measured: the documented defaults of a plan.

The defaults are round figures from two cores of an AMD EPYC (docs/plan.md). A measurement on this machine turns into a
factor on them, so that it also holds for more tokens, more documents or another number of steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from rexplug.evaluation.lexical import KINDS as LEXICAL_BASELINES
from rexplug.planning.gpus import Gpu, share_of_peak
from rexplug.planning.hardware import Hardware
from rexplug.planning.history import cost_key, group_of
from rexplug.planning.memory import GIB, training_memory
from rexplug.planning.phases import Plan, PlannedPhase
from rexplug.planning.sources import BYTES_PER_TOKEN, curate_cost_key, tokenize_cost_key
from rexplug.recipe import Recipe

THREAD_FLOPS = 55e9
"""Operations a second that a first thread reaches in training; n threads reach n^0.7 times as much."""
STEP_SECONDS = 0.04
"""What a step takes besides its operations: the optimizer's loop, figures, packing."""
OPTIMIZER_SECONDS = 3.5e-9
"""What the optimizer takes per parameter and step on a CPU."""
CURATE_BYTES = 1e6
"""Bytes of text a core reads, judges, compares and writes in a second."""
TOKENIZE_TOKENS = 4e5
"""Tokens a core tokenizes in a second, word starts and salience included."""
TRAIN_TOKENIZER = 4e6
"""Characters a second from which a tokenizer is trained."""
RELEVANCE_DOCUMENTS = 130.0
"""Documents a second that are read, labelled and learnt from, fastText's training included."""
EVALUATOR_TOKENS = 50e3
"""Tokens of training that take as long as an evaluator."""
EVALUATOR_SECONDS = 2.0
"""And what it takes besides."""
EXPORT_SECONDS, REPORT_SECONDS, INITIAL_SECONDS, IMPORT_SECONDS, BASELINE_SECONDS = 2.0, 3.0, 4.0, 4.0, 0.5
"""Export and its proof, report, first model with torch's import, Composer's import, and an evaluator without a model."""
PROCESS_GIB = {
    "relevance": 0.4,
    "curate": 0.45,
    "tokenize": 0.5,
    "initial": 0.85,
    "evaluate": 1.3,
    "evaluated": 1.5,
}
"""Peak memory of stages that train no model to speak of; `evaluated` is that of a process which ran evaluators."""


@dataclass(frozen=True)
class Task:
    """A stage before it runs.

    `cost_key` is a hash of the options that decide its cost, `work` what it has to do in numbers, `seconds` the default
    on a machine (None where the work is not known) and `memory_gib` the default of its peak memory.
    """

    name: str
    cost_key: str
    work: Mapping[str, float]
    seconds: float | None
    memory_gib: float
    why: str = ""

    @property
    def size(self) -> float:
        """Parameters of the model that it works on; 0 for none."""
        return self.work.get("parameters", 0.0)


class _Add(Protocol):
    def __call__(
        self, name: str, key: str, work: Mapping[str, float], memory: float | None = None, known: bool = True
    ) -> None: ...


@dataclass(frozen=True)
class Data:
    """All sources together: `read_bytes` before filters, kept `tokens` and `documents`; `guessed` says how, if it is a guess."""

    read_bytes: float
    tokens: float
    documents: float
    guessed: str = ""


def data_of(plan: Plan) -> Data:
    """What is known of the sources; where one is not counted, the tokens that the phases take of it, as if none was seen twice."""
    read = tokens = documents = 0.0
    guessed = ""
    for name, known in plan.source_sizes.items():
        kept = known.num_tokens
        if kept is None:
            kept = sum(phase.sources[name].tokens for phase in plan.phases if name in phase.sources)
            guessed = "sources are not counted yet; taken as if no text was seen twice"
        tokens += kept
        documents += known.num_documents or kept / 700
        read += known.read_bytes or known.num_bytes or kept * BYTES_PER_TOKEN
    return Data(read, tokens, documents, guessed)


def seconds_of(task: str, work: Mapping[str, float], machine: Hardware, gpu: Gpu | None) -> float:
    """The default for a stage with this work on a machine; `gpu` is the one that it trains on."""
    group = group_of(task)
    workers = max(1.0, min(work.get("workers", 1.0), machine.cores))
    training = _training_seconds(work, machine, gpu)
    if group == "relevance":
        return IMPORT_SECONDS + work["documents"] / RELEVANCE_DOCUMENTS
    if group == "curate":
        return IMPORT_SECONDS + work["bytes"] / CURATE_BYTES / workers
    if group == "tokenize":
        return IMPORT_SECONDS + work["sample"] / TRAIN_TOKENIZER + work["tokens"] / TOKENIZE_TOKENS / workers
    if group == "initial":
        return INITIAL_SECONDS + work["parameters"] * 2e-8
    if group == "train":
        return work["first"] * IMPORT_SECONDS + training + work["evaluations"] * _evaluation(work, machine, gpu)
    if group == "evaluate":
        return _evaluation(work, machine, gpu)
    if group == "baselines":
        heavy = work["models"] * _evaluation(work, machine, gpu)
        return heavy + work["words"] * work["evaluators"] * BASELINE_SECONDS
    return (EXPORT_SECONDS if group == "export" else REPORT_SECONDS) + work.get("parameters", 0.0) * 2e-8


def _training_seconds(work: Mapping[str, float], machine: Hardware, gpu: Gpu | None) -> float:
    flops, steps = work.get("flops", 0.0), work.get("steps", 0.0)
    if gpu is not None:
        return flops / (gpu.peak * work["share"]) / work.get("processes", 1.0) if flops else 0.0
    rate = _threads_flops(machine)
    return flops / rate + steps * (STEP_SECONDS + OPTIMIZER_SECONDS * work.get("parameters", 0.0))


def _threads_flops(machine: Hardware) -> float:
    return THREAD_FLOPS * math.pow(machine.threads, 0.7)


def _evaluation(work: Mapping[str, float], machine: Hardware, gpu: Gpu | None) -> float:
    each = EVALUATOR_TOKENS * work["flops_per_token"]
    rate = gpu.peak * work["share"] if gpu is not None else _threads_flops(machine)
    return work["evaluators"] * (EVALUATOR_SECONDS + each / rate)


def tasks_of(recipe: Recipe, plan: Plan, machine: Hardware, gpu: Gpu | None, processes: int = 1) -> list[Task]:
    """Every stage of a recipe, in order, under the names that runs give them; `processes` train together, on a GPU each."""
    data, workers = data_of(plan), float(recipe.curation.executor.workers)
    curated = curate_cost_key(recipe)
    tasks: list[Task] = []

    def add(name: str, key: str, work: Mapping[str, float], memory: float | None = None, known: bool = True) -> None:
        seconds = seconds_of(name, work, machine, gpu) if known else None
        peak = PROCESS_GIB.get(group_of(name), PROCESS_GIB["evaluate"]) if memory is None else memory
        tasks.append(Task(name, key, work, seconds, peak, data.guessed if _reads_all(name) else ""))

    if recipe.relevance is not None:
        asked = recipe.relevance.sources or tuple(recipe.sources)
        most = float(recipe.relevance.documents) * len(asked)
        add("relevance", curated, {"documents": min(most, data.documents * 2), "workers": workers})
    add("curate", curated, {"bytes": data.read_bytes, "workers": workers})
    sample = float(recipe.tokenizer.sample) if recipe.tokenizer.use else 0.0
    work = {"tokens": data.tokens, "sample": min(sample, data.tokens * BYTES_PER_TOKEN), "workers": workers}
    add("tokenize", tokenize_cost_key(recipe, curated), work)
    _add_training(recipe, plan, gpu, curated, float(processes), add)
    return tasks


def _reads_all(name: str) -> bool:
    return group_of(name) in ("relevance", "curate", "tokenize")


def _add_training(
    recipe: Recipe, plan: Plan, gpu: Gpu | None, curated: str, processes: float, add: _Add
) -> None:  # fmt: skip
    """The stages from the first model on; of an unknown shape nothing is said."""
    shape = (
        None if plan.shape is None or plan.rows is None
        else (plan.shape.layers, plan.shape.hidden, plan.shape.intermediate, plan.rows)
    )  # fmt: skip
    known = shape is not None
    measured = [each.dump() for each in recipe.evaluators]
    parameters = float(plan.parameters or 0)
    model = {
        "parameters": parameters, "evaluators": float(len(recipe.evaluators)),
        "flops_per_token": (plan.flops or 0.0) / plan.tokens, "share": share_of_peak(plan.shape) if plan.shape else 0.0,
    }  # fmt: skip
    evaluating = cost_key("evaluate", shape, measured, curated)
    add("train.initial", cost_key("initial", shape), {"parameters": parameters}, known=known)
    add("evaluate.initial", evaluating, model, known=known)
    for number, (phase, planned) in enumerate(zip(recipe.phases, plan.phases, strict=True)):
        evaluations = float((phase.tokens - 1) // phase.evaluate_every) if phase.evaluate_every else 0.0
        work = model | {
            "tokens": float(planned.tokens), "steps": float(planned.steps), "flops": planned.flops or 0.0,
            "first": float(number == 0), "evaluations": evaluations, "processes": processes,
        }  # fmt: skip
        memory = _memory(plan, planned, gpu, bool(recipe.evaluators))
        work["memory_gib"] = memory
        add(f"train.{phase.name}", train_cost_key(shape, planned, phase.optimizer.use), work, memory, known)
        add(f"evaluate.{phase.name}", evaluating, model, known=known)
    add("export", cost_key("export", shape), {"parameters": parameters}, known=known)
    if recipe.baselines:
        words = sum(
            name.partition("=")[2] in LEXICAL_BASELINES or name in LEXICAL_BASELINES for name in recipe.baselines
        )
        work = model | {"words": float(words), "models": float(len(recipe.baselines) - words)}
        add("evaluate.baselines", cost_key("baselines", list(recipe.baselines), evaluating), work, known=known)
    add("report", cost_key("report", shape, len(recipe.phases)), {"steps": float(plan.steps)})


def _memory(plan: Plan, phase: PlannedPhase, gpu: Gpu | None, evaluated: bool) -> float:
    """Peak memory of the process on a CPU; beside a GPU it holds little but libraries. `evaluated`: evaluators ran before."""
    if plan.shape is None or plan.rows is None:
        return PROCESS_GIB["evaluate"]
    if gpu is not None:
        return 3.0
    libraries = PROCESS_GIB["evaluated"] - PROCESS_GIB["initial"] if evaluated else 0.0
    return training_memory(plan.shape, plan.rows, phase, gpu=False).total / GIB + libraries


def train_cost_key(shape: object, phase: PlannedPhase, optimizer: str) -> str:
    """A hash of what decides a phase's tokens a second."""
    masks = [round(phase.mask_rate[0], 3), round(phase.mask_rate[-1], 3)]
    return cost_key("train", shape, phase.context, phase.row_tokens, phase.batch_tokens[-1], masks, optimizer)
