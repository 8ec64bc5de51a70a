"""The parts of a recipe that say how a corpus is made: duplicates, test texts, relevance, where it runs."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from rexplug.components import Labeller, Quantity, Use
from rexplug.recipe.section import Positive, Section


class MinHash(Section):
    """How near-duplicates are found: the more hashes a bucket has, the more alike two documents must be."""

    words: int = Field(default=5, ge=1, le=1000)
    """Words in a shingle."""
    buckets: int = Field(default=14, ge=1, le=1000)
    """Buckets; two documents that agree in one of them are near-duplicates."""
    hashes: int = Field(default=8, ge=1, le=1000)
    """Hashes in a bucket."""


class Slurm(Section):
    """What a Slurm job asks for."""

    partition: str
    """Where the jobs go."""
    time: str = "20:00:00"
    """Longest time that a job may take."""
    cpus: int = Field(default=1, ge=1, le=10_000)
    """Cores of a job; more than one only to get their memory."""
    memory_per_cpu: int = Field(default=4, ge=1, le=100_000)
    """GB per core."""
    qos: str = ""
    """Quality of service; the cluster's own if left out."""
    setup: str = ""
    """Shell command that makes rexplug importable on a node, e.g. `source /shared/venv/bin/activate`."""
    arguments: dict[str, str] = Field(default_factory=dict)
    """Further arguments of sbatch, e.g. `{account: retail}`."""
    poll_seconds: float = Field(default=30, ge=0.01, le=86_400)
    """How often to look whether the jobs are done."""


class Executor(Section):
    """Where curation and tokenization run. The result does not depend on it."""

    use: Literal["local", "ray", "slurm"] = "local"
    """`local`: processes on this machine; `ray`: a Ray cluster; `slurm`: a Slurm cluster that shares the run's folder."""
    workers: int = Field(default=1, ge=1, le=100_000)
    """How many processes work at a time."""
    retries: int = Field(default=2, ge=0, le=1000)
    """How often a shard is tried again whose worker died or could not read or write for the moment."""
    address: str | None = None
    """Of the Ray cluster; `auto` finds one that runs, left out one is started on this machine."""
    slurm: Slurm | None = None
    """What a Slurm job asks for."""

    @model_validator(mode="after")
    def _no_dead_keys(self) -> Self:
        if (self.slurm is None) == (self.use == "slurm"):
            problem = "'use: slurm' needs the key 'slurm'" if self.slurm is None else "'slurm' goes with 'use: slurm'"
            raise PydanticCustomError("executor", "{problem}", {"problem": problem})
        if self.address is not None and self.use != "ray":
            raise PydanticCustomError("executor", "'address' goes with 'use: ray'", {})
        return self


class Decontamination(Section):
    """When a training document counts as holding text of an evaluator."""

    words: int = Field(default=13, ge=3, le=1000)
    """Length of the word n-grams that are compared (lower case, without punctuation)."""
    shortest: int = Field(default=8, ge=3, le=1000)
    """Evaluator texts of fewer than `words` words are looked for whole, down to this many words; shorter ones occur
    everywhere."""
    hits: int = Field(default=1, ge=1, le=1_000_000)
    """A document with at least this many n-grams of an evaluator is dropped."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.shortest > self.words:
            raise PydanticCustomError(
                "decontamination",
                "shortest ({shortest}) is more than words ({words})",
                {"shortest": self.shortest, "words": self.words},
            )
        return self


class Curation(Section):
    """From documents to corpus."""

    deduplicate: Literal["none", "exact", "minhash"] = "minhash"
    """`exact` drops equal texts (case and white space aside), `minhash` near-duplicates as well."""
    deduplicate_urls: bool = False
    """Drop documents whose address stood before (scheme, www, fragment and tracking parameters aside)."""
    deduplicate_across: bool = False
    """Look for duplicates over all sources together and not within each; an earlier source goes before a later one."""
    keep: Literal["first", "longest"] = "first"
    """Which of several duplicates stays: the first in the order of sources, files and rows, or the longest of them."""
    minhash: MinHash = MinHash()
    """Options of `deduplicate: minhash`."""
    decontaminate: Literal["evaluators", "none"] | tuple[str, ...] = "evaluators"
    """Drop documents that hold text of the `evaluators`, of those listed here by name, or of `none`. `rexplug corpus show`
    says which evaluators have no texts to compare with, and why."""
    decontamination: Decontamination = Decontamination()
    """Options of `decontaminate`."""
    held_out: float = Field(default=0.02, ge=0, lt=1)
    """Share of the kept documents that no phase trains on; evaluators use them. Chosen by a hash of the text."""
    executor: Executor = Executor()
    """Where the work runs."""


class Audit(Section):
    """A second judge labels a share of the sample; agreement with the first is reported as Cohen's kappa."""

    labels: Annotated[Labeller, Use()]
    """The second judge."""
    share: float = Field(default=0.1, gt=0, le=1)
    """Share of the labelled documents that it sees, chosen by a hash of the text."""
    disagreement: Literal["keep", "drop", "overrule"] = "drop"
    """What becomes of an audited document with two different labels: `keep` the first, `drop` it from the training, or let
    the second `overrule`."""
    min_kappa: float | None = Field(default=None, ge=-1, le=1)
    """Refuse labels whose agreement is below this."""


class Threshold(Section):
    """How the threshold is chosen on the dev split: the best F1, or the best recall at a given precision or vice versa."""

    precision: float | None = Field(default=None, gt=0, le=1)
    """At least this precision; among the thresholds that reach it the one with the highest recall."""
    recall: float | None = Field(default=None, gt=0, le=1)
    """At least this recall; among the thresholds that reach it the one with the highest precision."""

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if self.precision is not None and self.recall is not None:
            raise PydanticCustomError("threshold", "write 'precision' or 'recall', not both; neither means best F1", {})
        return self


class Classifier(Section):
    """fastText's settings; all of them are our choice."""

    dimension: int = Field(default=16, ge=1, le=4096)
    """Size of the word vectors."""
    word_pairs: bool = True
    """Use pairs of words besides single words."""
    buckets: Annotated[Quantity, Field(ge=1, le=100_000_000)] = 50_000
    """How many hash buckets the word pairs share."""
    epochs: int = Field(default=5, ge=1, le=10_000)
    """How often the training reads the labelled documents."""
    rate: float = Field(default=0.5, ge=1e-6, le=100)
    """Learning rate."""


class Relevance(Section):
    """A classifier of relevance to the vertical: sample, labels, audit, fastText, threshold. Sources use it with the filter
    `relevance`."""

    labels: Annotated[Labeller, Use()]
    """Who labels: a file, a language model, the rules of a vertical's plugin, or the sources themselves."""
    sources: tuple[str, ...] | None = None
    """Which sources the sample is drawn from; those that use the filter `relevance` if left out."""
    documents: Positive = 20_000
    """Label at most this many documents of each source."""
    pool: Positive | None = None
    """Draw them from the first documents of each shard, this many in all of a source; 10 times `documents` if left out."""
    characters: int = Field(default=4000, ge=100, le=10_000_000)
    """How much of a document is labelled and classified, from its start."""
    dev: float = Field(default=0.15, gt=0, lt=0.5)
    """Share of the labelled documents that the threshold is chosen on. Chosen by a hash of the text."""
    test: float = Field(default=0.15, gt=0, lt=0.5)
    """Share of the labelled documents that precision, recall and F1 are reported on, and nothing is chosen on."""
    audit: Audit | None = None
    """A second judge."""
    threshold: Threshold = Threshold()
    """How the threshold is chosen."""
    classifier: Classifier = Classifier()
    """fastText's settings."""
