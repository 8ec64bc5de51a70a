"""Makes a run's tokenizer: trained on the corpus, or taken from a folder or the Hugging Face hub."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rexplug.checksums import require_as_written
from rexplug.components import Document
from rexplug.document_files import read_documents
from rexplug.errors import DataError, RexplugError, first_line
from rexplug.io.atomic import replacing, write_json
from rexplug.io.tokenizer_files import CONFIG, DEFINITION, FILES, ROLES, require_tokenizer, write_portable
from rexplug.progress import Progress
from rexplug.recipe.schema import Tokenizer
from rexplug.tokens.preflight import check_tokenizer

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
DEFAULT_VOCABULARY = 8192
DEFAULT_LENGTH = 8192
_HASHES = 2**32
"""Number of values of `_hash`."""


def make_tokenizer(
    spec: Tokenizer,
    corpus: Path,
    sources: Sequence[str],
    *,
    seed: int,
    folder: Path,
    progress: Progress,
    max_length: int = DEFAULT_LENGTH,
) -> None:
    """Write the tokenizer that the recipe asks for into `folder`, unless it is there already.

    A trained tokenizer is a byte-level BPE with the layout `[CLS] text [SEP]`; the same corpus gives the same tokenizer.
    The tokenizer.json of an existing one is copied byte by byte.

    Args:
        spec: the recipe's `tokenizer`.
        corpus: the corpus folder; `<source>/kept/*.parquet` is read.
        sources: the names of the sources.
        seed: decides which documents a tokenizer is trained on.
        folder: the tokenizer's folder.
        progress: reports the characters that were read.
        max_length: the longest context of the recipe, in tokens.

    Raises:
        DataError: the tokenizer cannot be loaded or cannot be trained with, or a source is empty.
    """
    if (folder / DEFINITION).exists():
        return
    with replacing(folder) as temporary:
        temporary.mkdir()
        if spec.from_ is not None:
            progress.start(f"tokenizer {spec.from_}")
            _take(spec.from_, temporary)
            try:
                check_tokenizer(temporary)
            except DataError as error:
                # The temporary folder is about to be removed: name the place that the tokenizer came from.
                raise DataError(f"tokenizer.from: {str(error).replace(str(temporary), spec.from_)}") from None
        else:
            _train(spec, corpus, sources, seed, temporary, progress)
        write_portable(temporary, temporary, max_length=max_length)


def tokenizer_hash(folder: Path) -> str:
    """A hash of a tokenizer's definition (tokenizer.json), which identifies it."""
    return hashlib.sha256((folder / DEFINITION).read_bytes()).hexdigest()[:16]


def fetch_tokenizer(name: str, revision: str | None = None) -> Path:
    """The folder with the files of a tokenizer: `name` itself if it is a folder, or a download from the hub.

    Raises:
        DataError: the folder was written by a run and has been altered since.
        OSError: the hub does not have the tokenizer, or does not answer.
        ValueError: `name` is not a valid name on the hub.
    """
    if Path(name).is_dir():
        require_as_written(Path(name), lambda file: file not in FILES)
        return Path(name)
    from huggingface_hub import snapshot_download

    return Path(snapshot_download(name, revision=revision, allow_patterns=list(FILES)))


def convert_tokenizer(name: str, target: Path, revision: str | None = None) -> None:
    """Write the tokenizer.json of a tokenizer that comes without one (vocab.txt and the like) into `target`.

    Raises:
        OSError: there is no tokenizer.
        ValueError: it cannot be converted, or needs to run code of its own.
    """
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(name, revision=revision, trust_remote_code=False)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ValueError("it has no tokenizer.json, and transformers cannot convert its class")
    backend.save(str(target / DEFINITION))
    named = {f"{role}_token": getattr(tokenizer, f"{role}_token", None) for role in ROLES}
    write_json(target / CONFIG, {key: str(token) for key, token in named.items() if token is not None})


def _take(name: str, target: Path) -> None:
    try:
        source = fetch_tokenizer(name)
        if require_tokenizer(source):
            for file in FILES:
                if (source / file).exists():
                    shutil.copyfile(source / file, target / file)
        else:
            convert_tokenizer(name, target)
    except RexplugError as error:
        raise DataError(f"tokenizer.from: {error}") from None
    except Exception as error:  # transformers may raise anything on files that it does not know
        raise DataError(
            f"tokenizer.from: '{name}' is not a tokenizer folder and could not be loaded: {first_line(error)}"
        ) from None


def _train(spec: Tokenizer, corpus: Path, sources: Sequence[str], seed: int, target: Path, progress: Progress) -> None:
    progress.start("train tokenizer", spec.sample, "characters")
    train_bpe(_sample(spec.sample, corpus, sources, seed, progress), spec.vocabulary or DEFAULT_VOCABULARY, target)


def train_bpe(texts: Iterable[str], vocabulary: int, folder: Path) -> None:
    """Train a byte-level BPE with the layout `[CLS] text [SEP]`, and write its tokenizer.json.

    Args:
        texts: what it is trained on.
        vocabulary: number of tokens, special tokens included.
        folder: where tokenizer.json is written; exists.
    """
    from tokenizers import Regex, decoders, models, normalizers, pre_tokenizers, processors, trainers
    from tokenizers import Tokenizer as FastTokenizer

    tokenizer = FastTokenizer(models.BPE(unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.NFC()
    # Every digit is a token, so that the tokens of a number do not depend on which numbers the corpus holds.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"\p{N}"), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=list(SPECIAL), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(texts, trainer)
    ids = {token: tokenizer.token_to_id(token) for token in SPECIAL}
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B [SEP]",
        special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])],
    )
    tokenizer.save(str(folder / DEFINITION))


def _sample(limit: int, corpus: Path, sources: Sequence[str], seed: int, progress: Progress) -> Iterator[str]:
    """Texts of about `limit` characters in all, the same number from each source, chosen by a hash of id and seed."""
    share = limit // len(sources)
    done = 0
    for source in sources:
        size = sum(len(document.text) for document in read_documents(corpus / source / "kept"))
        if size == 0:
            raise DataError(f"no document of source '{source}' is left after curation; see corpus/statistics.json")
        threshold = min(1.0, share / size) * _HASHES
        for document in read_documents(corpus / source / "kept"):
            if _hash(document, seed) < threshold:
                done += len(document.text)
                progress.update(done)
                yield document.text


def _hash(document: Document, seed: int) -> int:
    """A number below 2^32 that depends on the document's id and the seed alone."""
    digest = hashlib.blake2b(f"{seed}/{document.id}".encode("utf-8", "surrogatepass"), digest_size=4).digest()
    return int.from_bytes(digest, "little")
