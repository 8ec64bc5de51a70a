"""The parts of a recipe about the corpus: deduplication, decontamination, relevance, and where the work runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from rexplug.components import Labeller, Quantity, Use
from rexplug.components.quantities import Positive
from rexplug.recipe.section import SameResult, Section


def _as_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


class MinHash(Section):
    """MinHash settings for near-duplicates: the more hashes per bucket, the more similar two documents must be."""

    words: int = Field(default=5, ge=1, le=1000)
    """Words in a shingle. A text of fewer words has none; in scripts without spaces, runs of four letters take their place."""
    buckets: int = Field(default=14, ge=1, le=1000)
    """Buckets; two documents whose hashes agree in one of them are compared."""
    hashes: int = Field(default=8, ge=1, le=1000)
    """Hashes in a bucket."""
    numbers: Literal["zero", "keep"] = "zero"
    """What numbers become before texts are compared: `zero` makes all of them 0, as datatrove does; `keep` makes only prices 0, so
    that sizes, capacities and model codes count, and keeps the plus sign of a word (`S10+`)."""
    differ: Literal["none", "numbers", "words"] = "none"
    """Two documents that each have a number (a word with a digit) or any word that the other lacks are different, however similar
    they are otherwise. For records of products, which differ in a code, a size or a colour; not for running text. With `words`,
    titles (fewer than 16 different words) that share no article number must have the same words."""
    ignored: tuple[str, ...] = ()
    """Words that do not count for `differ: words`: those that shops write around a product, such as `buy` and `delivery`."""
    similarity: float = Field(default=0.7, ge=0, le=1)
    """A near-duplicate is dropped only if its shingles and those of a document that stays have at least this Jaccard similarity;
    buckets only say which documents to compare."""

    @model_validator(mode="after")
    def _numbers_to_compare(self) -> Self:
        if self.differ == "numbers" and self.numbers == "zero":
            raise PydanticCustomError("minhash", "'differ: numbers' needs 'numbers: keep'; with 'zero' all are 0", {})
        if self.ignored and self.differ != "words":
            raise PydanticCustomError("minhash", "'ignored' goes with 'differ: words'", {})
        return self


class Slurm(Section):
    """Resources of the Slurm jobs."""

    partition: str
    """Partition that the jobs are submitted to."""
    time: str = "20:00:00"
    """Time limit of a job."""
    cpus: int = Field(default=1, ge=1, le=10_000)
    """Cores per job; more than one only to get their memory."""
    memory_per_cpu: int = Field(default=4, ge=1, le=100_000)
    """Memory per core in GB."""
    qos: str = ""
    """Quality of service; the cluster's default if left out."""
    setup: str = ""
    """Shell command that makes rexplug importable on a node, e.g. `source /shared/venv/bin/activate`."""
    arguments: dict[str, str] = Field(default_factory=dict)
    """Further arguments of sbatch, e.g. `{account: retail}`."""
    poll_seconds: float = Field(default=30, ge=0.01, le=86_400)
    """Seconds between two checks whether the jobs are done."""


class Executor(Section):
    """Where curation and tokenization run; the result does not depend on it."""

    use: Literal["local", "ray", "slurm"] = "local"
    """`local`: processes on this machine; `ray`: a Ray cluster; `slurm`: a Slurm cluster that shares the run directory."""
    workers: int = Field(default=1, ge=1, le=100_000)
    """Number of worker processes."""
    retries: int = Field(default=2, ge=0, le=1000)
    """How often a shard is retried after its worker died or failed to read or write a file."""
    address: str | None = None
    """Address of the Ray cluster; `auto` finds a running one. If left out, one is started on this machine."""
    slurm: Slurm | None = None
    """Resources of the Slurm jobs."""

    @model_validator(mode="after")
    def _no_dead_keys(self) -> Self:
        if (self.slurm is None) == (self.use == "slurm"):
            problem = "'use: slurm' needs the key 'slurm'" if self.slurm is None else "'slurm' goes with 'use: slurm'"
            raise PydanticCustomError("executor", "{problem}", {"problem": problem})
        if self.address is not None and self.use != "ray":
            raise PydanticCustomError("executor", "'address' goes with 'use: ray'", {})
        return self


class FuzzyMatches(Section):
    """A second pass of decontamination, for edited copies: where a word in ten differs, hardly 13 words in a row are the same, but
    many shorter n-grams are."""

    words: int = Field(default=4, ge=2, le=1000)
    """Length of the word n-grams that are compared."""
    share: float = Field(default=0.4, gt=0, le=1)
    """Drop documents that hold at least this share of the distinct n-grams of an evaluator's text within a stretch of twice its
    length. Of a document that is shorter than the text, this share of its own n-grams is enough."""
    shortest: int = Field(default=20, ge=3, le=100_000)
    """Evaluator texts and documents of fewer words are not compared: too much of them is common."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.words > self.shortest:
            raise PydanticCustomError(
                "fuzzy",
                "words ({words}) is more than shortest ({shortest})",
                {"shortest": self.shortest, "words": self.words},
            )
        return self


class Decontamination(Section):
    """When a training document counts as containing text of an evaluator."""

    words: int = Field(default=13, ge=3, le=1000)
    """Length of the word n-grams that are compared (case, accents and width aside, without punctuation)."""
    shortest: int = Field(default=8, ge=3, le=1000)
    """Evaluator texts of fewer than `words` words are searched for as a whole, down to this many words; shorter ones are too
    common."""
    hits: int = Field(default=1, ge=1, le=1_000_000)
    """Drop documents with at least this many n-grams of an evaluator."""
    share: float = Field(default=0, ge=0, le=1)
    """Keep documents whose n-grams in common with an evaluator are less than this share of the document's and less than this share
    of each of its texts': sentences that many shops use. A text that is searched for as a whole is not subject to it."""
    fuzzy: FuzzyMatches | None = None
    """Drop edited copies as well: `{}` for the defaults."""

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.shortest > self.words:
            raise PydanticCustomError(
                "decontamination",
                "shortest ({shortest}) is more than words ({words})",
                {"shortest": self.shortest, "words": self.words},
            )
        return self


class Suites(Section):
    """Suites whose texts are kept out of training text, as are those of the recipe's own evaluators; `decontaminate: suite` stands
    for the default options."""

    suite: Annotated[tuple[str, ...], BeforeValidator(_as_tuple, json_schema_input_type=str | list[str])] = ()
    """Plugins that ship a suite (`ecommerce`), and paths of YAML files with `evaluators:`. If left out, those of all plugins of
    which the recipe uses a component."""
    data: Path | None = None
    """The folder that `$DATA` stands for in the suites, as in `rexplug evaluate --suite NAME --data DIR`. Evaluators whose data is
    not in it are left out and named."""


def _as_suites(value: Any) -> Any:
    """Suites written as `suite`, and an override of one of their options (`curation.decontaminate.data=DIR`)."""
    if value == "suite":
        return {}
    if value not in ("evaluators", "none") and not isinstance(value, list | tuple | dict | Suites):
        raise PydanticCustomError(
            "decontaminate",
            "write 'evaluators', 'none', 'suite', a list of evaluators, or suites as {suite: NAME, data: DIR}",
            {},
        )
    if isinstance(value, dict) and "use" in value:
        options = {key: option for key, option in value.items() if key != "use"}
        if value["use"] != "suite":
            raise PydanticCustomError(
                "decontaminate",
                "'{option}' goes with suites: write 'suite' or {suite: NAME} in place of '{name}'",
                {"option": next(iter(options), "use"), "name": value["use"]},
            )
        return options
    return value


def _form(value: Any) -> str:
    """Which of the forms of `decontaminate` a value has."""
    if isinstance(value, dict | Suites):
        return "[suites]"
    return "[word]" if isinstance(value, str) else "[names]"


class Curation(Section):
    """From documents to corpus."""

    deduplicate: Literal["none", "exact", "minhash"] = "minhash"
    """`exact` drops equal texts (case, accents, width and white space ignored), `minhash` near-duplicates as well."""
    deduplicate_urls: bool = False
    """Drop documents whose URL occurred before (scheme, www, fragment and tracking parameters ignored)."""
    deduplicate_across: bool = False
    """Search for duplicates across all sources, not within each; documents of earlier sources are kept."""
    keep: Literal["first", "longest"] = "first"
    """Which of several duplicates is kept: the first in the order of sources, files and rows, or the longest."""
    minhash: MinHash = MinHash()
    """Options of `deduplicate: minhash`."""
    decontaminate: Annotated[
        Annotated[Literal["evaluators", "none"], Tag("[word]")]
        | Annotated[Suites, Tag("[suites]")]
        | Annotated[tuple[str, ...], Tag("[names]")],
        Discriminator(_form),
        BeforeValidator(
            _as_suites, json_schema_input_type=Literal["evaluators", "none", "suite"] | Suites | tuple[str, ...]
        ),
    ] = "evaluators"
    """Drop documents that contain text of the `evaluators`, of those listed here by name, or of `none`; `suite`, or
    `{suite: ecommerce, data: DIR}`: of the evaluators and of the suites of plugins. `rexplug corpus show` says which evaluators
    have no texts to compare with, and why."""
    decontamination: Decontamination = Decontamination()
    """When a document counts as containing a text that `decontaminate` compares with."""
    held_out: float = Field(default=0.02, ge=0, lt=1)
    """Share of the kept documents that no phase trains on, for evaluators; chosen by a hash of the text."""
    executor: Annotated[Executor, SameResult()] = Executor()
    """Where the work runs."""


class Audit(Section):
    """A second labeller labels a share of the sample; its agreement with the first is reported as Cohen's kappa."""

    labels: Annotated[Labeller, Use()]
    """The labeller that labels part of the sample again."""
    share: float = Field(default=0.1, gt=0, le=1)
    """Share of the labelled documents that it labels, chosen by a hash of the text."""
    disagreement: Literal["keep", "drop", "overrule"] = "drop"
    """What happens to a document that got two different labels: `keep` the first label, `drop` the document from training, or let
    the second label `overrule`."""
    min_kappa: float | None = Field(default=None, ge=-1, le=1)
    """Refuse labels whose agreement is below this."""


class Threshold(Section):
    """How the threshold is chosen on the dev split: the best F1, or the best recall at a given precision or vice versa."""

    precision: float | None = Field(default=None, gt=0, le=1)
    """Among the thresholds with at least this precision, take the one with the highest recall."""
    recall: float | None = Field(default=None, gt=0, le=1)
    """Among the thresholds with at least this recall, take the one with the highest precision."""

    @model_validator(mode="after")
    def _one_target(self) -> Self:
        if self.precision is not None and self.recall is not None:
            raise PydanticCustomError("threshold", "write 'precision' or 'recall', not both; neither means best F1", {})
        return self


class Classifier(Section):
    """Settings of the fastText classifier; the defaults are rexplug's, not fastText's."""

    dimension: int = Field(default=16, ge=1, le=4096)
    """Dimension of the word vectors."""
    word_pairs: bool = True
    """Use word bigrams besides single words."""
    buckets: Annotated[Quantity, Field(ge=1, le=100_000_000)] = 50_000
    """Hash buckets for the word bigrams."""
    epochs: int = Field(default=5, ge=1, le=10_000)
    """Passes over the labelled documents."""
    rate: float = Field(default=0.5, ge=1e-6, le=100)
    """Learning rate at the start; fastText lowers it linearly to 0."""


class Relevance(Section):
    """A classifier of relevance to the vertical: sample, labels, audit, fastText, threshold. Sources use it with the filter
    `relevance`."""

    labels: Annotated[Labeller, Use()]
    """Where labels come from: a file, a language model, the rules of a vertical's plugin, or the sources themselves."""
    sources: tuple[str, ...] | None = None
    """Sources of the sample; those that use the filter `relevance` if left out."""
    documents: Positive = 20_000
    """Label at most this many documents of each source."""
    pool: Positive | None = None
    """Choose them among the first documents of the shards, this many in total per source; 10 times `documents` if left out."""
    characters: int = Field(default=4000, ge=100, le=10_000_000)
    """Characters of a document, from its start, that are labelled and classified."""
    dev: float = Field(default=0.15, gt=0, lt=0.5)
    """Share of the labelled documents on which the threshold is chosen; a hash of the text decides which."""
    test: float = Field(default=0.15, gt=0, lt=0.5)
    """Share of the labelled documents on which precision, recall and F1 are reported; nothing is chosen on them."""
    audit: Audit | None = None
    """A second labeller, which checks the labels of the first."""
    threshold: Threshold = Threshold()
    """How the threshold is chosen."""
    classifier: Classifier = Classifier()
    """Settings of the fastText classifier."""
