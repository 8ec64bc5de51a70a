"""Exports a checkpoint as a model folder for transformers and sentence-transformers, and proves that its logits are the same."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from rexplug.errors import DataError
from rexplug.io.atomic import replacing, write_json
from rexplug.io.tokenizer_files import load_fast, write_portable
from rexplug.model.attention import Packing, choose_backend
from rexplug.model.build import load_model, save_model
from rexplug.model.config_file import transformers_4_fields
from rexplug.model.onnx_outputs import EncoderOutputs
from rexplug.model.packed import forward_packed, use_packed_attention, use_transformers_attention

TOLERANCE = 1e-5
ONNX_TOLERANCE = 1e-4
_TEXT_TOKENS = 512
_TEXT_LOGITS, _BATCH_LOGITS = 2**26, 2**28
"""Logits of a text that are compared (512 MiB in fp64), and of ONNX Runtime's batch (1 GiB); with a large vocabulary texts are cut
shorter."""


def export(
    checkpoint: Path, tokenizer: Path, target: Path, *, sample_texts: Sequence[str], longest: int | None = None
) -> dict[str, Any]:
    """Write the model folder with `parity.json`, whose content is returned.

    The proof has two halves. Loaded with `AutoModelForMaskedLM.from_pretrained` and run packed as in training, the folder
    gives the logits of the checkpoint. Run with transformers' own attention, one text at a time, it gives the same logits
    within 1e-5 of the largest one in fp32, and within 1e-5 in fp64, where rounding cannot hide a mistake. (Two attention
    functions of transformers differ by some 1e-5 in fp32 from each other once logits reach 10.)

    The tokenizer's definition is copied byte by byte.

    Args:
        checkpoint: a checkpoint of a run.
        tokenizer: the folder of its tokenizer.
        target: the folder to write, which is replaced as a whole.
        sample_texts: texts whose logits are compared; blank ones are left out.
        longest: tokens at which tokenizer and sentence-transformers cut texts: the longest context that the checkpoint was
            trained on; the config's largest position if left out.

    Raises:
        DataError: a file cannot be read, or the logits differ by more than that.
    """
    from transformers import AutoModelForMaskedLM

    texts = [text for text in sample_texts if text.strip()] or ["rexplug"]
    with replacing(target) as temporary:
        model = load_model(checkpoint)
        longest = min(longest or model.config.max_position_embeddings, model.config.max_position_embeddings)
        fast = load_fast(tokenizer)
        most = max(8, min(_TEXT_TOKENS, _TEXT_LOGITS // model.config.vocab_size))
        rows = [fast(text, truncation=True, max_length=most)["input_ids"] for text in texts]
        trained = _packed_features(model, rows)
        use_transformers_attention(model, "sdpa")
        save_model(model, temporary)
        write_portable(tokenizer, temporary, max_length=longest)
        _write_sentence_transformer(temporary, model.config, longest)
        reloaded = AutoModelForMaskedLM.from_pretrained(
            temporary, attn_implementation="sdpa", dtype=torch.float32, local_files_only=True
        ).eval()
        packed = _packed_features(reloaded, rows)
        use_transformers_attention(reloaded, "sdpa")
        largest, same, unpacked, exact = 0.0, 0.0, 0.0, 0.0
        # Text by text: with a large vocabulary the logits of all texts would be several times as large as the model.
        for row, before, after in zip(rows, trained, packed, strict=True):
            logits = _decoded(model, before)
            largest = max(largest, float(logits.abs().max()))
            same = max(same, _difference(logits, _decoded(reloaded, after)))
            unpacked = max(unpacked, _difference(logits, _logits(reloaded, row)))
        packed = _packed_features(reloaded.double(), rows)
        use_transformers_attention(reloaded, "sdpa")
        for row, after in zip(rows, packed, strict=True):
            exact = max(exact, _difference(_decoded(reloaded, after), _logits(reloaded, row)))
        differences = {
            "packed, fp32": same,
            "transformers, fp32, of the largest logit": unpacked / max(1.0, largest),
            "transformers, fp64": exact,
        }
        parity: dict[str, Any] = {
            "transformers_from": oldest_transformers(model),
            "max_difference": max(differences.values()),
            "tolerance": TOLERANCE,
            "differences": differences,
            "largest_logit": largest,
            "texts": len(rows),
            "tokens": sum(map(len, rows)),
            "compared": "logits of the checkpoint's packed training forward pass with those of the reloaded folder",
        }
        for comparison, difference in differences.items():
            if not difference <= TOLERANCE:
                raise DataError(
                    f"the exported model's logits differ by {difference:.1e} ({comparison}); at most {TOLERANCE} is allowed"
                )
        write_json(temporary / "parity.json", parity)
    return parity


def oldest_transformers(model: Any) -> str:
    """The oldest release of transformers that computes the exported model's logits; a test proves it with that release."""
    return "4.48" if transformers_4_fields(model.config) is not None else "5.1"


def _logits(model: Any, row: Sequence[int]) -> torch.Tensor:
    """Logits `[n, vocabulary]` of a row by transformers' own layers."""
    with torch.no_grad():
        logits: torch.Tensor = model(input_ids=torch.tensor([row])).logits[0]
    return logits


def _decoded(model: Any, features: torch.Tensor) -> torch.Tensor:
    """Logits `[n, vocabulary]` of the decoder's input `[n, hidden]`."""
    with torch.no_grad():
        logits: torch.Tensor = model.decoder(features)
    return logits


def _difference(first: torch.Tensor, second: torch.Tensor) -> float:
    """The largest difference between the logits of a row."""
    return float((first - second).abs_().max())


def _packed_features(model: Any, rows: Sequence[Sequence[int]]) -> list[torch.Tensor]:
    """The decoder's input `[n, hidden]` for every row, computed from one packed row as in training."""
    model.eval()
    use_packed_attention(model)
    lengths = torch.tensor([len(row) for row in rows])
    cu_seqlens = torch.nn.functional.pad(lengths.cumsum(0), (1, 0))
    backend, _ = choose_backend("auto", torch.device("cpu"))
    packing = Packing(cu_seqlens, int(lengths.sum()), backend)
    tokens = torch.tensor([token for row in rows for token in row])
    with torch.no_grad():
        features: torch.Tensor = model.head(forward_packed(model, tokens, packing))
    return list(features.split(lengths.tolist()))


def _write_sentence_transformer(folder: Path, config: Any, longest: int) -> None:
    """The files that make the folder a SentenceTransformer with mean pooling."""
    write_json(
        folder / "modules.json",
        [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
        ],
    )
    write_json(
        folder / "1_Pooling" / "config.json",
        {"word_embedding_dimension": config.hidden_size, "pooling_mode_mean_tokens": True, "include_prompt": True},
    )
    write_json(folder / "sentence_bert_config.json", {"max_seq_length": longest, "do_lower_case": False})
    write_json(folder / "config_sentence_transformers.json", {"similarity_fn_name": "cosine", "prompts": {}})


def export_onnx(folder: Path, *, sample_texts: Sequence[str]) -> dict[str, Any]:
    """Write `model.onnx` beside an exported model, and `onnx_parity.json`, whose content is returned.

    Inputs are `input_ids` and `attention_mask`, `[batch, length]` int64 of any size; outputs are `logits` and `last_hidden_state`.
    What ONNX Runtime computes on a CPU is compared with transformers, on a padded batch of the texts.

    Raises:
        DataError: the extra is not installed, or an output differs by more than 1e-4 of its largest value.
    """
    try:
        import onnxruntime
    except ImportError:
        raise DataError("ONNX export needs the extra: pip install 'rexplug[onnx]'") from None
    from transformers import AutoModelForMaskedLM

    model = AutoModelForMaskedLM.from_pretrained(
        folder, attn_implementation="eager", dtype=torch.float32, local_files_only=True
    ).eval()
    fast = load_fast(folder)
    texts = [text for text in sample_texts if text.strip()] or ["rexplug"]
    most = max(8, min(_TEXT_TOKENS, _BATCH_LOGITS // (len(texts) * model.config.vocab_size)))
    encoded = fast(texts, padding=True, truncation=True, max_length=most, return_tensors="pt")
    inputs = (encoded["input_ids"], encoded["attention_mask"])
    outputs = ("logits", "last_hidden_state")
    axes = {name: {0: "batch", 1: "length"} for name in ("input_ids", "attention_mask", *outputs)}
    traced = EncoderOutputs(model, *outputs)
    with replacing(folder / "model.onnx") as temporary:
        with torch.no_grad(), warnings.catch_warnings():
            # Tracing warns wherever a shape may be fixed; the comparison below shows whether one is.
            warnings.simplefilter("ignore")
            torch.onnx.export(
                traced, inputs, str(temporary), input_names=["input_ids", "attention_mask"],
                output_names=list(outputs), dynamic_axes=axes, opset_version=17, dynamo=False,
            )  # fmt: skip
        session = onnxruntime.InferenceSession(str(temporary), providers=["CPUExecutionProvider"])
        differences, largest = [0.0, 0.0], [1.0, 1.0]
        # Traced at one shape, compared at three: the batch, one text alone, and shorter texts.
        shorter = max(2, inputs[0].shape[1] // 2)
        for ids, mask in (inputs, [tensor[:1] for tensor in inputs], [tensor[:, :shorter] for tensor in inputs]):
            with torch.no_grad():
                expected = traced(ids, mask)
            found = session.run(list(outputs), {"input_ids": ids.numpy(), "attention_mask": mask.numpy()})
            attended = mask.bool()
            for number, (by_runtime, by_torch) in enumerate(zip(found, expected, strict=True)):
                difference = float((torch.from_numpy(by_runtime) - by_torch)[attended].abs().max())
                differences[number] = max(differences[number], difference)
                largest[number] = max(largest[number], float(by_torch[attended].abs().max()))
        shares = [difference / value for difference, value in zip(differences, largest, strict=True)]
        parity = {"max_difference": max(shares), "tolerance": ONNX_TOLERANCE, "largest_logit": largest[0]}
        for name, share in zip(("logits", "token vectors"), shares, strict=True):
            if not share <= ONNX_TOLERANCE:
                raise DataError(
                    f"ONNX Runtime's {name} differ by {share:.1e} of the largest; at most {ONNX_TOLERANCE} is allowed"
                )
    write_json(folder / "onnx_parity.json", parity)
    return parity
