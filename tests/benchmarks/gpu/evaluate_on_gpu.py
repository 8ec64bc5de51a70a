"""Evaluation on this device: masked words, embeddings, retrieval and fine-tunes in fp32 and in bf16, beside fp32 on the CPU.

A micro model (nano without a GPU) is trained for a few seconds on generated product texts, so that its metrics mean something.
Reported: texts and tokens per second, times that the host waited for the GPU, and differences between number formats and devices.
"""

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from common import DEVICE, GPU, TINY, counted_waits, part, result, wait
from made_stream import special_of
from numpy.typing import NDArray

from rexplug import Document
from rexplug.components import FineTuning
from rexplug.evaluation.encoder import HuggingFaceEncoder
from rexplug.evaluation.exact_products import exact_products
from rexplug.evaluation.finetune import tune_classifier, tune_ranking
from rexplug.evaluation.recovery import MaskedRecovery
from rexplug.evaluation.tuning import FineTune
from rexplug.model import build_model
from rexplug.model.attention import Packing, choose_backend
from rexplug.model.loss import masked_lm_loss
from rexplug.model.packed import forward_packed, use_packed_attention, use_transformers_attention
from rexplug.recipe.schema import Model
from rexplug_ecommerce.product_search import ProductSearch

SIZE = "nano" if TINY else os.environ.get("KIT_SIZE", "micro")
VOCABULARY = 1024 if TINY else 50_368
TEXTS = 60 if TINY else 5000
DOCUMENTS = 12 if TINY else 1500
ON_CPU = 12 if TINY else 150
"""Texts that the CPU embeds too."""
STEPS = 3 if TINY else 100
Vectors = NDArray[np.float32]


@dataclass(frozen=True)
class Context:
    """What `MaskedRecovery` needs of an evaluation's context."""

    encoder: Any
    held_out: Mapping[str, Sequence[Document]]
    seed: int = 17
    folder: Path = Path()

    def salience(self, texts: Sequence[str]) -> None:
        """No scorer: all words are alike."""


def made_model(folder: Path, texts: Sequence[str]) -> None:
    """Write a model trained on the texts for a few steps, and its tokenizer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
    from transformers import PreTrainedTokenizerFast

    fast = Tokenizer(models.BPE())
    fast.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    fast.decoder = decoders.ByteLevel()
    fast.train_from_iterator(
        texts[:2000],
        trainers.BpeTrainer(
            vocab_size=min(VOCABULARY, 8192),
            special_tokens=["[UNK]", "[CLS]", "[SEP]", "[PAD]", "[MASK]"],
            show_progress=False,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    fast.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=fast, unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]", pad_token="[PAD]",
        mask_token="[MASK]", model_max_length=8192,
    )  # fmt: skip
    tokenizer.save_pretrained(folder)
    model = build_model(Model(size=SIZE), special_of(VOCABULARY), context=8192, seed=1).to(DEVICE)
    use_packed_attention(model)
    backend, _ = choose_backend("auto", DEVICE, "bf16" if GPU else "fp32")
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, betas=(0.9, 0.98))
    rows = [np.array(row) for row in tokenizer(list(texts))["input_ids"]]
    draw = np.random.default_rng(0)
    for step in range(STEPS):
        chosen = draw.choice(len(rows), 8 if TINY else 256)
        ids = np.concatenate([rows[i] for i in chosen])
        masked = np.flatnonzero((draw.random(len(ids)) < 0.2) & (ids > 4))
        labels, ids[masked] = ids[masked].copy(), 4
        lengths = [len(rows[i]) for i in chosen]
        ends = torch.tensor([0, *np.cumsum(lengths).tolist()], dtype=torch.int32, device=DEVICE)
        with torch.autocast(DEVICE.type, torch.bfloat16, enabled=GPU):
            states = forward_packed(
                model,
                torch.from_numpy(ids).to(DEVICE),
                Packing(ends, len(ids), backend, lengths),
                torch.from_numpy(masked).to(DEVICE),
            )
            total, *_ = masked_lm_loss(model, states, torch.from_numpy(labels).to(DEVICE))
        loss = total / len(masked)
        loss.backward()
        optimizer.param_groups[0]["lr"] = 2e-3 * min(1, (step + 1) / 10)
        optimizer.step()
        optimizer.zero_grad()
        if step in (0, STEPS - 1):
            print(f"     trained step {step + 1}: loss {float(loss.detach()):.3f}")
    use_transformers_attention(model, "sdpa")
    model.cpu().save_pretrained(folder)


def timed(what: str, call: Callable[[], Any], *, texts: int = 0, tokens: int = 0, **more: Any) -> Any:
    """Run twice: the first call loads kernels, the second is timed; waits are counted in the first."""
    if GPU:
        torch.cuda.reset_peak_memory_stats()
    with counted_waits() as places:
        call()
    wait()
    began = time.perf_counter()
    made = call()
    wait()
    seconds = time.perf_counter() - began
    result(
        "evaluate", what=what, seconds=seconds, texts_s=texts / seconds, tokens_s=tokens / seconds,
        waits=sum(places.values()), where=str(dict(places.most_common(5))),
        memory_gib=torch.cuda.max_memory_allocated() / 2**30 if GPU else 0.0, **more,
    )  # fmt: skip
    return made


def fine_tuned(tune: Callable[..., FineTune[Any]], *arguments: Any) -> Any:
    """What a fine-tune of `finetune` ends with."""
    return tune(*arguments, learning_rate=1e-3, seed=17).run()


def cosines(one: Vectors, two: Vectors) -> Vectors:
    one, two = (side / np.linalg.norm(side, axis=1, keepdims=True) for side in (one, two))
    return np.asarray(one @ two.T, np.float32)


def ndcg(queries: Vectors, corpus: Vectors, collection: Any) -> float:
    """nDCG at 10 of a ranking by cosine, after the mean of the corpus is subtracted."""
    center = corpus.mean(0)
    similar = cosines(queries - center, corpus - center)
    keys = list(collection.corpus)
    discounts = 1 / np.log2(np.arange(2, 12))
    values = []
    for row, query in zip(similar, collection.queries, strict=True):
        grades = collection.relevance[query]
        gains = [grades.get(keys[i], 0) for i in np.argsort(-row, kind="stable")[:10]]
        ideal = sorted(grades.values(), reverse=True)[:10]
        values.append(float(np.dot(gains, discounts[: len(gains)]) / np.dot(ideal, discounts[: len(ideal)])))
    return float(np.mean(values))


def largest(one: Vectors, two: Vectors) -> float:
    """The largest difference of a coordinate, as a share of the largest coordinate."""
    return float(np.abs(one - two).max() / np.abs(two).max())


print(f"{torch.cuda.get_device_name() if GPU else 'a CPU'}, torch {torch.__version__}, {SIZE}")
began = time.perf_counter()
search = ProductSearch(products=TEXTS, queries=10 if TINY else 100, pairs=40 if TINY else 2000).collection()
corpus, queries = list(search.corpus.values()), list(search.queries.values())
documents = [Document(str(n), " ".join(corpus[(7 * n + i) % TEXTS] for i in range(8))) for n in range(DOCUMENTS)]
long_texts = [
    " ".join(corpus[(31 * n + i) % TEXTS] for i in range(40 if TINY else 300)) for n in range(4 if TINY else 64)
]
folder = Path(tempfile.mkdtemp()) / "model"
folder.mkdir()
with part("a model"):
    made_model(folder, [pair[1] for pair in search.training] + corpus)
print(f"     made in {time.perf_counter() - began:.1f} s")

with exact_products():
    encoders = {precision: HuggingFaceEncoder(folder, precision=precision) for precision in ("fp32", "bf16")}
    on_cpu = HuggingFaceEncoder(folder, device=torch.device("cpu"))
    rows = encoders["fp32"].tokenize(corpus)
    tokens = sum(map(len, rows))
    long_rows = encoders["fp32"].tokenize(long_texts, 8192)
    embedded: dict[str, Vectors] = {}
    long_on_cpu = on_cpu.embed_rows(long_rows[:2])
    raw: dict[str, float] = {}
    words: dict[str, float] = {}
    with part("tokenize"):
        start = time.perf_counter()
        encoders["fp32"].tokenize(corpus)
        result("evaluate", what="tokenize on the host", tokens_s=tokens / (time.perf_counter() - start))
    for precision, encoder in encoders.items():
        attention = encoder._backend
        with part(f"embeddings {precision}"):
            embedded[precision] = timed(
                f"embeddings {precision}", partial(encoder.embed_rows, rows), texts=len(rows), tokens=tokens,
                attention=attention, batch_tokens=encoder._batch_tokens,
            )  # fmt: skip
        with part(f"long texts {precision}"):
            made = timed(
                f"long texts {precision}", partial(encoder.embed_rows, long_rows), texts=len(long_rows),
                tokens=sum(map(len, long_rows)), longest=max(map(len, long_rows)),
            )  # fmt: skip
            result(
                "evaluate", what=f"long texts {precision} against fp32 on the CPU", off=largest(made[:2], long_on_cpu)
            )
        with part(f"masked words {precision}"):
            evaluator = MaskedRecovery()
            context: Any = Context(encoder, {"made": documents})
            measured = timed(
                f"masked words {precision}", partial(evaluator.evaluate, context), texts=2 * DOCUMENTS
            )  # fmt: skip
            words[precision] = measured.metrics["made.words"].value
            result(
                "evaluate", what=f"masked words {precision}",
                **{name: metric.value for name, metric in measured.metrics.items()},
            )  # fmt: skip
        with part(f"retrieval {precision}"):
            raw[precision] = ndcg(encoder.encode(queries), embedded[precision], search)
            result("evaluate", what=f"retrieval {precision}, not fine-tuned", ndcg_at_10=raw[precision])
    with part("transformers' padded attention fp32"):
        padded = HuggingFaceEncoder(folder, packed=False)
        made = timed("embeddings fp32 padded", lambda: padded.embed_rows(rows), texts=len(rows), tokens=tokens)
        result("evaluate", what="padded against packed fp32", off=largest(made, embedded["fp32"]))
    with part("fp32 beside fp32 on the CPU"):
        start = time.perf_counter()
        reference = on_cpu.embed_rows(rows[:ON_CPU])
        seconds = time.perf_counter() - start
        result(
            "evaluate", what="fp32 against fp32 on the CPU", off=largest(embedded["fp32"][:ON_CPU], reference),
            cpu_texts_s=ON_CPU / seconds,
        )  # fmt: skip
        assert largest(embedded["fp32"][:ON_CPU], reference) < 1e-3
        some = {"made": documents[: ON_CPU // 3]}
        two = [
            MaskedRecovery(published=False).evaluate(cast("Any", Context(encoder, some))).metrics["made.words"].value
            for encoder in (encoders["fp32"], on_cpu)
        ]
        result("evaluate", what="masked words fp32 and on the CPU", gpu=two[0], cpu=two[1])
    with part("bf16 beside fp32"):
        same = np.diag(cosines(embedded["bf16"], embedded["fp32"]))
        result(
            "evaluate", what="bf16 against fp32", off=largest(embedded["bf16"], embedded["fp32"]),
            lowest_cosine=float(same.min()), words=words["bf16"] - words["fp32"], ndcg=raw["bf16"] - raw["fp32"],
        )  # fmt: skip
    pairs = search.training
    classes_of = [text.partition(",")[0].split()[-1] for text in corpus]
    names = sorted(set(classes_of))
    classes = np.array([names.index(name) for name in classes_of])
    split = len(rows) * 4 // 5
    steps = 3 if TINY else 60
    budget = FineTuning(steps=steps, batch=32, max_tokens=64)
    for precision, encoder in encoders.items():
        with part(f"fine-tunes {precision}"):
            sides = [encoder.tokenize([pair[side] for pair in pairs], 64) for side in (0, 1)]
            trained = sum(map(len, sides[0])) + sum(map(len, sides[1]))
            tuned = timed(
                f"fine-tune for ranking {precision}",
                partial(fine_tuned, tune_ranking, encoder, *sides, pairs, budget),
                texts=2 * steps * 32,
                tokens=trained * steps * 32 // len(pairs),
                steps=steps,
            )
            result(
                "evaluate", what=f"retrieval {precision}, fine-tuned",
                ndcg_at_10=ndcg(tuned.encode(queries), tuned.encode(corpus), search),
            )  # fmt: skip
            classifier = timed(
                f"fine-tune for classes {precision}",
                partial(fine_tuned, tune_classifier, encoder, rows[:split], classes[:split], len(names), budget),
                texts=steps * 32,
                tokens=tokens * steps * 32 // len(rows),
            )
            right = (classifier.logits(rows[split:]).argmax(1) == classes[split:]).mean()
            result("evaluate", what=f"classes {precision}", accuracy=float(right), classes=len(names))
