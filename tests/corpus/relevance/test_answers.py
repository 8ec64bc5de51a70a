"""What counts as an answer of a language model."""

import time

import pytest

from rexplug.corpus.relevance.answers import AnswerFile, Reply, read_answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("yes", "yes"),
        ("No.", "no"),
        ("**Yes**", "yes"),
        (" UNSURE\n", "unsure"),
        ('"no"', "no"),
        ("Answer: Yes.", "yes"),
        ("**Answer:** no", "no"),
        ("The answer is yes.", "yes"),
        ("Final answer - unsure", "unsure"),
        ("Label: No", "no"),
        (r"\boxed{yes}", "yes"),
        ("Yes. The document describes a", "yes"),
        ("Yes, because it lists prices", "yes"),
        ("No: it is a poem", "no"),
        ("No - a poem.", "no"),
        ("no (a poem)", "no"),
        ("Yes. No price is given, but a cart.", "yes"),
        ("The text sells a kettle.\n\nTherefore, the answer is: yes", "yes"),
        ("<think>No? It sells kettles.</think>\n\nYes", "yes"),
        ("It sells no kettles. </think> no.", "no"),
        ("[THINK]yes or no[/THINK]Answer: no", "no"),
        ("<reasoning>\nyes\n</reasoning>\nno", "no"),
        ('{"answer": "yes"}', "yes"),
        ('```json\n{"relevant": false}\n```', "no"),
        ('{"answer": "unsure", "reason": "The doc', "unsure"),
        ('{"reason": "sells kettles", "answer": "Yes."}', "yes"),
        ("```\nyes\n```", "yes"),
        ("yes</s>", "yes"),
        ("No<|im_end|>", "no"),
        ("yes<｜end▁of▁sentence｜>", "yes"),
        ("<|channel|>analysis<|message|>yes?<|end|><|start|>assistant<|channel|>final<|message|>no", "no"),
        ("<answer>no</answer> because yes is wrong", "no"),
        ("◁think▷no◁/think▷yes", "yes"),
        ("<seed:think>no</seed:think>yes", "yes"),
        ("Response: Yes", "yes"),
        ("A: no", "no"),
        ("- yes", "yes"),
        ("[no]", "no"),
        ("No。", "no"),
        ("\ufeffYes\u200b", "yes"),
        ("{'answer': 'yes'}", "yes"),
        ('{"answer": yes}', "yes"),
    ],
)
def test_answers_that_can_be_read(text, answer):
    assert read_answer(text) == answer


@pytest.mark.parametrize(
    "text",
    [
        "",
        "maybe",
        "yesterday",
        "nothing",
        "yes and no",
        "yes or no",
        "Yes, no.",
        "Yes. Or no?",
        "Yes\nNo",
        "Yes / no",
        "I think yes",
        "Answer: yes\nAnswer: no",
        "Answer with one word: yes, no, or unsure.",
        "<think>Is it about shops? Yes",
        "<think>\nyes\n",
        "[THINK] answer: yes",
        "◁think▷ yes",
        "<|channel|>analysis<|message|>yes",
        "<answer>yes or no</answer>",
        "{'answer': 'ye",
        '{"answer": "ye',
        '{"answer": "no',
        '{\n  "answer": "no',
        '{"answer": "yes", "label": "no"}',
        '{"not_relevant": true}',
        '{"answer": 1}',
    ],
)
def test_anything_else_is_no_answer(text):
    assert read_answer(text) is None


@pytest.mark.parametrize(
    "text",
    [
        "thoughts without an end " * 20_000,
        "<think>" * 20_000,
        "It sells." + "\n" * 200_000 + "kettles",
        "It sells" + " " * 200_000 + "kettles",
        "So" + " \t" * 100_000 + "the",
        "```" * 50_000,
        '{"answer": ' * 20_000,
        "<answer>" * 20_000,
    ],
)
def test_long_answers_are_read_in_linear_time(text):
    began = time.process_time()
    assert read_answer(text) is None
    assert time.process_time() - began < 2


def test_the_end_of_a_long_answer_counts():
    assert read_answer("<think>" + "hm, no. " * 50_000 + "</think>yes") == "yes"
    assert read_answer("yes" + "\n " * 50_000) == "yes"
    began = time.process_time()
    assert read_answer("yes." + " ." * 40_000) == "yes"
    assert time.process_time() - began < 2


def test_replies_are_stored_and_read(tmp_path):
    first = AnswerFile(tmp_path / "new" / "llm.sqlite")
    first.write("a", Reply("yes", "Yes.", 100, 2))
    first.write("b", Reply(None, "filtered", refused=True))
    first.close()
    again = AnswerFile(tmp_path / "new" / "llm.sqlite")
    assert again.read(["a", "b", "c"]) == {
        "a": Reply("yes", "Yes.", 100, 2),
        "b": Reply(None, "filtered", refused=True),
    }
    again.close()
