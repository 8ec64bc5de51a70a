"""`check_plugin` on plugins that break their contracts: each breach is reported in a sentence."""

import importlib
import sys

import pytest

from rexplug.testing import check_plugin

HEAD = '''\
from typing import Annotated, ClassVar

import numpy as np
import rexplug

CALLS = []


class Filter(rexplug.CorpusFilter):
    """A filter."""

    name: ClassVar[str] = "toy.filter"

    def judge(self, document):
        return rexplug.Verdict(len(document.text) > 10, "short")


class Scorer(rexplug.SalienceScorer):
    """A scorer."""

    name: ClassVar[str] = "toy.scorer"

    def score(self, document):
        return np.zeros(len(document.token_ids), np.uint8)


class Policy(rexplug.MaskingPolicy):
    """A policy."""

    name: ClassVar[str] = "toy.policy"

    def choose(self, batch, progress, generator):
        return rexplug.random_tokens(batch.maskable, self.budget(batch, progress), generator)


class Source(rexplug.DocumentSource):
    """A source."""

    name: ClassVar[str] = "toy.source"

    def documents(self, shard):
        for number in range(shard.index, 9, shard.count):
            yield rexplug.Document(str(number), f"text {number}")


class Schedule(rexplug.MixingSchedule):
    """A schedule."""

    name: ClassVar[str] = "toy.schedule"

    def weights(self, progress):
        return {"web": 1.0}


class Labels(rexplug.Labeller):
    """A labeller."""

    name: ClassVar[str] = "toy.labels"

    def label(self, candidates, context):
        return ["permit" in candidate.document.text for candidate in candidates]
'''
FILTER = "\nclass Broken(Filter):\n    '''A broken filter.'''\n\n    name: ClassVar[str] = 'toy.broken'\n"
SCORER = FILTER.replace("Filter", "Scorer").replace("filter", "scorer")
POLICY = FILTER.replace("Filter", "Policy").replace("filter", "policy")
SOURCE = FILTER.replace("Filter", "Source").replace("filter", "source")
SCHEDULE = FILTER.replace("Filter", "Schedule").replace("filter", "schedule")
LABELS = FILTER.replace("Filter", "Labels").replace("filter", "labeller")
JUDGE = "    def judge(self, document):\n        "
SCORE = "    def score(self, document):\n        "
CHOOSE = "    def choose(self, batch, progress, generator):\n        "
DOCUMENTS = "    def documents(self, shard):\n        "
WEIGHTS = "    def weights(self, progress):\n        "
LABEL = "    def label(self, candidates, context):\n        "
FIT = "    def fit(self, corpus):\n        "
NO_SCORES = "np.zeros(len(document.token_ids), np.uint8)"


@pytest.fixture
def toy(tmp_path):
    """Checks a plugin of these classes."""

    def check(code="", listed="Filter, Scorer, Policy, Source, Schedule, Labels"):
        (tmp_path / "toy.py").write_text(HEAD + code + f"\nCOMPONENTS = [{listed}]\n")
        return check_plugin(tmp_path / "toy.py")

    return check


@pytest.mark.slow
def test_a_plugin_that_keeps_its_contracts(toy):
    assert toy() == [f"toy.{name}: tried" for name in ("filter", "scorer", "policy", "source", "schedule", "labels")]


@pytest.mark.slow
def test_examples_stand_for_components_with_required_options(toy):
    code = (
        FILTER
        + "    least: int\n    'Fewest characters.'\n\n"
        + JUDGE
        + "return rexplug.Verdict(len(document.text) > self.least, 'x')\n"
    )
    assert toy(code, "Broken") == ["toy.broken: not tried: it has required options; add one to EXAMPLES"]
    assert toy(code + "\nEXAMPLES = [Broken(least=3)]\n", "Broken") == ["toy.broken: tried"]


REQUIRED = '''
class Broken(Filter):
    """A filter."""

    name: ClassVar[str] = "toy.broken"
    least: int
    """Fewest characters."""
'''


@pytest.mark.parametrize(
    ("examples", "problem"),
    [
        ("Broken(least=3)", "EXAMPLES is Broken(least=3); write a list of components, such as [HasCitation(least=2)]"),
        ("[Policy()]",
         "among the examples is Policy("),
    ],
)  # fmt: skip
def test_examples_that_would_be_ignored(toy, examples, problem):
    with pytest.raises(AssertionError) as error:
        toy(f"{REQUIRED}\nEXAMPLES = {examples}\n", "Broken")
    assert str(error.value).startswith(f"plugin 'toy', {problem}")


def test_an_example_of_a_class_that_was_imported_a_second_time(tmp_path, monkeypatch):
    (tmp_path / "toy.py").write_text(f"{HEAD}{REQUIRED}\nCOMPONENTS = [Broken]\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("toy")
    monkeypatch.delitem(sys.modules, "toy")
    with pytest.raises(AssertionError) as error:
        check_plugin(tmp_path / "toy.py", examples=[module.Broken(least=3)])
    assert str(error.value) == (
        "plugin 'toy', among the examples is Broken(least=3), which is not an instance of one of its components: Broken; its class "
        "was imported a second time, so give check_plugin the module"
    )


def test_what_cannot_be_used_on_this_machine_is_not_tried(toy):
    code = FILTER + "    def check(self):\n        open('/none/words.txt')\n"
    assert toy(code, "Broken") == [
        "toy.broken: not tried: FileNotFoundError: [Errno 2] No such file or directory: '/none/words.txt'"
    ]


@pytest.mark.slow
@pytest.mark.parametrize("as_module", [False, True], ids=["by name", "by module"])
def test_an_installed_plugin_in_a_module_of_another_name(tmp_path, monkeypatch, as_module):
    (tmp_path / "acme-1.0.dist-info").mkdir()
    (tmp_path / "acme-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: acme\nVersion: 1.0\n")
    (tmp_path / "acme-1.0.dist-info" / "entry_points.txt").write_text("[rexplug]\ntoy = acme_texts\n")
    required = FILTER + "    least: int\n    'Fewest characters.'\n"
    (tmp_path / "acme_texts.py").write_text(f"{HEAD}{required}\nCOMPONENTS = [Broken]\nEXAMPLES = [Broken(least=3)]\n")
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("acme_texts")
    try:
        assert check_plugin(module if as_module else "toy") == ["toy.broken: tried"]
    finally:
        del sys.modules["acme_texts"]


BREACHES = {
    "no docstring": (
        FILTER.replace("'''A broken filter.'''", ""),
        "toy.broken has no docstring; `rexplug plugins` shows its first line",
    ),
    "undocumented option": (
        FILTER + "    least: int = 3\n",
        "toy.broken: the option 'least' has no documentation; write a string under it",
    ),
    "state between calls": (
        FILTER + JUDGE + "CALLS.append(1)\n        return rexplug.Verdict(len(CALLS) < 5, 'enough')\n",
        "toy.broken gives a different result a second time on",
    ),
    "chance": (
        FILTER + JUDGE + "return rexplug.Verdict(np.random.default_rng().random() < 0.5, 'chance')\n",
        "toy.broken gives a different result",
    ),
    "hash of a text": (
        FILTER + JUDGE + "return rexplug.Verdict(hash(document.text) % 2 == 0, 'hash')\n",
        "toy.broken gives a different result in another process on",
    ),
    "other verdicts in bulk": (
        FILTER + "    def judge_batch(self, documents):\n        return [rexplug.Verdict(True) for _ in documents]\n",
        "toy.broken gives a different result in bulk on 'x'",
    ),
    "too few verdicts": (
        FILTER + "    def judge_batch(self, documents):\n        return []\n",
        "toy.broken.judge_batch() returned 0 values for 11 documents; expected a Verdict per document",
    ),
    "no verdict": (
        FILTER + JUDGE + "return True\n",
        "toy.broken.judge() returned True for document '0'; expected a Verdict",
    ),
    "an empty text": (
        FILTER + JUDGE + "return rexplug.Verdict(document.text.split()[0] != '')\n",
        "toy.broken.judge() raised IndexError on document '3': list index out of range",
    ),
    "a missing file": (
        FILTER + JUDGE + "open('/none/words.txt')\n",
        "toy.broken raised FileNotFoundError: [Errno 2] No such file or directory: '/none/words.txt'",
    ),
    "only in one process": (
        FILTER + JUDGE + "import multiprocessing\n        assert multiprocessing.parent_process() is None\n"
        "        return rexplug.Verdict(True)\n",
        "toy.broken.judge() raised AssertionError on document '10'",
    ),
    "a check that fails": (
        FILTER + "    def check(self):\n        None + 1\n",
        "toy.broken.check() raised TypeError: unsupported operand type(s) for +: 'NoneType' and 'int'",
    ),
    "exit": (FILTER + JUDGE + "raise SystemExit(1)\n", "toy.broken.judge() raised SystemExit on document '0': 1"),
    "not pickled": (
        FILTER + "    def __reduce__(self):\n        raise TypeError('no')\n",
        "toy.broken cannot be pickled for worker processes: no",
    ),
    "wrong type of scores": (
        SCORER + SCORE + "return np.zeros(len(document.token_ids))\n",
        "toy.broken.score() returned float64 [",
    ),
    "scores of the wrong length": (
        SCORER + SCORE + "return np.zeros(3, np.uint8)\n",
        "toy.broken.score() returned uint8 [3] for document '0'; expected uint8 [",
    ),
    "writes to the document": (
        SCORER + SCORE + "document.token_ids[:] = 0\n        return np.zeros(len(document.token_ids), np.uint8)\n",
        "toy.broken.score() raised ValueError on document '0': assignment destination is read-only",
    ),
    "one token at least": (
        SCORER + SCORE + "document.token_ids[0]\n        return np.zeros(len(document.token_ids), np.uint8)\n",
        "toy.broken.score() raised IndexError on document '3'",
    ),
    "an undeclared channel": (
        POLICY + CHOOSE + "return batch.channels['word_start'] > 0\n",
        "toy.broken reads the channel 'word_start', which its `channels` does not name",
    ),
    "special tokens": (
        POLICY + CHOOSE + "return np.ones(len(batch.token_ids), bool)\n",
        "toy.broken masked a special token",
    ),
    "too many tokens": (
        POLICY + CHOOSE + "return batch.maskable.copy()\n",
        "toy.broken masked 508 tokens instead of 152",
    ),
    "writes to the row": (
        POLICY + CHOOSE + "batch.maskable[:5] = False\n        return batch.maskable\n",
        "toy.broken writes to the row, whose arrays are read-only: assignment destination is read-only",
    ),
    "own randomness": (
        POLICY
        + CHOOSE
        + "return rexplug.random_tokens(batch.maskable, self.budget(batch, progress), np.random.default_rng())\n",
        "toy.broken chooses differently with the same generator",
    ),
    "documents twice": (
        SOURCE + DOCUMENTS + "yield rexplug.Document('1', 'one')\n",
        "toy.broken yields an id twice with 2 shards",
    ),
    "no documents": (
        SOURCE + DOCUMENTS + "raise ZeroDivisionError('none')\n",
        "toy.broken.documents() raised ZeroDivisionError on shard 1 of 1: none",
    ),
    "negative weights": (
        SCHEDULE + WEIGHTS + "return {'web': 1 - 2 * progress}\n",
        "toy.broken gives every source 0 at 0.5",
    ),
    "the order of documents": (
        FILTER + JUDGE + "if document.id == '0':\n            CALLS.clear()\n        CALLS.append(1)\n"
        "        return rexplug.Verdict(len(CALLS) < 5, 'enough')\n",
        "toy.broken gives a different result in reverse order on",
    ),
    "changes the document": (
        FILTER + JUDGE + "document.metadata['seen'] = True\n        return rexplug.Verdict(True)\n",
        "toy.broken changes the document that it is given, on 'The committee met",
    ),
    "a reason that is not a text": (
        FILTER + JUDGE + "return rexplug.Verdict(False, 3)\n",
        "toy.broken.judge() returned for document '0' a verdict with the reason 3; expected a str",
    ),
    "a filter that learns without a return": (
        FILTER + FIT + "self.words = set()\n",
        "toy.broken.fit() raised ValidationError",
    ),
    "scores that remember": (
        SCORER + SCORE + f"CALLS.append(1)\n        return {NO_SCORES} + np.uint8(len(CALLS) > 12)\n",
        "toy.broken gives a different result a second time on 'The committee met",
    ),
    "scores by the hash of a text": (
        SCORER + SCORE + f"return {NO_SCORES} + np.uint8(hash(document.text) % 250)\n",
        "toy.broken gives a different result in another process on",
    ),
    "only tokens that follow one another": (
        SCORER
        + SCORE
        + "if (document.offsets[1:, 0] > document.offsets[:-1, 1]).any():\n            raise ValueError('a gap')\n"
        f"        return {NO_SCORES}\n",
        "toy.broken.score() raised ValueError on document '0': a gap",
    ),
    "reasons outside the text": (
        SCORER
        + "    def explain(self, document):\n        return [rexplug.Reason(0, len(document.text) + 1, 'all')]\n",
        "toy.broken.explain() returned Reason(start=0, end=116, label='all') for document '0'; expected 0 <= start < end <= 115 and a text",
    ),
    "reasons out of order": (
        SCORER + "    def explain(self, document):\n"
        "        return [rexplug.Reason(20, 30, 'later'), rexplug.Reason(0, 10, 'first')]\n",
        "toy.broken explains characters 0 to 10, out of order or outside the text",
    ),
    "a score that is not a number": (
        FILTER + JUDGE + "return rexplug.Verdict(True, score=float('nan'))\n",
        "toy.broken.judge() returned for document '0' a verdict with the score nan; expected a finite number",
    ),
    "reasons of another type": (
        SCORER + "    def explain(self, document):\n        return [(0, 1, 'first')]\n",
        "toy.broken.explain() returned [(0, 1, 'first')] for document '0'; expected a sequence of Reason",
    ),
    "a scorer that learns without a return": (
        SCORER + FIT + "pass\n",
        "toy.broken.fit() returned None; expected a Broken",
    ),
    "what was learnt is not in the options": (
        SCORER
        + "    _words: list = []\n\n"
        + FIT
        + "learnt = self.model_copy()\n        learnt._words = ['permit']\n        return learnt\n",
        "toy.broken.fit() returned a component whose options do not hold what it learnt; a run writes the options and reads them again",
    ),
    "mask of another type": (
        POLICY + CHOOSE + "return batch.maskable.astype(np.uint8)\n",
        "toy.broken returned uint8, not bool",
    ),
    "a policy that remembers": (
        POLICY + CHOOSE + "CALLS.append(1)\n"
        "        return rexplug.random_tokens(batch.maskable, self.budget(batch, progress), np.random.default_rng(len(CALLS)))\n",
        "toy.broken chooses differently with the same generator",
    ),
    "a policy with a seed of its process": (
        POLICY + CHOOSE + "seed = np.random.default_rng(abs(hash('seed')))\n"
        "        return rexplug.random_tokens(batch.maskable, self.budget(batch, progress), seed)\n",
        "toy.broken gives a different result in another process on a row of 64 tokens at progress 0",
    ),
    "no shards": (
        SOURCE + "    def num_shards(self):\n        return 0\n",
        "toy.broken.num_shards() returned 0; expected a whole number of at least 1",
    ),
    "something else than documents": (
        SOURCE + DOCUMENTS + "yield {'id': '1', 'text': 'one'}\n",
        "toy.broken.documents() yielded {'id': '1', 'text': 'one'}; expected a Document",
    ),
    "texts by the process": (
        SOURCE + DOCUMENTS + "yield rexplug.Document(str(shard.index), str(hash('seed')))\n",
        "toy.broken yields different documents with 2 shards",
    ),
    "urls by the process": (
        SOURCE + DOCUMENTS + "for number in range(shard.index, 9, shard.count):\n"
        "            yield rexplug.Document(str(number), 'text', str(hash('seed')))\n",
        "toy.broken gives a different result in another process on shard 1 of 3",
    ),
    "weights that remember": (
        SCHEDULE + WEIGHTS + "CALLS.append(1)\n        return {'web': len(CALLS)}\n",
        "toy.broken gives a different result a second time at progress 0",
    ),
    "weights that are not numbers": (
        SCHEDULE + WEIGHTS + "return {'web': float('nan')}\n",
        "toy.broken.weights(0) returned {'web': nan}; weights are finite, at least 0 and not all 0",
    ),
    "a source that comes late": (
        SCHEDULE + WEIGHTS + "return {'web': 1} if progress < 0.5 else {'web': 1, 'shop': 1}\n",
        "toy.broken names unknown sources at 0.5: {'shop'}",
    ),
    "labels as texts": (
        LABELS + LABEL + "return ['yes' for _ in candidates]\n",
        "toy.broken.label() returned 'yes' for document '0'; expected True, False or None per candidate",
    ),
    "too few labels": (
        LABELS + LABEL + "return [True]\n",
        "toy.broken.label() returned 1 labels for 19 candidates; expected True, False or None per candidate",
    ),
    "labels by the order": (
        LABELS + LABEL + "return [number % 4 == 0 for number, _ in enumerate(candidates)]\n",
        "toy.broken gives a different result in reverse order on",
    ),
    "labels that remember": (
        LABELS + LABEL + "CALLS.append(1)\n        return [len(CALLS) < 2 for _ in candidates]\n",
        "toy.broken gives a different result a second time on",
    ),
    "a labeller that changes documents": (
        LABELS + LABEL + "candidates[0].document.metadata['label'] = True\n        return [True for _ in candidates]\n",
        "toy.broken changes the document that it is given, on 'The committee met",
    ),
    "an instruction that is not a text": (
        LABELS + "    def instruction(self):\n        return ['Is it relevant?']\n",
        "toy.broken.instruction() returned ['Is it relevant?']; expected a text or None",
    ),
    "labels that fail": (
        LABELS + LABEL + "raise KeyError('permit')\n",
        "toy.broken.label() raised KeyError on 19 candidates: 'permit'",
    ),
    "an import that fails": (
        "\nimport none_of_this_name\n",
        "toy.py did not load: ModuleNotFoundError: No module named 'none_of_this_name'",
    ),
    "a name of another plugin": (
        FILTER.replace("toy.broken", "other.broken"),
        "toy.py did not load: plugin 'toy', COMPONENTS offers Broken named 'other.broken'; its names begin with 'toy.'",
    ),
    "a set among the options": (
        FILTER + "    words: set[str] = {'a'}\n    'Words.'\n",
        "toy.py did not load: plugin 'toy', COMPONENTS offers Broken, whose option 'words' is a set, whose order changes from process "
        "to process; make it a tuple",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_reported(toy, breach):
    code, message = BREACHES[breach]
    with pytest.raises(AssertionError) as error:
        toy(code, "Broken")
    assert message in str(error.value).splitlines()[0]


def test_a_plugin_without_components(toy):
    with pytest.raises(AssertionError, match="^plugin 'toy' offers no components; list their classes in COMPONENTS$"):
        toy(listed="")


def test_an_unknown_plugin():
    with pytest.raises(
        AssertionError, match=r"^no plugin is called 'legal'; there are annealing, core, ecommerce, guided_mlm"
    ):
        check_plugin("legal")
