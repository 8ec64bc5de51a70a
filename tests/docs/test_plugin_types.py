"""The examples of types and functions on the pages of the plugin API: what they say is what happens."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated, ClassVar

import numpy as np
import pytest
from pydantic import TypeAdapter

import rexplug
from rexplug.progress import Silent


def test_shard():
    # -- start Shard --
    shard = rexplug.Shard(index=1, count=4)
    assert list(range(10))[shard.index :: shard.count] == [1, 5, 9]
    # -- end Shard --


def test_document():
    # -- start Document --
    document = rexplug.Document(
        "case-7", "The court relied on § 12.", url="https://example.org/case-7", metadata={"court": "Trier"}
    )
    words = document.cached("legal.words", rexplug.split_words)  # computed once, whichever filter asks first
    assert words == ["The", "court", "relied", "on", "12"]
    # -- end Document --
    assert document.cached("legal.words", len) is words


def test_unreadable():
    # -- start Unreadable --
    record = rexplug.Unreadable("case-8", "sealed", place="cases.txt:8")
    # -- end Unreadable --
    assert record.document().text == ""


@pytest.mark.usefixtures("opinions")
def test_input_file_and_piece(legal):
    # -- start InputFile --
    source = legal.Opinions(paths="opinions")
    (file,) = source.files
    assert file.id == "2026.opinions"
    assert file.size == Path(file.path).stat().st_size
    # -- end InputFile --
    # -- start Piece --
    (piece,) = source.pieces(file)  # an override of `pieces` may divide large files
    assert piece == rexplug.Piece(file, start=0, stop=None)
    with source.open(piece) as content:  # decompressed, from a disk or an object store
        assert content.readline() == b"Appeal denied under \xc2\xa7 12.\n"
    # -- end Piece --


def test_json_records(folder):
    # -- start json_records --
    class Answers(rexplug.FileSource):
        """Answers to legal questions, several in each record."""

        name = "legal.answers"
        suffixes = (".jsonl", ".jsonl.gz")

        def read(self, piece):
            for place, record in self.json_records(piece):
                if isinstance(record, rexplug.Unreadable):  # a line that is not JSON
                    yield record
                    continue
                for number, answer in enumerate(record["answers"]):
                    yield self.document_at(piece.file, f"{place}:{number}", answer)

    # -- end json_records --
    (folder / "answers.jsonl").write_text('{"answers": ["Yes.", "No."]}\n{"answers": \n')
    yes, no, bad = Answers(paths="answers.jsonl").documents(rexplug.Shard(0, 1))
    assert (yes.text, no.text) == ("Yes.", "No.")
    assert isinstance(bad, rexplug.Unreadable)


def test_read_records_and_lines(folder):
    (folder / "cases.csv").write_text("id,area\n1,tax\n2,labour\n")
    (folder / "courts.txt").write_text("Trier\nMainz\n")
    # -- start read_records --
    records = list(rexplug.read_records(Path("cases.csv")))
    assert records == [(2, {"id": "1", "area": "tax"}), (3, {"id": "2", "area": "labour"})]
    # -- end read_records --
    # -- start read_lines --
    assert list(rexplug.read_lines(Path("courts.txt"))) == [(1, "Trier"), (2, "Mainz")]
    # -- end read_lines --


def test_verdict():
    document = rexplug.Document("case-7", "See § 12.\nPrinted on recycled paper.")
    # -- start Verdict --
    kept = rexplug.Verdict(True)
    dropped = rexplug.Verdict(False, "too few citations", score=0)  # the score is stored with the dropped document
    changed = rexplug.Verdict(True, text="See § 12.", metadata={"citations": 1})
    # -- end Verdict --
    assert kept.applied(document) == document
    assert dropped.reason
    assert changed.applied(document).text == "See § 12."
    assert changed.applied(document).metadata == {"citations": 1}


def test_candidate():
    # -- start Candidate --
    candidate = rexplug.Candidate("opinions", rexplug.Document("case-7", "§ 12 and § 13 apply."))
    assert candidate.document.text.count("§") == 2
    # -- end Candidate --


def test_labelling_context(tmp_path):
    asked = []

    def ask_expert(text):
        asked.append(text)
        return "§" in text

    # -- start LabellingContext --
    class ByExpert(rexplug.Labeller):
        """Ask an expert, and never twice for the same document."""

        name: ClassVar[str] = "legal.by_expert"

        def label(self, candidates, context):
            file = context.folder / "expert.json"
            answers = json.loads(file.read_text()) if file.exists() else {}
            context.progress.start("ask the expert")
            for document in [candidate.document for candidate in candidates]:
                if document.id not in answers:
                    answers[document.id] = ask_expert(document.text)
            file.write_text(json.dumps(answers))
            return [answers[candidate.document.id] for candidate in candidates]

    # -- end LabellingContext --
    candidates = [rexplug.Candidate("a", rexplug.Document(text, text)) for text in ("§ 12", "rain")]
    for _ in range(2):
        assert ByExpert().label(candidates, rexplug.LabellingContext(tmp_path, 0, Silent())) == [True, False]
    assert asked == ["§ 12", "rain"]


def test_token_batch():
    # -- start TokenBatch --
    batch = rexplug.TokenBatch(  # two samples: [CLS] a b [SEP] and [CLS] c [SEP], where [CLS] is 1 and [SEP] is 2
        token_ids=np.array([1, 17, 23, 2, 1, 9, 2]),
        cu_seqlens=np.array([0, 4, 7]),
        maskable=np.array([False, True, True, False, False, True, False]),
        channels={
            "word_start": np.array([0, 1, 0, 0, 0, 1, 0], np.uint8),  # a and b are one word
            "salience": np.array([0, 0, 255, 0, 0, 0, 0], np.uint8),
        },
    )
    second = slice(batch.cu_seqlens[1], batch.cu_seqlens[2])
    assert batch.token_ids[second].tolist() == [1, 9, 2]
    salient = batch.maskable & (batch.channels["salience"] > 0)
    assert np.flatnonzero(salient).tolist() == [2]
    words = np.cumsum(batch.channels["word_start"])  # the number of the word that each token belongs to
    assert words.tolist() == [0, 1, 1, 1, 1, 2, 2]  # special tokens count to the word before them
    # -- end TokenBatch --


def test_random_tokens():
    # -- start random_tokens --
    free = np.array([False, True, True, True, False])
    chosen = rexplug.random_tokens(free, 2, np.random.default_rng(0))
    assert chosen.sum() == 2
    assert not (chosen & ~free).any()
    # -- end random_tokens --


def test_tokenized_document():
    # -- start TokenizedDocument --
    document = rexplug.TokenizedDocument(
        id="case-7",
        text="By § 12.",
        token_ids=np.array([40, 8, 51, 6], np.uint32),
        offsets=np.array([[0, 2], [2, 4], [4, 7], [7, 8]], np.uint32),  # "By", " §", " 12", "."
        word_starts=np.array([True, True, True, False]),
    )
    scores = document.spans_to_tokens(starts=[3], ends=[7], values=[255])  # the characters "§ 12"
    assert scores.tolist() == [0, 255, 255, 0]
    # -- end TokenizedDocument --


def test_reason():
    # -- start Reason --
    reason = rexplug.Reason(start=3, end=7, label="citation")
    assert "By § 12."[reason.start : reason.end] == "§ 12"
    # -- end Reason --


def test_component(legal):
    # -- start Component --
    entry = legal.HasCitation(least=2).dump()
    assert entry == {"use": "legal.has_citation", "least": 2}  # as a recipe names it
    # -- end Component --


def test_options(legal):
    # -- start Use --
    class Sampled(rexplug.Evaluator):
        """An evaluator with a component and an amount as options."""

        name: ClassVar[str] = "legal.sampled"

        scorer: Annotated[rexplug.SalienceScorer, rexplug.Use()]
        """A component: `scorer: legal.citations`, or `scorer: {use: legal.citations}`."""
        tokens: rexplug.Quantity = 64_000
        """An amount, which a recipe may write as `64k`."""

        def evaluate(self, context): ...

    # -- end Use --
    assert Sampled(scorer=legal.Citations(), tokens="1M").tokens == 1_000_000
    # -- start Quantity --
    assert TypeAdapter(rexplug.Quantity).validate_python("350B") == 350_000_000_000
    # -- end Quantity --


def test_ramp():
    # -- start Ramp --
    rate = rexplug.Ramp(start=0.3, end=0.15)  # in a recipe `{start: 0.3, end: 0.15}`
    assert rate.at(0.5) == pytest.approx(0.225)
    # -- end Ramp --


def test_hub_name():
    # -- start HubName --
    name = rexplug.HubName("dataset", "pile-of-law/pile-of-law", revision="main")
    assert str(name) == "dataset pile-of-law/pile-of-law at 'main'"
    # -- end HubName --


def test_text_functions():
    # -- start split_words --
    assert rexplug.split_words("The tenant's lease, § 12") == ["The", "tenant", "s", "lease", "12"]
    # -- end split_words --
    # -- start lower_words --
    assert rexplug.lower_words("The Lease") == ["the", "lease"]
    # -- end lower_words --
    # -- start fold --
    assert rexplug.fold("Café № ５") == "cafe no 5"
    # -- end fold --


def test_data_error():
    # -- start DataError --
    def check(self):
        if not Path(self.database).is_file():
            raise rexplug.DataError(f"{self.name}: database: there is no file {self.database}")

    # -- end DataError --
    with pytest.raises(rexplug.DataError, match="there is no file gone"):
        check(SimpleNamespace(name="legal.statutes", database="gone"))
