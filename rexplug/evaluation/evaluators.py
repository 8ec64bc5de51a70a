"""The core's evaluators; light at import, the work is done in `recovery` and `mteb_task`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field

from rexplug.components import EvaluationContext, EvaluationResult, Evaluator


class MaskedRecovery(Evaluator):
    """Mask words of held-out documents and count those that the model gives back.

    `ours`: whole words behind [MASK], the same words for every tokenizer, salient and plain words apart; `published`:
    the protocol of bajajra/RexBERT `eval/mlm` (128-token blocks, 15 %, 80/10/10, top 1, 3 and 5).
    """

    name: ClassVar[str] = "masked_recovery"

    documents: int = Field(default=120, ge=1)
    """Held-out documents of each source."""
    words: int = Field(default=128, ge=8)
    """Words of a document that are looked at, from its start."""
    rate: float = Field(default=0.15, gt=0, lt=1)
    """Share of the words that is masked."""
    published: bool = True
    """Run the published protocol too."""
    sources: tuple[str, ...] | None = None
    """Which sources' held-out documents; all if left out."""

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """Accuracy per source with bootstrap intervals over documents."""
        from rexplug.evaluation.recovery import evaluate_recovery

        return evaluate_recovery(self, context)


class RetrievalFolder(Evaluator):
    """A retrieval task on a local folder, run by mteb.

    The folder holds `corpus.jsonl` (`_id`, `text`, perhaps `title`), `queries.jsonl` (`_id`, `text`) and `qrels.tsv`
    (`query-id`, `corpus-id`, `score`, with a header line): the layout of BEIR.
    """

    name: ClassVar[str] = "retrieval"

    folder: Path
    """The folder."""

    def check(self) -> None:
        """The three files must be there and hold what they should."""
        from rexplug.evaluation.folder import read_collection

        read_collection(self.folder)

    def inputs(self) -> Sequence[Path]:
        """The three files."""
        from rexplug.evaluation.folder import FILES

        return tuple(self.folder / name for name in FILES)

    def evaluate(self, context: EvaluationContext) -> EvaluationResult:
        """nDCG@10 and recall."""
        from rexplug.evaluation.folder import read_collection

        return context.retrieval(read_collection(self.folder))

    def texts(self) -> Mapping[str, str]:
        """Documents and queries."""
        from rexplug.evaluation.folder import read_collection

        return read_collection(self.folder).texts()
