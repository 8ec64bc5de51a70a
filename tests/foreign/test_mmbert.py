"""Tokenizers and checkpoints like mmBERT's: words of any script, whole-word masking, training, export and evaluation."""

import json
import unicodedata

import numpy as np
import pytest
from gemma_tokenizer import write_gemma
from small_recipe import small_recipe

from rexplug import Document, TokenBatch
from rexplug.evaluation.masked_words import mask_words
from rexplug.io.tokenizer_files import load_fast
from rexplug.pipeline.run import run_recipe
from rexplug.plugins.discovery import load_plugins
from rexplug.progress import Silent
from rexplug.recipe import load_recipe
from rexplug.text.words import word_spans
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.tokenize import encode
from rexplug_guided_mlm import WholeWord

LEARNT = [
    "Der rote Stuhl aus geölter Eiche kostet zwölf Euro und wird morgen geliefert",
    "この椅子はオーク材で作られています。価格は十二ユーロで、明日届きます。",
    "الكرسي مصنوع من خشب البلوط وسعره اثنا عشر يورو ويصل غدا",
    "यह कुर्सी ओक की लकड़ी से बनी है और इसकी कीमत बारह यूरो है",
]
TEXTS = [
    *LEARNT,
    "Grüße  für   42 € 👩‍🔬\n\n\nund <b>Ölfarbe</b>\ttief\u00adblau",
    "鬱蒼とした森の椅子㍿、ｶﾀｶﾅ。髙島屋",
    "كُرْسِيٌّ خَشَبِيّ، ٤٢ يورو؟",
    "कुर्सी।ज़मीन\u200dक्ष ४२ ₹",
    "一张椅子 the chair เก้าอี้ไม้โอ๊ค 의자",
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gemma") / "tokenizer"
    write_gemma(folder, LEARNT * 4, 500)
    return folder


@pytest.fixture(scope="module")
def documents(tokenizer):
    return list(encode(tokenizer, [Document(str(number), text) for number, text in enumerate(TEXTS)]))


def test_decoding_gives_the_text_back(tokenizer, documents):
    fast = load_fast(tokenizer)
    assert [fast.decode(document.token_ids.tolist()) for document in documents] == TEXTS
    pieces = {fast.convert_ids_to_tokens(int(token)) for document in documents for token in document.token_ids}
    assert sum(piece.startswith("<0x") for piece in pieces) > 20, "characters outside the vocabulary become bytes"


def test_word_starts_are_those_of_the_text(documents):
    """A token starts a word if the first character of it that is not white space begins one, and is not part of the token before."""
    for document in documents:
        text = document.text
        inside = {place for start, end in word_spans(text) for place in range(start + 1, end)}
        words = {start for start, _ in word_spans(text)}
        before = None
        for (start, end), begins in zip(document.offsets.tolist(), document.word_starts.tolist(), strict=True):
            first = next((place for place in range(start, end) if not text[place].isspace()), end - 1)
            if first == before or first in inside:
                assert not begins, (text, text[start:end])
            elif first in words:
                assert begins, (text, text[start:end])
            before = first
        assert {start for start, _ in word_spans(text)} <= {
            place for start, end in document.offsets.tolist() for place in range(start, end)
        }


def test_the_bytes_of_a_character_are_one_word(documents):
    (document,) = [document for document in documents if "髙" in document.text]
    place = document.text.index("髙")
    tokens = [number for number, (start, end) in enumerate(document.offsets.tolist()) if start <= place < end]
    assert len(tokens) == len("髙".encode())
    assert document.word_starts[tokens].tolist()[1:] == [False, False]


@pytest.mark.parametrize("number", range(len(TEXTS)))
def test_whole_words_are_masked(documents, number):
    document = documents[number]
    size = len(document.token_ids) + 2
    maskable = np.ones(size, bool)
    maskable[[0, -1]] = False
    starts = np.zeros(size, np.uint8)
    starts[1:-1] = document.word_starts
    batch = TokenBatch(np.zeros(size, np.int64), np.array([0, size]), maskable, {"word_start": starts})
    words = np.cumsum(document.word_starts)
    for seed in range(20):
        chosen = WholeWord(rate=0.4).choose(batch, 0.0, np.random.default_rng(seed))[1:-1]
        shares = np.array([chosen[words == word].mean() for word in np.unique(words)])
        assert ((shares > 0) & (shares < 1)).sum() <= 1, "only the last word may be cut, where the budget ends"


def test_every_word_can_be_masked_and_restored(tokenizer):
    fast = load_fast(tokenizer)
    for text in TEXTS:
        words = word_spans(text)
        for number, word in enumerate(words):
            masked = mask_words(text, [word], fast, 512)
            assert len(masked.positions), text[slice(*word)]
            assert masked.restored(masked.truth, 1) == [True]
            shown = fast.decode(masked.truth.tolist())
            assert unicodedata.normalize("NFC", text[slice(*word)]) in shown, (number, shown)
            assert set(masked.token_ids[masked.positions]) == {fast.mask_token_id}


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, tokenizer):
    """mmBERT's config.json, as transformers 4.48 wrote it, in a small size: note its cls_token_id."""
    import torch
    from transformers import ModernBertConfig, ModernBertForMaskedLM

    folder = tmp_path_factory.mktemp("mmbert") / "checkpoint"
    size = SpecialTokens.read(tokenizer).vocabulary_size
    torch.manual_seed(0)
    theta = {"rope_type": "default", "rope_theta": 160_000.0}
    model = ModernBertForMaskedLM(
        ModernBertConfig(
            vocab_size=size, hidden_size=32, intermediate_size=96, num_hidden_layers=4, num_attention_heads=2,
            max_position_embeddings=256, pad_token_id=0, bos_token_id=2, cls_token_id=1, eos_token_id=1, sep_token_id=1,
            rope_parameters={"full_attention": theta, "sliding_attention": dict(theta)},
        )
    )  # fmt: skip
    model.save_pretrained(folder)
    config = json.loads((folder / "config.json").read_text())
    for name in ("layer_types", "rope_parameters", "dtype"):
        config.pop(name)
    config |= {
        "global_rope_theta": 160_000, "local_rope_theta": 160_000, "global_attn_every_n_layers": 3, "local_attention": 128,
        "position_embedding_type": "sans_pos", "torch_dtype": "float32", "transformers_version": "4.48.0",
        "repad_logits_with_grad": False, "layer_norm_eps": 1e-05, "mask_token_id": 4,
    }  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))
    for file in tokenizer.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    return folder


@pytest.mark.slow
def test_a_checkpoint_with_its_config_trains_exports_and_is_evaluated(tmp_path, checkpoint):
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    lines = [json.dumps({"text": f"{text} {number}"}) for number in range(40) for text in LEARNT]
    (tmp_path / "texts.jsonl").write_text("\n".join(lines) + "\n")
    path = tmp_path / "recipe.yaml"
    path.write_text(
        small_recipe(
            f"{{web: {{use: jsonl, paths: {tmp_path}/texts.jsonl}}}}", tokenizer=f"{{from: {checkpoint}}}",
            model=f"{{from: {checkpoint}}}",
            more="curation: {deduplicate: none, held_out: 0.1}\nevaluators: [{use: masked_recovery, documents: 8}]\n",
        )
    )  # fmt: skip
    registry = load_plugins()
    recipe = load_recipe(
        path,
        [
            "phases.anneal.tokens=40k",
            "phases.anneal.learning_rate.peak=1e-2",
            "phases.anneal.masking={use: guided_mlm.whole_word, rate: 0.3}",
        ],
    )
    run = tmp_path / "run"
    values = run_recipe(recipe, run, Silent(), plugins=registry.versions(), command="").values
    assert values["status"] == "done"
    assert values["stages"]["train.anneal"]["result"]["rope_theta"] == {"global": 160_000.0, "local": 160_000.0}
    assert values["stages"]["train.anneal"]["result"]["warnings"] == []
    assert json.loads((run / "model/parity.json").read_text())["max_difference"] <= 1e-4
    tokenizer = AutoTokenizer.from_pretrained(run / "model")
    assert tokenizer("Stuhl")["input_ids"][0] == 2
    assert (tokenizer.cls_token, tokenizer.sep_token, tokenizer.mask_token) == ("<bos>", "<eos>", "<mask>")
    config = AutoModelForMaskedLM.from_pretrained(run / "model").config
    assert (config.pad_token_id, config.bos_token_id, config.eos_token_id) == (0, 2, 1)
    assert config.cls_token_id == 2, "mmBERT's file names the id of <eos>"
    evaluated = json.loads((run / "evaluation/anneal/masked_recovery.json").read_text())
    assert 0 <= evaluated["metrics"]["web.words"]["value"] <= 1
    masked = {word["truth"] for example in evaluated["examples"] for word in example["words"]}
    known = {text[start:end] for text in LEARNT for start, end in word_spans(text)} | set(map(str, range(40)))
    assert masked
    assert masked <= known, "whole words of all scripts"
    losses = [json.loads(line)["loss"] for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert losses[-1] < 0.9 * losses[0]


def test_check_accepts_its_config_and_still_refuses_a_wrong_one(tmp_path, checkpoint):
    from rexplug.errors import DataError
    from rexplug.pipeline.preflight.inputs import check_inputs

    (tmp_path / "a.txt").write_text("a text")
    path = tmp_path / "recipe.yaml"
    sources = f"{{web: {{use: text, paths: {tmp_path}/a.txt}}}}"
    path.write_text(small_recipe(sources, tokenizer=f"{{from: {checkpoint}}}", model=f"{{from: {checkpoint}}}"))
    assert check_inputs(load_recipe(path)).warnings == ()
    wrong = tmp_path / "wrong"
    wrong.mkdir()
    for file in checkpoint.iterdir():
        (wrong / file.name).write_bytes(file.read_bytes())
    config = json.loads((wrong / "config.json").read_text()) | {"bos_token_id": 3}
    (wrong / "config.json").write_text(json.dumps(config))
    with pytest.raises(DataError, match=r"knows \[CLS\] as 1, but the tokenizer as 2; "):
        check_inputs(load_recipe(path, [f"model.from={wrong}", f"tokenizer.from={wrong}"]))
