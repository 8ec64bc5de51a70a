"""Standard output holds the results of commands, whatever plugins print."""

import io
import json
import os
import pty
import subprocess
import sys

import loud_plugin
import pytest
import yaml
from click.testing import CliRunner
from small_recipe import small_recipe

from rexplug.cli import cli
from rexplug.cli.results import only_results, results

AT_IMPORT = ["print at import", "descriptor at import", "process at import"]
IN_A_CALL = ["print in a call", "descriptor in a call", "process in a call"]


@pytest.fixture
def loud(tmp_path):
    """Runs a command where the plugin `loud` is installed; every way of printing must have reached standard error."""
    loud_plugin.install(tmp_path / "site")

    def call(*arguments, printed=AT_IMPORT):
        done = loud_plugin.rexplug(tmp_path / "site", *arguments)
        assert done.returncode == 0, done.stderr
        assert set(printed) <= set(done.stderr.splitlines())
        return done.stdout

    return call


def test_the_json_schema(loud):
    assert json.loads(loud("schema"))["properties"]["phases"]


def test_a_resolved_recipe(loud, tmp_path):
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(small_recipe("{web: {use: ecommerce.sample_pages, filters: [{use: loud.words, least: 2}]}}"))
    shown = yaml.safe_load(loud("show", recipe, printed=[*AT_IMPORT, *IN_A_CALL]))
    assert shown["sources"]["web"]["filters"] == [{"use": "loud.words", "least": 2}]


def test_the_list_of_plugins(loud):
    lines = loud("plugins", "loud").splitlines()
    assert lines[0] == "loud.words (corpus filter)"
    assert not set(lines) & {*AT_IMPORT, *IN_A_CALL}


def test_help_and_version_need_no_plugin():
    for arguments in (["--help"], ["show", "--help"], ["corpus", "show", "--help"], ["--version"]):
        assert CliRunner().invoke(cli, arguments, catch_exceptions=False).stdout


def test_what_is_printed_beside_the_results(capsys):
    with only_results():
        sys.stdout.write("noise\n")
        results().write("result\n")
        with only_results():  # changes nothing
            results().write("another\n")
    sys.stdout.write("afterwards\n")
    assert capsys.readouterr() == ("result\nanother\nafterwards\n", "noise\n")


def test_an_exception_ends_the_redirection(capsys):
    with pytest.raises(ValueError, match="failed"), only_results():
        raise ValueError("failed")
    sys.stdout.write("afterwards\n")
    assert capsys.readouterr().out == "afterwards\n"


def test_without_standard_output_nothing_is_redirected(monkeypatch):
    monkeypatch.setattr("sys.stdout", None)
    monkeypatch.setattr("sys.stderr", noise := io.StringIO())
    with only_results():
        sys.stderr.write("noise")
    assert noise.getvalue() == "noise"


def test_a_reader_that_has_gone_is_no_error():
    reader, writer = os.pipe()
    os.close(reader)
    done = subprocess.run(
        [sys.executable, "-m", "rexplug", "schema"], stdout=writer, stderr=subprocess.PIPE, text=True, check=False
    )
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_results_for_a_terminal_that_was_closed_are_discarded():
    """SIGHUP comes when the terminal is closed; writing to it would fail afterwards."""
    code = (
        "import os, signal, sys\n"
        "from rexplug import distributed\n"
        "from rexplug.cli.results import only_results, results\n"
        "with only_results():\n"
        "    print('begun', file=results(), flush=True)\n"
        "    os.read(0, 1)\n"
        "    distributed.detach_from_terminal(signal.SIGHUP)\n"
        "    print('ended', file=results(), flush=True)\n"
    )
    terminal, ours = pty.openpty()
    child = subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=ours, stderr=subprocess.PIPE)
    os.close(ours)
    assert os.read(terminal, 100) == b"begun\r\n"
    os.close(terminal)
    _, errors = child.communicate(b"x", timeout=60)
    assert (child.returncode, errors) == (0, b"")
