"""Weight decay, which weights it spares, and learning rates across phases."""

import pytest
import torch

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
    from optimi import AdamW, StableAdamW

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
