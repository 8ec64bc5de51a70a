"""A toy run: stores of generated documents, a nano model and a short phase."""

import resource
import sys
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

import rexplug
from rexplug.batches import BatchStream
from rexplug.batches.policies import RandomMasking
from rexplug.progress import Silent
from rexplug.recipe import Recipe
from rexplug.run_directory import RunDirectory
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import TokenStore, close_store, write_shard

SPECIAL = SpecialTokens(cls=1, sep=2, pad=3, mask=4, vocabulary_size=64, all=frozenset(range(5)))
SOURCES = ("web", "retail")
HERE = str(Path(__file__).parent)
SCRIPT = (
    "import os, signal, sys; from pathlib import Path; sys.path.insert(0, sys.argv[1]); import conftest as c\n"
    "class Watch(c.Silent):\n"
    "    left = int(sys.argv[4])\n"
    "    def update(self, done, **metrics):\n"
    "        Watch.left -= 1\n"
    "        if Watch.left: return\n"
    "        if sys.argv[3] == 'error': raise DataError('this rank cannot read its disk')\n"
    "        os.kill(int(sys.argv[5]) or os.getpid(), signal.Signals[sys.argv[3]])\n"
    "if os.environ['RANK'] != sys.argv[6]: Watch.left = 0\n"
    "from rexplug import distributed\n"
    "from rexplug.errors import DataError, RankLost, RexplugError\n"
    "code = 0\n"
    "try: c.frequent(Path(sys.argv[2]), parallel=sys.argv[7]).train('first', Watch())\n"
    "except RankLost as error: print(error, file=sys.stderr); code = distributed.peer_lost_exit_code()\n"
    "except RexplugError as error: print(error, file=sys.stderr); code = 130 if 'stopped' in str(error) else 2\n"
    "distributed.exit_process(code)\n"
)


class Half(rexplug.MixingSchedule):
    """Equal shares of both sources."""

    name: ClassVar[str] = "toy.half"

    def weights(self, progress: float) -> Mapping[str, float]:
        return dict.fromkeys(SOURCES, 1.0)


class Nothing(rexplug.DocumentSource):
    """Yields no documents: the tokens are generated."""

    name: ClassVar[str] = "toy.nothing"

    def documents(self, shard: rexplug.Shard) -> Iterator[rexplug.Document]:
        return iter(())


def make_stores(folder: Path) -> None:
    """Documents of 5 to 150 tokens that count upwards, so that there is something to learn."""
    generator = np.random.default_rng(0)
    for source in SOURCES:
        (folder / source).mkdir(parents=True)
        lengths = generator.integers(5, 150, 40)
        tokens = [(5 + (np.arange(n) + generator.integers(59)) % 59).astype(np.uint32) for n in lengths]
        write_shard(
            folder / source, 0, tokens=tokens, channels={},
            documents={"id": [f"{source}-{i}" for i in range(len(lengths))]}, vocabulary_size=64,
        )  # fmt: skip
        close_store(folder / source, 1, [], "toy", 64)


def phase(name: str, **changes: Any) -> dict[str, Any]:
    options = {
        "name": name, "tokens": 3000, "context": 64, "batch_tokens": 256, "microbatch_tokens": 128,
        "learning_rate": {"peak": 1e-2, "schedule": "wsd", "warmup": 500},
        "optimizer": {"weight_decay": 1e-2}, "mixing": Half(), "masking": RandomMasking(),
    }  # fmt: skip
    return {**options, **changes}


@dataclass
class Bench:
    """Trains phases of a toy recipe in `root`."""

    root: Path
    phases: list[dict[str, Any]]
    precision: str = "fp32"
    parallel: str = "auto"
    residual: str = "fp32"
    deterministic: bool = False
    peak: float | None = None
    """A learning rate that no recipe may have, for NaN losses."""

    @property
    def run(self) -> RunDirectory:
        return RunDirectory(self.root)

    @property
    def recipe(self) -> Recipe:
        value = {
            "name": "toy", "sources": {name: Nothing() for name in SOURCES}, "tokenizer": {"use": "train"},
            "phases": self.phases,
            "model": {
                "size": "nano", "precision": self.precision, "parallel": self.parallel, "residual": self.residual,
                "deterministic": self.deterministic,
            },
        }  # fmt: skip
        recipe = Recipe.model_validate(value)
        if self.peak is None:
            return recipe
        wild = {"peak": self.peak}
        phases = [
            each.model_copy(update={"learning_rate": each.learning_rate.model_copy(update=wild)})
            for each in recipe.phases
        ]
        return recipe.model_copy(update={"phases": tuple(phases)})

    def stream(self, name: str) -> BatchStream:
        recipe = self.recipe
        found = next(each for each in recipe.phases if each.name == name)
        if not (self.root / "tokens").exists():
            make_stores(self.root / "tokens")
        return BatchStream(
            stores={source: TokenStore.open(self.root / "tokens" / source) for source in SOURCES}, special=SPECIAL,
            context=found.context, row_tokens=found.row_tokens, total_tokens=found.tokens, min_tokens=found.min_tokens,
            batch_tokens=found.batch_tokens_at, mixing=found.mixing, masking=found.masking, seed=recipe.seed, phase=name,
        )  # fmt: skip

    def train(self, name: str, progress: Any = None, evaluate: Any = None) -> dict[str, Any]:
        from rexplug.engine import initial_checkpoint, train_phase

        recipe = self.recipe
        if not (self.run.checkpoints / "initial").exists():
            initial_checkpoint(recipe, SPECIAL, self.run)
        names = [each.name for each in recipe.phases]
        number = names.index(name)
        start = self.run.checkpoints / names[number - 1] / "final" if number else self.run.checkpoints / "initial"
        return train_phase(
            recipe=recipe, phase=recipe.phases[number], stream=self.stream(name), start=start, run=self.run,
            progress=progress or Silent(), evaluate=evaluate,
        )  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def _composer() -> None:
    """Import Composer as `train_phase` does, for tests that import a module of the engine alone."""
    from rexplug.engine.composer_import import import_composer

    import_composer()


@pytest.fixture
def bench(tmp_path: Path) -> Callable[..., Bench]:
    """Makes a `Bench` below a folder of its own."""

    def make(folder: str = "run", phases: list[dict[str, Any]] | None = None, **options: Any) -> Bench:
        return Bench(tmp_path / folder, phases or [phase("first")], **options)

    return make


def frequent(root: Path, **options: Any) -> Bench:
    """A bench whose phase saves itself after every few steps."""
    return Bench(root, [phase("first", checkpoints={"every_tokens": 600})], **options)


def begin(training: Bench) -> None:
    """Write the token stores and the initial model, unless they are there."""
    if not (training.run.checkpoints / "initial").exists():
        from rexplug.engine import initial_checkpoint

        training.stream("first")
        initial_checkpoint(training.recipe, SPECIAL, training.run)


def launch(
    training: Bench,
    num: int,
    *,
    steps: int = 0,
    rank: int = 0,
    name: str = "SIGKILL",
    target: int = 0,
    parallel: str = "auto",
) -> int:
    """Train with `num` ranks; at step `steps` of rank `rank` the signal `name` is sent to process `target` (0: that rank)."""
    from rexplug import distributed

    begin(training)
    arguments = [
        sys.executable,
        "-c",
        SCRIPT,
        HERE,
        str(training.root),
        name,
        str(steps),
        str(target),
        str(rank),
        parallel,
    ]
    return distributed.launch(num, arguments, training.run.logs)


@pytest.fixture(name="launch")
def _launch() -> Callable[..., int]:
    return launch


@pytest.fixture(scope="session")
def bench_at() -> Callable[..., Bench]:
    return frequent


@pytest.fixture(name="phase")
def _phase() -> Callable[..., dict[str, Any]]:
    return phase


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The outcome of a run that saves itself after every few steps and is never stopped."""
    from engine.helpers import outcome

    training = frequent(tmp_path_factory.mktemp("undisturbed") / "run")
    training.train("first")
    return outcome(training)


@pytest.fixture
def full_disk() -> Callable[[], None]:
    """Call it to have files of more than 10 kB fail to be written, as on a full disk, until the test ends."""
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Generator[None, object, object]:
    """Lift the limit before pytest writes the outcome, which may go to a long file."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        return (yield)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
