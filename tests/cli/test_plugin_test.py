"""`rexplug plugin-test`."""

import pytest
from click.testing import CliRunner

from rexplug.cli import cli
from rexplug.errors import PluginError

PLUGIN = """\
import rexplug

class Even(rexplug.MixingSchedule):
    'Equal shares.'

    name = 'legal.even'

    def weights(self, progress):
        return {'a': 1, 'b': WEIGHT}

COMPONENTS = [Even]
"""


@pytest.fixture
def plugin_test(tmp_path):
    def call(weight):
        (tmp_path / "legal.py").write_text(PLUGIN.replace("WEIGHT", weight))
        return CliRunner().invoke(cli, ["plugin-test", str(tmp_path / "legal.py")])

    return call


def test_it_prints_what_was_tried(plugin_test):
    assert plugin_test("1").output == "  legal.even: tried\n"


def test_it_reports_a_breach(plugin_test):
    error = plugin_test("-1").exception
    assert isinstance(error, PluginError)
    assert (
        str(error) == "legal.even.weights(0) returned {'a': 1, 'b': -1}; weights are finite, at least 0 and not all 0"
    )
