"""Files of a run are written atomically, and damaged ones are named."""

import pytest

from rexplug.errors import DataError
from rexplug.io.atomic import replacing, write_json
from rexplug.run_directory import metric_lines, read_json


def test_a_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"old": 1})
    with pytest.raises(ZeroDivisionError), replacing(path) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert read_json(path) == {"old": 1}
    assert [each.name for each in tmp_path.iterdir()] == ["a.json"]


def test_a_folder_is_replaced_whole(tmp_path):
    folder = tmp_path / "model"
    for content in ("one", "two"):
        with replacing(folder) as temporary:
            temporary.mkdir()
            (temporary / content).touch()
    assert [each.name for each in folder.iterdir()] == ["two"]
    assert [each.name for each in tmp_path.iterdir()] == ["model"]


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
        "; put a copy of it back, or start over in this folder with rexplug run RECIPE --fresh"
    )
    path.write_text("[" * 100_000)
    with pytest.raises(DataError, match="is not JSON: maximum recursion depth exceeded"):
        read_json(path)


def test_metric_lines_of_a_phase_leave_out_what_is_damaged(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert metric_lines(path, lambda phase: True) == []
    lines = ['{"phase": "a", "step": 1}', '{"phase": "b", "step": 1}', "[1]", '{"step": 2}', '{"phase": "a", "st']
    path.write_text("\n".join(lines))
    assert metric_lines(path, lambda phase: phase == "a") == [lines[0] + "\n"]
    assert metric_lines(path, lambda phase: True) == [lines[0] + "\n", lines[1] + "\n"]
