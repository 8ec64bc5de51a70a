"""Products in fp32 stay fp32 on a GPU, unless the recipe asks for TF32, and only while a phase trains."""

import pytest
import torch

from rexplug.engine.hardware import composer_device, matmul_precision

FLAGS = (torch.backends.cuda.matmul, torch.backends.cudnn)


def flags():
    return [flag.allow_tf32 for flag in FLAGS]


@pytest.fixture(autouse=True)
def _as_they_were():
    before = flags()
    yield
    for flag, value in zip(FLAGS, before, strict=True):
        flag.allow_tf32 = value


@pytest.mark.parametrize("before", [[False, False], [True, True], [False, True]])
@pytest.mark.parametrize(("precision", "within"), [("fp32", False), ("bf16", False), ("tf32", True)])
def test_tf32_is_on_where_the_recipe_asks_and_as_before_afterwards(before, precision, within):
    for flag, value in zip(FLAGS, before, strict=True):
        flag.allow_tf32 = value
    with matmul_precision(precision):
        assert flags() == [within, within]
    assert flags() == before
    with pytest.raises(KeyError), matmul_precision(precision):
        raise KeyError
    assert flags() == before, "a phase that ends by an error too"


def test_a_cpu_is_composers_cpu():
    assert composer_device(torch.device("cpu"), tf32=False).name == "cpu"


@pytest.mark.parametrize("tf32", [False, True])
def test_composers_gpu_device_sets_what_the_recipe_asks_for(monkeypatch, tf32):
    # There need not be a GPU: Composer's device asks torch for one and then only sets flags.
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 1)
    with matmul_precision("tf32" if tf32 else "fp32"):
        assert composer_device(torch.device("cuda", 1), tf32=tf32).name == "gpu"
        assert flags() == [tf32, tf32]


@pytest.mark.parametrize(
    ("precision", "residual", "expected"),
    [("bf16", "bf16", torch.bfloat16), ("bf16", "fp32", None), ("fp32", "bf16", None), ("tf32", "bf16", None)],
)
def test_the_residual_stream_is_bf16_where_the_recipe_asks_and_products_are(bench, precision, residual, expected):
    from rexplug.engine.hardware import Hardware

    hardware = Hardware(torch.device("cuda"), precision, "sdpa", "", compiled=False, compile_reason="")
    assert hardware.residual_dtype(bench(precision=precision, residual=residual).recipe) == expected
