"""The parts of a recipe about evaluation: how models are run, and which other models are measured."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, GetJsonSchemaHandler, SerializerFunctionWrapHandler, model_serializer, model_validator
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from rexplug.components import Budget
from rexplug.recipe.section import Section

EvaluationPrecision = Literal["fp32", "bf16"]
"""Number formats that encoders are evaluated in."""
ModelPrecision = Literal["fp32", "bf16", "int8"]
"""Number formats of a single model: int8 is for inference alone."""
Similarity = Literal["cosine", "dot", "euclidean", "manhattan"]
"""How embeddings are compared, by sentence-transformers' names; of distances the negative value."""


class Evaluation(Section):
    """How evaluators run the models, those of the run and baselines alike."""

    precision: EvaluationPrecision = "fp32"
    """Number format of the encoder's matrix products in evaluators and in their fine-tunes. With `bf16` a GPU uses its tensor cores
    and the attention kernels of training; of CPUs only those with AVX512-BF16 or AMX gain. `rexplug evaluate --precision fp32
    --precision bf16` shows what it changes in each metric. Weights, losses and embeddings are fp32 in both."""
    budget: Budget = "standard"
    """How much evaluators may take: `standard` is what their options say; `quick` has fewer steps, seeds, items and resamples,
    `full` more. Results of two budgets are not comparable."""


class ModelOptions(Section):
    """Settings of a model that take precedence over those of its own files."""

    prompt: str | None = None
    """Put before a text that is neither a query nor a document; the model's default prompt if left out."""
    query_prompt: str | None = None
    """Put before a query of a retrieval or reranking task; the model's prompt named `query` if left out."""
    document_prompt: str | None = None
    """Put before a document of such a task; the model's prompt named `document`, `passage` or `corpus` if left out."""
    max_tokens: int | None = Field(default=None, ge=8)
    """Longest input in tokens, as far as the model's positions reach; that of its files if left out."""
    similarity: Similarity | None = None
    """How its embeddings are compared before a fine-tune; as its files say, or `cosine`, if left out."""
    dimensions: int | None = Field(default=None, ge=1)
    """Embeddings are cut after so many dimensions, as those of Matryoshka models may be (`truncate_dim` of
    sentence-transformers); all of them, or the model's own `truncate_dim`, if left out."""
    file: str | None = None
    """An ONNX graph in the model's folder that ONNX Runtime runs in place of the weights, e.g. `onnx/model_qint8_avx512.onnx`."""
    trust_remote_code: bool | None = None
    """Run the Python code in the model's folder or hub repository, with your rights; such a model is refused if left out."""
    precision: ModelPrecision | None = None
    """Number format of its matrix products; `evaluation.precision` if left out. `int8`: the model is exported to ONNX, its weights
    are quantised and ONNX Runtime runs it on the CPU (dynamic quantisation); it cannot be fine-tuned."""
    batch_tokens: int | None = Field(default=None, ge=64)
    """Tokens of a batch of texts, padding included; by the device's memory if left out."""

    @property
    def given(self) -> dict[str, Any]:
        """The options that are not left out."""
        return {name: value for name in ModelOptions.model_fields if (value := getattr(self, name)) is not None}


class Baseline(ModelOptions):
    """Another model that the evaluators run on: its name alone, or a mapping with the name and options."""

    model: str
    """A folder, a hub name, `bm25`, `tfidf`, `random:FOLDER`, `onnx:FOLDER` or `embeddings:FOLDER`; `label=` may precede."""

    @model_validator(mode="before")
    @classmethod
    def _of_name(cls, value: Any) -> Any:
        return {"model": value} if isinstance(value, str) else value

    @model_serializer(mode="wrap")
    def _as_written(self, write: SerializerFunctionWrapHandler) -> Any:
        """Write the name alone where there are no options, as in older recipes."""
        return {"model": self.model, **self.given} if self.given else self.model

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """Accept the name alone or a mapping with options."""
        mapping = super().__get_pydantic_json_schema__(schema, handler)
        return {"anyOf": [{"type": "string"}, mapping]}
