"""Every entrance for a tokenizer, over tokenizers that rexplug did not make."""

import json
import shutil

import pytest
from foreign.mutations import damage, refusal
from foreign.tokenizers import EVERY, REFUSED, TEXT, UNREADABLE, WORKING
from small_recipe import small_recipe

from rexplug import DataError, Document
from rexplug.evaluation.encoder import HuggingFaceEncoder
from rexplug.pipeline.preflight.inputs import check_inputs
from rexplug.progress import Silent
from rexplug.recipe import load_recipe
from rexplug.recipe.schema import Tokenizer
from rexplug.tokens.special import SpecialTokens
from rexplug.tokens.tokenize import encode
from rexplug.tokens.tokenizer import make_tokenizer


def named(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


@pytest.fixture
def folder(case, tmp_path):
    (tmp_path / "foreign").mkdir()
    case.write(tmp_path / "foreign")
    return tmp_path / "foreign"


def take(folder):
    target = folder.parent / "taken"
    spec = Tokenizer.model_validate({"from": str(folder)})
    make_tokenizer(spec, folder, [], seed=1, folder=target, progress=Silent(), max_length=64)
    return target


def check(folder):
    (folder.parent / "a.txt").write_text("a text")
    (folder.parent / "recipe.yaml").write_text(
        small_recipe(
            f"{{web: {{use: text, paths: {folder.parent}/a.txt}}}}", tokenizer=f"{{from: {folder.parent}/foreign}}"
        )
    )
    return check_inputs(load_recipe(folder.parent / "recipe.yaml"))


@named(WORKING)
def test_ids_are_those_of_tokenizer_json(case, folder):
    assert check(folder).lines() == []
    taken = take(folder)
    (document,) = encode(taken, [Document("1", TEXT)])
    assert document.token_ids.tolist() == list(case.ids)
    special = SpecialTokens.read(taken)
    assert (special.cls, special.sep, special.pad, special.mask) == case.special
    assert not (folder / "ran").exists()
    if (folder / "tokenizer.json").exists():
        assert (taken / "tokenizer.json").read_bytes() == (folder / "tokenizer.json").read_bytes()


@named(WORKING)
def test_what_is_taken_gives_the_same_ids_in_transformers(case, folder):
    from transformers import AutoTokenizer

    taken = take(folder)
    loaded = AutoTokenizer.from_pretrained(taken)
    assert loaded(TEXT)["input_ids"] == [case.special[0], *case.ids, case.special[1]]
    assert (loaded.cls_token_id, loaded.sep_token_id, loaded.pad_token_id, loaded.mask_token_id) == case.special
    assert loaded.model_max_length == 64
    config = json.loads((taken / "tokenizer_config.json").read_text())
    assert config["tokenizer_class"] == "PreTrainedTokenizerFast"
    assert not {"local_files_only", "backend", "auto_map", "name_or_path"} & set(config)


@named([case for case in WORKING if case.rebuilt])
def test_transformers_own_classes_would_have_made_other_ids(case, folder):
    """Why tokenizer.json is read without transformers; when this fails, transformers has been fixed."""
    from transformers import AutoTokenizer

    assert AutoTokenizer.from_pretrained(folder)(TEXT)["input_ids"] != case.row


@named(REFUSED)
def test_an_unsuitable_tokenizer_is_refused_by_check_and_run(case, folder):
    sentence = "tokenizer.from: " + case.refused.format(folder=folder)
    for entrance in (check, take):
        with pytest.raises(DataError) as refused:
            entrance(folder)
        assert str(refused.value) == sentence
    assert not (folder / "ran").exists()
    assert not (folder.parent / "taken").exists()


@named([UNREADABLE])
def test_what_the_library_cannot_read_is_refused(case, folder):
    for entrance in (check, take):
        with pytest.raises(DataError) as refused:
            entrance(folder)
        assert str(refused.value).startswith("tokenizer.from: " + case.refused.format(folder=folder))
        assert "\n" not in str(refused.value)


@pytest.fixture(scope="module")
def bert(tmp_path_factory):
    """Weights of a model that any of the tokenizers may lie beside."""
    import torch
    from transformers import BertConfig, BertModel

    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=320, hidden_size=8, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
        max_position_embeddings=32,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


@named(EVERY)
def test_models_are_evaluated_on_their_own_ids(case, folder, bert):
    for file in bert.iterdir():
        shutil.copy(file, folder)
    if case.not_evaluated is None:
        (row,) = HuggingFaceEncoder(folder).tokenize([TEXT])
        assert row.tolist() == case.row
    else:
        with pytest.raises(DataError) as refused:
            HuggingFaceEncoder(folder)
        assert str(refused.value) == case.not_evaluated.format(folder=folder)
    assert not (folder / "ran").exists()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """The smallest ModernBERT, with room for the ids of all tokenizers."""
    import torch
    from transformers import ModernBertConfig, ModernBertForMaskedLM

    folder = tmp_path_factory.mktemp("checkpoint")
    torch.manual_seed(0)
    config = ModernBertConfig(
        vocab_size=320, hidden_size=16, intermediate_size=16, num_hidden_layers=2, num_attention_heads=1,
        max_position_embeddings=512, pad_token_id=0, bos_token_id=2, eos_token_id=3, cls_token_id=2, sep_token_id=3,
    )  # fmt: skip
    ModernBertForMaskedLM(config).save_pretrained(folder)
    return folder


@pytest.mark.slow
@named(WORKING)
def test_the_exported_tokenizer_is_the_one_of_training(case, folder, checkpoint):
    from transformers import AutoTokenizer

    from rexplug.model.export import export

    taken = take(folder)
    model = folder.parent / "model"
    export(checkpoint, taken, model, sample_texts=[TEXT], longest=128)
    assert (model / "tokenizer.json").read_bytes() == (taken / "tokenizer.json").read_bytes()
    loaded = AutoTokenizer.from_pretrained(model)
    assert loaded(TEXT)["input_ids"] == [case.special[0], *case.ids, case.special[1]]
    assert loaded.model_max_length == 128
    assert json.loads((model / "sentence_bert_config.json").read_text())["max_seq_length"] == 128
    (row,) = HuggingFaceEncoder(model).tokenize([TEXT])
    assert row.tolist() == [case.special[0], *case.ids, case.special[1]]


@pytest.mark.parametrize(
    "seeds", [range(40), pytest.param(range(40, 1000), marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_damage_by_seed_ends_in_one_line(tmp_path, seeds):
    documents = [Document("1", TEXT), Document("2", "a b " * 30 + "東京")]
    answers = []
    for seed in seeds:
        folder = tmp_path / str(seed) / "foreign"
        folder.mkdir(parents=True)
        case = WORKING[seed % len(WORKING)]
        case.write(folder)
        done = f"seed {seed}: {case.name}: {damage(folder, seed)}"
        answers.append(refusal(lambda folder=folder: list(encode(take(folder), documents)), done))
    assert None in answers
    assert any(answers)
