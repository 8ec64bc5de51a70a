"""The components keep the contracts of rexplug and do what they say; the tasks and the recipe work on made-up questions."""

import json
import random
from importlib.resources import files
from pathlib import Path

import pytest

import rexplug
import rexplug_devops
from rexplug import Document
from rexplug.testing import (
    check_corpus_filter,
    check_document_source,
    check_labeller,
    check_plugin,
    check_salience_scorer,
)
from rexplug_devops import ANSWER, make_tasks

SAMPLES = str(files("rexplug_devops") / "samples")
VERBS = ("restart", "monitor", "deploy", "back up", "upgrade", "configure")
THINGS = ("a database", "a container", "the build server", "a cluster", "a pipeline", "the proxy", "a namespace")
REASONS = ("the log says nothing", "the port is closed", "a volume is missing", "the image is old", "a secret expired")


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A current directory with the folders that the recipe reads, written by a program."""
    monkeypatch.chdir(tmp_path)
    draw = random.Random(4)
    questions = []
    for number in range(120):
        tool, verb, thing = draw.choice(make_tasks.TAGS), draw.choice(VERBS), draw.choice(THINGS)
        title = f"How can I {verb} {thing} with {tool}, number {number}?"
        told = [f"When I {draw.choice(VERBS)} {draw.choice(THINGS)} then {draw.choice(REASONS)}." for _ in range(8)]
        answer = " ".join(f"You should {draw.choice(VERBS)} {thing} because {draw.choice(REASONS)}." for _ in range(4))
        text = f"# {title}\n\n{' '.join(told)}{ANSWER}With {tool} --force {number}.{number} helps. {answer}"
        questions.append({"id": f"q/{number}", "title": title, "tags": [tool, "other"], "text": text})
    nouns = ("river", "garden", "museum", "storm", "harbour", "bridge", "village", "orchestra", "valley")
    general = [
        {
            "id": number,
            "text": " ".join(f"The {draw.choice(nouns)} was near the {draw.choice(nouns)}." for _ in range(15)),
        }
        for number in range(80)
    ]
    proposals = [
        {"id": each["id"], "text": each["text"].replace("How can I", "This proposes to")} for each in questions[:20]
    ]
    for name, rows in (("devops", questions), ("general", general), ("proposals", proposals)):
        (tmp_path / "data" / name).mkdir(parents=True)
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (tmp_path / "data" / name / "texts.jsonl").write_text(lines, encoding="utf-8")
    return tmp_path / "data"


def test_all_components_keep_the_contracts():
    tried = check_plugin(rexplug_devops)
    assert [line for line in tried if "not tried" in line] == []


def test_questions():
    check_document_source(rexplug_devops.Questions(paths=SAMPLES))
    source = rexplug_devops.Questions(paths=SAMPLES, part="all")
    documents = {document.id: document for document in source.documents(rexplug.Shard(0, 1))}
    assert documents["sample/2"].metadata["tags"] == ["terraform"]
    assert documents["sample/2"].text.startswith("# Terraform wants to replace")


def test_every_question_is_in_one_part(data):
    parts = {
        part: {document.id for document in rexplug_devops.Questions(paths=str(data / "devops"), part=part).documents(
            rexplug.Shard(0, 1)
        )}
        for part in ("train", "test", "all")
    }  # fmt: skip
    assert parts["train"] | parts["test"] == parts["all"]
    assert not parts["train"] & parts["test"]
    assert len(parts["all"]) == 120
    assert 10 < len(parts["test"]) < 40


def test_what_cannot_be_read_is_counted(tmp_path):
    (tmp_path / "questions.jsonl").write_text('{"id": 1, "text": "Why?"}\n{"id": 2\n{"id": 3}\n')
    source = rexplug_devops.Questions(paths=str(tmp_path), part="all")
    read = list(source.documents(rexplug.Shard(0, 1)))
    assert [each.id for each in read] == ["1", "questions.jsonl:26", "questions.jsonl:35"]
    assert [each.reason for each in read[1:]] == ["invalid JSON", "no id or text"]


def test_answered():
    answered, open_question = Document("1", f"# Why?{ANSWER}Because."), Document("2", "# Why?\n\nNobody knows.")
    check_corpus_filter(rexplug_devops.Answered(), keep=[answered], drop=[open_question])
    check_corpus_filter(rexplug_devops.Answered(least=2), drop=[answered])


def test_pastes():
    post = "My server does not start. " * 10 + "\n\n```\n" + "error\n" * 30 + "```\nWhat does it mean?"
    short = post.replace("error\n", "", 10)
    check_corpus_filter(
        rexplug_devops.Pastes(), keep=[Document("1", post)], drop=[Document("2", f"Help!\n```\n{post}\n```")]
    )
    cut = rexplug_devops.Pastes().judge(Document("1", post)).text
    assert cut == post.replace("error\n" * 30, "error\n" * 25 + "...\n")
    assert rexplug_devops.Pastes().judge(Document("1", short)).text == short


def test_operations():
    post = Document("1", "The docker container of our jenkins pipeline has no volume in the kubernetes cluster.")
    other = Document("2", "The orchestra played in the garden, and the river was quiet.")
    check_labeller(rexplug_devops.Operations(), relevant=[post], irrelevant=[other])


def test_terms():
    text = "Run docker with --rm in /etc/nginx and set HTTP_PROXY in app.yml for v1.19, please"
    check_salience_scorer(
        rexplug_devops.Terms(),
        text,
        salient=["docker", "-", "rm", "/", "etc", "nginx", "HTTP_PROXY", "app", ".", "yml", "v1", "19"],
    )


def test_tasks_are_made_of_the_held_out_questions(data):
    make_tasks.main(data / "devops")
    test = {
        question.id
        for question in rexplug_devops.Questions(paths="data/devops/*.jsonl", part="test").documents(
            rexplug.Shard(0, 1)
        )
    }

    def rows(name):
        return [json.loads(line) for line in Path("data/devops", name).read_text(encoding="utf-8").splitlines()]

    assert {row["_id"] for row in rows("answers/queries.jsonl")} == test
    assert {row["_id"] for row in rows("answers/corpus.jsonl")} == {f"{each}#1" for each in test}
    titles = {row["query"] for row in rows("answers/train.jsonl")}
    assert len(titles) == 120 - len(test)
    assert titles.isdisjoint(row["text"] for row in rows("answers/queries.jsonl"))
    assert {row["label"] for row in rows("tags/train.jsonl")} == set(make_tasks.TAGS)
    assert len(rows("tags/test.jsonl")) == len(test)


def test_the_suite_reads_the_tasks(data):
    make_tasks.main(data / "devops")
    (bm25,) = rexplug.evaluate("bm25", "devops", data="data/devops")
    assert bm25.results["retrieval.answers"]["metrics"]["ndcg_at_10"]["value"] > 0.3


def test_the_recipe_runs(data, tmp_path):
    make_tasks.main(data / "devops")
    rexplug.check(rexplug.load_recipe("devops"))
    changes = [
        "tokenizer.vocabulary=600", "curation.held_out=0.2", "curation.deduplicate=none", "curation.decontaminate=none",
        "curation.executor.workers=1", "defaults.context=128", "phases.pretrain.tokens=6k", "phases.anneal.tokens=6k",
        "phases.pretrain.learning_rate.warmup=1k",
        "evaluators=[{use: masked_recovery, sources: [questions], documents: 10}, {use: mteb, folder: data/devops/answers}]",
    ]  # fmt: skip
    recipe = rexplug.load_recipe("devops", changes)
    rexplug.run(recipe, run_dir=tmp_path / "run")
    result = json.loads((tmp_path / "run/evaluation/anneal/mteb.answers.json").read_text(encoding="utf-8"))
    assert result["main"] == "ndcg_at_10"
    curated = json.loads((tmp_path / "run/run.json").read_text(encoding="utf-8"))["stages"]["curate"]["result"]
    assert curated["sources"]["proposals"]["kept"]["documents"] > 0
