"""Model folders that are odd, damaged or hostile, each with the right answer: its numbers, or the sentence that refuses it.

All begin as the same tiny BERT with a tokenizer beside it.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from foreign.tokenizers import PAYLOAD, save, wordpiece

DIMENSIONS = 8


@dataclass(frozen=True)
class Case:
    """A model's folder: what is done to the sound one, and the right answer.

    Attributes:
        name: for the test's name.
        change: what is done to the folder.
        pooling: how its embedding follows from the encoder's token vectors: `mean`, `cls` or `dense`.
        refused: the sentence that refuses it; `{folder}` stands for the folder. None: it works.
        seen: `check` sees it without loading anything.
    """

    name: str
    change: Callable[[Path], Any]
    pooling: str = "mean"
    refused: str | None = None
    seen: bool = True


def sound(folder: Path) -> None:
    """The sound model that all cases modify."""
    import torch
    from transformers import BertConfig, BertModel

    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=16, hidden_size=DIMENSIONS, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1,
        max_position_embeddings=32,
    )  # fmt: skip
    BertModel(config).save_pretrained(folder)
    save(folder, wordpiece(cased=True), {})


def modules(*entries: tuple[str, str]) -> Callable[[Path], None]:
    """Writes modules.json with (type, path) of each module; a Pooling gets a config for the vector of [CLS]."""

    def write(folder: Path) -> None:
        (folder / "modules.json").write_text(
            json.dumps(
                [{"idx": i, "name": str(i), "path": path, "type": kind} for i, (kind, path) in enumerate(entries)]
            )
        )
        for kind, path in entries:
            if kind.endswith(".Pooling") and path == "1_Pooling":
                configured(folder / path, word_embedding_dimension=DIMENSIONS, pooling_mode_cls_token=True,
                           pooling_mode_mean_tokens=False)  # fmt: skip

    return write


def configured(folder: Path, **config: Any) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "config.json").write_text(json.dumps(config))


def dense(folder: Path, activation: str = "torch.nn.modules.activation.Tanh") -> Path:
    """A Dense layer that doubles its input, and its path."""
    import torch
    from safetensors.torch import save_file

    place = folder / "2_Dense"
    configured(place, in_features=DIMENSIONS, out_features=DIMENSIONS, bias=True, activation_function=activation)
    weights = {"linear.weight": 2 * torch.eye(DIMENSIONS), "linear.bias": torch.zeros(DIMENSIONS)}
    save_file(weights, place / "model.safetensors")
    return place


ENCODER, POOLING = (
    ("sentence_transformers.models.Transformer", ""),
    ("sentence_transformers.models.Pooling", "1_Pooling"),
)
DENSE, NORMALIZE = (
    ("sentence_transformers.models.Dense", "2_Dense"),
    ("sentence_transformers.models.Normalize", "3_Normalize"),
)


def with_dense(folder: Path) -> None:
    modules(ENCODER, POOLING, DENSE, NORMALIZE)(folder)
    dense(folder)


def with_dropout(folder: Path) -> None:
    modules(ENCODER, POOLING, ("sentence_transformers.models.Dropout", "2_Dropout"))(folder)
    configured(folder / "2_Dropout", dropout=0.9)


def input_said(**values: Any) -> Callable[[Path], None]:
    """The description of its input by a sentence-transformers model."""

    def write(folder: Path) -> None:
        modules(ENCODER, POOLING)(folder)
        (folder / "sentence_bert_config.json").write_text(json.dumps(values))

    return write


def moved(folder: Path) -> None:
    """sentence-transformers before 2.0: the encoder is in its own folder."""
    inner = folder / "0_Transformer"
    inner.mkdir()
    for path in [path for path in folder.iterdir() if path.is_file()]:
        path.rename(inner / path.name)
    modules(("sentence_transformers.models.Transformer", "0_Transformer"), POOLING)(folder)


def pickled(folder: Path) -> None:
    """Weights as torch wrote them before safetensors."""
    import torch
    from safetensors.torch import load_file

    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def sharded(folder: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    names = sorted(weights)
    places = {}
    for number, part in enumerate((names[:5], names[5:]), 1):
        file = f"model-{number:05d}-of-00002.safetensors"
        save_file({name: weights[name] for name in part}, folder / file, {"format": "pt"})
        places |= dict.fromkeys(part, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": places}))


def shards_at(*names: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / "model.safetensors").unlink()
        places = {f"weight{number}": name for number, name in enumerate(names)}
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": places}))

    return write


def edited(**values: Any) -> Callable[[Path], None]:
    """Changes keys of config.json."""

    def write(folder: Path) -> None:
        config = json.loads((folder / "config.json").read_text()) | values
        (folder / "config.json").write_text(
            json.dumps({key: value for key, value in config.items() if value != "gone"})
        )

    return write


def written(name: str, text: str | bytes) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())

    return write


def removed(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def linked(name: str, target: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return write


def a_folder(name: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return write


def a_pipe(name: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return write


def cut(name: str, share: float) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(share * len(data))])

    return write


class _Evil:
    """Writes a file when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.target = str(folder / "ran")

    def __reduce__(self) -> Any:
        return exec, (f"import pathlib; pathlib.Path({self.target!r}).touch()",)


PICKLED = (
    "its weights could not be loaded: pytorch_model.bin is damaged, or holds objects other than tensors, which are not read "
    "since that can run code; save the weights as safetensors"
)


def evil_pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(_Evil(folder)))


def evil_dense(folder: Path) -> None:
    modules(ENCODER, POOLING, DENSE)(folder)
    (dense(folder) / "model.safetensors").unlink()
    (folder / "2_Dense/pytorch_model.bin").write_bytes(pickle.dumps(_Evil(folder)))


def evil_activation(name: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        modules(ENCODER, POOLING, DENSE)(folder)
        dense(folder, name)
        (folder / "evil.py").write_text(PAYLOAD)

    return write


def evil_code(**config: Any) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        edited(auto_map={"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}, **config)(folder)
        (folder / "evil.py").write_text(PAYLOAD)

    return write


def evil_module(kind: str, path: str = "1_Pooling", place: int = 1) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        entries = [ENCODER, POOLING]
        entries[place] = (kind, path)
        modules(*entries)(folder)
        (folder / "evil.py").write_text(PAYLOAD)

    return write


def outside(folder: Path) -> None:
    """A pooling folder that is a link to somewhere else."""
    modules(ENCODER, POOLING)(folder)
    elsewhere = folder.parent / "elsewhere"
    (folder / "1_Pooling").rename(elsewhere)
    (folder / "1_Pooling").symlink_to(elsewhere)


def in_a_circle(folder: Path) -> None:
    modules(ENCODER, POOLING)(folder)
    shutil.rmtree(folder / "1_Pooling")
    (folder / "1_Pooling").symlink_to("1_Pooling")


def other_tokenizer(folder: Path) -> None:
    fast = wordpiece(cased=True)
    fast.add_tokens([f"more{number}" for number in range(20)])
    save(folder, fast, {})


FIRST = "Transformer or StaticEmbedding or Router or Asym"
LATER = "Pooling or Dense or Normalize or LayerNorm or Dropout or WeightedLayerPooling or Router or Asym"


def code(kind: str, number: int = 1, wanted: str = LATER) -> str:
    return (
        f"{{folder}}/modules.json: module {number} is '{kind}', and only {wanted} of sentence-transformers are allowed there: no "
        "other code is run"
    )


def beyond(path: str) -> str:
    return f"{{folder}}/modules.json: module 1 is in '{path}', outside the model's folder"


SAVED = "sentence_transformers.sentence_transformer.modules.pooling.Pooling"
OWN_CODE = (
    "{folder}/config.json: the model wants to run code of its own (auto_map); only classes of transformers are loaded, unless "
    "trust_remote_code allows it"
)
NOT_A_MODEL = "{folder} is not a model that can be evaluated: "

WORKING = [
    Case("plain", lambda folder: None),
    Case("pooled", modules(ENCODER, POOLING), "cls"),
    Case("pooled-by-today-s-name", modules(("sentence_transformers.base.modules.transformer.Transformer", ""), (SAVED, "1_Pooling")), "cls"),
    Case("dense", with_dense, "dense"),
    Case("dropout-is-switched-off", with_dropout, "cls"),
    Case("encoder-in-its-own-folder", moved, "cls"),
    Case("pickled", pickled),
    Case("sharded", sharded),
    Case("code-that-is-not-needed", evil_code()),
]  # fmt: skip

REFUSED = [
    # Damaged.
    Case("weights-empty", written("model.safetensors", b""), refused=NOT_A_MODEL + "{folder}/model.safetensors is not a safetensors file, or is cut short"),
    Case("weights-garbage", written("model.safetensors", b"garbage " * 99), refused=NOT_A_MODEL + "{folder}/model.safetensors is not a safetensors file, or is cut short"),
    Case("weights-cut", cut("model.safetensors", 0.6), refused=NOT_A_MODEL + "{folder}/model.safetensors has 3,628 bytes, where its header says 6,048; it is cut short or damaged"),
    Case("weights-missing", removed("model.safetensors"), refused=NOT_A_MODEL + "the folder holds no weights (model.safetensors or pytorch_model.bin)"),
    Case("weights-a-folder", a_folder("model.safetensors"), refused=NOT_A_MODEL + "{folder}/model.safetensors is a folder, not a file"),
    Case("weights-in-a-circle", linked("model.safetensors", "model.safetensors"), refused=NOT_A_MODEL + "the folder holds no weights (model.safetensors or pytorch_model.bin)"),
    Case("weights-link-to-nothing", linked("model.safetensors", "blobs/none"), refused=NOT_A_MODEL + "the folder holds no weights (model.safetensors or pytorch_model.bin)"),
    Case("pickle-garbage", lambda f: (removed("model.safetensors")(f), written("pytorch_model.bin", b"garbage")(f)), refused=NOT_A_MODEL, seen=False),
    Case("pickle-empty", lambda f: (removed("model.safetensors")(f), written("pytorch_model.bin", b"")(f)), refused=NOT_A_MODEL, seen=False),
    Case("shard-missing", shards_at("model-1.safetensors"), refused=NOT_A_MODEL + "{folder}/model-1.safetensors is missing"),
    Case("shards-none", shards_at(), refused=NOT_A_MODEL, seen=False),
    Case("shard-outside", shards_at("../model-1.safetensors"), refused=NOT_A_MODEL + "{folder}/model.safetensors.index.json names the file '../model-1.safetensors', which is not a file of its folder"),
    Case("index-not-json", lambda f: (removed("model.safetensors")(f), written("model.safetensors.index.json", "{")(f)), refused=NOT_A_MODEL + "{folder}/model.safetensors.index.json is not an index of weights (a JSON object with a 'weight_map')"),
    Case("config-missing", removed("config.json"), refused="{folder}/config.json is missing"),
    Case("config-empty", written("config.json", ""), refused="{folder}/config.json is not JSON: Expecting value: line 1 column 1 (char 0)"),
    Case("config-not-json", written("config.json", "{model"), refused="{folder}/config.json is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
    Case("config-not-utf8", written("config.json", b"\xff\xfe"), refused="{folder}/config.json is not JSON: 'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"),
    Case("config-a-list", written("config.json", "[1]"), refused="{folder}/config.json is not a JSON object"),
    Case("config-a-folder", a_folder("config.json"), refused="{folder}/config.json is a folder, not a file"),
    Case("config-a-pipe", a_pipe("config.json"), refused="{folder}/config.json is not a regular file"),
    Case("weights-a-pipe", a_pipe("model.safetensors"), refused=NOT_A_MODEL + "{folder}/model.safetensors is not a regular file"),
    Case("config-in-a-circle", linked("config.json", "config.json"), refused="{folder}/config.json is a link that leads nowhere"),
    Case("config-too-deep", written("config.json", "[" * 100_000), refused="{folder}/config.json is not JSON: maximum recursion depth exceeded while decoding a JSON array from a unicode string"),
    Case("longest-input-a-text", input_said(max_seq_length="long"), refused="{folder}/sentence_bert_config.json: max_seq_length is 'long'; write a positive whole number"),
    Case("longest-input-zero", input_said(max_seq_length=0), refused="{folder}/sentence_bert_config.json: max_seq_length is 0; write a positive whole number"),
    Case("lower-case-a-number", input_said(do_lower_case=1), refused="{folder}/sentence_bert_config.json: do_lower_case is 1; write true or false"),
    Case("type-missing", edited(model_type="gone"), refused="{folder}/config.json does not name a model type (model_type)"),
    Case("type-a-number", edited(model_type=7), refused="{folder}/config.json does not name a model type (model_type)"),
    Case("type-unknown", edited(model_type="nobody-s"), refused="{folder}/config.json: transformers has no model type 'nobody-s'"),
    Case("values-of-wrong-types", edited(hidden_size="big"), refused=NOT_A_MODEL, seen=False),
    Case("values-absurd", edited(num_attention_heads=3), refused=NOT_A_MODEL, seen=False),
    Case("tokenizer-missing", removed("tokenizer.json"), refused="the folder '{folder}' holds no tokenizer (tokenizer.json)"),
    Case("tokenizer-a-folder", a_folder("tokenizer.json"), refused="{folder}/tokenizer.json is a folder, not a file"),
    Case("tokenizer-in-a-circle", linked("tokenizer.json", "tokenizer.json"), refused="{folder}/tokenizer.json is a link that leads nowhere"),
    Case("tokenizer-of-another-model", other_tokenizer, refused="{folder} has 16 embeddings, but its tokenizer has ids up to 30; does it belong to another model?", seen=False),
    Case("modules-not-json", written("modules.json", "x"), refused="{folder}/modules.json is not JSON: Expecting value: line 1 column 1 (char 0)"),
    Case("modules-an-object", written("modules.json", "{}"), refused="{folder}/modules.json is not a list of modules"),
    Case("modules-none", written("modules.json", "[]"), refused="{folder}/modules.json is not a list of modules"),
    Case("modules-numbers", written("modules.json", "[1]"), refused="{folder}/modules.json: module 0 needs a `type` and a `path`, both texts"),
    Case("pooling-without-config", lambda f: (modules(ENCODER, POOLING)(f), shutil.rmtree(f / "1_Pooling")), refused="{folder}/1_Pooling/config.json is missing"),
    Case("pooling-a-list", lambda f: (modules(ENCODER, POOLING)(f), written("1_Pooling/config.json", "[]")(f)), refused="{folder}/1_Pooling/config.json is not a JSON object"),
    Case("pooling-of-no-known-kind", lambda f: (modules(ENCODER, POOLING)(f), configured(f / "1_Pooling", word_embedding_dimension=8, pooling_mode="best")), refused=NOT_A_MODEL, seen=False),
    Case("dense-without-weights", lambda f: (with_dense(f), removed("2_Dense/model.safetensors")(f)), refused=NOT_A_MODEL, seen=False),
    # Hostile.
    Case("any-class", evil_module("evil.Evil"), refused=code("evil.Evil")),
    Case("any-class-first", evil_module("evil.Evil", "", 0), refused=code("evil.Evil", 0, FIRST)),
    Case("a-function", evil_module("os.system"), refused=code("os.system")),
    Case("a-function-of-theirs", evil_module("sentence_transformers.util.import_from_string"), refused=code("sentence_transformers.util.import_from_string")),
    Case("a-look-alike", evil_module("sentence_transformers_.Pooling"), refused=code("sentence_transformers_.Pooling")),
    Case("path-absolute", evil_module(POOLING[0], "/etc"), refused=beyond("/etc")),
    Case("path-upwards", evil_module(POOLING[0], "../elsewhere"), refused=beyond("../elsewhere")),
    Case("path-linked-outside", outside, refused=beyond("1_Pooling")),
    Case("path-in-a-circle", in_a_circle, refused=beyond("1_Pooling")),
    Case("activation-of-their-own", evil_activation("evil.Evil"), refused="{folder}/2_Dense/config.json: the activation function 'evil.Evil' is not one of torch.nn"),
    Case("activation-not-of-nn", evil_activation("torch.utils.cpp_extension.load"), refused="{folder}/2_Dense/config.json: the activation function 'torch.utils.cpp_extension.load' is not one of torch.nn"),
    Case("code-of-its-own", evil_code(model_type="nobody-s"), refused=OWN_CODE),
    Case("code-without-a-type", evil_code(model_type="gone"), refused=OWN_CODE),
    Case("pickle-that-runs-code", evil_pickle, refused=NOT_A_MODEL + PICKLED, seen=False),
    Case("dense-that-runs-code", evil_dense, refused=NOT_A_MODEL, seen=False),
]  # fmt: skip
