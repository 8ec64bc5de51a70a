"""Operations of a step, our formula against torch's count; peaks of devices."""

import pytest
import torch
from model.helpers import Special
from torch.utils.flop_counter import FlopCounterMode

from rexplug.model import build_model
from rexplug.model.flops import attention_pairs, peak_of, training_flops
from rexplug.recipe.schema import Model


@pytest.mark.parametrize(("lengths", "half"), [([5, 200, 65, 66], 64), ([1, 2], 64), ([300], 10)])
def test_pairs_are_those_of_the_mask(lengths, half):
    counted = 0
    for n in lengths:
        places = torch.arange(n)
        counted += int(((places[:, None] - places).abs() <= half).sum())
    assert attention_pairs(lengths, half) == counted
    assert attention_pairs(lengths, None) == sum(n * n for n in lengths)


def test_formula_equals_what_torch_counts_for_one_document():
    model = build_model(Model(size="nano"), Special(320), context=64, seed=0)
    model.set_attn_implementation("eager")
    tokens = torch.randint(3, 300, (1, 50))
    with FlopCounterMode(display=False) as counter:
        model(input_ids=tokens)
    ours = training_flops(
        model.config,
        num_tokens=50,
        global_pairs=attention_pairs([50], None),
        local_pairs=attention_pairs([50], 64),
        num_masked=50,
    )
    assert ours == 3 * counter.get_total_flops()


def test_peaks_by_name():
    assert peak_of("NVIDIA H200") == 989e12
    assert peak_of("NVIDIA H100 PCIe") == 756e12
    assert peak_of("NVIDIA H100 80GB HBM3") == 989e12
    assert peak_of("NVIDIA L4") == 121e12
    assert peak_of("Something else") is None
