"""The example plugin of the pages of the plugin API works as the pages show it, and so does its recipe."""

import random
import shutil
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

import rexplug
from rexplug import api
from rexplug.plugins.discovery import load_with
from rexplug.recipe.suite import load_suite
from rexplug.testing import (
    check_corpus_filter,
    check_document_source,
    check_evaluator,
    check_labeller,
    check_masking_policy,
    check_mixing_schedule,
    check_plugin,
    check_salience_scorer,
)

HERE = Path(__file__).parent


def test_the_plugin_keeps_its_contracts():
    lines = check_plugin(HERE / "legal.py")
    assert len(lines) == 10


def test_a_hook_is_the_long_form_of_components(legal):
    HasCitation, WithoutLetterhead = legal.HasCitation, legal.WithoutLetterhead

    # -- start hookimpl --
    @rexplug.hookimpl
    def rexplug_corpus_filters():
        return [HasCitation, WithoutLetterhead]

    # -- end hookimpl --
    module = ModuleType("legal")
    module.rexplug_corpus_filters = rexplug_corpus_filters
    assert check_plugin(module, "legal") == ["legal.has_citation: tried", "legal.without_letterhead: tried"]


@pytest.mark.usefixtures("laws")
def test_statutes(legal):
    # -- start test_DocumentSource --
    source = legal.Statutes(database="laws.sqlite")
    check_document_source(source)  # the same documents for 1, 2 and 3 shards
    # -- end test_DocumentSource --
    read = [document for index in range(4) for document in source.documents(rexplug.Shard(index, 4))]
    assert len(read) == 61
    assert [each.reason for each in read if isinstance(each, rexplug.Unreadable)] == ["no text"]
    source.check()
    with pytest.raises(rexplug.DataError, match=r"legal.statutes: database: there is no file gone.sqlite"):
        legal.Statutes(database="gone.sqlite").check()


@pytest.mark.usefixtures("opinions")
def test_opinions(legal):
    source = legal.Opinions(paths="opinions")
    check_document_source(source)
    first, sealed, last = source.documents(rexplug.Shard(0, 1))
    assert (first.text, sealed.reason, last.text) == ("Appeal denied under § 12.", "sealed", "New trial ordered.")


def test_has_citation(legal):
    # -- start test_CorpusFilter --
    check_corpus_filter(
        legal.HasCitation(least=2),
        keep=[rexplug.Document("1", "§ 12 holds, and so does article 5.")],
        drop=[rexplug.Document("2", "Only § 12 holds.")],
    )
    # -- end test_CorpusFilter --


def test_without_letterhead(legal, tmp_path):
    texts = ["COURT OF TRIER\nAppeal denied.", "COURT OF TRIER\nNew trial ordered.", "A letter\nto the court"]
    documents = [rexplug.Document(str(number), text) for number, text in enumerate(texts)]
    fitted = legal.WithoutLetterhead().fit(rexplug.CorpusSample({"opinions": documents}, tmp_path, 0))
    assert fitted.letterheads == ("COURT OF TRIER",)
    assert fitted.fit(rexplug.CorpusSample({}, tmp_path, 0)) is fitted
    assert not fitted.judge(rexplug.Document("3", "COURT OF TRIER")).keep
    check_corpus_filter(fitted, keep=[documents[2]], change=[(documents[0], "Appeal denied.")])


def test_by_citations(legal):
    # -- start test_Labeller --
    check_labeller(
        legal.ByCitations(),
        relevant=[rexplug.Document("1", "§ 12 and § 13 apply.")],
        irrelevant=[rexplug.Document("2", "It rained all day.")],
        undecided=[rexplug.Document("3", "§ 12 applies.")],
    )
    # -- end test_Labeller --


def test_law_last(legal):
    # -- start test_MixingSchedule --
    schedule = legal.LawLast(favoured="opinions", others=("web", "books"))
    check_mixing_schedule(schedule, sources=["opinions", "web", "books"])
    assert schedule.weights(0.5) == {"opinions": 0.2, "web": 0.4, "books": 0.4}
    assert schedule.weights(0.9)["opinions"] == 0.7
    # -- end test_MixingSchedule --


def test_salient_first(legal):
    # -- start test_MaskingPolicy --
    check_masking_policy(legal.SalientFirst(scorer=legal.Citations(), share=0.5))
    # -- end test_MaskingPolicy --


def test_citations(legal):
    # -- start test_SalienceScorer --
    check_salience_scorer(legal.Citations(), "By § 12 it is void.", salient=["§", "12"])
    # -- end test_SalienceScorer --


@pytest.mark.usefixtures("cases")
def test_area_of_law(legal, encoder):
    # -- start test_Evaluator --
    evaluator = legal.AreaOfLaw(cases="cases.jsonl")
    result = evaluator.evaluate(SimpleNamespace(encoder=encoder, seed=0))  # what it uses of the context
    assert result.metrics["accuracy"].value == 1.0
    assert [item.predicted for item in result.items] == ["tax", "tax", "labour", "labour"]
    # -- end test_Evaluator --
    assert evaluator.test_texts()["1"] == "aaaa"


@pytest.mark.usefixtures("laws")
def test_finds_statute(legal):
    evaluator = legal.FindsStatute(database="laws.sqlite")
    assert evaluator.evaluate(SimpleNamespace(retrieval=lambda collection, tuning: tuning.steps)) == 30
    collection = evaluator.collection()
    assert len(collection.queries) > 5
    assert not set(collection.queries.values()) & {title for title, _ in collection.training}
    assert evaluator.test_texts().keys() >= {f"query {key}" for key in collection.queries}


@pytest.fixture
def recipe(folder, laws, cases):
    """The name of the recipe; the plugin and the files that it names are beside it."""
    draw = random.Random(1)
    for name in ("opinions/a", "opinions/b", "more/c"):
        path = folder / f"{name}.opinions"
        path.parent.mkdir(exist_ok=True)
        cases = [
            "\n".join(
                [
                    "COURT OF TRIER",
                    *(
                        f"The {draw.choice(['tenant', 'owner', 'heir'])} paid {draw.randint(2, 999)} crowns"
                        + (f" by § {draw.randint(1, 99)} and article {draw.randint(1, 9)}." if number % 3 else ".")
                        for _ in range(5)
                    ),
                ]
            )
            for number in range(200)
        ]
        path.write_text("\n\n".join(["SEALED", *cases]))
    for name in ("legal.py", "legal.yaml"):
        shutil.copy(HERE / name, folder)
    return "legal.yaml"


def test_the_recipe_is_accepted(recipe):
    assert api.check(api.load_recipe(recipe)).problems == ()


@pytest.mark.usefixtures("laws", "cases")
def test_the_suite_is_accepted(folder):
    registry, _ = load_with(HERE / "legal.py")
    suite = load_suite(str(HERE / "suite.yaml"), folder, registry)
    assert [evaluator.name for evaluator in suite.evaluators] == ["legal.area_of_law", "legal.finds_statute"]
    assert all(evaluator.inputs() or evaluator.test_texts() for evaluator in suite.evaluators)


@pytest.mark.slow
@pytest.mark.usefixtures("cases")
def test_the_evaluator_keeps_its_contract(legal):
    # -- start test_Evaluator --
    check_evaluator(legal.AreaOfLaw(cases="cases.jsonl"))  # runs it on tiny models, some seconds
    # -- end test_Evaluator --


@pytest.mark.slow
def test_the_recipe_runs(recipe):
    run = api.run(api.load_recipe(recipe))
    assert run.status == "done"
    assert {row["evaluator"] for row in run.evaluations} == {"legal.area_of_law", "legal.finds_statute"}
