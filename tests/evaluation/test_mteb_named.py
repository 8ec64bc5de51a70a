"""mteb's own tasks by name, on data of a local folder that has the layout of the task's data on the hub."""

import json
import shutil

import numpy as np
import pytest
import yaml

from rexplug import DataError
from rexplug.evaluation import EvaluationData, ModelSpec, evaluate, read_scores
from rexplug.evaluation.mteb_tasks import Mteb
from rexplug.evaluation.statistics import paired_test, value
from rexplug.progress import Silent

COLOURS = ("red", "blue", "green", "black", "white", "brown")
THINGS = ("shirt", "kettle", "table", "dress", "door", "lamp", "chair", "coat")
TEXTS = [f"{colour} {thing} of our shop" for colour in COLOURS for thing in THINGS]


@pytest.fixture
def dataset(tmp_path, monkeypatch):
    """Writes a task's data to a folder and lets mteb read it there: the tables by configuration and split."""
    import datasets
    import mteb

    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def make(task, tables):
        folder = tmp_path / "hub" / task
        configs = []
        for config, splits in tables.items():
            files = []
            for split, rows in splits.items():
                path = folder / config / f"{split}.jsonl"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text("".join(json.dumps(row) + "\n" for row in rows))
                files.append({"split": split, "path": f"{config}/{split}.jsonl"})
            configs.append({"config_name": config, "data_files": files})
        (folder / "README.md").write_text(f"---\n{yaml.safe_dump({'configs': configs})}---\n")
        monkeypatch.setitem(mteb.get_task(task).metadata.dataset, "path", str(folder))
        return folder

    return make


@pytest.fixture
def run(tmp_path):
    def measure(evaluator, model, name="m", seed=1):
        evaluator.check()
        results = evaluate(
            [evaluator], ModelSpec(name, str(model)), EvaluationData({}, seed), name=name, folder=tmp_path / "out" / name,
            progress=Silent(),
        )  # fmt: skip
        return results[evaluator.label]

    return measure


@pytest.fixture
def of_mteb(tmp_path):
    """The main scores in mteb's own result files, by task, split and subset."""

    def read(name="m"):
        found = {}
        for path in (tmp_path / "out" / name).rglob("files/*/*/results/**/*.json"):
            content = json.loads(path.read_text())
            for split, subsets in content.get("scores", {}).items():
                found |= {(content["task_name"], split, one["hf_subset"]): one["main_score"] for one in subsets}
        return found

    return read


def pairs(number, seed=0):
    generator = np.random.default_rng(seed)
    return [(TEXTS[a], TEXTS[b]) for a, b in generator.integers(len(TEXTS), size=(number, 2))]


def shared(one, other):
    return len(set(one.split()) & set(other.split()))


def degrees(number, seed=0):
    noise = np.random.default_rng(seed).random(number)
    return [
        {"sentence1": a, "sentence2": b, "score": float(min(5, shared(a, b) - 3 + n * 2))}
        for (a, b), n in zip(pairs(number, seed), noise, strict=True)
    ]


def labelled(number, seed=0):
    places = np.random.default_rng(seed).integers(len(TEXTS), size=number)
    return [{"text": f"{TEXTS[p]} {n}", "label": int(p) // len(THINGS) % 3} for n, p in enumerate(places)]


def search(top_ranked=False):
    queries = [{"_id": f"q{n}", "text": f"{colour} {THINGS[n]}"} for n, colour in enumerate(COLOURS)]
    corpus = [{"_id": f"d{n}", "title": "", "text": text} for n, text in enumerate(TEXTS)]
    grades = [
        {"query-id": query["_id"], "corpus-id": document["_id"], "score": shared(query["text"], document["text"])}
        for query in queries
        for document in corpus
    ]
    if top_ranked:
        grades = [{**grade, "score": int(grade["score"] > 1)} for grade in grades]
    tables = {
        "default": {"test": [grade for grade in grades if grade["score"] or top_ranked]},
        "queries": {"test": queries},
        "corpus": {"test": corpus},
    }
    if top_ranked:
        chosen = [document["_id"] for document in corpus]
        tables["top_ranked"] = {
            "test": [{"query-id": q["_id"], "corpus-ids": chosen[n : n + 20]} for n, q in enumerate(queries)]
        }
        kept = {(row["query-id"], key) for row in tables["top_ranked"]["test"] for key in row["corpus-ids"]}
        tables["default"]["test"] = [g for g in grades if (g["query-id"], g["corpus-id"]) in kept]
    return tables


def clusters():
    texts = [f"{text} number {n}" for n, text in enumerate(TEXTS * 3)]
    labels = [n // len(THINGS) % len(COLOURS) for n in range(len(texts))]
    sets = [
        {"sentences": texts[start::4], "labels": [COLOURS[label] for label in labels[start::4]]} for start in range(4)
    ]
    return {"default": {"test": sets}}


TASKS = {
    "STSBenchmark": {"default": {"test": degrees(40)}},
    "NFCorpus": search(),
    "AskUbuntuDupQuestions": search(top_ranked=True),
    "Banking77Classification": {"default": {"train": labelled(60), "test": labelled(40, 1)}},
    "BornholmBitextMining": {
        "default": {"test": [{"sentence1": text, "sentence2": f"the {text}s"} for text in TEXTS[:30]]}
    },
    "TwentyNewsgroupsClustering": clusters(),
}


@pytest.mark.slow
@pytest.mark.parametrize("task", TASKS)
def test_scores_of_items_give_mtebs_own_main_score(task, dataset, run, of_mteb, model_folder, tmp_path):
    dataset(task, TASKS[task])
    result = run(Mteb(tasks=(task,)), model_folder)
    found = result["metrics"][task]
    assert result["main"] == task
    assert found["value"] == pytest.approx(of_mteb()[task, "test", "default"], abs=1e-6)
    assert found["low"] <= found["value"] <= found["high"]
    assert found["low"] < found["high"]
    assert result["notes"] == ["Embeddings are not fine-tuned."]
    scores = read_scores(tmp_path / "out" / "m", result["label"])[task]
    assert value(scores) == pytest.approx(found["value"], abs=1e-4)
    assert paired_test(scores, scores, 0).p == 1.0
    assert not list((tmp_path / "out").rglob("*_predictions.json")), "predictions are as large as the data"


@pytest.mark.slow
def test_pairs_are_ranked_by_the_similarity_that_mteb_reports(dataset, run, of_mteb, model_folder):
    rows = degrees(60)
    one_row = {
        **{f"sent{n}": [row[f"sentence{n}"] for row in rows] for n in (1, 2)},
        "labels": [int(row["score"] > 2) for row in rows],
    }
    dataset("SprintDuplicateQuestions", {"default": {"test": [one_row]}})
    result = run(Mteb(tasks=("SprintDuplicateQuestions",)), model_folder)
    found = result["metrics"]["SprintDuplicateQuestions"]
    assert found["num_items"] == 60
    assert found["value"] == pytest.approx(of_mteb()["SprintDuplicateQuestions", "test", "default"], abs=1e-6)
    assert found["low"] < found["value"] < found["high"]


@pytest.mark.slow
def test_clusterings_are_resampled_by_document(dataset, run, of_mteb, model_folder, tmp_path, monkeypatch):
    import mteb

    task = "TwentyNewsgroupsClustering.v2"
    monkeypatch.setattr(type(mteb.get_task(task)), "max_fraction_of_documents_to_embed", 0.7)
    monkeypatch.setattr(type(mteb.get_task(task)), "max_documents_per_cluster", 200)
    dataset(task, clusters())
    result = run(Mteb(tasks=(task,)), model_folder)
    found = result["metrics"][task]
    assert result["notes"] == ["Embeddings are not fine-tuned."]
    assert found["value"] == pytest.approx(of_mteb()[task, "test", "default"], abs=1e-6)
    assert (found["num_seeds"], found["num_items"]) == (10, 100)
    assert found["low"] < found["high"]


@pytest.mark.slow
def test_several_tasks_and_their_mean(dataset, run, model_folder, tmp_path):
    names = ("STSBenchmark", "Banking77Classification")
    for name in names:
        dataset(name, TASKS[name])
    result = run(Mteb(tasks=names), model_folder)
    metrics = result["metrics"]
    assert (result["main"], list(metrics)) == ("mean", ["mean", *names])
    assert metrics["mean"]["value"] == pytest.approx(np.mean([metrics[name]["value"] for name in names]))
    assert metrics["mean"]["num_items"] == 80
    scores = read_scores(tmp_path / "out" / "m", result["label"])
    other = run(Mteb(tasks=names), f"random:{model_folder}", name="random")
    difference = paired_test(read_scores(tmp_path / "out" / "random", other["label"])["mean"], scores["mean"], 0)
    assert difference.value == pytest.approx(other["metrics"]["mean"]["value"] - metrics["mean"]["value"], abs=1e-4)


@pytest.mark.slow
def test_what_is_measured_when_a_task_fails_is_not_measured_again(dataset, run, model_folder):
    evaluator = Mteb(tasks=("STSBenchmark", "BIOSSES"))
    data = dataset("STSBenchmark", TASKS["STSBenchmark"])
    with pytest.raises(DataError, match="the data of mteb's task 'BIOSSES' cannot be loaded: .*HF_HUB_OFFLINE=0"):
        run(evaluator, model_folder)
    shutil.rmtree(data)
    dataset("BIOSSES", {"default": {"test": degrees(30, 7)}})
    assert run(evaluator, model_folder)["metrics"]["mean"]["num_items"] == 70


@pytest.mark.slow
def test_subsets_by_language_and_splits(dataset, run, of_mteb, model_folder):
    subsets = ("eng", "hau")
    dataset("SemRel24STS", {name: {"test": degrees(24, n)} for n, name in enumerate(subsets)})
    evaluator = Mteb(tasks=("SemRel24STS",), languages=("eng", "hin"))
    assert evaluator.label == "mteb.SemRel24STS-eng-hin"
    with pytest.raises(
        DataError, match="the data of mteb's task 'SemRel24STS' cannot be loaded: .*it is loaded from the hub"
    ):
        run(evaluator, model_folder)
    evaluator = Mteb(tasks=("SemRel24STS",), subsets=("eng", "hau"))
    result = run(evaluator, model_folder, "chosen")
    by_subset = {subset: score for (_, _, subset), score in of_mteb("chosen").items()}
    assert set(by_subset) == {"eng", "hau"}
    assert result["metrics"]["SemRel24STS"]["value"] == pytest.approx(np.mean(list(by_subset.values())), abs=1e-6)
    assert result["metrics"]["SemRel24STS"]["low"] is not None
    rows = result["tables"]["Subsets"]
    assert [(row["task"], row["split"], row["subset"]) for row in rows] == [
        ("SemRel24STS", "test", "eng"),
        ("SemRel24STS", "test", "hau"),
    ]


@pytest.mark.slow
def test_bm25_ranks_mtebs_tasks_and_does_not_embed(dataset, run, of_mteb):
    dataset("NFCorpus", search())
    result = run(Mteb(tasks=("NFCorpus",)), "bm25")
    assert result["metrics"]["NFCorpus"]["value"] == pytest.approx(of_mteb()["NFCorpus", "test", "default"], abs=1e-6)
    assert result["metrics"]["NFCorpus"]["low"] is not None
    assert not result["trained_here"]
    refused = run(Mteb(tasks=("STSBenchmark",)), "bm25")
    assert refused["not_applicable"] == "bm25 compares words; this mteb task needs embeddings"


@pytest.mark.slow
def test_a_task_without_scores_of_items_says_so_once(dataset, run, model_folder, monkeypatch):
    import mteb
    from mteb.abstasks import AbsTaskSTS

    task = "STSBenchmark"
    dataset(task, TASKS[task])
    assert isinstance(mteb.get_task(task), AbsTaskSTS)
    metadata = mteb.get_task(task).metadata
    metadata.main_score = "cosine_pearson"
    try:
        result = run(Mteb(tasks=(task,)), model_folder)
    finally:
        metadata.main_score = "cosine_spearman"
    assert result["metrics"][task]["low"] is None
    assert result["notes"] == [
        "Embeddings are not fine-tuned.",
        "STSBenchmark has no interval: there are no scores of single items for 'cosine_pearson' of a task of type STS.",
    ]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tasks": ("ESCIRerankin",)}, "mteb has no task 'ESCIRerankin'; did you mean 'ESCIReranking'?"),
        ({"tasks": ("xqzwv",)}, "mteb has no task 'xqzwv'"),
        (
            {"tasks": ("STSBenchmark",), "splits": ("validation",)},
            "mteb does not evaluate 'STSBenchmark' on the split 'validation'; it does on test",
        ),
        (
            {"tasks": ("ESCIReranking",), "subsets": ("uk",)},
            "mteb's task 'ESCIReranking' has no subset 'uk'; it has us, es, jp",
        ),
        (
            {"tasks": ("ESCIReranking",), "languages": ("fra",)},
            "mteb's task 'ESCIReranking' has nothing in fra; it has eng-Latn, jpn-Jpan, spa-Latn",
        ),
        (
            {"tasks": ("CIFAR10ZeroShot",)},
            "mteb's task 'CIFAR10ZeroShot' is about image; only tasks about text can be run",
        ),
    ],
)
def test_tasks_subsets_and_splits_that_mteb_does_not_have(options, message):
    with pytest.raises(DataError) as caught:
        Mteb(**options).check()
    assert str(caught.value) == message


def test_options_that_select_belong_to_mtebs_own_tasks(tmp_path):
    with pytest.raises(ValueError, match="'splits' selects from mteb's own tasks; a 'folder' has none"):
        Mteb(folder=tmp_path, splits=("test",))
    with pytest.raises(ValueError, match="the task 'STS12' is named twice"):
        Mteb(tasks=("STS12", "STS13", "STS12"))
