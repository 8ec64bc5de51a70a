"""Tokenizers that rexplug did not make, each with the right answer: its numbers, or the sentence that refuses it.

Vocabularies are written out, so that the ids below follow from them by hand.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gemma_tokenizer import ADDED, BYTES, SPECIAL, as_gemma
from gemma_tokenizer import CONFIG as GEMMA_CONFIG
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

TEXT = "Red oak, 42"
BERT = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")


@dataclass(frozen=True)
class Case:
    """A tokenizer: how its folder is written, and the right answer.

    Attributes:
        name: for the test's name.
        write: puts the files into an empty folder.
        ids: of `TEXT`, without special tokens.
        special: ids of cls, sep, pad and mask.
        refused: the sentence with which `tokenizer.from` refuses it; `{folder}` stands for the folder.
        evaluated: ids of `TEXT` with special tokens as `evaluate` makes them; from `special` and `ids` if left out.
        not_evaluated: the sentence with which `evaluate` refuses it.
        rebuilt: transformers makes other ids of the folder than its tokenizer.json says.
    """

    name: str
    write: Callable[[Path], None]
    ids: tuple[int, ...] = ()
    special: tuple[int, int, int, int] = (2, 3, 0, 4)
    refused: str | None = None
    evaluated: tuple[int, ...] | None = None
    not_evaluated: str | None = None
    rebuilt: bool = False

    @property
    def row(self) -> list[int]:
        """The ids with special tokens around them."""
        if self.evaluated is not None:
            return list(self.evaluated)
        return [self.special[0], *self.ids, self.special[1]]


def save(
    folder: Path, fast: Tokenizer, config: dict[str, Any] | None = None, edit: Callable[[Any], None] | None = None
) -> None:
    """Write tokenizer.json (changed by `edit`) and, if there is one, tokenizer_config.json."""
    definition = json.loads(fast.to_str())
    if edit is not None:
        edit(definition)
    (folder / "tokenizer.json").write_text(json.dumps(definition, ensure_ascii=False), encoding="utf-8")
    if config is not None:
        (folder / "tokenizer_config.json").write_text(json.dumps(config), encoding="utf-8")


def numbered(pieces: Sequence[str], first: int = 0) -> dict[str, int]:
    return {piece: number for number, piece in enumerate(pieces, first)}


def template(fast: Tokenizer, cls: str, sep: str) -> Tokenizer:
    fast.post_processor = processors.TemplateProcessing(
        f"{cls} $A {sep}", f"{cls} $A {sep} $B {sep}", [(cls, fast.token_to_id(cls)), (sep, fast.token_to_id(sep))]
    )
    return fast


def wordpiece(*, cased: bool, special: Sequence[str] = BERT) -> Tokenizer:
    """`red` is 5, `Red` 6, `oak` 7, `,` 8, `4` 9, `##2` 10."""
    fast = Tokenizer(models.WordPiece(numbered([*special, "red", "Red", "oak", ",", "4", "##2"]), unk_token=special[1]))
    fast.normalizer = normalizers.BertNormalizer(lowercase=not cased)
    fast.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    fast.decoder = decoders.WordPiece()
    fast.add_special_tokens(list(special))
    return template(fast, "[CLS]", "[SEP]") if special is BERT else fast


def words(pieces: Sequence[str] = (*BERT, "Red", "oak", ",", "42"), unknown: str | None = "[UNK]") -> Tokenizer:
    fast = Tokenizer(
        models.WordLevel(numbered(pieces), unk_token=unknown) if unknown else models.WordLevel(numbered(pieces))
    )
    fast.pre_tokenizer = pre_tokenizers.Whitespace()
    return fast


def byte_level(special: Sequence[str], *, prefix: bool = False) -> Tokenizer:
    """After the special tokens the 256 bytes, then `Re`, `Red`, `oa`, `oak`, ` oak` (written `Ġoak`)."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("R", "e"), ("Re", "d"), ("o", "a"), ("oa", "k"), ("Ġ", "oak")]
    vocabulary = numbered([*special, *alphabet, *("".join(pair) for pair in merges)])
    fast = Tokenizer(models.BPE(vocabulary, merges))
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=prefix)
    fast.decoder = decoders.ByteLevel()
    fast.add_special_tokens(list(special))
    return fast


def byte_ids(first: int) -> tuple[int, ...]:
    """Ids of `TEXT` by `byte_level` whose bytes begin at `first`: `Red`, ` oak`, `,`, ` `, `4`, `2`."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    place = {letter: first + number for number, letter in enumerate(alphabet)}
    return (first + 257, first + 260, place[","], place["Ġ"], place["4"], place["2"])


def sentence_piece() -> Tokenizer:
    """XLM-R-like Unigram that normalizes text to NFKC and lower case: `▁red` is 5, `▁oak` 6, `,` 7, `▁42` 8."""
    pieces = [*((token, 0.0) for token in ("<s>", "<pad>", "</s>", "<unk>")), ("▁Red", -2.0), ("▁red", -2.0), ("▁oak", -2.0),
              (",", -2.0), ("▁42", -2.0), ("<mask>", 0.0)]  # fmt: skip
    fast = Tokenizer(models.Unigram(pieces, unk_id=3, byte_fallback=False))
    fast.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    fast.pre_tokenizer = pre_tokenizers.Metaspace()
    fast.decoder = decoders.Metaspace()
    fast.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>", AddedToken("<mask>", lstrip=True)])
    return template(fast, "<s>", "</s>")


def llama(special: Sequence[str]) -> Tokenizer:
    """BPE with bytes for unknown characters, blanks written as `▁` before each word but not before the text."""
    pieces = [*special, *(f"<0x{byte:02X}>" for byte in range(256)), "R", "e", "d", "o", "a", "k", "▁", ",", "4", "2"]
    merges = [("R", "e"), ("Re", "d"), ("o", "a"), ("oa", "k"), ("▁", "oak"), ("4", "2"), ("▁", "42")]
    fast = Tokenizer(
        models.BPE(numbered([*pieces, *("".join(pair) for pair in merges)]), merges, unk_token="<unk>", fuse_unk=True,
                   byte_fallback=True)
    )  # fmt: skip
    fast.normalizer = normalizers.Replace(" ", "▁")
    fast.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    fast.add_special_tokens(list(special))
    return fast


def gemma() -> Tokenizer:
    """A tokenizer like mmBERT's: `llama` with Gemma's special tokens and `<bos> text <eos>`; digits are tokens by themselves."""
    pieces = [*SPECIAL, *ADDED, *BYTES, "R", "e", "d", "o", "a", "k", "▁", ",", "4", "2"]
    merges = [("R", "e"), ("Re", "d"), ("o", "a"), ("oa", "k"), ("▁", "oak")]
    vocabulary = numbered([*pieces, *("".join(pair) for pair in merges)])
    fast = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    fast.add_special_tokens([AddedToken(token, lstrip=token == "<mask>") for token in SPECIAL])
    fast.add_tokens([AddedToken(token, normalized=False) for token in ADDED])
    return as_gemma(fast)


GEMMA_IDS = (277, 280, 273, 272, 274, 275)
"""Ids of `TEXT`: `Red`, `▁oak`, `,`, `▁`, `4`, `2`; the pieces begin after 7 special tokens, 3 added ones and 256 bytes."""


def llama_ids(first: int) -> tuple[int, ...]:
    """Ids of `TEXT`: `Red`, `▁oak`, `,`, `▁42`, with so many special tokens before the bytes."""
    merged = first + 256 + 10
    return (merged + 1, merged + 4, first + 256 + 7, merged + 6)


def without(*tokens: str) -> Callable[[Any], None]:
    """Removes tokens from a definition."""

    def edit(definition: Any) -> None:
        definition["added_tokens"] = [
            added_token for added_token in definition["added_tokens"] if added_token["content"] not in tokens
        ]
        for token in tokens:
            definition["model"]["vocab"].pop(token, None)

    return edit


def changed(**values: Any) -> Callable[[Any], None]:
    """Sets keys of a definition; those of the model with `model_` before them."""

    def edit(definition: Any) -> None:
        for key, value in values.items():
            if key.startswith("model_"):
                definition["model"][key.removeprefix("model_")] = value
            else:
                definition[key] = value

    return edit


def odd_places(folder: Path) -> None:
    """Special tokens after the words, unordered and with gaps between their ids."""
    places = {"Red": 0, "oak": 1, ",": 2, "42": 3, "[MASK]": 9, "[CLS]": 40, "[PAD]": 12, "[SEP]": 11, "[UNK]": 30}
    fast = Tokenizer(models.WordLevel(places, unk_token="[UNK]"))
    fast.pre_tokenizer = pre_tokenizers.Whitespace()
    fast.add_special_tokens(list(BERT))
    save(folder, template(fast, "[CLS]", "[SEP]"), {})


def with_added(folder: Path) -> None:
    """A word and a mark added after the vocabulary; the word is matched before text is split."""
    fast = wordpiece(cased=True)
    fast.add_tokens([AddedToken("oak,", normalized=False)])
    fast.add_special_tokens(["<brand>"])
    save(folder, fast, {"additional_special_tokens": ["<brand>"]})


def slow_only(folder: Path) -> None:
    """BERT as it was saved before tokenizer.json: vocab.txt."""
    (folder / "vocab.txt").write_text("\n".join([*BERT, "red", "Red", "oak", ",", "4", "##2"]) + "\n")
    config = {"tokenizer_class": "BertTokenizer", "do_lower_case": False}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))


def code_only(folder: Path) -> None:
    config = {"auto_map": {"AutoTokenizer": ["evil.Evil", None]}, "tokenizer_class": "Evil"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(PAYLOAD)


PAYLOAD = "from pathlib import Path\nPath(__file__).with_name('ran').touch()\n"
"""Python code that writes a file `ran` next to itself when it runs."""


def text_file(name: str, text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_text(text, encoding="utf-8")  # type: ignore[return-value]


def map_only(folder: Path) -> None:
    """transformers 4.x: special_tokens_map.json holds the tokens, some of them with all their fields."""
    save(folder, template(byte_level(("<a>", "<b>", "<c>", "<d>")), "<a>", "<b>"))
    spelled = {"content": "<d>", "lstrip": True, "normalized": False, "rstrip": False, "single_word": False}
    tokens = {"cls_token": "<a>", "sep_token": "<b>", "pad_token": "<c>", "mask_token": spelled}
    (folder / "special_tokens_map.json").write_text(json.dumps(tokens))


def cut_and_padded(folder: Path) -> None:
    fast = wordpiece(cased=True)
    fast.enable_truncation(4)
    fast.enable_padding(length=16, pad_id=0, pad_token="[PAD]")
    save(folder, fast, {})


def no_word_is_unknown(folder: Path) -> None:
    """[UNK] is an ordinary word of the vocabulary, and only the config declares it as the unknown token."""
    fast = words()
    fast.add_special_tokens(["[PAD]", "[CLS]", "[SEP]", "[MASK]"])
    save(folder, template(fast, "[CLS]", "[SEP]"), {"unk_token": "[UNK]"})


def directory(folder: Path) -> None:
    (folder / "tokenizer.json").mkdir()


NEEDED = "an encoder needs [CLS], [SEP], [PAD] and [MASK]"
NO_SHAPE = "{folder}/tokenizer.json is not a tokenizer: it needs `model` with a `vocab`, and `added_tokens` with `content` and `id`"
LAYOUT = (
    "but models are trained on '{wanted}' and must be given the same later; write that template into tokenizer.json "
    "(post_processor: TemplateProcessing)"
)
CONFIG_NAMES = {f"{role}_token": f"[{role.upper()}]" for role in ("cls", "sep", "pad", "mask", "unk")}

WORKING = [
    Case("bert-uncased", lambda f: save(f, wordpiece(cased=False), {"tokenizer_class": "BertTokenizer"}), (5, 7, 8, 9, 10)),
    Case(
        "bert-cased", lambda f: save(f, wordpiece(cased=True), {"tokenizer_class": "BertTokenizer"}), (6, 7, 8, 9, 10),
        rebuilt=True,
    ),
    Case("bert-without-config", lambda f: save(f, wordpiece(cased=True)), (6, 7, 8, 9, 10)),
    Case(
        "gpt2-with-special-tokens",
        lambda f: save(f, template(byte_level(BERT), "[CLS]", "[SEP]"), {"tokenizer_class": "GPT2Tokenizer", **CONFIG_NAMES}),
        byte_ids(5),
    ),
    Case(
        "roberta", lambda f: save(f, template(byte_level(ROBERTA), "<s>", "</s>"), {"tokenizer_class": "RobertaTokenizer"}),
        byte_ids(5), (0, 2, 1, 4),
    ),
    Case(
        "xlm-roberta", lambda f: save(f, sentence_piece(), {"tokenizer_class": "XLMRobertaTokenizer"}), (5, 6, 7, 8),
        (0, 2, 1, 9), rebuilt=True,
    ),
    Case(
        "llama-with-mask",
        lambda f: save(
            f, template(llama(ROBERTA), "<s>", "</s>"),
            {"tokenizer_class": "LlamaTokenizer", "bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
        ),
        llama_ids(5), (0, 2, 1, 4), rebuilt=True,
    ),
    Case(
        "mmbert", lambda f: save(f, gemma(), GEMMA_CONFIG), GEMMA_IDS, (2, 1, 0, 4),
    ),
    Case("mmbert-without-config", lambda f: save(f, gemma()), GEMMA_IDS, (2, 1, 0, 4)),
    Case(
        "word-level",
        lambda f: save(f, template((fast := words(), fast.add_special_tokens(list(BERT)))[0], "[CLS]", "[SEP]"), {}),
        (5, 6, 7, 8),
    ),
    Case("unknown-is-a-word", no_word_is_unknown, (5, 6, 7, 8)),
    Case("odd-places", odd_places, (0, 1, 2, 3), (40, 11, 12, 9)),
    Case("added-tokens", with_added, (6, 11, 9, 10)),
    Case("class-unknown", lambda f: save(f, wordpiece(cased=True), {"tokenizer_class": "MyOwn", **CONFIG_NAMES}), (6, 7, 8, 9, 10)),
    Case("map-of-4x", map_only, byte_ids(4), (0, 1, 2, 3)),
    Case("cut-and-padded", cut_and_padded, (6, 7, 8, 9, 10)),
    Case(
        "code-beside-a-definition",
        lambda f: (code_only(f), save(f, wordpiece(cased=True)))[1],  # type: ignore[func-returns-value]
        (6, 7, 8, 9, 10),
    ),
    Case("vocab.txt-alone", slow_only, (6, 7, 8, 9, 10)),
]  # fmt: skip

REFUSED = [
    Case(
        "gpt2", lambda f: save(f, byte_level(("<|endoftext|>",)), {"tokenizer_class": "GPT2Tokenizer"}),
        refused=f"the tokenizer in {{folder}} has no cls_token; {NEEDED}", evaluated=byte_ids(1),
    ),
    Case(
        "llama",
        lambda f: save(f, llama(("<unk>", "<s>", "</s>")), {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"}),
        refused=f"the tokenizer in {{folder}} has no pad_token; {NEEDED}", evaluated=llama_ids(3),
    ),
    Case(
        "gemma-2-itself",
        lambda f: save(
            f, (fast := gemma(), setattr(fast, "post_processor", processors.TemplateProcessing("<bos> $A", None, [("<bos>", 2)])))[0],
            {},
        ),
        refused="the tokenizer in {folder} makes '<bos> a' of the text 'a', " + LAYOUT.format(wanted="<bos> a <eos>"),
        evaluated=(2, *GEMMA_IDS),
    ),
    Case(
        "no-mask", lambda f: save(f, wordpiece(cased=True), {}, without("[MASK]")),
        refused=f"the tokenizer in {{folder}} has no mask_token; {NEEDED}", evaluated=(2, 6, 7, 8, 9, 10, 3),
    ),
    Case(
        "null-pad", lambda f: save(f, wordpiece(cased=True), {"pad_token": None}),
        refused=f"the tokenizer in {{folder}} has no pad_token; {NEEDED}", evaluated=(2, 6, 7, 8, 9, 10, 3),
    ),
    Case(
        "mask-in-the-config-alone",
        lambda f: save(f, wordpiece(cased=True), {"mask_token": "<hidden>"}),
        refused=(
            "the tokenizer in {folder} names '<hidden>' as its mask_token, but tokenizer.json has no such token; add it there, "
            "with the id that the model learnt"
        ),
        evaluated=(2, 6, 7, 8, 9, 10, 3),
    ),
    Case(
        "pad-is-sep", lambda f: save(f, wordpiece(cased=True), {"pad_token": "[SEP]"}),
        refused="the tokenizer in {folder} uses '[SEP]' as pad_token and as sep_token; each needs a token of its own",
        evaluated=(2, 6, 7, 8, 9, 10, 3),
    ),
    Case(
        "no-post-processor", lambda f: save(f, wordpiece(cased=True), CONFIG_NAMES, changed(post_processor=None)),
        refused="the tokenizer in {folder} makes '[UNK]' of the text 'a', " + LAYOUT.format(wanted="[CLS] a [SEP]"),
        evaluated=(6, 7, 8, 9, 10),
    ),
    Case(
        "layout-of-a-decoder",
        lambda f: save(
            f, (fast := byte_level(ROBERTA), setattr(fast, "post_processor", processors.TemplateProcessing("<s> $A", None, [("<s>", 0)])))[0],
            {},
        ),
        refused="the tokenizer in {folder} makes '<s> a' of the text 'a', " + LAYOUT.format(wanted="<s> a </s>"),
        evaluated=(0, *byte_ids(5)),
    ),
    Case(
        "dropout", lambda f: save(f, template(byte_level(BERT), "[CLS]", "[SEP]"), {}, changed(model_dropout=0.1)),
        refused=(
            "{folder}/tokenizer.json has the BPE dropout 0.1, with which a text gets different tokens every time; set it to null"
        ),
        not_evaluated=(
            "{folder}/tokenizer.json has the BPE dropout 0.1, with which a text gets different tokens every time; set it to null"
        ),
    ),
    *(
        Case(name, write, refused=sentence, not_evaluated=sentence)
        for name, write, sentence in [
            ("nothing", lambda f: None, "the folder '{folder}' holds no tokenizer (tokenizer.json)"),
            (
                "config-alone", text_file("tokenizer_config.json", '{"tokenizer_class": "BertTokenizer"}'),
                "the folder '{folder}' holds no tokenizer (tokenizer.json)",
            ),
            (
                "code-alone", code_only,
                "{folder}/tokenizer_config.json: the tokenizer wants to run code of its own (auto_map), which is not done",
            ),
            (
                "empty", text_file("tokenizer.json", ""),
                "{folder}/tokenizer.json is not JSON: Expecting value: line 1 column 1 (char 0)",
            ),
            (
                "cut-short", text_file("tokenizer.json", '{"model": {"vocab": {"a'),
                "{folder}/tokenizer.json is not JSON: Unterminated string starting at: line 1 column 22 (char 21)",
            ),
            ("a-list", text_file("tokenizer.json", "[1, 2]"), NO_SHAPE),
            ("no-model", text_file("tokenizer.json", '{"added_tokens": []}'), NO_SHAPE),
            ("no-added-tokens", text_file("tokenizer.json", '{"model": {"vocab": {"a": 0}}}'), NO_SHAPE),
            ("ids-are-texts", text_file("tokenizer.json", '{"model": {"vocab": {"a": "x"}}, "added_tokens": []}'), NO_SHAPE),
            ("tokens-are-numbers", text_file("tokenizer.json", '{"model": {"vocab": {}}, "added_tokens": [1]}'), NO_SHAPE),
            (
                "config-is-a-list", lambda f: save(f, wordpiece(cased=True), []),  # type: ignore[arg-type]
                "{folder}/tokenizer_config.json is not a JSON object",
            ),
            (
                "config-is-damaged", lambda f: (save(f, wordpiece(cased=True)), text_file("tokenizer_config.json", "{")(f))[1],
                "{folder}/tokenizer_config.json is not JSON: Expecting property name enclosed in double quotes: line 1 "
                "column 2 (char 1)",
            ),
        ]
    ),
]  # fmt: skip
UNREADABLE = Case(
    "model-unknown", lambda f: save(f, wordpiece(cased=True), {}, changed(model_type="Nonsense")),
    refused="{folder}/tokenizer.json is not a tokenizer: ", not_evaluated="{folder}/tokenizer.json is not a tokenizer: ",
)  # fmt: skip
"""The error of the tokenizers library, whose wording differs between its versions."""
EVERY = [*WORKING, *REFUSED]
