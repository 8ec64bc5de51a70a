"""Fixtures that several folders of tests share."""

import gc
import os
import signal
from pathlib import Path

import pytest

try:
    from xdist.scheduler import WorkStealingScheduling
except ImportError:
    WorkStealingScheduling = None

HERE = Path(__file__).parent
# Before numpy and torch are imported. On busy cores, as those of two workers are, threads of OpenMP wait for one another in a loop:
# the training of a toy model took thirteen times the processor time. Processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def pytest_collection_modifyitems(items):
    """Whole runs, which are in this folder itself, come first: the last tests are short, and no worker waits long for the other."""
    items.sort(key=lambda item: item.path.parent != HERE)


def pytest_collection_finish():
    """The garbage collector leaves out what imports made: a million objects that stay, walked through again and again.

    That took up to a quarter of the processor time of the quick tests.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 10, 10)


@pytest.hookimpl(optionalhook=True, tryfirst=True)
def pytest_xdist_make_scheduler(config, log):
    """Workers take tests in their order, so that what a module's tests share is made once, and help one another at the end."""
    if WorkStealingScheduling is not None and config.getvalue("dist") == "load":
        return WorkStealingScheduling(config, log)
    return None


@pytest.fixture(scope="session", autouse=True)
def _own_measurements(tmp_path_factory):
    """Tests neither write the user's measurement history nor read it for their plans."""
    before = os.environ.get("REXPLUG_CACHE")
    os.environ["REXPLUG_CACHE"] = str(tmp_path_factory.mktemp("measurements"))
    yield
    if before is None:
        del os.environ["REXPLUG_CACHE"]
    else:
        os.environ["REXPLUG_CACHE"] = before


@pytest.fixture(scope="session", autouse=True)
def _hear_sighup():
    """Under nohup, processes ignore SIGHUP and so would those that tests start."""
    before = signal.getsignal(signal.SIGHUP)
    if before == signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture
def notes():
    """A progress that records notes, in `lines`."""
    from rexplug.progress import Silent

    class Notes(Silent):
        def __init__(self):
            self.lines = []

        def note(self, text):
            self.lines.append(text)

    return Notes()


@pytest.fixture(scope="session")
def tokenized_run(tmp_path_factory):
    """A small recipe on text files, curated and tokenized: its path, the recipe and the run directory. Do not change it."""
    import numpy as np

    from rexplug.pipeline.run import run_recipe
    from rexplug.plugins.discovery import load_plugins
    from rexplug.progress import Silent
    from rexplug.recipe import load_recipe
    from rexplug.run_directory import RunDirectory

    root = tmp_path_factory.mktemp("plan")
    draw = np.random.default_rng(3)
    words = ["river", "boots", "minister", "waterproof", "jacket", "Norvale", "500", "ml", "spoke", "town"]
    for name, count in (("web", 30), ("shop", 20)):
        (root / name).mkdir()
        for i in range(count):
            text = " ".join(draw.choice(words, int(draw.integers(5, 200))))
            (root / name / f"{i}.txt").write_text(f"{name} {i} <b>&amp; {text}")
    path = root / "recipe.yaml"
    path.write_text(
        f"""
name: small
sources: {{web: {{use: text, paths: {root}/web}}, shop: {{use: text, paths: {root}/shop}}}}
curation: {{deduplicate: none, held_out: 0}}
tokenizer: {{use: train, vocabulary: 320}}
model: {{size: nano}}
phases:
  - name: anneal
    tokens: 20k
    context: 64
    batch_tokens: 512
    batch_warmup: {{start: 128, tokens: 4k}}
    learning_rate: {{peak: 1e-3, schedule: linear, warmup: 1k}}
    mixing: {{use: annealing.linear, start: {{web: 1, shop: 0}}, end: {{web: 0, shop: 1}}}}
    masking: {{use: guided_mlm.guided, scorer: ecommerce.attributes, rate: {{start: 0.3, end: 0.1}}}}
"""
    )
    registry = load_plugins()
    recipe = load_recipe(path, registry=registry)
    run_recipe(recipe, root / "run", Silent(), plugins=registry.versions(), command="", until="tokenize")
    return path, recipe, RunDirectory(root / "run")
