"""Statistics of a step: reasons that differ from document to document do not fill the memory."""

from rexplug.components import Document
from rexplug.corpus.statistics import MergedSteps, StepStatistics


def dropped(numbers):
    """A step that dropped documents, each with a reason of its own."""
    step = StepStatistics("legal.short")
    for number in numbers:
        step.drop(Document(str(number), "text"), f"{number} words")
    return step.to_json()


def test_so_many_reasons_are_counted_and_the_others_together():
    entry = dropped([*range(250), 0, 0])
    assert len(entry["reasons"]) == 201
    assert entry["reasons"]["0 words"] == 3
    assert entry["reasons"]["199 words"] == 1
    assert entry["reasons"]["other reasons"] == 50
    assert sum(entry["reasons"].values()) == 252
    assert [example["id"] for example in entry["examples"]["other reasons"]] == ["200", "201", "202"]


def test_merged_shards_have_no_more():
    merged = MergedSteps()
    for first in (0, 150, 300):
        merged.add([dropped(range(first, first + 150))])
    (entry,) = merged.to_json()
    assert len(entry["reasons"]) == 201
    assert entry["reasons"]["other reasons"] == 250
    assert sum(entry["reasons"].values()) == 450
    assert len(entry["examples"]["other reasons"]) == 3
