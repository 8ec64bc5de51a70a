"""pytest fixtures for tests of plugins; their names begin with `rexplug_`.

pytest imports this module wherever rexplug is installed, through an entry point, so it imports nothing that takes time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from rexplug.api import Run
    from rexplug.components import Document, EvaluationContext, TokenizedDocument


@pytest.fixture
def rexplug_run_tiny(tmp_path: Path) -> Callable[..., Run]:
    """`rexplug.testing.run_tiny`, whose run directories are in the test's own temporary folder."""
    from rexplug.testing import run_tiny

    numbers = count(1)

    def run(recipe: Any, **options: Any) -> Run:
        return run_tiny(recipe, **{"folder": tmp_path / f"run-{next(numbers)}", **options})

    return run


@pytest.fixture
def rexplug_documents() -> list[Document]:
    """Made-up documents: ordinary, long, empty, of several scripts, with unusual characters."""
    from rexplug.contracts.made_up import unusual_documents

    return unusual_documents()


@pytest.fixture
def rexplug_tokenized() -> Callable[[str], TokenizedDocument]:
    """A function that tokenizes a text by a small byte-level BPE; the arrays are read-only, as in a run."""
    from rexplug.components import Document
    from rexplug.contracts.made_up import tokenizers

    return lambda text: tokenizers()[0](Document("made-up", text))


@pytest.fixture
def rexplug_context() -> Iterator[EvaluationContext]:
    """An evaluation context as a run gives it: a tiny encoder of random weights, 40 held-out documents of each of two sources."""
    from rexplug.contracts.evaluators import made_up_context

    with made_up_context() as context:
        yield context
