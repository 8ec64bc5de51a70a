"""The message of a call that failed: what it names, which lines it shows, and which exceptions pass. Messages are complete."""

import errno
import re
import traceback

import numpy as np
import pytest
import toy_plugin
from toy_plugin import DOCUMENTS, ROW, TOKENS, raising, returning, toy

import rexplug
from rexplug.batches.policies import RandomMasking
from rexplug.corpus.filters import Length
from rexplug.errors import DataError, PluginError
from rexplug.plugins import calls
from rexplug.plugins.calls import PluginCall
from rexplug.plugins.trial_limits import TrialOver


def message(call, *arguments):
    with pytest.raises(PluginError) as caught:
        result = call(*arguments)
        list(result)
    return str(caught.value)


def test_a_failure_names_plugin_component_method_and_document_with_the_lines_of_the_plugin(installed):
    judge = raising(ValueError("invalid citation"))
    first, line = message(calls.judge_documents, toy(rexplug.CorpusFilter, judge=judge), DOCUMENTS).splitlines()
    assert first == "legal 0.1.0: legal.toy.judge() raised ValueError on document 'op-0': invalid citation"
    assert line.startswith(f"  {toy_plugin.__file__}:")
    assert line.endswith(", in behaviour: raise error")


def test_the_traceback_of_the_plugin_stays_with_the_error():
    with pytest.raises(PluginError) as caught:
        calls.judge_document(toy(rexplug.CorpusFilter, judge=raising(ValueError("x"))), DOCUMENTS[0])
    assert isinstance(caught.value.__cause__, ValueError)


def test_lines_of_libraries_and_of_rexplug_are_left_out():
    def judge(self, document):
        return rexplug.Verdict(np.linalg.inv(np.zeros((2, 2))) is not None)

    one = toy(rexplug.CorpusFilter, judge=judge, __module__=__name__)
    lines = message(calls.judge_document, one, DOCUMENTS[0]).splitlines()
    assert lines[0] == "legal.toy.judge() raised LinAlgError on document 'op-0': Singular matrix"
    assert [line.partition(", in ")[2].partition(":")[0] for line in lines[1:]] == ["judge"]


def test_a_failure_without_text():
    call = toy(rexplug.MixingSchedule, weights=raising(ZeroDivisionError()))
    assert message(calls.mixing_weights, call, 0.5).splitlines()[0] == (
        "legal.toy.weights() raised ZeroDivisionError at progress 0.5"
    )


@pytest.mark.parametrize(
    ("subject", "described"),
    [
        (DOCUMENTS[1], " on document 'op-1'"),
        (TOKENS, " on document 'op-1'"),
        (DOCUMENTS, " on 3 documents, 'op-0' to 'op-2'"),
        (rexplug.Shard(1, 8), " on shard 2 of 8"),
        (ROW, " on a row of 4 tokens"),
        (0.25, " at progress 0.25"),
        ("on 7 candidates", " on 7 candidates"),
        ("", ""),
    ],
)
def test_what_a_call_was_made_on(subject, described):
    with pytest.raises(PluginError) as caught, PluginCall(toy(rexplug.Component), "work", subject):
        raise KeyError("x")
    assert str(caught.value).splitlines()[0] == f"legal.toy.work() raised KeyError{described}: 'x'"


@pytest.mark.parametrize(
    "error", [DataError("a file is missing"), rexplug.NotApplicable("no head"), KeyboardInterrupt()]
)
def test_errors_that_are_meant_for_the_user_or_end_the_process_pass(error):
    with pytest.raises(type(error)) as caught, PluginCall(toy(rexplug.Component), "work"):
        raise error
    assert caught.value is error
    assert not hasattr(error, "__notes__")


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), MemoryError()])
def test_errors_of_the_machine_are_noted_and_passed_on(error):
    with pytest.raises(type(error)) as caught, PluginCall(toy(rexplug.Component), "work", DOCUMENTS[0]):
        raise error
    assert caught.value is error
    assert traceback.format_exception(error)[-1] == "raised by the plugin's legal.toy.work() on document 'op-0'\n"
    text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    assert str(calls.plugin_at_fault(error)) == f"legal.toy.work() on document 'op-0': {text}"


def test_errors_of_the_machine_in_the_core_are_no_fault_of_a_plugin():
    with pytest.raises(OSError, match="x") as caught, PluginCall(Length(), "judge", DOCUMENTS[0]):
        raise OSError("x")
    assert caught.value.__notes__ == ["raised by length.judge() on document 'op-0'"]
    assert calls.plugin_at_fault(caught.value) is None
    assert calls.plugin_at_fault(ValueError("x")) is None


class Panic(BaseException):
    """What a library in Rust raises: no Exception."""


def test_a_panic_of_a_library_is_a_failure_of_the_plugin():
    text = message(
        calls.judge_document, toy(rexplug.CorpusFilter, judge=raising(Panic("index out of range"))), DOCUMENTS[0]
    )
    assert text.splitlines()[0] == "legal.toy.judge() raised Panic on document 'op-0': index out of range"


@pytest.mark.parametrize("error", [GeneratorExit(), TrialOver()])
def test_what_ends_a_generator_or_a_trial_passes(error):
    with pytest.raises(type(error)) as caught, PluginCall(toy(rexplug.Component), "work"):
        raise error
    assert caught.value is error


def test_a_recursion_without_end_shows_its_first_and_last_lines():
    def judge(self, document):
        return self.judge(document)

    one = toy(rexplug.CorpusFilter, judge=judge, __module__=__name__)
    first, *lines = message(calls.judge_document, one, DOCUMENTS[0]).splitlines()
    assert first == "legal.toy.judge() raised RecursionError on document 'op-0': maximum recursion depth exceeded"
    assert len(lines) == 13
    assert re.fullmatch(r"  \.\.\. \d+ more lines \.\.\.", lines[6])
    assert all(line.endswith(", in judge: return self.judge(document)") for line in lines if line != lines[6])


@pytest.mark.parametrize("kind", [DataError, rexplug.NotApplicable])
def test_an_error_for_the_user_that_says_nothing_is_a_failure(kind):
    text = message(calls.judge_document, toy(rexplug.CorpusFilter, judge=raising(kind())), DOCUMENTS[0])
    assert text.splitlines()[0] == f"legal.toy.judge() raised {kind.__name__} on document 'op-0'"


class Exits(Exception):
    def __str__(self):
        raise SystemExit(3)


def test_an_exception_whose_text_ends_the_process():
    text = message(calls.judge_document, toy(rexplug.CorpusFilter, judge=raising(Exits())), DOCUMENTS[0])
    assert (
        text.splitlines()[0] == "legal.toy.judge() raised Exits on document 'op-0': <Exits whose text cannot be shown>"
    )


class WithoutText(Exception):
    def __str__(self):
        raise RuntimeError


class WithoutRepr:
    def __repr__(self):
        raise RuntimeError


def test_an_exception_whose_text_cannot_be_shown():
    text = message(calls.judge_document, toy(rexplug.CorpusFilter, judge=raising(WithoutText())), DOCUMENTS[0])
    assert text.splitlines()[0] == (
        "legal.toy.judge() raised WithoutText on document 'op-0': <WithoutText whose text cannot be shown>"
    )


def test_a_value_whose_repr_raises():
    judge = returning(WithoutRepr())
    assert message(calls.judge_document, toy(rexplug.CorpusFilter, judge=judge), DOCUMENTS[0]) == (
        "legal.toy.judge() returned <WithoutRepr whose repr raises> for document 'op-0'; expected a Verdict"
    )


def test_a_bug_in_the_core_keeps_its_type_and_names_its_input():
    with pytest.raises(ZeroDivisionError) as caught, PluginCall(Length(), "judge", DOCUMENTS[0]):
        raise ZeroDivisionError
    assert caught.value.__notes__ == ["raised by length.judge() on document 'op-0'"]


def test_a_plugin_that_extends_a_class_of_the_core_is_a_plugin():
    policy = type("Toy", (RandomMasking,), {"name": "legal.toy", "choose": raising(ValueError("x"))})()
    text = message(calls.choose_tokens, policy, ROW, 0.0, None)
    assert text.splitlines()[0] == "legal.toy.choose() raised ValueError on a row of 4 tokens: x"


def test_the_version_is_that_of_the_distribution():
    shipped = type("Toy", (rexplug.Component,), {"name": "ecommerce.toy", "__module__": "rexplug_ecommerce"})()
    assert calls.owner(shipped) == f"ecommerce {rexplug.__version__}: "
    assert calls.owner(toy(rexplug.Component)) == ""
    assert calls.owner(Length()) == ""
