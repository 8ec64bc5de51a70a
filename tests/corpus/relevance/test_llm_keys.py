"""The endpoint's key stays out of recipes, messages and files."""

import json

import pytest
from llm_labelling import candidates, llm
from small_recipe import small_recipe

from rexplug import DataError
from rexplug.cli import main
from rexplug.corpus.relevance.llm import Llm

KEY = "sk-toy-4711-very-secret"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"key_from": KEY}, "key_from is not the name of an environment variable (letters, digits and _)"),
        ({"base_url": f"https://user:{KEY}@host/v1"}, "base_url holds a user or a password"),
        ({"base_url": f"https://host/v1?api_key={KEY}"}, "base_url holds a key"),
        ({"options": {"extra_headers": {"Authorization": f"Bearer {KEY}"}}}, "options hold a key"),
        ({"options": {"extra_headers": {"X-Api-Key": "other"}}}, "options hold a key"),
        ({"options": {"extra_body": [{"headers": ["bearer other"]}]}}, "options hold a key"),
        ({"options": {"user": KEY}, "key_from": "TOY_KEY"}, "the value of TOY_KEY is in the recipe"),
        ({"prompt": f"Is it? {KEY}", "key_from": "TOY_KEY"}, "the value of TOY_KEY is in the recipe"),
    ],
)
def test_a_key_in_the_recipe_is_refused_and_not_repeated(options, message, monkeypatch):
    monkeypatch.setenv("TOY_KEY", KEY)
    labeller = Llm(**{"model": "toy", "base_url": "http://localhost", "prompt": "?", **options})
    with pytest.raises(DataError) as refused:
        labeller.check()
    assert str(refused.value) == (
        f"llm: {message}; the endpoint's key belongs in the environment variable that key_from names"
    )


def test_usual_options_are_not_secrets():
    options = {"max_completion_tokens": 5, "reasoning_effort": "low", "extra_body": {"top_k": 1, "stop_token_ids": [1]}}
    Llm(model="toy", base_url="http://localhost?api-version=2", prompt="?", options=options).check()


def test_a_key_that_no_header_can_hold_is_reported_without_its_value(monkeypatch):
    monkeypatch.setenv("TOY_KEY", f"{KEY}\nInjected: yes")
    with pytest.raises(DataError) as refused:
        Llm(model="toy", base_url="http://localhost", prompt="?", key_from="TOY_KEY").check()
    assert str(refused.value) == (
        "llm: the environment variable TOY_KEY holds characters that no key has (a line break, or a letter beyond ASCII)"
    )


def test_a_key_that_the_endpoint_repeats_stays_out_of_messages_and_files(endpoint, context, monkeypatch):
    monkeypatch.setenv("TOY_KEY", f" {KEY}\n")
    labeller = llm(endpoint, key_from="TOY_KEY", max_failed=0.0)
    endpoint.script = [(401, {}, {"error": {"message": f"Incorrect API key provided: {KEY}"}})]
    with pytest.raises(DataError, match=r"answered 401: .*Incorrect API key provided: \(key\)") as refused:
        labeller.label(candidates("a"), context)
    assert KEY not in str(refused.value)
    endpoint.answer = lambda text: f"You sent {KEY}"
    with pytest.raises(DataError, match=r"e\.g\. 'You sent \(key\)'"):
        labeller.label(candidates("a"), context)
    assert endpoint.keys[-1] == f"Bearer {KEY}"
    files = [path for path in context.folder.rglob("*") if path.is_file()]
    assert files
    assert not any(KEY.encode() in path.read_bytes() for path in files)


@pytest.mark.slow
def test_nothing_that_a_run_writes_or_prints_contains_the_key(endpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TOY_KEY", KEY)
    for name, word in (("shop", "price"), ("web", "poem")):
        rows = [{"id": f"{name}{n}", "text": f"{word} {'abcdefghij'[n % 10] * (n + 1)} of {n}"} for n in range(40)]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    filters = "filters: [{use: relevance, at_least: chosen}]"
    (tmp_path / "recipe.yaml").write_text(
        small_recipe(
            f"{{shop: {{use: jsonl, paths: {tmp_path}/shop.jsonl, id: id, {filters}}}, "
            f"web: {{use: jsonl, paths: {tmp_path}/web.jsonl, id: id, {filters}}}}}",
            name="keys",
            source="shop",
            more="relevance: {labels: {use: llm, model: toy, "
            f"base_url: {endpoint.url}, key_from: TOY_KEY, prompt: 'About shops?', max_failed: 0}}}}\n"
            "curation: {deduplicate: none, held_out: 0}\n",
        )
    )

    def run():
        command = ["run", tmp_path / "recipe.yaml", "--run-dir", tmp_path / "run", "--until", "relevance"]
        monkeypatch.setattr("sys.argv", ["rexplug", *map(str, command)])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr()
        return end.value.code or 0, said.out + said.err

    endpoint.script = [(401, {}, {"error": {"message": f"Incorrect API key provided: {KEY}"}})]
    refused, first = run()
    done, second = run()
    assert (refused, done) == (2, 0), first + second
    assert endpoint.keys[-1] == f"Bearer {KEY}"
    assert "Incorrect API key provided: (key)" in first
    assert KEY not in first + second
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert {"run.json", "recipe.yaml", "llm.sqlite"} <= {path.name for path in files}
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
