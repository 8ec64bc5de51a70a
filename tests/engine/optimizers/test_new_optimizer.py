"""A new optimizer takes one file (here `lion.py`) and one entry in the table of optimizers."""

import copy
import sys
from pathlib import Path

import pytest
import torch
from engine.helpers import AtStep, Crash, crash
from pydantic import ValidationError
from torch.distributed.tensor import DTensor

from rexplug.optimizers import OPTIMIZERS, OptimizerSpec
from rexplug.planning import training_memory
from rexplug.planning.disk import disk_of
from rexplug.planning.phases import make_plan
from rexplug.recipe.schema import Optimizer, Phase

HERE = Path(__file__).parent


@pytest.fixture
def lion(monkeypatch):
    monkeypatch.syspath_prepend(HERE)
    monkeypatch.setitem(OPTIMIZERS, "lion", OptimizerSpec("Lion", "lion:LION", moments=("exp_avg",)))
    yield
    sys.modules.pop("lion", None)


def optimizer_of(made, name="first"):
    return torch.load(made.run.checkpoints / name / "final" / "optimizer.pt", weights_only=True)


@pytest.mark.slow
def test_it_trains_resumes_and_passes_its_state_on(lion, bench, phase):
    options = {
        "optimizer": {"use": "lion", "weight_decay": 0.01}, "learning_rate": {"peak": 1e-3, "schedule": "constant"},
        "checkpoints": {"every_tokens": 600},
    }  # fmt: skip
    phases = [phase("first", **options), phase("second", **options | {"tokens": 600})]
    calm, crashed = bench("calm", phases), bench("crashed", phases)
    result = calm.train("first")
    assert result["loss"] < 4.2
    with pytest.raises(Crash):
        crashed.train("first", AtStep(5, crash))
    crashed.train("first")
    states = [optimizer_of(made)["state"] for made in (calm, crashed)]
    assert states[0].keys() == states[1].keys()
    for number, state in states[0].items():
        assert state.keys() == {"exp_avg"}
        assert torch.equal(state["exp_avg"], states[1][number]["exp_avg"]), "a resumed run ends in the same bits"
    assert calm.train("second")["warnings"] == [], "the next phase takes the state over"


@pytest.mark.slow
def test_another_optimizer_before_it_is_warned_of(lion, bench, phase):
    made = bench(phases=[phase("first", tokens=300), phase("second", tokens=300, optimizer={"use": "lion"})])
    for phase in made.phases:
        phase["learning_rate"] = {"peak": 1e-3, "schedule": "constant"}
    made.train("first")
    assert made.train("second")["warnings"] == [
        "phase 'second' uses lion, 'first' used stable_adamw: the optimizer starts with empty state"
    ]


def test_the_recipe_accepts_it(lion, monkeypatch):
    assert Optimizer(use="lion").model_dump()["use"] == "lion"
    assert Optimizer.model_json_schema()["properties"]["use"]["enum"] == ["stable_adamw", "adamw", "lion"]
    with pytest.raises(ValidationError, match=r"Input should be 'stable_adamw', 'adamw' or 'lion'"):
        Optimizer(use="sgd")
    monkeypatch.delitem(OPTIMIZERS, "lion")
    with pytest.raises(ValidationError, match=r"Input should be 'stable_adamw' or 'adamw' "):
        Optimizer(use="lion")


def test_plans_count_its_memory_and_its_checkpoints(lion, tokenized_run):
    _, recipe, run = tokenized_run

    def planned(use):
        phases = tuple(
            phase.model_copy(update={"optimizer": Optimizer(use=use, weight_decay=0.0)}) for phase in recipe.phases
        )
        changed = recipe.model_copy(update={"phases": phases})
        plan = make_plan(changed, run)
        memory = training_memory(plan.shape, plan.rows, plan.phases[0], gpu=False)
        disk = disk_of(changed, plan, read_bytes=0, tokens=0, documents=0, seconds=0)
        return plan.parameters, memory.moments, disk.checkpoints

    parameters, moments, checkpoints = planned("adamw")
    assert moments == 8 * parameters
    assert planned("lion") == (parameters, 4 * parameters, checkpoints - 4 * parameters * len(recipe.phases))


def test_its_state_is_sharded_as_its_parameters_are(lion, phase):
    """On a rank of eight without other ranks: shapes only."""
    import torch.distributed as dist
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Shard, distribute_tensor
    from torch.testing._internal.distributed.fake_pg import FakeStore

    from rexplug.engine.optimizers.factory import build_optimizer, load_optimizer_state

    options = Phase.model_validate(phase("a", optimizer={"use": "lion"}))

    def stepped(model):
        optimizer = build_optimizer(model, options)
        model.weight.grad = torch.ones_like(model.weight)
        optimizer.step()
        return optimizer

    whole = torch.nn.Linear(4, 16, bias=False)
    whole_optimizer = stepped(whole)
    saved = copy.deepcopy(whole_optimizer.state_dict())
    dist.init_process_group("fake", store=FakeStore(), rank=0, world_size=8)
    try:
        mesh = init_device_mesh("cpu", (8,))
        sharded = torch.nn.Linear(4, 16, bias=False)
        sharded.weight = torch.nn.Parameter(
            distribute_tensor(whole.weight.detach(), mesh, [Shard(0)], src_data_rank=None)
        )
        optimizer = build_optimizer(sharded, options)
        load_optimizer_state(optimizer, saved, "lion")
        moment = optimizer.state[sharded.weight]["exp_avg"]
        assert isinstance(moment, DTensor)
        assert moment.to_local().shape == (2, 4)
        assert torch.equal(moment.to_local(), saved["state"][0]["exp_avg"][:2])
        for model in (whole, sharded):
            model.weight.grad = torch.ones_like(model.weight)
        optimizer.step()
        whole_optimizer.step()
        assert torch.equal(sharded.weight.to_local(), whole.weight[:2]), (
            "the rank steps its shard as the whole is stepped"
        )
    finally:
        dist.destroy_process_group()
