"""Models of many architectures give the same numbers as transformers, text by text, or one line that says what is not supported."""

import numpy as np
import pytest
import torch
from foreign.architectures import ARCHITECTURES, write

from rexplug import NotApplicable
from rexplug.evaluation import ModelSpec
from rexplug.evaluation.encoder import HuggingFaceEncoder
from rexplug.evaluation.load_encoder import load_encoder

TEXTS = [
    "oak",
    "a small steel kettle with a wooden handle",
    "the red cotton shirt fits well",
    "blue dress with pockets " * 200,
]
MASKED = "a small steel kettle with a wooden handle"

every = pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda architecture: architecture.name)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The folder of a model, which is written once and not to be changed."""
    folders = {}

    def written(architecture, head):
        key = architecture.name, head
        if key not in folders:
            folders[key] = tmp_path_factory.mktemp(architecture.name)
            write(architecture, folders[key], head=head)
        return folders[key]

    return written


@pytest.fixture
def folder(architecture, written):
    return written(architecture, head=architecture.fills_masks)


def load(model_class, folder):
    import transformers

    return getattr(transformers, model_class).from_pretrained(folder).eval()


@every
def test_embeddings_equal_those_of_transformers(architecture, folder):
    encoder = ModelSpec("m", str(folder)).load()
    assert encoder.max_tokens == architecture.longest
    reference = load("T5EncoderModel" if architecture.name == "T5" else "AutoModel", folder)
    found = encoder.encode(TEXTS, 4096)
    for text, row in zip(TEXTS, found, strict=True):
        ids = encoder.tokenizer(text, truncation=True, max_length=architecture.longest)["input_ids"]
        with torch.no_grad():
            states = reference(input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids), dtype=torch.long))[
                0
            ][0]
        np.testing.assert_allclose(row, states.mean(0).numpy(), atol=2e-5, err_msg=text[:40])


@every
def test_masked_words_are_predicted_or_refused_in_one_line(architecture, folder):
    encoder = ModelSpec("m", str(folder)).load()
    (row,) = encoder.tokenize([MASKED])
    places = np.array([2, 6])
    row[places] = encoder.tokenizer.mask_token_id
    if not architecture.fills_masks:
        with pytest.raises(NotApplicable) as refused:
            encoder.predict_masked([row], [places], 3)
        assert str(refused.value) == "the model has no masked-language-model head, so it predicts no words"
        with pytest.raises(NotApplicable):
            encoder.token_log_probs([row], [places], [places])
        return
    short = encoder.tokenize(["oak table"])[0]
    found = encoder.predict_masked([row, short], [places, np.array([1])], 3)
    with torch.no_grad():
        logits = load("AutoModelForMaskedLM", folder)(input_ids=torch.from_numpy(row)[None]).logits[0, places]
    np.testing.assert_array_equal(found[0], logits.topk(3).indices.numpy())
    targets = [np.array([7, 3]), np.array([5])]
    log_probs = encoder.token_log_probs([row, short], [places, np.array([1])], targets)
    expected = logits.log_softmax(-1)[[0, 1], targets[0]]
    np.testing.assert_allclose(log_probs[0], expected.numpy(), atol=1e-4)


@every
def test_a_model_without_head_embeds_but_predicts_no_words(architecture, written):
    encoder = ModelSpec("m", str(written(architecture, head=False))).load()
    assert np.isfinite(encoder.encode(TEXTS)).all()
    with pytest.raises(NotApplicable) as refused:
        encoder.predict_masked(encoder.tokenize(["oak table"]), [np.array([1])])
    assert str(refused.value) == "the model has no masked-language-model head, so it predicts no words"


@every
def test_the_second_text_of_a_pair_is_another_segment(architecture, folder):
    encoder = ModelSpec("m", str(folder)).load()
    first, second = ["red oak", "a small table"], ["steel kettle with a handle", "oak"]
    found = encoder.hidden(encoder.tokenize(first, pairs=second)).detach().numpy()
    reference = load("T5EncoderModel" if architecture.name == "T5" else "AutoModel", folder)
    rows = []
    for one, two in zip(first, second, strict=True):
        encoded = encoder.tokenizer(one, two, return_token_type_ids=architecture.segments, return_tensors="pt")
        if architecture.segments:
            assert encoded["token_type_ids"].max() == 1
        with torch.no_grad():
            rows.append(reference(**encoded)[0][0].numpy())
    np.testing.assert_allclose(found, np.concatenate(rows), atol=2e-5)


@every
def test_a_model_saved_by_sentence_transformers_gives_the_same_embeddings(architecture, folder, tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    model = SentenceTransformer(
        modules=[Transformer(str(folder)), Pooling(32, "mean")], device="cpu", prompts={"query": "red "}
    )
    model.max_seq_length = 32
    model.save(str(tmp_path / "saved"), create_model_card=False)
    found, theirs = load_encoder(tmp_path / "saved"), SentenceTransformer(str(tmp_path / "saved"), device="cpu")
    assert (type(found), found.notes, found.max_tokens) == (HuggingFaceEncoder, (), 32)
    for text, row, query in zip(TEXTS, found.encode(TEXTS), found.encode(TEXTS, role="query"), strict=True):
        np.testing.assert_allclose(row, theirs.encode(text), atol=2e-5)
        np.testing.assert_allclose(query, theirs.encode_query(text), atol=2e-5)
