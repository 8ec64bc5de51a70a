"""Text of documents cannot control the terminal, whichever command shows it."""

import io
import json
import re

import pytest
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from small_recipe import small_recipe

from rexplug.cli import main, terminal

STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
ATTACK = "\x1b[2J\x1b]0;title\x07\x9b31m\x08\r\x7f\u202eevil\u2066"
SHOWN = "␛[2J␛]0;title␇\ufffd31m␈␍␡\ufffdevil\ufffd"


def test_control_characters_become_symbols():
    assert (
        terminal.visible(f"red {ATTACK} oak\tand\nGröße 東京 🙂 \u200f")
        == f"red {SHOWN} oak\tand\nGröße 東京 🙂 \u200f"
    )
    assert terminal.visible("a\ud800b\u2028c") == "a\ufffdb␤c"
    assert terminal.one_line("a\nb\tc") == "a␊b␉c"


def test_json_lists_the_same_without_them():
    value = {"id": ATTACK, "text": "Größe\n"}
    text = terminal.safe_json(json.dumps(value, ensure_ascii=False, indent=1))
    assert not STEERING.search(text)
    assert json.loads(text) == value


def test_a_console_prints_neither_markup_nor_control_characters():
    file = io.StringIO()
    console = terminal.console(file)
    table = Table(f"head {ATTACK}")
    table.add_row(f"[bold]{ATTACK}[/nothing]")
    for each in (f"[red]{ATTACK}", Text(ATTACK), table, Panel(Text(ATTACK), title=Text(ATTACK))):
        console.print(each, soft_wrap=True)
    assert not STEERING.search(file.getvalue())
    kept = re.sub("[␇␈␍]", "", SHOWN)  # rich itself leaves these out
    assert f"[red]{kept}" in file.getvalue()
    assert "[bold]␛[2J" in file.getvalue()


@pytest.fixture
def call(monkeypatch, capsys):
    """Runs `rexplug` with arguments, in this process; returns what it prints and its code."""

    def do(*arguments):
        monkeypatch.setattr("sys.argv", ["rexplug", *map(str, arguments)])
        try:
            main()
            code = 0
        except SystemExit as end:
            code = end.code or 0
        captured = capsys.readouterr()
        return captured.out + captured.err, code

    return do


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run whose documents attack with id, address and text; curated, tokenized, and trained for a step."""
    from rexplug.batches import PositionLog
    from rexplug.batches.history import FILE
    from rexplug.phase_stream import phase_stream
    from rexplug.pipeline.run import run_recipe
    from rexplug.plugins.discovery import load_plugins
    from rexplug.progress import Silent
    from rexplug.recipe import load_recipe
    from rexplug.run_directory import RunDirectory

    root = tmp_path_factory.mktemp("attack")
    with (root / "web.jsonl").open("w") as file:
        for number in range(30):
            name = f"d{number}" + ("" if number else f"{ATTACK}\nd1")
            text = " ".join([f"river {number} {ATTACK} town spoke"] * 20) if number % 3 else f"short {number} {ATTACK}"
            file.write(json.dumps({"id": name, "url": f"https://shop.example/{ATTACK}", "text": text}) + "\n")
    (root / "recipe.yaml").write_text(
        small_recipe(
            f"{{web: {{use: jsonl, paths: {root}/web.jsonl, id: id, url: url, filters: [{{use: length, min_words: 10}}]}}}}",
            name="attack",
            more="curation: {deduplicate: none, held_out: 0}\n",
        )
    )
    registry = load_plugins()
    recipe = load_recipe(root / "recipe.yaml", registry=registry)
    run_recipe(recipe, root / "run", Silent(), plugins=registry.versions(), command="", until="tokenize")
    folder = RunDirectory(root / "run")
    stream = phase_stream(recipe, recipe.phases[0], folder)
    with PositionLog(folder.checkpoints / "anneal" / FILE, stream) as log:
        log.append(stream.plan(stream.start)[1])
    return folder.root


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (["corpus", "show", "RUN", "--examples"], 0),
        (["corpus", "show", "RUN", "--json"], 0),
        (["corpus", "why", "RUN", "d1"], 0),
        (["corpus", "why", "RUN", f"d0{ATTACK}\nd1"], 0),
        (["corpus", "why", "RUN", f"none{ATTACK}"], 2),
        (["tokens", "show", "RUN", "--document", "d1"], 0),
        (["tokens", "show", "RUN", "--document", f"none{ATTACK}"], 2),
        (["lineage", "RUN", "--document", "d1"], 0),
        (["lineage", "RUN", "--step", "1"], 0),
        (["lineage", "RUN", "--step", "1", "--json"], 0),
        (["peek", "RUN"], 0),
        (["check", f"nowhere{ATTACK}.yaml"], 2),
    ],
    ids=lambda value: (
        " ".join(map(str, value))[:40].encode("ascii", "replace").decode() if isinstance(value, list) else None
    ),
)
def test_no_command_prints_control_characters_of_a_document(call, run, command, code):
    printed, exit_code = call(*(run if word == "RUN" else word for word in command))
    assert exit_code == code, printed
    assert not STEERING.search(printed)
    assert "evil" in printed or "--document" in command


def test_an_id_cannot_begin_a_line(call, run):
    printed, _ = call("lineage", run, "--step", "1", "--limit", "0")
    assert not any(line.startswith("d1") for line in printed.splitlines())
