"""The guided ablation: items are unchanged by packing, correct tokens give the evaluators' metrics, and arms are paired by seed."""

from __future__ import annotations

import base64
import json
import lzma
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from rexplug import DataError, Scores
from rexplug.evaluation.masked_words import MaskedText

HERE = Path(__file__).parent


@pytest.fixture(autouse=True)
def _scripts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE))


def row(ids: Sequence[int], positions: Sequence[int], word_of: Sequence[int]) -> MaskedText:
    masked = np.array(ids)
    truth = masked[list(positions)].copy()
    masked[list(positions)] = 4
    return MaskedText(masked, np.array(positions), np.array(word_of), truth)


ROWS = [row([1, 9, 8, 7, 2], [1, 3], [0, 1]), row([1, 5, 2], [1], [0]), row([1, 6, 6, 2], [1, 2], [0, 0])]


def write_packed(folder: Path) -> Path:
    """Three sets of the same rows: two words with two tokens, a value each, blocks."""
    from guided_items import Items

    folder.mkdir()
    items = Items.of(ROWS)
    about: dict[str, Any] = {
        "sources": [],
        "sets": {
            "retail.words.dev": {"kind": "words", "ids": ["a", "a", "b"], "salient": ["01", "1", "0"]},
            "titles.values.dev": {"kind": "values", "texts": ["x", "x", "y"], "attributes": ["Brand", "Size", "Brand"]},
            "general.published.dev": {"kind": "blocks"},
        },
    }
    about["arrays"] = {f"{name}.{field}": 1 for name in about["sets"] for field in Items.__dataclass_fields__}
    for name in about["arrays"]:
        with lzma.open(folder / f"{name}.0.npy.xz", "wb") as file:
            np.save(file, getattr(items, name.rsplit(".", 1)[1]))
    (folder / "about.json.xz").write_bytes(lzma.compress(json.dumps(about).encode()))
    return folder


def line(arm: str, seed: int, right: Sequence[int]) -> str:
    bits = base64.b64encode(np.packbits(np.array(right, bool)).tobytes()).decode()
    sets = ("retail.words.dev", "titles.values.dev", "general.published.dev")
    return json.dumps(
        {"event": "arm", "size": "nano", "seed": seed, "arm": arm, "speed": 10.0, "loss": 2.5,
         "rows": dict.fromkeys(sets, 3), "bits": dict.fromkeys(sets, bits)}
    )  # fmt: skip


def test_items_are_the_same_rows_after_packing(tmp_path: Path) -> None:
    from guided_items import Packed

    packed = Packed.read(write_packed(tmp_path / "packed"))
    for before, after in zip(ROWS, packed.items("titles.values.dev").rows(), strict=True):
        for field in ("token_ids", "positions", "word_of", "truth"):
            assert getattr(before, field).tolist() == getattr(after, field).tolist()


def counted(score: Scores) -> tuple[Sequence[float], Sequence[float]]:
    assert score.weights is not None
    return score.values[0], score.weights[0]


def test_right_tokens_become_the_metrics_of_the_evaluators(tmp_path: Path) -> None:
    from guided_items import Packed
    from guided_table import scores_of

    packed = Packed.read(write_packed(tmp_path / "packed"))
    right = np.array([True, False, True, True, False])
    words = scores_of(packed, "retail.words.dev", right, 3)
    assert {name: counted(score) for name, score in words.items()} == {
        "retail.words": ([2, 0], [3, 1]), "retail.salient": ([1], [2]), "retail.plain": ([1, 0], [1, 1]),
    }  # fmt: skip
    values = scores_of(packed, "titles.values.dev", right, 3)
    # The first occurrence of the first value is one token; the second one has the number 1.
    assert counted(values["titles.exact"]) == ([2, 0], [2, 1])
    assert counted(values["titles.tokens"]) == ([2, 1], [2, 2])
    assert values["titles.exact.brand"].values[0] == [1, 0]
    blocks = scores_of(packed, "general.published.dev", right[:3], 2)["general.acc@1"]
    assert counted(blocks) == ([1, 1], [2, 1])


def test_arms_are_compared_over_the_seeds_that_both_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from guided_table import print_tables

    lines = [line("random 15 %", seed, [0, 0, 0, 1, 0]) for seed in (0, 1, 2)]
    lines += [line("tokens, boost 3", seed, [1, 1, 1, 1, 1]) for seed in (0, 2)]
    lines += [json.dumps({"event": "first", "size": "nano", "seed": 1})]
    (tmp_path / "guided.jsonl").write_text("\n".join(lines))
    plot = tmp_path / "gain.svg"
    print_tables([tmp_path / "guided.jsonl"], write_packed(tmp_path / "packed"), "dev", plot)
    shown = capsys.readouterr().out
    assert "### nano, dev, seeds 0, 1, 2" in shown
    assert "| values of titles, exact (3) | 0.0 | +100.0 (+100.0 to +100.0) |" in shown
    assert "| retail, plain words (2) | 0.0 | +100.0 (+100.0 to +100.0) |" in shown
    assert "| seeds | 3 | 2 |" in shown
    assert "tokens, boost 3: values +100.0/+100.0, plain +100.0/+100.0" in shown
    assert "nano: tokens, boost 3" in "".join(ElementTree.fromstring(plot.read_text()).itertext())


def test_results_without_the_baseline_are_refused(tmp_path: Path) -> None:
    from guided_table import print_tables

    packed = write_packed(tmp_path / "packed")
    results = tmp_path / "guided.jsonl"
    for content, message in (
        ("", f"{results}: no arm was finished"),
        (line("random 20 %", 0, [1, 1, 1, 1, 1]), "nano: no result of the baseline, random 15 %"),
    ):
        results.write_text(content)
        with pytest.raises(DataError) as caught:
            print_tables([results], packed, "dev", None)
        assert str(caught.value) == message


def test_a_text_is_in_training_if_its_words_follow_one_another(tmp_path: Path) -> None:
    from guided_items import texts_in

    documents = {"a": ["Buy the ACME red lamp, today!", "nothing"], "b": ["A red acme lamp"]}
    assert texts_in(documents, ["Acme: red lamp", "red lamp of oak", "Acme red lam", "lamp today"]) == {
        "Acme: red lamp", "lamp today",
    }  # fmt: skip


def test_every_arm_is_a_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(HERE / "gpu"))
    from guided_ablation import ARMS
    from guided_budgets import BUDGETS, recipe

    for arm in ARMS.values():
        made = recipe("nano", 3, arm, BUDGETS["nano"], 10_000_000)
        pretrain, anneal = made.phases
        assert pretrain.tokens == 10_000_000
        assert anneal.masking.rate.at(0.5) in (0.15, 0.2)
        # All arms but the last see 40 % general text in all; the last one too, and ends at 35 %.
        shares = [anneal.mixing.weights(progress / 100)["general"] for progress in range(101)]
        assert np.mean(shares) == pytest.approx(0.4, abs=0.005)
