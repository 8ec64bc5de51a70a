import json
import shutil
from typing import ClassVar, Self

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

import rexplug
from rexplug.progress import Silent
from rexplug.recipe.schema import Executor, Tokenizer
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.store import TokenStore
from rexplug.tokens.tokenize import encode, fit_scorers, tokenize
from rexplug.tokens.tokenizer import make_tokenizer

TEXTS = {
    "web": ["The old river runs through the town.", "A minister spoke at length; nobody heard."] * 30,
    "retail": ["Waterproof jacket, size XL, 500 ml", "Brand: Norvale. Free shipping on boots!"] * 30,
}


class Capitals(rexplug.SalienceScorer):
    """Tokens with a capital letter; learns how many documents there are."""

    name: ClassVar[str] = "toy.capitals"

    documents: int = 0

    def fit(self, corpus: rexplug.CorpusSample) -> Self:
        assert corpus.folder.is_dir()
        return self.model_copy(update={"documents": sum(1 for value in corpus.documents.values() for _ in value)})

    def score(self, document: rexplug.TokenizedDocument) -> NDArray[np.uint8]:
        assert self.documents == 120
        text = document.text
        return np.array([255 * any(c.isupper() for c in text[a:b]) for a, b in document.offsets], np.uint8)


class Short(rexplug.SalienceScorer):
    name: ClassVar[str] = "toy.short"

    def score(self, document: rexplug.TokenizedDocument) -> NDArray[np.uint8]:
        return np.zeros(1, np.uint8)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    root = tmp_path_factory.mktemp("corpus")
    for source, texts in TEXTS.items():
        for number, part in enumerate((texts[:40], texts[40:])):
            kept = root / source / "kept"
            kept.mkdir(parents=True, exist_ok=True)
            columns = {
                "id": [f"{source}-{number}-{i}" for i in range(len(part))], "text": part,
                "url": pa.nulls(len(part), pa.string()), "metadata": ["{}"] * len(part),
            }  # fmt: skip
            pq.write_table(pa.table(columns), kept / f"{number:05d}.parquet")
    return root


@pytest.fixture(scope="module")
def tokenizer(corpus, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tokenizer") / "tokenizer"
    train(corpus, folder)
    return folder


def train(corpus, folder, **options):
    spec = Tokenizer(use="train", vocabulary=320, **options)
    make_tokenizer(spec, corpus, list(TEXTS), seed=1, folder=folder, progress=Silent())


def run(corpus, tokenizer, tokens, scorers, workers=1):
    executor = Executor(workers=workers)
    return tokenize(corpus, list(TEXTS), tokenizer, scorers, tokens=tokens, executor=executor, progress=Silent())


def test_training_is_deterministic_and_transformers_load_it(corpus, tokenizer, tmp_path):
    from transformers import AutoTokenizer

    train(corpus, tmp_path / "again")
    assert (tmp_path / "again/tokenizer.json").read_bytes() == (tokenizer / "tokenizer.json").read_bytes()
    loaded = AutoTokenizer.from_pretrained(tokenizer)
    ids = loaded("Waterproof 500 🙂")["input_ids"]
    special = SpecialTokens.read(tokenizer)
    assert (ids[0], ids[-1]) == (special.cls, special.sep) == (loaded.cls_token_id, loaded.sep_token_id)
    assert (special.pad, special.mask) == (loaded.pad_token_id, loaded.mask_token_id)
    assert special.vocabulary_size == len(loaded) == 320
    assert special.all == set(loaded.all_special_ids)
    assert loaded.decode(ids, skip_special_tokens=True) == "Waterproof 500 🙂"
    assert loaded.model_max_length == 8192


def test_a_tokenizer_from_a_folder_is_taken_as_it_is(corpus, tokenizer, tmp_path):
    spec = Tokenizer.model_validate({"from": str(tokenizer)})
    make_tokenizer(spec, corpus, list(TEXTS), seed=1, folder=tmp_path / "taken", progress=Silent())
    assert SpecialTokens.read(tmp_path / "taken") == SpecialTokens.read(tokenizer)
    assert (tmp_path / "taken/tokenizer.json").read_bytes() == (tokenizer / "tokenizer.json").read_bytes()


def test_a_tokenizer_without_a_mask_is_refused(tokenizer, tmp_path):
    folder = tmp_path / "no-mask"
    shutil.copytree(tokenizer, folder)
    definition = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))
    definition["added_tokens"] = [token for token in definition["added_tokens"] if token["content"] != "[MASK]"]
    del definition["model"]["vocab"]["[MASK]"]
    (folder / "tokenizer.json").write_text(json.dumps(definition), encoding="utf-8")
    with pytest.raises(rexplug.DataError) as refused:
        SpecialTokens.read(folder)
    assert str(refused.value) == (
        f"the tokenizer in {folder} names '[MASK]' as its mask_token, but tokenizer.json has no such token; add it there, with "
        "the id that the model learnt"
    )
    (folder / "tokenizer_config.json").unlink()
    with pytest.raises(rexplug.DataError) as refused:
        SpecialTokens.read(folder)
    assert str(refused.value) == (
        f"the tokenizer in {folder} has no mask_token; an encoder needs [CLS], [SEP], [PAD] and [MASK]"
    )


def test_the_store_holds_the_tokenizers_output_with_its_channels(corpus, tokenizer, tmp_path):
    scorer = Capitals()
    (fitted,) = fit_scorers([scorer], corpus, list(TEXTS), folder=tmp_path / "fitted", seed=1)
    assert fitted.documents == 120
    # What was learnt is read again, under the name of the scorer in the recipe.
    assert fit_scorers([scorer], tmp_path, [], folder=tmp_path / "fitted", seed=1) == (fitted,)
    statistics = run(corpus, tokenizer, tmp_path / "tokens", {scorer.channel: fitted})
    for source, texts in TEXTS.items():
        store = TokenStore.open(tmp_path / "tokens" / source)
        documents = [rexplug.Document(str(i), text) for i, text in enumerate(texts)]
        assert store.num_documents == statistics[source]["documents"] == 60
        assert store.num_tokens == statistics[source]["tokens"] == store.lengths.sum()
        assert store.ids([0, 40, 59]) == [f"{source}-0-0", f"{source}-1-0", f"{source}-1-19"]
        special = SpecialTokens.read(tokenizer).all
        for number, document in enumerate(encode(tokenizer, documents)):
            assert store.document(number).dtype == np.uint16
            assert store.document(number).tolist() == document.token_ids.tolist()
            assert not special & set(document.token_ids.tolist())
            assert store.document(number, 2, 5).tolist() == document.token_ids[2:5].tolist()
            assert np.array_equal(store.channel("word_start", number), document.word_starts)
            assert np.array_equal(store.channel(scorer.channel, number), fitted.score(document))


def test_the_number_of_workers_changes_nothing_and_written_shards_are_kept(corpus, tokenizer, tmp_path):
    for workers in (1, 2):
        run(corpus, tokenizer, tmp_path / str(workers), {}, workers)
    for path in (tmp_path / "1").rglob("*.npy"):
        assert path.read_bytes() == (tmp_path / "2" / path.relative_to(tmp_path / "1")).read_bytes()
    before = (tmp_path / "1/web/tokens-00000.npy").stat().st_mtime_ns
    (tmp_path / "1/web/documents-00001.parquet").unlink()
    run(corpus, tokenizer, tmp_path / "1", {})
    assert (tmp_path / "1/web/tokens-00000.npy").stat().st_mtime_ns == before
    assert TokenStore.open(tmp_path / "1/web").num_documents == 60


def test_a_scorer_that_breaks_the_contract_is_named(corpus, tokenizer, tmp_path):
    with pytest.raises(
        rexplug.PluginError, match=r"toy.short.score\(\) returned uint8 \[1\] for document 'web-0-0'; exp"
    ):
        run(corpus, tokenizer, tmp_path, {"salience": Short()})
