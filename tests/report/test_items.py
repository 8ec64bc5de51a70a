"""The page of single items: what it holds, what it links to, and that it works in a browser."""

import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import pytest

from rexplug import EvaluatedItem, MaskedWord, RankedDocument
from rexplug.evaluation.item_files import MAX_ITEMS, write_items
from rexplug.io.atomic import write_json
from rexplug.report.compare import compare_models
from rexplug.report.comparison_page import write_comparison
from rexplug.report.items import items_path_beside, write_items_page
from rexplug.report.results import find_results

HOSTILE = ("</script><script>alert(1)</script>", "<!-- <script>", "قميص أحمر", "👩‍👩‍👧 shirt", "a\u2028b & 'c' \"d\"")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def write(folder, items, *, label="toy.search", main="score", value=0.5):
    """A result with items as the harness writes it."""
    stored = write_items(folder, label, "key", items) if items else 0
    number = {"value": value, "low": None, "high": None, "num_items": len(items), "spread": None, "num_seeds": None}
    write_json(folder / f"{label}.json", {
        "evaluator": label, "label": label, "options": {}, "moment": folder.name, "revision": "r", "key": "key", "main": main,
        "metrics": {main: number}, "notes": [], "items": stored, "seconds": 1.0,
    })  # fmt: skip
    return folder


def queries(shift=0, texts=HOSTILE, grade=2):
    return [
        EvaluatedItem(
            f"q{n}", text, ((n + shift) % 5) / 4, correct=bool((n + shift) % 2),
            ranking=[RankedDocument(f"d{shift}", f"document {shift} of {text}", grade, 0.5, 1), RankedDocument("d9", "shared", None, 0.25, 2)],
            missed=[RankedDocument("d5", "missed", 1)],
        )
        for n, text in enumerate(texts)
    ]  # fmt: skip


def results(folder):
    return [find_results(str(path))[0] for path in sorted(folder.iterdir()) if path.is_dir()]


class Blocks(HTMLParser):
    """The scripts of a page by id, and its links."""

    def __init__(self, page):
        super().__init__()
        self.scripts, self.links, self.name = {}, [], None
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        if tag == "script":
            self.name = values.get("id", "code")
            assert self.name not in self.scripts
            self.scripts[self.name] = ""
        self.links += [value for name, value in attributes if name in ("href", "src")]

    def handle_endtag(self, tag):
        self.name = None

    def handle_data(self, data):
        if self.name is not None:
            self.scripts[self.name] += data


@pytest.fixture
def two(tmp_path):
    write(tmp_path / "models" / "a", queries())
    write(tmp_path / "models" / "b", queries(1))
    return tmp_path / "models"


def test_the_page_holds_each_models_answers_and_what_they_share_once(two):
    page = write_items_page(two.parent / "comparison.html", results(two), "Evaluation: items")
    assert page == two.parent / "items.html"
    blocks = Blocks(page.read_text())
    assert json.loads(blocks.scripts["index"]) == {
        "models": ["a", "b"],
        "evaluators": [
            {"label": "toy.search", "metric": "score", "values": {"0": 0.5, "1": 0.5}, "items": 5, "total": 5}
        ],
    }
    content = json.loads(blocks.scripts["items-0"])
    assert [item["t"] for item in content["items"]] == list(HOSTILE)
    first = content["items"][0]
    assert (first["m"]["0"]["v"], first["m"]["1"]["v"], first["m"]["1"]["c"]) == (0.0, 0.25, True)
    documents = dict(content["documents"])
    assert documents["d9"] == "shared"
    assert [content["documents"][place][0] for place, *_ in first["m"]["1"]["r"]] == ["d1", "d9"]
    assert first["m"]["0"]["k"][0][1:] == [1, None, None]


def test_texts_of_data_cannot_leave_their_script_and_nothing_is_loaded(two):
    page = write_items_page(two.parent / "comparison.html", results(two), "</title><script>alert(2)</script>")
    blocks = Blocks(page.read_text())
    assert set(blocks.scripts) == {"index", "items-0", "code"}
    assert "alert" not in blocks.scripts["code"]
    assert blocks.links == ["comparison.html"]
    assert "default-src 'none'" in page.read_text()
    for name in ("innerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert name not in blocks.scripts["code"]


def test_without_items_there_is_no_page(tmp_path):
    write(tmp_path / "models" / "a", [])
    page = tmp_path / "comparison.html"
    items_path_beside(page).write_text("of an earlier comparison")
    assert write_items_page(page, results(tmp_path / "models"), "Items") is None
    assert not items_path_beside(page).exists()


def test_a_page_of_limited_size_shows_fewer_items(tmp_path):
    items = [EvaluatedItem(f"i{n}", f"text {n} " * 20, 0.0) for n in range(MAX_ITEMS)]
    write(tmp_path / "models" / "a", items)
    page = write_items_page(tmp_path / "x.html", results(tmp_path / "models"), "Items", max_bytes=60_000)
    assert page == tmp_path / "x-items.html"
    assert page.stat().st_size < 100_000
    (evaluator,) = json.loads(Blocks(page.read_text()).scripts["index"])["evaluators"]
    assert (evaluator["items"], evaluator["total"]) == (250, MAX_ITEMS)
    assert "At most 250 items" in page.read_text()


def test_the_comparison_links_to_the_items_of_each_evaluator(two):
    write(two / "a", [], label="toy.plain")
    write_comparison(compare_models(results(two)), html=two.parent / "comparison.html", title="Evaluation")
    links = re.findall(r'href="(items[^"]*)"', (two.parent / "comparison.html").read_text())
    assert links == ["items.html", "items.html#evaluator=toy.search"]


ACTIONS = """
window.failures = [];
addEventListener("error", (event) => failures.push(event.message));
addEventListener("securitypolicyviolation", (event) => failures.push("blocked " + event.blockedURI));
const seen = {}, byId = (id) => document.getElementById(id);
const choose = (id, value, kind) => { byId(id).value = value; byId(id).dispatchEvent(new Event(kind || "change", { bubbles: true })); };
const titles = () => [...document.querySelectorAll("details.item .title")].map((title) => title.textContent);
setTimeout(() => {
  seen.first = titles();
  choose("show", "b-right"); seen.right = titles(); seen.status = byId("status").textContent;
  choose("show", "all"); choose("sort", "order");
  const details = document.querySelectorAll("details.item");
  for (const item of details) item.open = true;
  setTimeout(() => {
    seen.body = details[0].querySelector(".body").textContent;
    seen.chips = [...details[0].querySelectorAll(".ranks .chip")].map((chip) => chip.className);
    seen.directions = [...document.querySelectorAll(".title")].every((title) => title.dir === "auto");
    choose("evaluator", "toy.words");
    document.querySelector("details.item").open = true;
    setTimeout(() => {
      seen.masked = [...document.querySelectorAll("mark bdi")].map((mark) => mark.textContent);
      seen.words = [...document.querySelectorAll(".words .chip")].map((chip) => chip.textContent);
      choose("evaluator", "toy.search"); choose("query", "\\u{1F469}", "input");
      setTimeout(() => {
        seen.found = titles(); seen.hash = location.hash; seen.failures = failures;
        document.body.replaceChildren(Object.assign(document.createElement("pre"), { textContent: JSON.stringify(seen) }));
      }, 300);
    }, 100);
  }, 100);
}, 100);
"""


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="needs a browser")
def test_the_page_works_in_a_browser(two, tmp_path):
    words = [
        EvaluatedItem(
            "w",
            "👩‍👩‍👧 red shirt",
            0.0,
            False,
            words=[MaskedWord(6, 9, "blue", False), MaskedWord(10, 15, "shirt", True)],
        )
    ]
    for name in ("a", "b"):
        write(two / name, words, label="toy.words")
    page = write_items_page(two.parent / "comparison.html", results(two), "Items")
    page.write_text(page.read_text().replace("<title>", f"<script>{ACTIONS}</script><title>"))
    command = [CHROMIUM, "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={tmp_path / 'browser'}",
               "--virtual-time-budget=10000", "--dump-dom", page.as_uri()]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    (text,) = Texts(done.stdout).texts
    seen = json.loads(text)
    assert seen["failures"] == []
    # 0 and 0.25 differ as much as the next three; the last, 1 and 0, differ most.
    assert seen["first"][0] == HOSTILE[4]
    assert sorted(seen["first"]) == sorted(HOSTILE)
    assert seen["right"] == [HOSTILE[0], HOSTILE[2]] or sorted(seen["right"]) == sorted(
        [HOSTILE[0], HOSTILE[2], HOSTILE[4]]
    )
    assert seen["status"] == f"{len(seen['right'])} of 5 items. score: a 0.500, b 0.500."
    assert "document 0 of </script>" in seen["body"]
    assert "not in B’s first 2" in seen["body"]
    assert "Relevant, not among the first 2" in seen["body"]
    assert seen["chips"] == ["chip g3", "chip gn", "chip g2", "chip g3", "chip gn", "chip g2"]
    assert seen["directions"]
    # Places count characters as Python does, not the two units that JavaScript has for an emoji.
    assert seen["masked"] == ["red", "shirt"]
    assert seen["words"] == ["red ← blue", "shirt"] * 2
    assert seen["found"] == [HOSTILE[3]]
    assert "evaluator=toy.search" in seen["hash"]


class Texts(HTMLParser):
    """The texts of the `pre` elements of a page."""

    def __init__(self, page):
        super().__init__()
        self.texts, self.inside = [], False
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.inside = tag == "pre"
        if self.inside:
            self.texts.append("")

    def handle_endtag(self, tag):
        self.inside = False

    def handle_data(self, data):
        if self.inside:
            self.texts[-1] += data
