"""JSON with the faults that pages have."""

import json
import time

import pytest

from rexplug.corpus.structured_data.lenient_json import loads_leniently

RIGHT = {"name": 'a 12" pipe', "offers": {"price": 49.99}}


@pytest.mark.parametrize(
    "script",
    [
        '{"name": "a 12\\" pipe", "offers": {"price": 49.99}}',
        '{"name": "a 12" pipe", "offers": {"price": 49.99}}',
        '{"name": "a 12&quot; pipe", "offers": {"price": 49.99}}'.replace("&quot;", '\\"') + "}",
        '{"name": "a 12\\" pipe",, "offers": {"price": 49.99,},}',
        '{"name": "a 12\\" pipe", "offers": {"price": 49,99}}',
        '{"name": "a 12\\" p\\ipe", "offers": {"price": 49.99}}',
        '/* the product */ {"name": "a 12\\" pipe", "offers": {"price": 49.99}} // end',
    ],
)
def test_common_faults_are_repaired(script):
    assert loads_leniently(script) == [RIGHT]


@pytest.mark.parametrize(
    ("script", "value"),
    [
        ('{"sku": , "b": undefined, "c": !0, "d": void 0}', {"sku": None, "b": None, "c": True, "d": None}),
        ('{"a": "it\\\'s", "b": "\\u00e9 \\n", "c": "\\\\x"}', {"a": "it's", "b": "é \n", "c": "\\x"}),
        ('{"a": "undefined, !0, // no comment, :,", "b": 1,}', {"a": "undefined, !0, // no comment, :,", "b": 1}),
        ('{"a": "one", "b": "say "hello", please"}', {"a": "one", "b": 'say "hello", please'}),
        ('{"sizes": [1, 2,3], "a": 1,}', {"sizes": [1, 2, 3], "a": 1}),
    ],
)
def test_faulty_json_is_repaired(script, value):
    assert loads_leniently(script) == [value]


def test_a_repair_does_not_break_valid_json():
    script = json.dumps({"name": "a 12&quot; pipe"})
    assert loads_leniently(script + "}") == [{"name": "a 12&quot; pipe"}]


@pytest.mark.parametrize("script", ['{"a" "b"}', '{"a": "b', "{'a': 'b'}", "", "nothing"])
def test_json_that_cannot_be_repaired_gives_no_values(script):
    assert loads_leniently(script) == []


@pytest.mark.parametrize("inner", ['"', '\\"', '": ', '" , ', ": ,", '"a": ', "/* ", "!0"])
def test_time_grows_with_the_length(inner):
    began = time.process_time()
    loads_leniently('{"a": ' + inner * (600_000 // len(inner)))
    assert time.process_time() - began < 5
