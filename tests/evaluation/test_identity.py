"""Which changes make an evaluation compute a stored result again, and which do not."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
from import_cycles import PACKAGES, imports_of, modules_of
from pydantic import Field

from rexplug import CorpusFilter, Document, DocumentSource, EvaluationResult, Evaluator, Metric, SalienceScorer, Verdict
from rexplug.components import Use
from rexplug.evaluation import EvaluationData, ModelSpec, evaluate
from rexplug.evaluation.identity import CODE, library_versions, model_identity
from rexplug.progress import Silent
from rexplug.recipe.evaluation import ModelOptions

TEXTS = [
    "The red cotton shirt by Acme fits true to size and washes well at forty degrees.",
    "A small steel kettle with a wooden handle boils one litre of water in four minutes.",
    "This blue linen dress has two deep pockets, a belt and buttons made of real horn.",
    "Our oak table seats six people; its legs unscrew so that it passes through any door.",
]


class Words(SalienceScorer):
    """A scorer that marks nothing and names a file of words."""

    name: ClassVar[str] = "toy.words"
    words: Path

    def score(self, document):
        raise AssertionError("the identity of a result depends on the scorer's file alone; nothing is scored")


class Listed(CorpusFilter):
    """A filter that keeps everything and names a file with a list."""

    name: ClassVar[str] = "toy.listed"
    lists: tuple[Path, ...] = ()

    def judge(self, document):
        return Verdict(True)


class Pages(DocumentSource):
    """A source without documents."""

    name: ClassVar[str] = "toy.pages"

    def documents(self, shard):
        return iter(())


class Counted(Evaluator):
    """Counts how often it ran."""

    name: ClassVar[str] = "toy.counted"
    data: Path
    words: Path | None = None
    texts: dict[str, Annotated[DocumentSource, Use()]] = Field(default_factory=dict)
    rate: float = 0.5
    calls: ClassVar[list[str]] = []

    def inputs(self):
        return [self.data]

    def evaluate(self, context):
        self.calls.append(context.encoder.revision)
        (context.folder / "kept").write_text("")
        return EvaluationResult({"score": Metric(0.5)}, main="score")


class Other(Evaluator):
    """Counts how often it ran."""

    name: ClassVar[str] = "toy.other"
    calls: ClassVar[list[str]] = []

    def evaluate(self, context):
        self.calls.append("")
        return EvaluationResult({"score": Metric(0.5)}, main="score")


@pytest.fixture
def encoder(model_folder, tmp_path):
    """A sentence-transformers model in a folder: encoder, pooling, a Dense layer, prompts."""
    import torch
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling

    folder = tmp_path / "encoder"
    shutil.copytree(model_folder, folder)
    torch.manual_seed(1)
    for name, module in (
        ("1_Pooling", Pooling(32, "mean")),
        ("2_Dense", Dense(32, 8, activation_function=torch.nn.Tanh())),
    ):
        (folder / name).mkdir()
        module.save(str(folder / name))
    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Dense", "Dense")]
    entries = [
        {"idx": number, "name": str(number), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for number, (path, kind) in enumerate(kinds)
    ]
    (folder / "modules.json").write_text(json.dumps(entries))
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 128, "do_lower_case": false}')
    (folder / "config_sentence_transformers.json").write_text('{"prompts": {"query": "query: "}}')
    (folder / "README.md").write_text("A model.")
    return folder


class Bench:
    """Runs two evaluators on a model; a call returns the names of those that were not read from storage."""

    def __init__(self, folder, encoder):
        self.folder, self.spec = folder, ModelSpec("m", str(encoder))
        for name in ("data", "words", "list", "salient"):
            (folder / name).write_text("one")
        (folder / "tokenizer").mkdir()
        (folder / "tokenizer" / "tokenizer.json").write_text("{}")
        filtered = Pages(filters=(Listed(lists=(folder / "list",)),))
        self.counted = Counted(data=folder / "data", words=folder / "words", texts={"web": filtered})
        self.documents = [Document("d", TEXTS[0])]
        self.seed = 3

    def __call__(self, **options):
        Counted.calls.clear(), Other.calls.clear()
        scorer = Words(words=self.folder / "salient")
        data = EvaluationData({"web": self.documents}, self.seed, scorer, self.folder / "tokenizer")
        self.results = evaluate(
            [self.counted, Other()], self.spec, data, name="m", folder=self.folder / "out", progress=Silent(), **options
        )
        return ["counted"] * len(Counted.calls) + ["other"] * len(Other.calls)


@pytest.fixture
def bench(tmp_path, encoder):
    bench = Bench(tmp_path, encoder)
    assert bench() == ["counted", "other"]
    assert bench() == []
    return bench


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def other_weights(path):
    from safetensors.torch import load_file, save_file

    weights = load_file(path)
    name = min(weights)
    save_file({**weights, name: weights[name] + 0.5}, path, metadata={"format": "pt"})


FILES = {
    "config.json": lambda p: edit(p, '"norm_eps": 1e-05', '"norm_eps": 0.001'),
    "model.safetensors": other_weights,
    "tokenizer.json": lambda p: (
        edit(p, '"add_prefix_space":false', '"add_prefix_space":true')
        if '"add_prefix_space":false' in p.read_text()
        else edit(p, '"add_prefix_space": false', '"add_prefix_space": true')
    ),
    "sentence_bert_config.json": lambda p: edit(p, "128", "64"),
    "config_sentence_transformers.json": lambda p: edit(p, "query: ", "search: "),
    "1_Pooling/config.json": lambda p: edit(p, "mean", "cls"),
    "2_Dense/config.json": lambda p: edit(p, "Tanh", "ReLU"),
    "2_Dense/model.safetensors": other_weights,
}


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_of_a_model_computes_its_results_again(bench, encoder, name):
    FILES[name](encoder / name)
    assert bench() == ["counted", "other"]
    assert bench() == []


def test_changes_that_do_not_affect_embeddings_compute_nothing(bench, encoder, tmp_path):
    (encoder / "README.md").write_text("A better model.")
    (encoder / "optimizer.pt").write_text("state")
    (encoder / "checkpoint-5").mkdir()
    (encoder / "checkpoint-5" / "model.safetensors").write_text("others")
    assert bench() == []
    encoder.rename(tmp_path / "moved")
    bench.spec = ModelSpec("m", str(tmp_path / "moved"))
    assert bench() == []
    (tmp_path / "moved" / "config.json").touch()
    assert bench() == []


@pytest.mark.parametrize(
    "options",
    [
        {"query_prompt": "q: "},
        {"document_prompt": "d: "},
        {"prompt": "p: "},
        {"max_tokens": 32},
        {"similarity": "dot"},
        {"dimensions": 4},
    ],
)
def test_other_options_of_a_model_compute_its_results_again(bench, options):
    bench.spec = bench.spec.with_options(ModelOptions(**options))
    assert bench() == ["counted", "other"]


def test_every_field_of_a_model_but_its_label_is_part_of_the_key(encoder):
    spec = ModelSpec("m", str(encoder))
    assert set(model_identity(spec)) == {
        "precision", "options", "random", "device", "name", "files", "tokenizer",
    }  # fmt: skip
    assert model_identity(spec)["options"] == ModelOptions().model_dump(mode="json")
    assert model_identity(spec) == model_identity(ModelSpec("other", str(encoder)))
    assert model_identity(spec) != model_identity(ModelSpec("m", str(encoder), "bf16"))
    assert model_identity(spec, device="cpu") != model_identity(spec, device="cuda")


def test_code_of_a_model_is_part_of_the_key_where_it_may_be_run(encoder):
    trusted = ModelSpec("m", str(encoder), options=ModelOptions(trust_remote_code=True))
    before = [model_identity(spec)["files"] for spec in (ModelSpec("m", str(encoder)), trusted)]
    (encoder / "modeling.py").write_text("x = 1\n")
    after = [model_identity(spec)["files"] for spec in (ModelSpec("m", str(encoder)), trusted)]
    assert before[0] == after[0]
    assert before[1] != after[1]


def test_random_weights_do_not_depend_on_the_weights_of_the_folder(bench, encoder):
    bench.spec = ModelSpec("m", f"random:{encoder}")
    assert bench() == ["counted", "other"]
    other_weights(encoder / "model.safetensors")
    assert bench() == []
    FILES["config.json"](encoder / "config.json")
    assert bench() == ["counted", "other"]


@pytest.mark.parametrize(
    ("file", "ran"),
    [
        ("data", ["counted"]),  # named by `inputs`
        ("words", ["counted"]),  # named only by an option
        ("list", ["counted"]),  # of a filter of the evaluator's own texts
        ("salient", ["counted", "other"]),  # of the recipe's scorer
        ("tokenizer/tokenizer.json", ["counted", "other"]),  # whose tokens the scorer marks
    ],
)
def test_a_changed_file_of_an_evaluator_computes_its_result_again(bench, tmp_path, file, ran):
    (tmp_path / file).write_text("two")
    assert bench() == ran
    assert bench() == []


def test_other_options_texts_and_seeds_compute_results_again(bench):
    bench.counted = bench.counted.model_copy(update={"rate": 0.25})
    assert bench() == ["counted"]
    bench.documents = [Document("d", TEXTS[1])]
    assert bench() == ["counted", "other"]
    bench.documents = [Document("d", TEXTS[1], metadata={"brand": "Acme"})]
    assert bench() == ["counted", "other"]
    bench.seed = 4
    assert bench() == ["counted", "other"]


def test_fresh_recomputes_stored_results_and_removes_files(bench, tmp_path):
    (kept,) = (tmp_path / "out" / "files" / "toy.counted").iterdir()
    assert kept.name == bench.results["toy.counted"]["key"]
    (kept / "cached").write_text("")
    assert bench(fresh=True) == ["counted", "other"]
    assert not (kept / "cached").exists()
    assert bench() == []


def test_files_that_were_kept_under_another_key_are_removed(bench, tmp_path):
    bench.seed = 5
    bench()
    (kept,) = (tmp_path / "out" / "files" / "toy.counted").iterdir()
    assert kept.name == bench.results["toy.counted"]["key"]


def test_stored_results_are_read_without_loading_the_model(bench, encoder):
    bench.results.clear()
    identity = model_identity(bench.spec)
    weights = (encoder / "model.safetensors").read_bytes()
    code = (
        "import sys\n"
        "from rexplug.evaluation.identity import model_identity\n"
        "from rexplug.evaluation import ModelSpec\n"
        f"print(model_identity(ModelSpec('m', {str(encoder)!r}))['files'] == {identity['files']!r}, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
    assert weights == (encoder / "model.safetensors").read_bytes()


SCRIPT = """
import sys
from typing import ClassVar
from pathlib import Path
from rexplug import EvaluationResult, Evaluator, Metric
from rexplug.evaluation import EvaluationData, ModelSpec, evaluate
from rexplug.progress import Silent
from toy import Toy

evaluate([Toy()], ModelSpec("bm25", "bm25"), EvaluationData({}, 1), name="bm25", folder=Path("out"), progress=Silent())
"""
TOY = """
from rexplug import EvaluationResult, Evaluator, Metric

class Toy(Evaluator):
    name = "toy.printed"

    def evaluate(self, context):
        print("measured", end="")
        return EvaluationResult({"score": Metric(0.5)}, main="score")
"""


def test_changed_code_of_harness_and_plugins_computes_results_again(tmp_path):
    import rexplug

    shutil.copytree(Path(rexplug.__file__).parent, tmp_path / "rexplug", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "toy").mkdir()
    (tmp_path / "toy" / "__init__.py").write_text(TOY)
    (tmp_path / "toy" / "words.txt").write_text("red\n")

    def run():
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True, cwd=tmp_path,
            env={"PYTHONPATH": str(tmp_path), "PATH": ""},
        )  # fmt: skip
        return done.stdout

    def change(name):
        with (tmp_path / name).open("a") as file:
            file.write("\n# changed\n")

    assert (run(), run()) == ("measured", "")
    for name in ("rexplug/evaluation/harness.py", "rexplug/text/fold.py", "toy/words.txt"):
        change(name)
        assert (name, run()) == (name, "measured")
    change("rexplug/cli/plan.py")
    change("rexplug/report/compare.py")
    assert run() == ""


def test_all_imported_code_is_in_the_key_or_listed_as_irrelevant():
    harmless = {
        "checksums", "document_files", "documented", "errors", "executors", "lazy", "optimizers", "plugins", "progress", "recipe", "renamed",
        "run_directory", "schedules",
    }  # fmt: skip
    imports = [entry for entry in imports_of(modules_of(PACKAGES[:1])) if entry.kind != "type_checking"]
    reached = {entry.importer for entry in imports if entry.importer.startswith("rexplug.evaluation")}
    while more := {entry.imported for entry in imports if entry.importer in reached} - reached:
        reached |= more
    assert {name.split(".")[1] for name in reached} == {*CODE, *harmless}


def test_versions_of_the_libraries_that_compute_results_are_in_the_key():
    assert {"torch", "transformers", "sentence-transformers", "mteb", "scikit-learn", "bm25s"} <= set(
        library_versions()
    )


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sts", "retrieval"])
def test_mteb_does_not_reuse_results_or_rankings_of_a_changed_model(encoder, tmp_path, write_task, kind):
    from rexplug.evaluation.beir import RetrievalFolder
    from rexplug.evaluation.mteb_tasks import Mteb

    pairs = [(0, 1, 1), (0, 2, 4), (1, 3, 0), (2, 3, 2), (1, 2, 3)]
    rows = [{"sentence1": TEXTS[a], "sentence2": TEXTS[b], "score": score} for a, b, score in pairs]
    corpus = [{"_id": str(number), "text": text} for number, text in enumerate(TEXTS)]
    queries = [{"_id": f"q{number}", "text": " ".join(text.split()[3:6])} for number, text in enumerate(TEXTS)]
    if kind == "sts":
        evaluator = Mteb(folder=write_task(tmp_path / "task", "sts", test=rows))
    else:
        folder = write_task(tmp_path / "task", "retrieval", corpus=corpus, queries=queries)
        (folder / "qrels.tsv").write_text("".join(f"q{number}\t{number}\t1\n" for number in range(len(TEXTS))))
        evaluator = RetrievalFolder(folder=folder)

    def measure(folder):
        found = evaluate(
            [evaluator], ModelSpec("m", str(encoder)), EvaluationData({}, 1), name="m", folder=folder, progress=Silent()
        )
        return {name: metric["value"] for name, metric in found[evaluator.label]["metrics"].items()}

    before = measure(tmp_path / "out")
    config = json.loads((encoder / "config.json").read_text())
    # The weights stay the same; two attention heads become one.
    (encoder / "config.json").write_text(json.dumps({**config, "num_attention_heads": 1, "norm_eps": 0.5}))
    after = measure(tmp_path / "out")
    assert after == measure(tmp_path / "elsewhere")
    assert after != before
