"""Labels from a language model, against a real server."""

import sqlite3
import threading

import pytest
from pydantic import ValidationError

from rexplug import Candidate, DataError, Document
from rexplug.corpus.relevance.llm import Llm
from rexplug_ecommerce import Retail

SOON = {"retry-after-ms": "5"}


def candidates(*texts):
    return [Candidate("web", Document(str(number), text)) for number, text in enumerate(texts)]


TEXTS = ("the price of a kettle", "a poem", "price list")


def llm(endpoint, **options):
    return Llm(model="toy", base_url=endpoint.url, **{"prompt": "Is it about shops?", "concurrency": 1, **options})


def test_labels_in_order_with_the_instruction_and_no_key(endpoint, context):
    assert llm(endpoint).label(candidates(*TEXTS), context) == [True, False, True]
    request = endpoint.requests[0]
    assert request["messages"][0]["content"].startswith("Is it about shops?\n\nAnswer with one word")
    assert (request["temperature"], request["seed"], request["max_tokens"]) == (0, 3, 8)
    assert "3 of 3 documents to ask for" in context.progress.lines[0]


def test_the_instruction_of_a_plugin_and_the_key_of_the_environment(endpoint, context, monkeypatch):
    labeller = llm(endpoint, prompt=None, follow=Retail(), key_from="TOY_KEY")
    monkeypatch.delenv("TOY_KEY", raising=False)
    with pytest.raises(DataError, match="the environment variable TOY_KEY is not set"):
        labeller.check()
    monkeypatch.setenv("TOY_KEY", "secret")
    labeller.label(candidates("a"), context)
    assert endpoint.keys == ["Bearer secret"]
    assert "online retail" in endpoint.requests[0]["messages"][0]["content"]


def test_answers_are_kept_and_paid_once(endpoint, context):
    first = llm(endpoint).label(candidates(*TEXTS), context)
    assert llm(endpoint, concurrency=4).label(candidates(*TEXTS, "a price more"), context) == [*first, True]
    assert len(endpoint.requests) == 4
    llm(endpoint, prompt="Another question").label(candidates(*TEXTS), context)
    assert len(endpoint.requests) == 7


def test_a_killed_run_goes_on(endpoint, context):
    endpoint.script = [(200, {}, endpoint.completion("yes")), (401, {}, {"error": {"message": "key expired"}})]
    with pytest.raises(DataError, match=r"answered 401: .*key expired"):
        llm(endpoint).label(candidates(*TEXTS), context)
    done = len(endpoint.requests)
    assert llm(endpoint).label(candidates(*TEXTS), context) == [True, False, True]
    assert len(endpoint.requests) == done + 2


@pytest.mark.parametrize(
    "fault",
    [
        (429, SOON, {"error": {"message": "slow down"}}),
        (429, {"Retry-After": "0.01"}, {"error": {"message": "slow down"}}),
        (500, SOON, b"oops"),
        (503, SOON, {"error": {"message": "busy"}}),
    ],
)
def test_faults_that_pass_are_tried_again(endpoint, context, fault):
    endpoint.script = [fault, fault]
    assert llm(endpoint).label(candidates("price"), context) == [True]
    assert len(endpoint.requests) == 3


def test_a_lost_request_is_sent_again(endpoint, context):
    endpoint.script = [(200, {}, "stall")]
    assert llm(endpoint, timeout=0.3).label(candidates("price"), context) == [True]
    assert len(endpoint.requests) == 2


def test_faults_that_stay_are_named(endpoint, context):
    endpoint.script = [(429, SOON, {"error": {"message": "quota is gone"}})] * 9
    with pytest.raises(DataError, match=r"answered 429: .*quota is gone"):
        llm(endpoint, retries=2).label(candidates("price"), context)
    endpoint.script = [(200, {}, "stall")] * 3
    with pytest.raises(DataError, match=r"did not answer .* after 1 tries; what was answered is kept"):
        llm(endpoint, retries=0, timeout=0.2).label(candidates("price"), context)
    with pytest.raises(DataError, match=r"answered 404: .*no /nowhere/chat/completions here"):
        Llm(model="toy", base_url=endpoint.url[:-2] + "nowhere", prompt="?").label(candidates("price"), context)


@pytest.mark.parametrize(
    ("answer", "label"),
    [("yes", True), ("No.", False), ("**Yes**", True), (" UNSURE\n", None), ('"no"', False)],
)
def test_answers_that_can_be_read(endpoint, context, answer, label):
    endpoint.answer = lambda text: answer
    assert llm(endpoint).label(candidates("a"), context) == [label]
    assert len(endpoint.requests) == 1


@pytest.mark.parametrize("answer", ["yes and no", "", "I think yes", "maybe", None, "yesterday"])
def test_garbage_is_asked_for_once_more_and_then_labels_nothing(endpoint, context, answer):
    endpoint.answer = lambda text: answer if "poem" in text else "no"
    assert llm(endpoint, max_failed=0.5).label(candidates("a poem", "b", "c"), context) == [None, False, False]
    assert len(endpoint.requests) == 4
    with pytest.raises(DataError, match=r"1 of 3 documents got no answer that can be read \(yes, no or unsure\)"):
        llm(endpoint).label(candidates("a poem", "b", "c"), context)
    assert len(endpoint.requests) == 4, "garbage is kept too: it would only be paid for again"


def test_a_reply_without_choices_is_garbage_and_no_crash(endpoint, context):
    endpoint.script = [(200, {}, {"choices": []}), (200, {}, {})]
    assert llm(endpoint, max_failed=1).label(candidates("price"), context) == [None]


def test_an_estimate_above_the_budget_is_refused_before_anything_is_sent(endpoint, context):
    price = {"input": 1000, "output": 2000}
    with pytest.raises(
        DataError, match=r"labelling 3 documents with toy costs about 0\.1\d, more than the budget of 0\.1;"
    ):
        llm(endpoint, price=price, budget=0.1).label(candidates(*TEXTS), context)
    assert not endpoint.requests
    llm(endpoint, price=price, budget=1).label(candidates(*TEXTS), context)
    assert "at most about 0.1" in context.progress.lines[-1]


def test_spending_more_than_the_budget_stops_and_keeps_what_was_paid(endpoint, context):
    options = {"price": {"input": 1000, "output": 0}, "concurrency": 1}
    with pytest.raises(DataError, match=r"0\.\d\d were spent, more than the budget of 0\.15; the 2 answers are kept"):
        llm(endpoint, budget=0.15, **options).label(candidates(*TEXTS), context)
    before = len(endpoint.requests)
    assert llm(endpoint, budget=5, **options).label(candidates(*TEXTS), context) == [True, False, True]
    assert len(endpoint.requests) <= before + 1


def test_requests_run_side_by_side(endpoint, context):
    endpoint.gate = threading.Barrier(4)
    labels = llm(endpoint, concurrency=4).label(candidates(*(f"price {n}" for n in range(8))), context)
    assert labels == [True] * 8
    assert endpoint.most_under_way == 4


def test_a_damaged_cache_is_named(endpoint, context):
    context.folder.mkdir()
    (context.folder / "llm.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(DataError, match=r"llm\.sqlite cannot be read: .*remove the file to ask anew"):
        llm(endpoint).label(candidates("a"), context)
    assert sqlite3.sqlite_version


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "write `follow` .* or `prompt`"),
        ({"prompt": "?", "follow": Retail()}, "write `follow` .* or `prompt`"),
        ({"prompt": "?", "budget": 1}, "a `budget` needs a `price`"),
    ],
)
def test_options_that_do_not_go_together(options, message):
    with pytest.raises(ValidationError, match=message):
        Llm(model="toy", base_url="http://localhost", **options)


def test_an_endpoint_is_an_address():
    with pytest.raises(ValidationError, match=r"base_url 'localhost:8000/v1' is no address; it begins with http:// or"):
        Llm(model="toy", base_url="localhost:8000/v1", prompt="?")
