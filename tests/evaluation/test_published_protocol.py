"""The published top-k accuracy: ours against an implementation from the protocol's description, on transformers' own collator.

The protocol (bajajra/RexBERT `eval/mlm`): texts are tokenized without truncation, special tokens included, and joined; blocks of
128 tokens are cut from each 1,000 texts and the rest is dropped; transformers' collator chooses 15 % of the tokens and replaces
80 % of them by [MASK] and 10 % by a random token; accuracy at 1, 3 and 5 is counted over all chosen tokens.
"""

import random
from itertools import chain

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from rexplug import Document
from rexplug.evaluation.encoder import HuggingFaceEncoder
from rexplug.evaluation.published_protocol import published_accuracy
from rexplug.evaluation.statistics import value

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
SIZE = {
    "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 128, "initializer_range": 0.1,
    "max_position_embeddings": 160, "pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3,
}  # fmt: skip
SEEDS = range(8)
"""About 100,000 chosen tokens in all: the standard error of a difference is below 0.2 points."""
STEPS = 500


SENTENCES = [
    "The {colour} {thing} is made of {material} and costs {number} euros.",
    "Our {thing} comes in {colour} and in {other}, each with a {material} handle.",
    "We sell {number} kinds of {material} for every {thing} in the shop.",
    "This {material} {thing} fits well beside a {other} one.",
    "It took {number} days to paint the {thing} in {colour}.",
]
WORDS = {
    "colour": ["red", "blue", "green", "white", "black"], "other": ["grey", "brown", "yellow"],
    "thing": ["table", "chair", "kettle", "lamp", "shelf", "basket"], "material": ["oak", "steel", "linen", "glass"],
    "number": ["two", "seven", "twelve", "forty"],
}  # fmt: skip


@pytest.fixture(scope="module")
def pages():
    """Few words in few sentences, which a small model learns in seconds."""
    chance = random.Random(1)

    def sentence():
        return chance.choice(SENTENCES).format(**{name: chance.choice(words) for name, words in WORDS.items()})

    return [Document(str(n), " ".join(sentence() for _ in range(chance.randint(5, 30)))) for n in range(500)]


def tokenizer_of(texts, pieces):
    """WordPiece, or byte-level BPE."""
    from transformers import PreTrainedTokenizerFast

    if pieces == "wordpiece":
        fast = Tokenizer(models.WordPiece(unk_token="[UNK]"))
        fast.pre_tokenizer, fast.decoder = pre_tokenizers.BertPreTokenizer(), decoders.WordPiece()
        trainer = trainers.WordPieceTrainer(vocab_size=150, special_tokens=SPECIAL, show_progress=False)
    else:
        fast = Tokenizer(models.BPE())
        fast.pre_tokenizer, fast.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=320, special_tokens=SPECIAL, show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        )  # fmt: skip
    fast.train_from_iterator(texts, trainer)
    fast.post_processor = processors.TemplateProcessing("[CLS] $A [SEP]", None, [("[CLS]", 2), ("[SEP]", 3)])
    return PreTrainedTokenizerFast(
        tokenizer_object=fast, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        mask_token="[MASK]",
    )  # fmt: skip


def blocks_of(texts, tokenizer):
    blocks = []
    for start in range(0, len(texts), 1000):
        joined = list(chain.from_iterable(tokenizer(texts[start : start + 1000])["input_ids"]))
        blocks += [joined[i : i + 128] for i in range(0, len(joined) - 127, 128)]
    return blocks


def train(model, blocks, collate):
    optimizer = torch.optim.AdamW(model.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=STEPS)
    model.train()
    for step in range(STEPS):
        chosen = [blocks[(step * 4 + n) % len(blocks)] for n in range(4)]
        model(**collate([{"input_ids": block} for block in chosen])).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        schedule.step()
    model.eval()


def accuracy_by_hand(model, blocks, collate, seed):
    torch.manual_seed(seed)
    hits, count = torch.zeros(3), 0
    for start in range(0, len(blocks), 32):
        batch = collate([{"input_ids": block} for block in blocks[start : start + 32]])
        labels = batch.pop("labels")
        with torch.no_grad():
            best = model(**batch).logits[labels >= 0].topk(5).indices == labels[labels >= 0][:, None]
        hits += torch.tensor([float(best[:, :top].any(1).sum()) for top in (1, 3, 5)])
        count += len(best)
    return hits / count


@pytest.mark.slow
@pytest.mark.parametrize(("family", "pieces"), [("Bert", "wordpiece"), ("Roberta", "bytes"), ("ModernBert", "bytes")])
def test_top_k_accuracy_is_that_of_the_published_protocol(pages, tmp_path, family, pieces):
    import transformers

    held_out, texts = pages[:240], [page.text for page in pages[240:]]
    tokenizer = tokenizer_of(texts, pieces)
    special = (
        {"cls_token_id": 2, "sep_token_id": 3, "local_attention": 32}
        if family == "ModernBert"
        else {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    )
    torch.manual_seed(0)
    config = getattr(transformers, f"{family}Config")(vocab_size=len(tokenizer), **SIZE, **special)
    model = getattr(transformers, f"{family}ForMaskedLM")(config)
    collate = transformers.DataCollatorForLanguageModeling(tokenizer, mlm_probability=0.15)
    train(model, blocks_of(texts, tokenizer), collate)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    encoder = HuggingFaceEncoder(tmp_path)

    blocks = blocks_of([page.text for page in held_out], tokenizer)
    expected = torch.stack([accuracy_by_hand(model, blocks, collate, seed) for seed in SEEDS]).mean(0)
    ours = [published_accuracy("web", held_out, encoder, seed=seed) for seed in SEEDS]
    for top, by_hand in zip((1, 3, 5), expected.tolist(), strict=True):
        found = sum(value(scores[f"web.published_acc@{top}"]) for scores in ours) / len(SEEDS)
        assert by_hand > 0.1, "the model has learnt something"
        assert found == pytest.approx(by_hand, abs=0.005)
