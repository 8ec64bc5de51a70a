"""Estimates the work of every stage, and its time and memory by default, where nothing was measured.

The defaults are round numbers from two cores of an AMD EPYC (docs/explanations/plan.md). A measurement becomes a factor on
them, so that it also holds for more tokens, more documents or another number of steps.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from rexplug.components import Budget
from rexplug.evaluation.lexical import LEXICAL_KINDS
from rexplug.planning.gpus import Gpu, evaluation_rate, share_of_peak
from rexplug.planning.hardware import Hardware
from rexplug.planning.history import cost_key, stage_kind
from rexplug.planning.memory import GIB, training_memory
from rexplug.planning.phases import Plan, PlannedPhase
from rexplug.planning.sources import BYTES_PER_TOKEN, curate_cost_key, tokenize_cost_key
from rexplug.recipe import Recipe

THREAD_FLOPS = 55e9
"""Operations per second of one thread in training; n threads reach n^0.7 times as many."""
BF16_SPEEDUP = 1.4
"""How many times as fast a CPU with instructions for it trains and evaluates in bf16 as in fp32."""
STEP_SECONDS = 0.04
"""Time of a step besides its operations: the optimizer's loop, metrics, packing."""
OPTIMIZER_SECONDS = 3.5e-9
"""Time of the optimizer per parameter and step on a CPU."""
CURATE_BYTES = 1e6
"""Bytes of text that a core reads, filters, deduplicates and writes in a second."""
TOKENIZE_TOKENS = 4e5
"""Tokens that a core tokenizes in a second, word starts and salience included."""
TOKENIZER_CHARACTERS = 4e6
"""Characters per second in training a tokenizer."""
RELEVANCE_DOCUMENTS = 130.0
"""Documents per second that are read, labelled and trained on by fastText."""
EVALUATOR_TOKENS = 50e3
"""Tokens of training that take as long as an evaluator does on average."""
BUDGET_WORK: dict[Budget, float] = {"quick": 0.2, "standard": 1.0, "full": 6.0}
"""Work of evaluators at each budget, as a multiple of that at `standard`."""
EVALUATOR_SECONDS = 2.0
"""Time of an evaluator that does not depend on the model."""
EXPORT_SECONDS, REPORT_SECONDS, INITIAL_SECONDS, IMPORT_SECONDS, BASELINE_SECONDS = 2.0, 3.0, 4.0, 4.0, 0.5
"""Export with the comparison of logits, report, initial model with torch's import, Composer's import, and a lexical baseline."""
PROCESS_GIB = {
    "relevance": 0.4,
    "curate": 0.45,
    "tokenize": 0.5,
    "initial": 0.85,
    "evaluate": 1.3,
    "evaluated": 1.5,
}
"""Peak memory of stages that train no model; `evaluated` is that of a training process which ran evaluators."""


@dataclass(frozen=True)
class Task:
    """A stage before it runs, with its default cost.

    `cost_key` is a hash of the options that decide its cost, `work` the amount of work in numbers, `seconds` the default time on
    a machine (None where the work is not known), `memory_gib` the default peak memory, and `why` says if the work is a guess.
    """

    name: str
    cost_key: str
    work: Mapping[str, float]
    seconds: float | None
    memory_gib: float
    why: str = ""

    @property
    def size(self) -> float:
        """Parameters of the model; 0 for stages without one."""
        return self.work.get("parameters", 0.0)


class _AddTask(Protocol):
    """Adds a stage to the tasks; see `tasks_of`."""

    def __call__(
        self, name: str, key: str, work: Mapping[str, float], memory: float | None = None, known: bool = True
    ) -> None: ...


@dataclass(frozen=True)
class CorpusSize:
    """All sources together: `read_bytes` before filters, kept `tokens` and `documents`; `guessed` says how if they are guessed."""

    read_bytes: float
    tokens: float
    documents: float
    guessed: str = ""


def corpus_size(plan: Plan) -> CorpusSize:
    """The size of all sources; for one that is not counted the tokens that the phases take of it, as if no text was seen twice."""
    read = tokens = documents = 0.0
    guessed = ""
    for name, size in plan.source_sizes.items():
        kept = size.num_tokens
        if kept is None:
            kept = sum(phase.sources[name].tokens for phase in plan.phases if name in phase.sources)
            guessed = "sources are not counted yet; estimated as if no text was seen twice"
        tokens += kept
        documents += size.num_documents or kept / 700
        read += size.read_bytes or size.num_bytes or kept * BYTES_PER_TOKEN
    return CorpusSize(read, tokens, documents, guessed)


def seconds_of(task: str, work: Mapping[str, float], machine: Hardware, gpu: Gpu | None) -> float:
    """The default time of a stage with this work on a machine; `gpu` is the one that it trains on."""
    kind = stage_kind(task)
    workers = max(1.0, min(work.get("workers", 1.0), machine.cores))
    training = _training_seconds(work, machine, gpu)
    if kind == "relevance":
        return IMPORT_SECONDS + work["documents"] / RELEVANCE_DOCUMENTS
    if kind == "curate":
        return IMPORT_SECONDS + work["bytes"] / CURATE_BYTES / workers
    if kind == "tokenize":
        return IMPORT_SECONDS + work["sample"] / TOKENIZER_CHARACTERS + work["tokens"] / TOKENIZE_TOKENS / workers
    if kind == "initial":
        return INITIAL_SECONDS + work["parameters"] * 2e-8
    if kind == "train":
        return work["first"] * IMPORT_SECONDS + training + work["evaluations"] * _evaluation(work, machine, gpu)
    if kind in ("evaluate", "evaluator"):
        return _evaluation(work, machine, gpu)
    if kind == "baselines":
        neural = work["models"] * _evaluation(work, machine, gpu)
        return neural + work["words"] * work["evaluators"] * BASELINE_SECONDS
    return (EXPORT_SECONDS if kind == "export" else REPORT_SECONDS) + work.get("parameters", 0.0) * 2e-8


def _training_seconds(work: Mapping[str, float], machine: Hardware, gpu: Gpu | None) -> float:
    flops, steps = work.get("flops", 0.0), work.get("steps", 0.0)
    if gpu is not None:
        return flops / (gpu.peak * work["share"]) / work.get("processes", 1.0) if flops else 0.0
    rate = _threads_flops(machine, bf16=bool(work.get("bf16_training", 0.0)))
    return flops / rate + steps * (STEP_SECONDS + OPTIMIZER_SECONDS * work.get("parameters", 0.0))


def _threads_flops(machine: Hardware, *, bf16: bool) -> float:
    return THREAD_FLOPS * math.pow(machine.threads, 0.7) * (BF16_SPEEDUP if bf16 and machine.bf16 else 1.0)


def _evaluation(work: Mapping[str, float], machine: Hardware, gpu: Gpu | None) -> float:
    flops = EVALUATOR_TOKENS * work["flops_per_token"] * work.get("budget", 1.0)
    bf16 = bool(work.get("bf16", 0.0))
    rate = evaluation_rate(gpu, work["share"], bf16=bf16) if gpu is not None else _threads_flops(machine, bf16=bf16)
    return work["evaluators"] * (EVALUATOR_SECONDS + flops / rate)


def tasks_of(recipe: Recipe, plan: Plan, machine: Hardware, gpu: Gpu | None, processes: int = 1) -> list[Task]:
    """Every stage of a recipe, in order, by the names that runs give them; `processes` train together, every one on a GPU."""
    size, workers = corpus_size(plan), float(recipe.curation.executor.workers)
    curated = curate_cost_key(recipe)
    tasks: list[Task] = []

    def add(name: str, key: str, work: Mapping[str, float], memory: float | None = None, known: bool = True) -> None:
        seconds = seconds_of(name, work, machine, gpu) if known else None
        peak = PROCESS_GIB.get(stage_kind(name), PROCESS_GIB["evaluate"]) if memory is None else memory
        why = size.guessed if _reads_all(name) else ""
        if machine.gpu and seconds is not None and name.startswith("evaluate."):
            why = evaluated_on(machine.gpu, gpu, recipe.evaluation.precision)
        tasks.append(Task(name, key, work, seconds, peak, why))

    if recipe.relevance is not None:
        sources = recipe.relevance.sources or tuple(recipe.sources)
        most = float(recipe.relevance.documents) * len(sources)
        add("relevance", curated, {"documents": min(most, size.documents * 2), "workers": workers})
    add("curate", curated, {"bytes": size.read_bytes, "workers": workers})
    sample = float(recipe.tokenizer.sample) if recipe.tokenizer.use else 0.0
    work = {"tokens": size.tokens, "sample": min(sample, size.tokens * BYTES_PER_TOKEN), "workers": workers}
    add("tokenize", tokenize_cost_key(recipe, curated), work)
    _add_training(recipe, plan, gpu, curated, float(processes), add)
    return tasks


def evaluator_work(parameters: float, without_embedding: float, precision: str) -> dict[str, float]:
    """The work of one evaluator on any encoder, outside a run.

    Args:
        parameters: all parameters of the encoder.
        without_embedding: those without the token embedding.
        precision: number format of its products.
    """
    return {
        "parameters": parameters, "evaluators": 1.0, "flops_per_token": 6 * without_embedding,
        "share": share_of_peak(without_embedding), "bf16": float(precision == "bf16"),
    }  # fmt: skip


def evaluated_on(device: str, gpu: Gpu | None, precision: str) -> str:
    """How the default time of an evaluation on a GPU was found."""
    if gpu is None:
        return f"evaluations were not measured on {device}, whose peak is not known; estimated as without a GPU"
    peak = gpu.peak if precision == "bf16" else gpu.fp32_peak
    return (
        f"evaluations were not measured on {device}; estimated in {precision} from its {peak / 1e12:,.0f} TFLOP/s, and "
        f"{EVALUATOR_SECONDS:.0f} s for each evaluator"
    )


def _reads_all(name: str) -> bool:
    return stage_kind(name) in ("relevance", "curate", "tokenize")


def _add_training(
    recipe: Recipe, plan: Plan, gpu: Gpu | None, curated: str, processes: float, add: _AddTask
) -> None:  # fmt: skip
    """Add the stages from the initial model on; their time is not known if the model's shape is not."""
    shape = (
        None if plan.shape is None or plan.rows is None
        else (plan.shape.layers, plan.shape.hidden, plan.shape.intermediate, plan.rows)
    )  # fmt: skip
    known = shape is not None
    evaluators = [evaluator.dump() for evaluator in recipe.evaluators]
    parameters = float(plan.parameters or 0)
    share = share_of_peak(plan.shape.without_embedding) if plan.shape else 0.0
    model = {
        "parameters": parameters, "evaluators": float(len(recipe.evaluators)),
        "flops_per_token": (plan.flops or 0.0) / plan.tokens, "share": share,
    }  # fmt: skip
    precision = recipe.evaluation.precision
    if precision == "bf16":
        model["bf16"] = 1.0
    budget = recipe.evaluation.budget
    if budget != "standard":
        model["budget"] = BUDGET_WORK[budget]
    others = [other for other, default in ((precision, "fp32"), (budget, "standard")) if other != default]
    evaluating = cost_key("evaluate", shape, evaluators, curated, *others)
    add("train.initial", cost_key("initial", shape), {"parameters": parameters}, known=known)
    add("evaluate.initial", evaluating, model, known=known)
    for number, (phase, planned) in enumerate(zip(recipe.phases, plan.phases, strict=True)):
        evaluations = float((phase.tokens - 1) // phase.evaluate_every) if phase.evaluate_every else 0.0
        work = model | {
            "tokens": float(planned.tokens), "steps": float(planned.steps), "flops": planned.flops or 0.0,
            "first": float(number == 0), "evaluations": evaluations, "processes": processes,
        }  # fmt: skip
        on_cpu_in_bf16 = gpu is None and recipe.model.precision == "bf16"
        if on_cpu_in_bf16:
            work["bf16_training"] = 1.0
        memory = _memory(plan, planned, gpu, bool(recipe.evaluators))
        work["memory_gib"] = memory
        add(
            f"train.{phase.name}",
            train_cost_key(shape, planned, *(["bf16"] if on_cpu_in_bf16 else [])),
            work,
            memory,
            known,
        )
        add(f"evaluate.{phase.name}", evaluating, model, known=known)
    add("export", cost_key("export", shape), {"parameters": parameters}, known=known)
    if recipe.baselines:
        names = [baseline.model for baseline in recipe.baselines]
        words = sum(name.partition("=")[2] in LEXICAL_KINDS or name in LEXICAL_KINDS for name in names)
        work = model | {"words": float(words), "models": float(len(names) - words)}
        written = [baseline.model_dump(mode="json") for baseline in recipe.baselines]
        add("evaluate.baselines", cost_key("baselines", written, evaluating), work, known=known)
    add("report", cost_key("report", shape, len(recipe.phases)), {"steps": float(plan.steps)})


def _memory(plan: Plan, phase: PlannedPhase, gpu: Gpu | None, evaluated: bool) -> float:
    """Peak memory of the process on a CPU; with a GPU it holds little but libraries. `evaluated`: evaluators ran in it."""
    if plan.shape is None or plan.rows is None:
        return PROCESS_GIB["evaluate"]
    if gpu is not None:
        return 3.0
    libraries = PROCESS_GIB["evaluated"] - PROCESS_GIB["initial"] if evaluated else 0.0
    return training_memory(plan.shape, plan.rows, phase, gpu=False).total / GIB + libraries


def train_cost_key(shape: object, phase: PlannedPhase, *others: str) -> str:
    """The cost key of a phase: what decides its tokens per second; `others` are what is not the default of a device."""
    masks = [round(phase.mask_rate[0], 3), round(phase.mask_rate[-1], 3)]
    return cost_key(
        "train", shape, phase.context, phase.row_tokens, phase.batch_tokens[-1], masks, phase.optimizer, *others
    )
