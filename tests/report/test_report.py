"""The report and the model card of a run, from files as a run writes them."""

import json
import re
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from typing import Any, ClassVar

import pytest
import yaml

import rexplug
from rexplug.batches.policies import RandomMasking
from rexplug.evaluation.recovery import MaskedRecovery
from rexplug.io.atomic import write_json
from rexplug.pipeline.stage_work import write_documents
from rexplug.recipe import Recipe
from rexplug.report import Contents, write_card, write_report
from rexplug.run_directory import RunDirectory

EVIL = "<script>alert('x')</script> & \"co\""


class Pages(rexplug.DocumentSource):
    """A source without documents."""

    name: ClassVar[str] = "toy.pages"
    made_up: bool = False

    @property
    def synthetic(self) -> bool:
        return self.made_up

    def documents(self, shard: rexplug.Shard) -> Iterator[rexplug.Document]:
        return iter(())


class Even(rexplug.MixingSchedule):
    """Mixes both sources in equal shares."""

    name: ClassVar[str] = "toy.even"

    def weights(self, progress: float) -> Mapping[str, float]:
        return {"web": 1.0, "shop": 1.0}


def make_recipe(synthetic: bool = False, evaluators: tuple[Any, ...] = (MaskedRecovery(),)) -> Recipe:
    phase = {
        "tokens": 3000, "context": 64, "batch_tokens": 256, "microbatch_tokens": 128, "mixing": Even(),
        "masking": RandomMasking(), "learning_rate": {"peak": 1e-3, "schedule": "wsd", "warmup": 500},
    }  # fmt: skip
    return Recipe.model_validate({
        "name": "toy", "description": f"Described as {EVIL}", "tokenizer": {"use": "train"}, "model": {"size": "nano"},
        "sources": {"web": Pages(), "shop": Pages(made_up=synthetic)},
        "phases": [{"name": "pretrain", **phase}, {"name": "anneal", **phase}], "evaluators": evaluators,
    })  # fmt: skip


def stage(result: Any) -> dict[str, Any]:
    return {"status": "done", "fingerprint": "abc", "seconds": 1.5, "result": result}


TRAINED = {
    "tokens": 3001, "steps": 12, "seconds": 65.2, "tokens_per_second": 99.0, "loss": 2.5, "accuracy": 0.31,
    "rope_theta": {"global": 10000.0, "local": 10000.0}, "epochs": {"web": 0.5, "shop": 1.25}, "backend": "blocks",
    "why": "the device is a CPU", "device": "cpu", "precision": "fp32", "warnings": ["the rate was already decayed"],
}  # fmt: skip


@pytest.fixture
def bare(tmp_path):
    """A run that has only its manifest."""
    run = RunDirectory(tmp_path / "run")
    write_json(run.manifest, {
        "rexplug": "9.9", "versions": {"torch": "2.7"}, "plugins": {"core": "9.9"}, "host": {"cpu": EVIL}, "seed": 17,
        "command": "rexplug run toy.yaml", "started": "2030-01-01", "stages": {},
    })  # fmt: skip
    return run


@pytest.fixture
def run(bare):
    """A run with results of every stage, and its files."""
    manifest = json.loads(bare.manifest.read_text())
    manifest["stages"] = {
        "curate": stage({}), "tokenize": stage({name: {"documents": 8, "tokens": 4321} for name in ("web", "shop")}),
        "train.initial": stage({"parameters": 1234567, "without_embedding": 765432}),
        "train.pretrain": stage(TRAINED), "train.anneal": stage(TRAINED),
        "export": stage(
            {"transformers_from": "4.48", "max_difference": 2.4e-6, "tolerance": 1e-5, "texts": 8, "tokens": 3554,
             "differences": {"packed, fp32": 0.0, "transformers, fp64": 2.4e-6}, "largest_logit": 13.7}
        ),
    }  # fmt: skip
    write_json(bare.manifest, manifest)
    source = {
        "synthetic": False, "read": {"documents": 10, "bytes": 1}, "kept": {"documents": 8, "bytes": 1},
        "held_out": {"documents": 1, "bytes": 1},
        "steps": [{"step": "length", "in": 10, "kept": 9, "reasons": {"too short": 1},
                   "examples": {"too short": [{"id": "d3", "text": EVIL}]}}],
    }  # fmt: skip
    write_json(bare.corpus / "statistics.json", {"sources": {"web": source, "shop": {**source, "synthetic": True}}})
    steps = [
        {"phase": phase, "step": n, "tokens": 250 * n, "total_tokens": 250 * n + 3000 * late, "progress": n / 12,
         "loss": 5 / n, "accuracy": 0.1, "learning_rate": 1e-3, "batch_tokens": 250, "masked": 40, "fill": 0.98,
         "shares": {"web": 0.5, "shop": 0.5}, "planned": {"web": 0.5, "shop": 0.5},
         "source_loss": {"web": 5 / n} if n % 2 else {"web": 5 / n, "shop": 4 / n},
         "tokens_per_second": 99.0, "seconds": n / 2}
        for late, phase in enumerate(("pretrain", "anneal")) for n in range(1, 13)
    ]  # fmt: skip
    bare.metrics.write_text("".join(json.dumps(step) + "\n" for step in steps))
    for number, moment in enumerate(("initial", "pretrain", "anneal")):
        value = number / 10
        write_json(bare.evaluation / moment / "masked_recovery.json", {
            "evaluator": "masked_recovery", "options": {}, "moment": moment, "revision": "r", "main": "shop.words",
            "metrics": {
                "shop.words": {"value": value, "low": value / 2, "high": value * 2, "num_items": 50},
                "web.words": {"value": value, "low": None, "high": None, "num_items": None},
            },
            "tables": {"by length": [{"length": 3, "accuracy": 0.125}, {"length": EVIL, "accuracy": 0.25}]},
            "examples": [{"source": "web", "text": f"[MASK] {EVIL}",
                          "words": [{"truth": EVIL, "predicted": "b", "salient": True}]}],
            "notes": [f"Note {EVIL}"], "seconds": 1.0,
        })  # fmt: skip
    return bare


class Page(HTMLParser):
    """Collects the tags and the text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.open: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in ("meta", "br", "path", "use"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.open:
            while self.open.pop() != tag:
                pass

    def handle_data(self, data):
        if not {"style", "script"} & set(self.open):
            self.text += data


def test_a_complete_run_is_shown(run):
    path = write_report(Contents(run, make_recipe()))
    assert path == run.report
    page = Page(path.read_text())
    text = re.sub(r"\s+", " ", page.text)
    for part in (
        "masked_recovery: shop.words", "0.000 → 0.200", "95 %: 0.100–0.400", "1,234,567", "6,002", "2 min 10 s",
        "the rate was already decayed", "web 0.50, shop 1.25", "too short 1", "at most 2.4e-06", "rexplug run toy.yaml",
        "torch 2.7", "by length, after anneal", "0.125", "masking", "microbatch_tokens",
    ):  # fmt: skip
        assert part in text, part
    # Loss, mixture, learning rate, metrics over time; scores and speed beside the untrained model.
    assert sum(tag == "svg" for tag, _ in page.tags) == 6


def test_nothing_is_loaded_and_nothing_runs(run):
    page = Page(write_report(Contents(run, make_recipe(synthetic=True))).read_text())
    for tag, attributes in page.tags:
        assert tag not in ("script", "link", "iframe", "img", "object", "embed")
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "href", "xlink:href", "action"):
                assert value is not None
                assert value.startswith("#")
    assert "url(http" not in run.report.read_text()
    # Description, host, dropped document, example, its truth, table and note.
    assert page.text.count(EVIL) >= 7


def test_plots_label_their_axes(run):
    text = Page(write_report(Contents(run, make_recipe())).read_text()).text
    for part in (
        "loss (nats per masked token)",
        "share of tokens",
        "learning rate",
        "tokens, all phases",
        "shop, planned",
    ):
        assert part in text, part


def test_the_same_run_gives_the_same_page(run):
    first = write_report(Contents(run, make_recipe())).read_text()
    assert write_report(Contents(run, make_recipe())).read_text() == first


@pytest.mark.parametrize("write", [write_report, write_card])
def test_synthetic_text_is_announced(run, write):
    assert "The text of shop was written by a program." in write(Contents(run, make_recipe(synthetic=True))).read_text()
    assert "was written by a program" not in write(Contents(run, make_recipe())).read_text()


@pytest.mark.parametrize("write", [write_report, write_card])
def test_missing_parts_are_left_out(bare, write):
    text = write(Contents(bare, make_recipe(evaluators=()))).read_text()
    assert "toy" in text
    for part in ("<svg", "Evaluation", "Corpus", "Exported model", "differ by at most"):
        assert part not in text


def test_a_metric_that_was_not_measured_before_training_is_left_out(run):
    path = run.evaluation / "initial" / "masked_recovery.json"
    content = json.loads(path.read_text())
    content["metrics"].pop("shop.words")
    write_json(path, content | {"main": "web.words"})
    assert "– → 0.200" in Page(write_report(Contents(run, make_recipe())).read_text()).text


def test_the_card_has_front_matter_and_metrics(run):
    text = write_card(Contents(run, make_recipe(synthetic=True))).read_text()
    _, front, body = text.split("---\n", 2)
    matter = yaml.safe_load(front)
    assert (matter["library_name"], matter["pipeline_tag"]) == ("transformers", "fill-mask")
    assert "license" not in matter, "it follows from the data and is the user's to name"
    assert "| web | toy.pages | 8 | 4,321 | not stated |" in body
    assert "| shop | toy.pages (synthetic) | 8 | 4,321 | written by a program |" in body
    assert "| anneal | 3,001 | 64 | 0.001 | random 0.3 | 2.500 |" in body
    assert "| shop.words | 0.000 | 0.100 | 0.200 | 0.100 to 0.400 |" in body
    (model,) = matter["model-index"]
    assert model["results"][0]["metrics"] == [{"type": "shop.words", "value": 0.2}]
    assert "at most 2.4e-06" in body
    assert "It gives the same logits in transformers 4.48 and later." in body
    assert 'AutoModelForMaskedLM.from_pretrained("model")' in body


def test_the_card_repeats_the_recipes_use_limits_and_licences(run):
    recipe = make_recipe()
    card = {
        "license": "apache-2.0", "intended_use": "Search in toy shops.", "limits": "Knows no prices.",
        "data_licenses": {"web": "CC BY 4.0"},
    }  # fmt: skip
    recipe = Recipe.model_validate(
        {**{name: getattr(recipe, name) for name in type(recipe).model_fields}, "card": card}
    )
    _, front, body = write_card(Contents(run, recipe)).read_text().split("---\n", 2)
    assert yaml.safe_load(front)["license"] == "apache-2.0"
    for sentence in ("Search in toy shops.", "Knows no prices.", "| web | toy.pages | 8 | 4,321 | CC BY 4.0 |"):
        assert sentence in body
    with pytest.raises(ValueError, match="card.data_licenses names 'wbe', but the sources are web, shop"):
        Recipe.model_validate(
            {
                **{name: getattr(recipe, name) for name in type(recipe).model_fields},
                "card": {"data_licenses": {"wbe": "x"}},
            }
        )


def test_values_of_the_recipe_stay_inside_front_matter_and_cells(run):
    recipe = make_recipe()
    evil = "mit\n---\nlicense: gpl-3.0\n| x | y |\n"
    card = {"license": evil, "data_licenses": {"web": evil}}
    recipe = Recipe.model_validate(
        {**{name: getattr(recipe, name) for name in type(recipe).model_fields}, "card": card}
    )
    text = write_card(Contents(run, recipe)).read_text()
    _, front, body = text.split("---\n", 2)
    matter = yaml.safe_load(front)
    assert matter["license"] == "mit --- license: gpl-3.0 | x | y |"
    assert set(matter) == {"library_name", "pipeline_tag", "tags", "language", "license", "model-index"}
    assert "| web | toy.pages | 8 | 4,321 | mit --- license: gpl-3.0 \\| x \\| y \\| |" in body
    assert text.count("\n---\n") == 1


def plan_of(run):
    """The plan that a run recorded."""
    expected = {"seconds": 1.0, "memory_gib": 0.5, "off": 3.0, "basis": "default", "made": "before the run"}
    late = expected | {"seconds": 2.0, "basis": "measured here", "made": "after tokenize"}
    phase = {"tokens": 3000, "steps": 11, "epochs": {"web": 0.35, "shop": None}}
    write_json(run.plan, {
        "machine": f"Processor {EVIL}", "stages": {"curate": expected, "train.pretrain": late},
        "phases": {"pretrain": phase}, "whole": {"seconds": 9.0},
    })  # fmt: skip


def test_the_report_compares_plan_and_measurement(run):
    plan_of(run)
    text = re.sub(r"\s+", " ", Page(write_report(Contents(run, make_recipe())).read_text()).text)
    assert f"Planned when each stage began, on Processor {EVIL}" in text
    for part in (
        "pretrain3,0003,0011112web 0.35 → 0.50, shop ? → 1.25",
        "curate 1.0 s1.5 s+50 %0.50 default",
        "train.pretrain 2.0 s1.5 s-25 %0.50 measured here; planned after tokenize",
        "train.anneal ?1.5 s",
        "all 3.0 s3.0 s0 %0.50",
    ):
        assert part.replace(" ", "") in text.replace(" ", ""), part


def test_the_card_compares_plan_and_measurement(run):
    assert "Plan and measurement" not in write_card(Contents(run, make_recipe())).read_text()
    plan_of(run)
    text = write_card(Contents(run, make_recipe())).read_text()
    assert "| curate | 1.0 s | 1.5 s | +50 % | 0.50 GiB | ? |" in text
    assert "| all | 3.0 s | 3.0 s | 0 % | 0.50 GiB | ? |" in text
    assert "| pretrain | 3,000 | 3,001 | 11 | 12 | web 0.35 → 0.50, shop ? → 1.25 |" in text


def test_a_run_without_a_plan_shows_what_it_took(run):
    text = Page(write_report(Contents(run, make_recipe())).read_text()).text
    assert "This run kept no plan" in text
    assert "web ? → 0.50, shop ? → 1.25" in text


def test_lineage_leads_from_sources_to_weights(run):
    text = Page(write_report(Contents(run, make_recipe())).read_text()).text
    for part in ("Lineage", "16 documents from 2 sources", "8,642 tokens", "12 steps, 3,001 tokens"):
        assert part in text, part


def with_sections(run, *sections):
    """Add sections to the evaluation after the last phase, as results store them."""
    path = run.evaluation / "anneal" / "masked_recovery.json"
    write_json(path, json.loads(path.read_text()) | {"sections": list(sections)})


def section(title, figure=None, text="", table=()):
    return {"title": title, "text": text, "table": list(table), "figure": figure}


PNG = "data:image/png;base64,iVBORw0KGgo="
SVG = "data:image/svg+xml;base64,PHN2Zy8+"


def test_sections_of_evaluators_are_shown(run):
    with_sections(
        run,
        section(f"By age {EVIL}", PNG, f"Text {EVIL}", [{"age": 3, "share": 0.25}, {"age": EVIL}]),
        section("Drawn", SVG),
        section("Harmful", "javascript:alert(1)", "Only the text of this one."),
    )
    page = Page(write_report(Contents(run, make_recipe())).read_text())
    text = re.sub(r"\s+", " ", page.text)
    for part in (
        f"By age {EVIL}, after anneal",
        f"Text {EVIL}",
        "ageshare 30.250",
        "Drawn, after anneal",
        "Only the text",
    ):
        assert part in text, part
    images = [attributes for tag, attributes in page.tags if tag == "img"]
    assert images == [{"src": PNG, "alt": f"By age {EVIL}"}, {"src": SVG, "alt": "Drawn"}]
    body = write_card(Contents(run, make_recipe())).read_text()
    assert "### masked_recovery: Drawn\n\n![Drawn](figures/masked_recovery-2.svg)\n" in body
    assert "| age | share |\n| --- | --- |\n| 3 | 0.250 |\n" in body
    assert "### masked_recovery: Harmful\n\nOnly the text of this one.\n\n-" in body
    files = {path.name: path.read_bytes() for path in run.card_figures.iterdir()}
    assert files == {"masked_recovery-1.png": b"\x89PNG\r\n\x1a\n", "masked_recovery-2.svg": b"<svg/>"}


def test_sections_in_the_card_are_plain_text(run):
    rows = [{"<mask> *": "[MASK] `a` a_b \\ |", "n": 3}]
    with_sections(run, section("By [MASK] <b>", SVG, "Where *<mask>* | was", rows))
    body = write_card(Contents(run, make_recipe())).read_text()
    assert r"### masked_recovery: By \[MASK\] \<b>" in body
    assert r"Where \*\<mask>\* \| was" in body
    assert "| \\<mask> \\* | n |\n| --- | --- |\n| \\[MASK\\] \\`a\\` a_b \\\\ \\| | 3 |\n" in body
    assert r"![By \[MASK\] \<b>](figures/masked_recovery-1.svg)" in body


def test_figures_of_the_card_lie_beside_the_exported_weights_too(run):
    recipe = make_recipe()
    run.model.mkdir()
    with_sections(run, section("Drawn", SVG))
    write_documents(run, recipe)
    assert (run.model / "README.md").read_text() == run.card.read_text()
    assert [path.name for path in (run.model / "figures").iterdir()] == ["masked_recovery-1.svg"]
    with_sections(run)
    write_documents(run, recipe)
    assert not (run.model / "figures").exists()
    assert not run.card_figures.exists()


def test_metrics_with_the_tag_detail_are_in_the_plot(run):
    def plotted() -> str:
        return re.sub(r"\s+", " ", Page(write_report(Contents(run, make_recipe())).read_text()).text)

    # Results of earlier versions have no tags: those of masked recovery are known by their names.
    assert plotted().count("masked_recovery: web.words") == 1
    for moment in ("initial", "pretrain", "anneal"):
        path = run.evaluation / moment / "masked_recovery.json"
        content = json.loads(path.read_text())
        content["metrics"]["web.words"]["tags"] = []
        content["metrics"]["speed"] = {**content["metrics"]["web.words"], "tags": ["detail"]}
        write_json(path, content)
    text = plotted()
    assert "masked_recovery: web.words" not in text
    assert text.count("masked_recovery: speed") == 1


def test_the_last_model_is_compared_with_baselines(run):
    content = json.loads((run.evaluation / "anneal" / "masked_recovery.json").read_text())
    ids = [str(number) for number in range(30)]
    for folder, value in ((run.evaluation / "anneal", 0.2), (run.baselines / "bm25", 0.5)):
        write_json(folder / "masked_recovery.json", content | {
            "label": "masked_recovery",
            "metrics": {"shop.words": {"value": value, "low": None, "high": None, "num_items": 30}},
        })  # fmt: skip
        scores = {"scores": {"shop.words": {"ids": ids, "values": [[value] * 30]}}}
        (folder / "masked_recovery.scores").write_text(json.dumps(scores))
    text = Page(write_report(Contents(run, make_recipe())).read_text()).text
    assert "Compared with other models" in text
    assert "+0.300" in text
