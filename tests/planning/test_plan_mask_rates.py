"""Plans say which shares of salient and of other tokens of each tokenized source are masked."""

import re

import pytest
from command_line import rexplug

from rexplug.batches.policies import RandomMasking
from rexplug.planning import make_plan
from rexplug.run_directory import RunDirectory


def test_a_tokenized_source_has_mask_rates_at_the_start_and_the_end(tokenized_run):
    _, recipe, run = tokenized_run
    sources = make_plan(recipe, run).phases[0].sources
    for use in sources.values():
        first, last = use.mask_rates
        assert first.share_salient == last.share_salient > 0.1
        for rates, rate in ((first, 0.3), (last, 0.1)):
            masked = rates.masked_salient + rates.masked_plain
            assert masked / (rates.num_salient + rates.num_plain) == pytest.approx(rate, abs=0.001)
        assert 0.4 < first.salient <= 0.5, "the cap"
        assert last.salient / last.plain == pytest.approx(4, rel=0.15)


def test_unknown_sources_and_random_masks_have_none(tokenized_run, tmp_path):
    _, recipe, run = tokenized_run
    untouched = make_plan(recipe, RunDirectory(tmp_path / "run")).phases[0].sources
    assert [use.mask_rates for use in untouched.values()] == [(), ()]
    phase = recipe.phases[0].model_copy(update={"masking": RandomMasking()})
    random = make_plan(recipe.model_copy(update={"phases": (phase,)}), run).phases[0].sources
    assert [use.mask_rates for use in random.values()] == [(), ()]


def test_the_plan_prints_them(tokenized_run, tmp_path):
    path, _, run = tokenized_run
    done = rexplug("plan", path, "--run-dir", run.root, cwd=tmp_path, COLUMNS="200")
    assert done.returncode == 0, done.stderr
    span = r"[\d.]+% to [\d.]+%"
    line = rf" +(web|shop): {span} of the salient tokens masked \([\d.]+% of all tokens are salient\), {span} of the others"
    assert [found[1] for each in done.stdout.splitlines() if (found := re.fullmatch(line, each))] == ["web", "shop"]
