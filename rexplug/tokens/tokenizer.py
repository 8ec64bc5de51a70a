"""The tokenizer: trained on the corpus, or loaded from a folder or the hub."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from rexplug.components import Document
from rexplug.errors import DataError
from rexplug.progress import Progress
from rexplug.recipe.schema import Tokenizer
from rexplug.run_directory import replacing
from rexplug.tokens.documents import read_parquet
from rexplug.tokens.special import SpecialTokens

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
DEFAULT_VOCABULARY = 8192
_DRAWS = 2**32


def make_tokenizer(
    spec: Tokenizer, corpus: Path, sources: Sequence[str], *, seed: int, folder: Path, progress: Progress
) -> None:
    """Write the tokenizer that the recipe asks for into `folder`, as transformers saves it; done once.

    A trained one is a byte-level BPE with the layout `[CLS] text [SEP]`. The same corpus gives the same tokenizer.

    Raises:
        DataError: the tokenizer cannot be loaded or lacks a special token.
    """
    if (folder / "tokenizer.json").exists():
        return
    with replacing(folder) as temporary:
        temporary.mkdir()
        if spec.from_ is not None:
            progress.start(f"tokenizer {spec.from_}")
            _load(spec.from_, temporary)
        else:
            _train(spec, corpus, sources, seed, temporary, progress)
        SpecialTokens.read(temporary)


def tokenizer_hash(folder: Path) -> str:
    """Identifies a tokenizer by its definition."""
    return hashlib.sha256((folder / "tokenizer.json").read_bytes()).hexdigest()[:16]


def _load(name: str, target: Path) -> None:
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"tokenizer.from: '{name}' is no tokenizer folder and could not be loaded: {reason}") from None
    tokenizer.save_pretrained(target)


def _train(spec: Tokenizer, corpus: Path, sources: Sequence[str], seed: int, target: Path, progress: Progress) -> None:
    from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from tokenizers import Tokenizer as FastTokenizer
    from transformers import PreTrainedTokenizerFast

    size = spec.vocabulary or DEFAULT_VOCABULARY
    tokenizer = FastTokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.NFC()
    # Digits alone, so that a number's tokens do not depend on which numbers the corpus happens to hold.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\p{N}"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=list(SPECIAL), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    progress.start("train tokenizer", spec.sample, "characters")
    tokenizer.train_from_iterator(_sample(spec.sample, corpus, sources, seed, progress), trainer)
    ids = {token: tokenizer.token_to_id(token) for token in SPECIAL}
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, model_max_length=8192, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]",
        pad_token="[PAD]", mask_token="[MASK]", model_input_names=["input_ids", "attention_mask"],
        clean_up_tokenization_spaces=False,
    ).save_pretrained(target)  # fmt: skip


def _sample(limit: int, corpus: Path, sources: Sequence[str], seed: int, progress: Progress) -> Iterator[str]:
    """Texts up to `limit` characters, an even share of it for each source, chosen by a hash of id and seed."""
    share = limit // len(sources)
    done = 0
    for source in sources:
        size = sum(len(document.text) for document in read_parquet(corpus / source / "kept"))
        if size == 0:
            raise DataError(f"no document of source '{source}' is left after curation; see corpus/statistics.json")
        threshold = min(1.0, share / size) * _DRAWS
        for document in read_parquet(corpus / source / "kept"):
            if _draw(document, seed) < threshold:
                done += len(document.text)
                progress.update(done)
                yield document.text


def _draw(document: Document, seed: int) -> int:
    digest = hashlib.blake2b(f"{seed}/{document.id}".encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest, "little")
