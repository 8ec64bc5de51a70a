"""An unexpected error is explained by the damaged files of a run that has begun."""

import shutil

import pytest

from rexplug.errors import DataError
from rexplug.pipeline.damage import explain_damage


def test_an_error_in_a_run_with_a_damaged_file_names_the_file(tokenized_run, tmp_path):
    run = shutil.copytree(tokenized_run[2].root, tmp_path / "run")
    (run / "corpus" / "statistics.json").write_text("[]")
    with pytest.raises(DataError, match="statistics.json is damaged: ") as caught, explain_damage(run):
        raise KeyError("sources")
    assert isinstance(caught.value.__cause__, KeyError)


def test_an_error_in_an_undamaged_run_stays(tokenized_run):
    with pytest.raises(KeyError), explain_damage(tokenized_run[2].root):
        raise KeyError("sources")


def test_an_error_before_a_run_has_begun_stays(tmp_path):
    with pytest.raises(KeyError), explain_damage(tmp_path / "run"):
        raise KeyError("sources")
