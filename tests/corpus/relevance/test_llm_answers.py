"""What language models answer in place of yes or no: other words, no answer, refusals, failures."""

import json
import threading

import pytest
from llm_labelling import TEXTS, candidates, choice, llm

from rexplug import DataError


@pytest.mark.parametrize(
    ("answer", "label"),
    [("yes", True), ("Answer: No.", False), (" UNSURE\n", None), ("<think>Kettles? No.</think>\n\nYes", True)],
)
def test_answers_that_can_be_read(endpoint, context, answer, label):
    endpoint.answer = lambda text: answer
    assert llm(endpoint).label(candidates("a"), context) == [label]
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("answer", ["yes and no", "", "I think yes", None])
def test_an_unreadable_answer_is_asked_for_once_more_and_then_labels_nothing(endpoint, context, answer):
    endpoint.answer = lambda text: answer if "poem" in text else "no"
    assert llm(endpoint, max_failed=0.5).label(candidates("a poem", "b", "c"), context) == [None, False, False]
    assert len(endpoint.requests) == 4
    assert context.progress.lines[-1].startswith("  toy: 1 without an answer that can be read, e.g. '")
    with pytest.raises(
        DataError,
        match=r"1 of 3 documents got no answer that can be read \(yes, no or unsure\), more than max_failed \(0\.05\) allows",
    ):
        llm(endpoint).label(candidates("a poem", "b", "c"), context)
    assert len(endpoint.requests) == 4, "garbage is kept too: it would only be paid for again"


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        ({"choices": []}, "a reply without choices: ChatCompletion("),
        ({"error": {"message": "overloaded", "code": 502}}, "a reply without choices: ChatCompletion("),
        (b"[]", "a reply without choices: []"),
        (choice(None), "a reply without a message: Choice("),
        (json.dumps(choice({"role": "assistant", "content": "yes"})).encode()[:90], "a response that is not JSON: "),
        (b"", "a response that is not JSON: "),
        (b"[" * 100_000, "a response that is not JSON: "),
        (b"\xff\xfe\x00", "a response that is not JSON: "),
    ],
)
def test_a_response_without_an_answer_is_repeated_and_never_kept(endpoint, context, reply, problem):
    endpoint.script = [(200, {}, reply)]
    assert llm(endpoint, retries=1).label(candidates("price"), context) == [True]
    endpoint.script = [(200, {}, reply)]
    with pytest.raises(DataError) as refused:
        llm(endpoint, retries=0).label(candidates("price of a pan"), context)
    assert f"1 without an answer that can be read, e.g. '{problem}" in str(refused.value)
    assert str(refused.value).endswith("; the answers for 0 of 1 documents are kept and will not be asked for again")
    assert llm(endpoint, retries=0).label(candidates("price of a pan"), context) == [True]


FILTERED = {
    "message": "The prompt triggered our content management policy",
    "code": "content_filter",
    "param": "prompt",
}


@pytest.mark.parametrize(
    ("status", "reply"),
    [
        (400, {"error": FILTERED}),
        (403, {"error": {"message": "Your input was flagged", "code": 403}}),
        (400, {"error": {"message": "Input may contain inappropriate content.", "code": "data_inspection_failed"}}),
        (451, {}),
        (413, b"Request Entity Too Large"),
        (
            400,
            {
                "error": {
                    "message": "This model's maximum context length is 2048 tokens",
                    "code": "context_length_exceeded",
                }
            },
        ),
        (200, choice(None, "content_filter")),
        (200, choice({"role": "assistant", "content": "", "refusal": "I cannot help with that."})),
    ],
)
def test_a_refused_document_labels_nothing_and_the_others_go_on(endpoint, context, status, reply):
    endpoint.script = [(status, {}, reply)]
    assert llm(endpoint, max_failed=0.5).label(candidates(*TEXTS), context) == [None, False, True]
    assert "1 refused by the endpoint, e.g. '" in context.progress.lines[-1]
    assert llm(endpoint, max_failed=0.5).label(candidates(*TEXTS), context) == [None, False, True]
    assert len(endpoint.requests) == 3, "neither is a refused document asked for again"


def test_a_bad_request_of_unknown_kind_labels_nothing_and_is_asked_for_again(endpoint, context):
    endpoint.script = [(400, {}, {"error": {"message": "strange characters"}})]
    assert llm(endpoint, max_failed=0.5).label(candidates(*TEXTS), context) == [None, False, True]
    assert llm(endpoint, max_failed=0.5).label(candidates(*TEXTS), context) == [True, False, True]


def test_a_model_that_does_not_exist_and_a_key_without_rights_stop_everything(endpoint, context):
    endpoint.script = [(403, {}, {"error": {"message": "no access to toy"}})]
    with pytest.raises(
        DataError, match=r"answered 403: .*no access to toy; the answers for \d of 3 documents are kept"
    ):
        llm(endpoint).label(candidates(*TEXTS), context)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (lambda text: "As a language model", "As a language model"),
        (None, "answered 400: Error code: 400 - max_tokens is not supported"),
    ],
)
def test_asking_stops_when_nothing_can_be_read(endpoint, context, answer, said):
    if answer is None:
        endpoint.script = [(400, {}, {"error": {"message": "max_tokens is not supported"}})] * 200
    else:
        endpoint.answer = answer
    with pytest.raises(DataError) as refused:
        llm(endpoint, max_failed=1).label(candidates(*(f"page {n}" for n in range(90))), context)
    assert str(refused.value).startswith(
        f"llm: none of the first 20 documents got an answer that can be read (20 without an answer that can be read, e.g. '{said}'"
    )
    assert len(endpoint.requests) <= 2 * 22, "those that were under way are the last"


def test_asking_stops_when_too_many_failed_whatever_the_others_say(endpoint, context):
    endpoint.answer = lambda text: "perhaps" if "poem" in text else "yes"
    with pytest.raises(DataError, match=r"2 of 40 documents got no answer .*, more than max_failed \(0\.04\) allows"):
        llm(endpoint, max_failed=0.04).label(candidates("poem 1", "poem 2", *(f"page {n}" for n in range(38))), context)
    assert len(endpoint.requests) <= 8


def test_answers_under_way_are_kept_when_another_request_fails(endpoint, context):
    endpoint.gate = threading.Barrier(4)  # all four are under way before the first is answered
    endpoint.script = [(401, {}, {"error": {"message": "key expired"}})]
    with pytest.raises(
        DataError, match=r"key expired; the answers for 3 of 4 documents are kept and will not be asked"
    ):
        llm(endpoint, concurrency=4).label(candidates(*(f"price {n}" for n in range(4))), context)
    endpoint.gate = None
    assert llm(endpoint).label(candidates(*(f"price {n}" for n in range(4))), context) == [True] * 4
    assert len(endpoint.requests) == 5


def test_a_paid_answer_survives_a_failed_second_try(endpoint, context):
    endpoint.script = [(200, {}, endpoint.completion("perhaps")), (401, {}, {"error": {"message": "key expired"}})]
    assert llm(endpoint, max_failed=1).label(candidates("price"), context) == [None]
    assert llm(endpoint, max_failed=1).label(candidates("price"), context) == [None]
    assert len(endpoint.requests) == 2


def test_content_in_parts_and_a_cut_off_answer(endpoint, context):
    endpoint.script = [(200, {}, choice({"role": "assistant", "content": [{"type": "text", "text": "yes"}]}))]
    assert llm(endpoint).label(candidates("a"), context) == [True]
    parts = [
        {"type": "text", "text": {"value": "yes"}},
        "yes",
        None,
    ]  # not in any known protocol: the request is repeated once
    endpoint.script = [(200, {}, choice({"role": "assistant", "content": parts}))]
    assert llm(endpoint).label(candidates("the price"), context) == [True]
    endpoint.script = [(200, {}, choice({"role": "assistant", "content": None}, "length"))] * 2
    with pytest.raises(DataError, match="cut off before its first word; reasoning models need more answer_tokens"):
        llm(endpoint).label(candidates("b"), context)
