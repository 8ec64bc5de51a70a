"""Number formats that suit a device."""

import pytest
import torch

from rexplug.errors import DataError


@pytest.mark.parametrize(
    ("precision", "residual", "expected"),
    [("bf16", "bf16", torch.bfloat16), ("bf16", "fp32", None), ("fp32", "bf16", None), ("tf32", "bf16", None)],
)
def test_the_residual_stream_is_bf16_where_the_recipe_asks_and_products_are(bench, precision, residual, expected):
    from rexplug.engine.hardware import Hardware

    hardware = Hardware(torch.device("cuda"), precision, "sdpa", "", compiled=False, compile_reason="")
    assert hardware.residual_dtype(bench(precision=precision, residual=residual).recipe) == expected


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("precision", ["bf16", "tf32"])
def test_a_number_format_that_a_cpu_does_not_train_in_is_refused(bench, precision):
    with pytest.raises(DataError) as error:
        bench(precision=precision).train("first")
    assert str(error.value) == f"model.precision: {precision} needs a GPU; 'auto' takes what this machine has"
