"""Files of a run are written atomically, and damaged ones are named."""

import shutil

import pytest

from rexplug.errors import DataError
from rexplug.io.atomic import replacing, write_json
from rexplug.run_directory import metric_lines, read_fitted, read_json, truncate_metrics


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert read_json(path) == {"old": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_is_replaced_whole(tmp_path):
    folder = tmp_path / "model"
    for content in ("one", "two"):
        with replacing(folder) as temporary:
            temporary.mkdir()
            (temporary / content).touch()
    assert [path.name for path in folder.iterdir()] == ["two"]
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_unreadable_json_is_named(tmp_path):
    path = tmp_path / "run.json"
    with pytest.raises(DataError) as caught:
        read_json(path)
    assert str(caught.value) == f"{path} is missing"
    path.write_text("{")
    with pytest.raises(DataError) as caught:
        read_json(path)
    assert str(caught.value).startswith(f"{path} is not JSON: Expecting ")
    assert str(caught.value).endswith(
        "; restore it from a copy, or start over in this folder with rexplug run RECIPE --fresh"
    )
    path.write_text("[" * 100_000)
    with pytest.raises(DataError, match="is not JSON: maximum recursion depth exceeded"):
        read_json(path)


def test_metric_lines_of_a_phase_leave_out_what_is_damaged(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert metric_lines(path, lambda phase, step: True) == []
    lines = ['{"phase": "a", "step": 1}', '{"phase": "b", "step": 1}', "[1]", '{"step": 2}', '{"phase": "a", "st']
    path.write_text("\n".join(lines))
    assert metric_lines(path, lambda phase, step: phase == "a") == [lines[0] + "\n"]
    assert metric_lines(path, lambda phase, step: True) == [lines[0] + "\n", lines[1] + "\n"]


def test_metrics_are_truncated_to_a_step_of_one_phase(tmp_path):
    path = tmp_path / "metrics.jsonl"
    truncate_metrics(path, "a", 1)
    assert not path.exists()
    lines = [f'{{"phase": "{phase}", "step": {step}}}\n' for phase in "ab" for step in (1, 2)]
    path.write_text("".join([*lines, '{"phase": "b", "st']))
    truncate_metrics(path, "a", 1)
    assert path.read_text() == "".join([lines[0], *lines[2:]])
    truncate_metrics(path, "b", 0)
    assert path.read_text() == lines[0]


def fitted(run, table):
    """A run's folder with a fitted component whose options name `table`."""
    (run / "fitted/words-1").mkdir(parents=True)
    (run / "fitted/words-1/table.json").write_text("{}")
    options = {
        "use": "words",
        "table": table,
        "lists": [table, "fitted/words-1/none.txt"],
        "text": "words-1",
        "rate": 3,
    }
    write_json(run / "fitted/words-1.json", options)
    return options


@pytest.mark.parametrize("original", ["moved", "copied"])
def test_fitted_options_follow_a_run(tmp_path, original):
    table = str(tmp_path / "first/fitted/words-1/table.json")
    options = fitted(tmp_path / "first", table)
    (shutil.move if original == "moved" else shutil.copytree)(tmp_path / "first", tmp_path / "second")
    own = str(tmp_path / "second/fitted/words-1/table.json")
    assert read_fitted(tmp_path / "second/fitted/words-1.json") == {
        **options, "table": own, "lists": [own, "fitted/words-1/none.txt"],
    }  # fmt: skip


def test_fitted_options_with_a_relative_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = fitted(tmp_path / "run", "run/fitted/words-1/table.json")
    assert read_fitted(tmp_path / "run/fitted/words-1.json") == options
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert read_fitted(tmp_path / "run/fitted/words-1.json")["table"] == str(tmp_path / "run/fitted/words-1/table.json")
