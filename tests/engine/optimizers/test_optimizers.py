"""Weight decay, which weights it spares, and learning rates across phases."""

import warnings

import pytest
import torch
from optimi import AdamW, StableAdamW

from rexplug.engine.optimizers.base import Target
from rexplug.engine.optimizers.cpu import FusedStableAdamW
from rexplug.engine.optimizers.deterministic import DeterministicStableAdamW
from rexplug.engine.optimizers.factory import build_optimizer, load_optimizer_state, set_learning_rate


class Two(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.matrix = torch.nn.Parameter(torch.ones(4, 4))
        self.norm = torch.nn.Parameter(torch.ones(4))


def options(phase, peak, use="stable_adamw", decay=0.1):
    from rexplug.recipe.schema import Phase

    return Phase.model_validate(
        phase("a", learning_rate={"peak": peak, "schedule": "constant"}, optimizer={"use": use, "weight_decay": decay})
    )


@pytest.mark.parametrize("use", ["stable_adamw", "adamw"])
@pytest.mark.parametrize("share", [1.0, 0.25])
def test_decay_is_the_share_of_the_peak_and_spares_one_dimension(phase, use, share):
    model = Two()
    optimizer = build_optimizer(model, options(phase, 0.01, use))
    set_learning_rate(optimizer, 0.01 * share)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    assert torch.allclose(model.matrix, torch.full((4, 4), 1 - 0.1 * share))
    assert torch.equal(model.norm, torch.ones(4))


def test_optimizer_moments_carry_over_to_another_peak_with_the_right_decay(phase):
    model = Two()
    first = build_optimizer(model, options(phase, 0.01))
    for parameter in model.parameters():
        parameter.grad = torch.ones_like(parameter)
    first.step()
    second = build_optimizer(model, options(phase, 0.001, decay=0.2))
    load_optimizer_state(second, first.state_dict(), "stable_adamw")
    for group in second.param_groups:
        assert (group["lr"], group["max_lr"]) == (0.001, 0.001)
    assert [group["weight_decay"] for group in second.param_groups] == [0.2, 0.0]
    old, new = first.state_dict()["state"], second.state_dict()["state"]
    assert old
    assert all(torch.equal(old[number][key], new[number][key]) for number in old for key in ("exp_avg", "exp_avg_sq"))


def test_a_huge_gradient_moves_stable_adamw_by_no_more_than_its_learning_rate(phase):
    model = Two()
    optimizer = build_optimizer(model, options(phase, 0.01, decay=0.0))
    for size in (1e-3, 1e-3, 1e3):
        before = model.matrix.detach().clone()
        for parameter in model.parameters():
            parameter.grad = torch.full_like(parameter, size)
        optimizer.step()
    assert float((model.matrix.detach() - before).abs().max()) <= 0.0101


@pytest.mark.parametrize("use", ["stable_adamw", "adamw"])
def test_steps_are_those_of_torch_optimi(phase, use):
    draw = torch.Generator().manual_seed(3)
    start = {"matrix": (300, 700), "norm": (50,)}  # the matrix takes several pieces
    ours, theirs = torch.nn.Module(), torch.nn.Module()
    for name, shape in start.items():
        value = torch.randn(shape, generator=draw)
        for module in (ours, theirs):
            module.register_parameter(name, torch.nn.Parameter(value.clone()))
    optimizer = build_optimizer(ours, options(phase, 0.01, use))
    own = optimizer.param_groups[0]
    kind = StableAdamW if use == "stable_adamw" else AdamW
    with pytest.warns(UserWarning, match="weight_decay"):
        reference = kind(
            [{"params": [theirs.matrix]}, {"params": [theirs.norm], "weight_decay": 0.0}],
            lr=0.01, betas=(own["beta1"], own["beta2"]), eps=own["eps"], weight_decay=0.1, decouple_lr=True, max_lr=0.01,
            triton=False, foreach=False,
        )  # fmt: skip
    for size, rate in ((1e-2, 0.005), (1e-2, 0.01), (3.0, 0.01), (1e-3, 0.002)):
        set_learning_rate(optimizer, rate)
        set_learning_rate(reference, rate)
        for name in start:
            gradient = size * torch.randn(start[name], generator=draw)
            getattr(ours, name).grad, getattr(theirs, name).grad = gradient.clone(), gradient.clone()
        optimizer.step()
        reference.step()
        for name in start:
            one, other = getattr(ours, name), getattr(theirs, name)
            assert torch.allclose(one, other, rtol=1e-5, atol=1e-6)
            for moment in ("exp_avg", "exp_avg_sq"):
                assert torch.allclose(
                    optimizer.state[one][moment], reference.state[other][moment], rtol=1e-5, atol=1e-9
                )
    assert optimizer.state_dict()["state"][0].keys() == reference.state_dict()["state"][0].keys()


@pytest.mark.parametrize("decay", [0.0, 0.1])
def test_the_deterministic_optimizer_takes_the_steps_of_torch_optimi_and_its_state(phase, decay):
    from rexplug.engine.optimizers.adamw import STABLE_ADAMW  # imports Composer

    chosen = options(phase, 0.01, decay=decay)
    draw = torch.Generator().manual_seed(3)
    values = [torch.randn(300, 70, generator=draw), torch.randn(50, generator=draw)]
    ours, theirs = ([torch.nn.Parameter(value.clone()) for value in values] for _ in range(2))
    gpu = Target(torch.device("cuda"), sharded=False, deterministic=True)
    groups = [{"params": [parameter], "weight_decay": decay} for parameter in ours]
    optimizer = STABLE_ADAMW.build(groups, chosen, gpu)
    assert isinstance(optimizer, DeterministicStableAdamW)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = StableAdamW(
            theirs, lr=0.01, betas=chosen.optimizer.betas, eps=chosen.optimizer.eps, weight_decay=decay, decouple_lr=True,
            max_lr=0.01, triton=False, foreach=False,
        )  # fmt: skip
    for step, size in enumerate((1.0, 1.0, 50.0, 1.0, 1e-3)):  # the third is limited
        gradients = [torch.randn(value.shape, generator=draw) * size for value in values]
        for one, other, gradient in zip(ours, theirs, gradients, strict=True):
            one.grad, other.grad = gradient.clone(), gradient.clone()
        for each in (optimizer, reference):
            set_learning_rate(each, 0.01 / (step + 1))
            each.step()
        for one, other, gradient in zip(ours, theirs, gradients, strict=True):
            assert torch.allclose(one, other, rtol=1e-5, atol=1e-7)
            assert torch.equal(one.grad, gradient), "gradients are not used as workspace"
            assert torch.allclose(optimizer.state[one]["exp_avg"], reference.state[other]["exp_avg"], atol=1e-7)
            assert torch.allclose(optimizer.state[one]["exp_avg_sq"], reference.state[other]["exp_avg_sq"])


def test_only_stable_adamw_has_another_implementation_where_bits_must_repeat(phase):
    from rexplug.engine.optimizers.adamw import ADAMW, STABLE_ADAMW

    for use, implementation, expected in (
        ("stable_adamw", STABLE_ADAMW, DeterministicStableAdamW),
        ("adamw", ADAMW, AdamW),
    ):
        gpu = Target(torch.device("cuda"), sharded=False, deterministic=True)
        optimizer = implementation.build(
            [{"params": [torch.nn.Parameter(torch.ones(2))], "weight_decay": 0.0}], options(phase, 0.01, use), gpu
        )
        assert type(optimizer) is expected
        saved = {"exp_avg": torch.ones(2), "mean_square": torch.ones(1), "kahan_comp": torch.zeros(1)}
        assert "mean_square" not in implementation.adapt_state(saved, gpu)


def test_the_cpu_optimizer_is_used_with_deterministic_algorithms_too(phase):
    torch.use_deterministic_algorithms(True)
    try:
        assert type(build_optimizer(Two(), options(phase, 0.01))) is FusedStableAdamW
    finally:
        torch.use_deterministic_algorithms(False)
