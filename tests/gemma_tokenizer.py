"""A small tokenizer like Gemma 2's, which mmBERT uses: BPE on characters with byte fallback."""

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SPECIAL = ("<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>")
"""In the order of their ids; the first five are those of mmBERT's training configs."""
ADDED = ("\n", "\n\n", "▁▁")
"""Added tokens that are text, not special ones."""
BYTES = tuple(f"<0x{byte:02X}>" for byte in range(256))
CONFIG = {
    "tokenizer_class": "GemmaTokenizer", "cls_token": "<bos>", "bos_token": "<bos>", "sep_token": "<eos>",
    "eos_token": "<eos>", "pad_token": "<pad>", "unk_token": "<unk>",
    "mask_token": "<mask>",
    "extra_special_tokens": ["<start_of_turn>", "<end_of_turn>"],
}  # fmt: skip


def as_gemma(fast: Tokenizer) -> Tokenizer:
    """Add normalizer, decoder and post-processor to a BPE: spaces become `▁`, bytes are decoded, `<bos> text <eos>`."""
    fast.normalizer = normalizers.Replace(" ", "▁")
    fast.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    fast.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokens = [(token, fast.token_to_id(token)) for token in ("<bos>", "<eos>")]
    fast.post_processor = processors.TemplateProcessing("<bos> $A <eos>", "<bos> $A <eos> $B <eos>", tokens)
    return fast


def gemma_tokenizer(texts: Iterable[str], size: int) -> Tokenizer:
    """Train a tokenizer of `size` tokens on `texts`; tokens do not cross spaces."""
    fast = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    fast.normalizer = normalizers.Replace(" ", "▁")
    fast.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    trainer = trainers.BpeTrainer(vocab_size=size, special_tokens=[*SPECIAL, *ADDED, *BYTES], show_progress=False)
    fast.train_from_iterator(texts, trainer)
    definition = json.loads(fast.to_str())
    definition["added_tokens"] = [
        token | {"special": token["content"] in SPECIAL, "lstrip": token["content"] == "<mask>"}
        for token in definition["added_tokens"]
        if token["content"] not in BYTES
    ]
    return as_gemma(Tokenizer.from_str(json.dumps(definition)))


def write_gemma(folder: Path, texts: Iterable[str], size: int = 800) -> None:
    """Write the files of such a tokenizer into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    gemma_tokenizer(texts, size).save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(CONFIG))
