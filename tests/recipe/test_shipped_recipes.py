"""Every recipe that ships loads, passes `check` without a network, has the published hyperparameters, and runs when scaled down."""

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from rexplug.pipeline.preflight.inputs import check_inputs
from rexplug.pipeline.run import run_recipe
from rexplug.planning import make_plan
from rexplug.plugins.discovery import load_plugins
from rexplug.progress import Silent
from rexplug.recipe import load_recipe
from rexplug.run_directory import RunDirectory
from rexplug.schedules import learning_rate_factor

ROOT = Path(__file__).parents[2]
RECIPES = sorted((ROOT / "recipes").glob("*.yaml"))
SIZES = ("micro", "mini", "base", "large")
# Ettin's configs: peak, peak of the decay phase, weight decay, tokens of the rate's and the batch's warm-up, sequences of
# 1,024 a device, theta of local layers at 8k.
ETTIN = {
    "micro": (3e-3, 1.5e-3, 3e-4, 4e9, 125e9, 144, 10_000),
    "mini": (3e-3, 1.5e-3, 3e-4, 3e9, 75e9, 96, 160_000),
    "base": (8e-4, 4e-4, 1e-5, 3e9, 50e9, 72, 160_000),
    "large": (5e-4, 2.5e-4, 1e-5, 2e9, 10e9, 48, 160_000),
}
TEXT = """
server deploys the container after each build and nobody waits for a manual step because the pipeline is tested
river town minister spoke about weather history of bridges with stone arches in the valley near old mills
waterproof jacket boots in blue cotton size 42 with 500 ml bottle by Norvale for hikers
"""
WORDS = TEXT.split()


@pytest.fixture(scope="module")
def registry():
    return load_plugins()


def write_texts(folder, number=60, seed=0):
    """JSON lines of `number` texts of 60 to 400 words, in sentences that pass the quality filters."""
    draw = random.Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for _ in range(number):
        sentences = [" ".join(draw.choices(WORDS, k=draw.randint(6, 14))) for _ in range(draw.randint(10, 40))]
        text = "\n".join(f"{sentence.capitalize()}, and that is the end of it." for sentence in sentences)
        lines.append(json.dumps({"text": text}))
    (folder / "texts.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the files that recipes for local text name."""
    folder = tmp_path_factory.mktemp("place")
    for number, name in enumerate(("general", "retail", "domain")):
        write_texts(folder / "data" / name, seed=number)
    (folder / "data" / "pages").mkdir()
    (folder / "data" / "pages" / "chair.html").write_text("<h1>A chair</h1><p>It is made of oak.</p>")
    for language in ("en", "de", "ja", "ar", "hi"):
        (folder / "data" / "shops" / language).mkdir(parents=True)
        (folder / "data" / "shops" / language / "chair.html").write_text("<h1>A chair</h1><p>It is made of oak.</p>")
    return folder


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_passes_check_without_a_network(path, place, monkeypatch, registry):
    monkeypatch.chdir(place)
    report = check_inputs(load_recipe(path, registry=registry))
    on_hub = {value.name for value in report.unchecked.values()}
    assert bool(on_hub) == (
        path.stem.startswith("rexbert") or path.stem in ("continue-from-encoder", "ecommerce-multilingual")
    )


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_recipe_has_a_whole_plan(path, registry, tmp_path):
    plan = make_plan(load_recipe(path, registry=registry), RunDirectory(tmp_path / "none"))
    assert plan.parameters
    assert plan.flops
    assert plan.why_unknown == ""


def test_check_lists_names_on_the_hub(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", "from rexplug.cli import main; main()", "check", str(ROOT / "recipes/rexbert-base.yaml")],
        # A hub that refuses every connection: to ask it would fail, to wait for it would be seen.
        cwd=tmp_path, capture_output=True, text=True, check=False,
        env=os.environ | {"HF_ENDPOINT": "http://127.0.0.1:9", "HF_HOME": str(tmp_path / "hub")},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[1:5] == [
        "  not checked, since it is on the Hugging Face Hub (--hub asks for it):",
        "    sources.web: dataset mlfoundations/dclm-baseline-1.0-parquet",
        "    sources.retail: dataset thebajajra/Ecom-niverse",
        "    tokenizer.from: model answerdotai/ModernBERT-base",
    ]


@pytest.mark.parametrize("size", SIZES)
def test_paper_recipes_have_the_published_numbers(size, registry):
    recipe = load_recipe(ROOT / f"recipes/rexbert-{size}.yaml", registry=registry)
    peak, half, decay, warmup, growth, sequences, local = ETTIN[size]
    pretrain, extend, anneal = recipe.phases
    assert recipe.model.size == size
    assert [phase.tokens for phase in recipe.phases] == [1_700_000_000_000, 250_000_000_000, 350_000_000_000]
    assert [phase.context for phase in recipe.phases] == [1024, 8192, 8192]
    assert [phase.learning_rate.peak for phase in recipe.phases] == [peak, peak, half]
    assert pretrain.learning_rate.warmup == warmup
    assert pretrain.batch_warmup.tokens == growth
    assert [phase.masking.rate.at(0.5) for phase in recipe.phases] == [0.3, 0.3, 0.15]
    for phase in recipe.phases:
        assert phase.batch_tokens == 4608 * 1024
        assert phase.microbatch_tokens == sequences * 1024
        assert phase.batch_tokens % phase.microbatch_tokens == 0
        assert phase.microbatch_tokens % phase.context == 0
        assert phase.optimizer.model_dump() == {
            "use": "stable_adamw", "betas": (0.9, 0.98), "eps": 1e-6, "weight_decay": decay,
        }  # fmt: skip
    assert pretrain.rope.model_dump() == {"global_theta": 10_000, "local_theta": 10_000}
    assert extend.rope.model_dump() == {"global_theta": 160_000, "local_theta": local}
    assert anneal.rope.model_dump() == {"global_theta": None, "local_theta": None}
    # Constant after the warm-up; 1 - sqrt over the whole phase to a half; the same to 0.04 of the phase's own peak.
    assert [round(factor(phase, at), 4) for phase in recipe.phases for at in (0.25, 1.0)] == [
        1,
        1,
        0.75,
        0.5,
        0.52,
        0.04,
    ]


def test_the_multilingual_recipe_has_the_values_of_mmbert_where_it_claims_them(registry):
    recipe = load_recipe(ROOT / "recipes/ecommerce-multilingual.yaml", registry=registry)
    assert recipe.model.from_ == recipe.tokenizer.from_ == "jhu-clsp/mmBERT-base"
    (phase,) = recipe.phases
    assert phase.context == 8192
    assert phase.rope.model_dump() == {"global_theta": None, "local_theta": None}
    assert (phase.learning_rate.schedule, phase.learning_rate.final) == ("one_minus_sqrt", 0.02)
    assert phase.optimizer.model_dump() == {
        "use": "stable_adamw", "betas": (0.9, 0.95), "eps": 1e-8, "weight_decay": 8e-5,
    }  # fmt: skip
    assert [phase.mixing.exponent.at(progress) for progress in (0.0, 1.0)] == [0.5, 0.3]
    languages = {name.partition("_")[2] for name in recipe.sources}
    assert set(recipe.sources) == {f"{kind}_{language}" for kind in ("web", "shop") for language in languages}
    assert set(phase.mixing.tokens) == set(recipe.sources)
    scorer = phase.masking.scorer
    assert [pair[0].replace("shop", "web") == pair[1] for pair in zip(scorer.domain, scorer.general, strict=True)] == [
        True
    ] * len(languages)
    for name, source in recipe.sources.items():
        language = name.partition("_")[2]
        assert {getattr(each, "language", language) for each in source.filters} == {language}, name
        assert {getattr(each, "languages", (language,)) for each in source.filters} == {(language,)}, name


def factor(phase, at):
    rate = phase.learning_rate
    return learning_rate_factor(
        round(at * phase.tokens), total=phase.tokens, schedule=rate.schedule, warmup=rate.warmup, decay=rate.decay,
        final=rate.final,
    )  # fmt: skip


@pytest.mark.parametrize("size", SIZES)
def test_paper_recipes_share_their_data(size, registry):
    base, other = (load_recipe(ROOT / f"recipes/rexbert-{name}.yaml", registry=registry) for name in ("base", size))
    for part in ("sources", "curation", "tokenizer", "evaluators", "seed"):
        assert getattr(base, part) == getattr(other, part), part
    for ours, theirs in zip(base.phases, other.phases, strict=True):
        assert (ours.mixing, ours.masking) == (theirs.mixing, theirs.masking)


# What a scaled copy changes, and why: the tokens of a phase and every quantity that counts tokens, in proportion, so that
# warm-ups cover the same share; contexts and batches, which must hold a few rows; sources, tokenizer and checkpoint, which
# would come from the hub; the size of the model; the share held out, which is none of 60 documents at paper scale.
TOKENS, CONTEXT, LONG = 6144, 64, 128


def scaled(recipe):
    """Overrides that make a recipe run in seconds. Peaks, shapes, thetas, weight decay, mixtures and masks stay."""
    changes = []
    for phase in recipe.phases:
        context = LONG if phase.context > 1024 else CONTEXT
        share = TOKENS / phase.tokens
        changes += [
            f"phases.{phase.name}.tokens={TOKENS}", f"phases.{phase.name}.context={context}",
            f"phases.{phase.name}.min_tokens={CONTEXT if phase.min_tokens else 0}",
            f"phases.{phase.name}.batch_tokens={8 * LONG}", f"phases.{phase.name}.microbatch_tokens={LONG}",
            f"phases.{phase.name}.learning_rate.warmup={round(phase.learning_rate.warmup * share)}",
        ]  # fmt: skip
        if phase.batch_warmup is not None:
            start = max(1, round(phase.batch_warmup.start / phase.batch_tokens * 8 * LONG))
            changes.append(
                f"phases.{phase.name}.batch_warmup={{start: {start}, tokens: {round(phase.batch_warmup.tokens * share)}}}"
            )
    return [
        *changes, "model.precision=fp32", "curation.held_out=0.1", "curation.executor={use: local, workers: 1}",
        "evaluators=[{use: masked_recovery, documents: 3, words: 32, published: false}]", "baselines=[]",
    ]  # fmt: skip


def same_numbers(paper, small):
    """A scaled copy keeps every hyperparameter that does not count tokens, and the shapes of its curves."""
    assert paper.seed == small.seed
    for theirs, ours in zip(paper.phases, small.phases, strict=True):
        assert ours.learning_rate.peak == theirs.learning_rate.peak
        for part in ("optimizer", "rope", "mixing", "masking", "carry", "average", "loss_guard"):
            assert getattr(ours, part) == getattr(theirs, part), part
        for at in (0.001, 0.01, 0.1, 0.5, 0.9, 1.0):
            assert factor(ours, at) == pytest.approx(factor(theirs, at), abs=0.35 if at < 0.01 else 0.02)


def run(name, place, folder, registry, *changes):
    path = ROOT / f"recipes/{name}.yaml"
    paper = load_recipe(path, registry=registry)
    small = load_recipe(path, [*scaled(paper), *changes], registry)
    same_numbers(paper, small)
    manifest = run_recipe(small, folder, Silent(), plugins=registry.versions(), command="")
    assert manifest.values["status"] == "done"
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert list(dict.fromkeys(line["phase"] for line in lines)) == [phase.name for phase in paper.phases]
    for phase in small.phases:
        own = [line for line in lines if line["phase"] == phase.name]
        assert own[-1]["tokens"] >= TOKENS
        assert max(line["learning_rate"] for line in own) <= phase.learning_rate.peak
        assert manifest.values["stages"][f"train.{phase.name}"]["result"]["tokens"] == own[-1]["tokens"]
    parity = json.loads((folder / "model/parity.json").read_text())
    assert parity["max_difference"] <= 1e-4
    assert (folder / "report.html").is_file()
    return manifest


def files(place, **sources):
    return [
        f"sources.{name}={{use: jsonl, paths: {place / 'data' / folder}}}" for name, folder in sources.items()
    ]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_a_small_copy_of_each_size_runs(size, place, tmp_path, registry):
    manifest = run(
        f"rexbert-{size}", place, tmp_path / "run", registry, *files(place, web="general", retail="retail"),
        "tokenizer={use: train, vocabulary: 512}", "model.size=nano",
    )  # fmt: skip
    thetas = [
        manifest.values["stages"][f"train.{name}"]["result"]["rope_theta"] for name in ("pretrain", "extend", "anneal")
    ]
    long = {"global": 160_000.0, "local": float(ETTIN[size][-1])}
    assert thetas == [{"global": 10_000.0, "local": 10_000.0}, long, long]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, place, registry):
    """A tiny ModernBERT with its tokenizer, as a hub repository would hold them, and with a theta of its own."""
    import torch
    from transformers import ModernBertConfig, ModernBertForMaskedLM

    from rexplug.corpus.curate import curate
    from rexplug.corpus.sources import Jsonl
    from rexplug.recipe.schema import Curation, Tokenizer
    from rexplug.tokens.special import SpecialTokens
    from rexplug.tokens.tokenizer import make_tokenizer

    home, folder = tmp_path_factory.mktemp("making"), tmp_path_factory.mktemp("checkpoint") / "encoder"
    sources = {"text": Jsonl(paths=str(place / "data"))}
    curate(
        sources, Curation(deduplicate="none", held_out=0), seed=1, corpus=home / "corpus", fitted=home / "fitted",
        progress=Silent(),
    )  # fmt: skip
    make_tokenizer(
        Tokenizer(use="train", vocabulary=512), home / "corpus", ["text"], seed=1, folder=folder, progress=Silent()
    )
    special = SpecialTokens.read(folder)
    torch.manual_seed(0)
    theta = {"rope_type": "default", "rope_theta": 160_000.0}
    ModernBertForMaskedLM(
        ModernBertConfig(
            vocab_size=512,
            hidden_size=64,
            intermediate_size=96,
            num_hidden_layers=4,
            num_attention_heads=2,
            max_position_embeddings=128,
            pad_token_id=special.pad,
            bos_token_id=special.cls,
            cls_token_id=special.cls,
            eos_token_id=special.sep,
            sep_token_id=special.sep,
            rope_parameters={"full_attention": theta, "sliding_attention": dict(theta)},
        )
    ).save_pretrained(folder)
    return folder


@pytest.mark.slow
def test_a_small_copy_continues_from_an_encoder_and_keeps_its_thetas(place, tmp_path, registry, checkpoint):
    changes = [*files(place, general="general", domain="domain"), f"tokenizer.from={checkpoint}"]
    manifest = run("continue-from-encoder", place, tmp_path / "run", registry, *changes, f"model.from={checkpoint}")
    trained = manifest.values["stages"]["train.anneal"]["result"]
    assert trained["rope_theta"] == {"global": 160_000.0, "local": 160_000.0}
    assert trained["warnings"] == []
    same = [
        hashlib.sha256((each / "tokenizer.json").read_bytes()).digest() for each in (checkpoint, tmp_path / "run/model")
    ]
    assert same[0] == same[1]


@pytest.mark.slow
def test_a_small_copy_of_the_multilingual_recipe_runs(place, tmp_path, registry, checkpoint):
    folders = {"web": "general", "shop": "retail"}
    languages = ("en", "de", "ja", "ar", "hi")
    sources = {f"{kind}_{language}": folder for kind, folder in folders.items() for language in languages}
    for number, name in enumerate(sources):
        write_texts(tmp_path / "data" / name, seed=number)
    changes = files(tmp_path, **{name: name for name in sources})
    manifest = run(
        "ecommerce-multilingual", place, tmp_path / "run", registry, *changes, f"tokenizer.from={checkpoint}",
        f"model.from={checkpoint}",
    )  # fmt: skip
    trained = manifest.values["stages"]["train.anneal"]["result"]
    assert trained["rope_theta"] == {"global": 160_000.0, "local": 160_000.0}


@pytest.mark.slow
def test_a_small_copy_of_the_recipe_for_any_domain_runs(place, tmp_path, registry, monkeypatch):
    monkeypatch.chdir(place)
    # Everything mined: sixty made-up texts teach a classifier nothing.
    manifest = run(
        "any-domain", place, tmp_path / "run", registry, "tokenizer.vocabulary=512", "sources.mined.filters=[]",
        "sources.general.filters=[{use: length, min_words: 50}, {use: relevance, below: 1}]",
    )  # fmt: skip
    assert manifest.values["stages"]["relevance"]["result"]["labels"]["relevant"] > 0
