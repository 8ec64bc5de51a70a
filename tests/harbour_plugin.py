"""A plugin of somebody else's: imports public names alone, and uses those for sources and evaluators of one's own."""

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import rexplug

CARGOES = ("salted herring", "dry timber", "green apples", "coarse salt", "red bricks", "wool bales")
PLACES = ("the north quay", "the old crane", "berth seven", "the fish market")
TEXTS = [
    f"{verb} {cargo} at {place} before {hour} o'clock."
    for verb in ("Load", "Unload")
    for cargo in CARGOES
    for place in PLACES
    for hour in ("six", "nine")
]


# -- start notices --
class Notices(rexplug.Fields, rexplug.FileSource):
    """Notices to skippers, XML files with an element `notice` each."""

    name: ClassVar[str] = "harbour.notices"
    suffixes: ClassVar[tuple[str, ...]] = (".xml", ".xml.gz")

    def read(self, piece: rexplug.Piece) -> Iterator[rexplug.Document | rexplug.Unreadable]:
        """Yield a document for each notice; places are their numbers."""
        with self.open(piece) as file:
            for number, notice in enumerate(ElementTree.parse(file).getroot(), 1):
                if notice.tag != "notice":
                    yield self.unreadable_at(piece.file, number, "not a notice")
                else:
                    yield self.document_of({field.tag: field.text for field in notice}, piece.file, number)


# -- end notices --


# -- start loads_or_unloads --
class LoadsOrUnloads(rexplug.FineTuningTask[list[float]]):
    """Whether a text says to load or to unload: logistic regression on the mean of the token vectors."""

    def __init__(self, texts: Sequence[str]) -> None:
        parts: dict[str, list[str]] = {"train": [], "dev": [], "test": []}
        for text in texts:
            parts[rexplug.split_of(text, dev=0.2, test=0.3)].append(text)
        self.train, self.dev, self.test = parts.values()

    @property
    def num_examples(self) -> int:
        return len(self.train)

    def head(self, encoder: rexplug.TrainableEncoder) -> Any:
        import torch

        return torch.nn.Linear(encoder.hidden_size, 1)

    def loss(self, encoder: rexplug.TrainableEncoder, head: Any, examples: Sequence[int]) -> Any:
        import torch

        texts = [self.train[index] for index in examples]
        truth = torch.tensor([text.startswith("Load") for text in texts], dtype=torch.float32, device=encoder.device)
        logits = head(encoder.mean_vectors(texts)).squeeze(-1)
        return torch.nn.functional.binary_cross_entropy_with_logits(logits, truth)

    def on_dev(self, encoder: rexplug.TrainableEncoder, head: Any) -> float:
        return sum(self._correct(encoder, head, self.dev)) / len(self.dev)

    def on_test(self, encoder: rexplug.TrainableEncoder, head: Any) -> list[float]:
        return self._correct(encoder, head, self.test)

    def _correct(self, encoder: rexplug.TrainableEncoder, head: Any, texts: Sequence[str]) -> list[float]:
        logits = head(encoder.mean_vectors(texts)).squeeze(-1).tolist()
        return [float((logit > 0) == text.startswith("Load")) for logit, text in zip(logits, texts, strict=True)]


# -- end loads_or_unloads --


# -- start orders --
class Orders(rexplug.Evaluator):
    """Accuracy of `LoadsOrUnloads`, with a test of what fine-tuning gains, and a section in the report."""

    name: ClassVar[str] = "harbour.orders"

    tuning: rexplug.FineTuning = rexplug.FineTuning(
        steps=30, batch=16, learning_rates=(1e-5, 1e-2), checkpoints=2, seeds=2, max_tokens=32
    )
    """Budget of the fine-tune."""

    def evaluate(self, context: rexplug.EvaluationContext) -> rexplug.EvaluationResult:
        """Measure `accuracy`, and `accuracy.head` of a head alone."""
        from matplotlib.figure import Figure

        task = LoadsOrUnloads(TEXTS)
        tuned = context.fine_tune(task, self.tuning)
        names = {"full": "accuracy", "probe": "accuracy.head"}
        scores = {names[mode]: rexplug.Scores(task.test, values) for mode, values in tuned.results.items()}
        tags = {"accuracy": (), "accuracy.head": ("detail", "frozen")}
        metrics = {
            name: rexplug.bootstrap_metric(score, context.seed, tags=tags[name]) for name, score in scores.items()
        }
        untuned = rexplug.Scores(task.test, [tuned.untuned])
        gains = rexplug.holm_correction(
            [rexplug.paired_test(score, untuned, context.seed) for score in scores.values()]
        )
        figure = Figure(figsize=(3, 2))
        figure.subplots().bar(list(metrics), [metric.value for metric in metrics.values()])
        rows = [
            {"metric": name, "gain": gain.value, "p": gain.p_holm, "verdict": gain.verdict}
            for name, gain in zip(scores, gains, strict=True)
        ]
        return rexplug.EvaluationResult(
            metrics,
            main="accuracy",
            scores=scores,
            notes=tuned.notes,
            tables={"fine-tuning, on dev": tuned.table},
            sections=[rexplug.ReportSection("What fine-tuning gains", "Against the untuned encoder.", rows, figure)],
        )


# -- end orders --


COMPONENTS = [Notices, Orders]
