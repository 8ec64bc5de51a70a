"""Filters and formatters of datatrove by class name: their decisions, what they would download, and messages that name the wrong key."""

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from rexplug import RecipeError
from rexplug.components import Document
from rexplug.corpus.datatrove.blocks import REFUSED, UnknownBlockError, _adapter, catalogue, find_block
from rexplug.corpus.datatrove.filters import DatatroveFilter
from rexplug.errors import DataError, PluginError
from rexplug.plugins.fingerprint import PluginCode
from rexplug.recipe import load_recipe
from rexplug.testing import check_corpus_filter

RECIPE = (Path(__file__).parents[3] / "recipes" / "ecommerce.yaml").read_text()
PROSE = "The chair that we have made for the hall is of oak and ash. It carries the weight of two people with ease."


def make(name, **options):
    return DatatroveFilter.model_validate({"class": name, "options": options})


def test_filters_and_formatters_judge_as_datatrove_does():
    long, short = Document("1", PROSE), Document("2", "the chair and the table")
    check_corpus_filter(make("GopherQualityFilter", min_doc_words=20), keep=[long], drop=[short])
    check_corpus_filter(make("RegexFilter", regex_exp="table"), keep=[Document("3", "chair")], drop=[short])
    check_corpus_filter(
        make("C4QualityFilter", min_num_sentences=1),
        change=[(Document("4", "Menu\nThe chair is of oak."), "The chair is of oak.")],
    )
    check_corpus_filter(make("GopherRepetitionFilter", top_n_grams=[[2, 0.2]]), keep=[long])
    assert make("GopherQualityFilter", min_doc_words=20).judge(short).reason == "gopher_short_doc"


def test_replacements_do_not_depend_on_documents_before():
    text = Document("5", "to a@b.example and c@d.example")
    check_corpus_filter(make("PIIFormatter"), change=[(text, "to email@example.com and email@example.com")])
    own = make("PIIFormatter", email_replacement=["one", "two"])
    check_corpus_filter(own, change=[(text, "to one and one")])
    check_corpus_filter(make("PIIFormatter", email_replacement="mail"), change=[(text, "to mail and mail")])


@pytest.mark.filterwarnings("ignore:The 'registered_domain'")
def test_the_url_filter_asks_no_network():
    url_filter = make("URLFilter", extra_domains=["spam.example.com"], use_integrated_lists=False)
    url_filter.check()
    assert not url_filter.judge(Document("1", "x", "http://spam.example.com/")).keep
    assert url_filter.judge(Document("2", "x")).reason == "no address"


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("FastTextClassifierFilter", {"model_url": "hub/model.bin"}, "model_url: hub/model.bin is not a file; models are never downloaded"),
        ("FastTextClassifierFilter", {"model_url": __file__}, "write `keep_labels` or `remove_labels`; without one nothing would be dropped"),
        ("LanguageFilter", {"backend": "glotlid"}, "only the backend ft176 works without a download"),
        ("RegexFilter", {"regex_exp": "("}, "datatrove refuses these options: missing ), unterminated subpattern at position 0"),
    ],
)  # fmt: skip
def test_options_that_cannot_work_are_refused_by_check(name, options, message):
    with pytest.raises(DataError) as caught:
        make(name, **options).check()
    assert str(caught.value) == message


def test_a_checked_filter_pickles_without_its_block():
    checked = make("RegexFilter", regex_exp="table")
    checked.check()
    copy = pickle.loads(pickle.dumps(checked))
    assert copy == checked
    assert "_block" not in vars(copy)
    assert not copy.judge(Document("1", "a table")).keep


def test_a_filter_dumps_to_its_recipe_entry(tmp_path):
    entry = "{use: datatrove.filter, class: GopherQualityFilter, options: {min_doc_words: 30}}"
    path = tmp_path / "r.yaml"
    path.write_text(RECIPE.replace("      - quality.gopher\n", f"      - {entry}\n", 1))
    [found] = [
        component for component in load_recipe(path).sources["web"].filters if component.name == "datatrove.filter"
    ]
    assert json.loads(json.dumps(found.dump())) == {
        "use": "datatrove.filter", "class": "GopherQualityFilter", "options": {"min_doc_words": 30},
    }  # fmt: skip
    assert found.step_name == "datatrove.GopherQualityFilter"


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        (
            "{use: datatrove.filter, class: GopherQualityFliter}",
            ".class: datatrove has no filter or formatter 'GopherQualityFliter'; did you mean 'GopherQualityFilter'?",
        ),
        (
            "{use: datatrove.filter, class: GopherQualityFilter, options: {min_doc_wrods: 30}}",
            ".options.min_doc_wrods: GopherQualityFilter has no such option; did you mean 'min_doc_words'?",
        ),
        (
            "{use: datatrove.filter, class: GopherQualityFilter, options: {zoom: 30, min_doc_words: many}}",
            ".options.zoom: GopherQualityFilter has no such option; its options are min_doc_words, max_doc_words, "
            "min_avg_word_length, max_avg_word_length, max_symbol_word_ratio, max_bullet_lines_ratio, "
            "max_ellipsis_lines_ratio, max_non_alpha_words_ratio, min_stop_words, stop_words, language",
        ),
        (
            "{use: datatrove.filter, class: RegexFilter, options: {exclusion_writer: x}}",
            ".options.exclusion_writer: cannot be set here: rexplug writes dropped documents itself",
        ),
        (
            "{use: datatrove.filter, class: RegexFilter}",
            ".options.regex_exp: is missing",
        ),
        (
            "{use: datatrove.filter, class: SamplerFilter, options: {rate: 0.5}}",
            ".class: SamplerFilter cannot be used: it draws at random; write `sample` beside the source's `use`",
        ),
        (
            "{use: datatrove.GopherQualityFilter, min_doc_words: 30}",
            ": 'datatrove.GopherQualityFilter' is written {use: datatrove.filter, class: GopherQualityFilter, options: {...}}",
        ),
    ],
)
def test_mistakes_are_reported_with_their_keys(tmp_path, entry, problem):
    path = tmp_path / "r.yaml"
    path.write_text(RECIPE.replace("      - quality.gopher\n", f"      - {entry}\n", 1))
    line = next(n for n, text in enumerate(path.read_text().splitlines(), 1) if entry in text)
    with pytest.raises(RecipeError) as caught:
        load_recipe(path)
    problems = [line.strip() for line in str(caught.value).splitlines()]
    assert any(each.startswith(f"{path}:{line}: sources.web.filters.") and each.endswith(problem) for each in problems)


def test_a_wrong_type_is_reported_with_its_key():
    with pytest.raises(ValueError, match=r"options\.min_doc_words\n"):
        make("GopherQualityFilter", min_doc_words="many")
    make("GopherQualityFilter", max_symbol_word_ratio=0.25, min_avg_word_length=2.5)


def test_the_catalogue_names_classes_with_their_options():
    entries = {entry.name: entry for entry in catalogue()}
    assert {entry.use for entry in entries.values()} == {"datatrove.filter", "datatrove.reader"}
    assert {"C4QualityFilter", "PIIFormatter", "IpcReader", "CSVReader"} <= set(entries)
    assert not {"SamplerFilter", "JsonlReader", "BaseFilter"} & set(entries)
    assert entries["RegexFilter"].signature == "regex_exp: str"
    assert entries["IpcReader"].summary == "Read data from Apache Arrow IPC files."


def test_listing_components_does_not_import_datatrove():
    code = "import sys; from rexplug.plugins.discovery import load_plugins; load_plugins(); print('datatrove' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


THIRD_PARTY = """
from datatrove.pipeline.filters import URLFilter
from datatrove.pipeline.filters.base_filter import BaseFilter


class Raises(BaseFilter):
    def filter(self, doc):
        raise ValueError("no table")


class Exits(BaseFilter):
    def filter(self, doc):
        raise SystemExit(3)


class Three(BaseFilter):
    def filter(self, doc):
        return True, "a", "b"


class Refuses(BaseFilter):
    def __init__(self):
        raise SystemExit("no licence")

    def filter(self, doc):
        return True


class Domains(URLFilter):
    pass


class URLFilter(BaseFilter):
    def filter(self, doc):
        return True
"""


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of others, `others`, whose module `blocks` has filters; returns its folder."""
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "__init__.py").write_text("")
    (tmp_path / "others" / "blocks.py").write_text(THIRD_PARTY)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "others"
    for name in [name for name in sys.modules if name.partition(".")[0] == "others"]:
        del sys.modules[name]
    find_block.cache_clear()
    _adapter.cache_clear()


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("Raises", "raised ValueError on document '1': no table"),
        ("Exits", "raised SystemExit on document '1': 3"),
        ("Three", "raised ValueError on document '1': too many values to unpack (expected 2)"),
    ],
)
def test_what_a_class_raises_names_class_and_document(package, name, problem):
    with pytest.raises(PluginError) as caught:
        make(f"others.blocks.{name}").judge(Document("1", "x"))
    first, line = str(caught.value).splitlines()
    assert first == f"others.blocks.{name}.filter() {problem}"
    assert ".py:" in line


def test_a_class_that_ends_the_process_refuses_its_options(package):
    with pytest.raises(DataError) as caught:
        make("others.blocks.Refuses").check()
    assert str(caught.value) == "datatrove refuses these options: no licence"


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("import no_such_package", "ModuleNotFoundError: No module named 'no_such_package'"),
        (
            "class Odd(Exception):\n    def __str__(self):\n        raise ValueError\n\n\nraise Odd",
            "Odd: <Odd whose text cannot be shown>",
        ),
    ],
)
def test_a_module_that_cannot_be_imported(package, code, reason):
    (package / "broken.py").write_text(code)
    with pytest.raises(UnknownBlockError) as caught:
        find_block("filter", "others.broken.Filter")
    assert str(caught.value) == f"the module others.broken cannot be imported: {reason}"


def test_a_module_whose_attributes_cannot_be_imported(package):
    (package / "lazy.py").write_text("def __getattr__(name):\n    raise ImportError('no GPU')\n")
    with pytest.raises(UnknownBlockError) as caught:
        find_block("filter", "others.lazy.Filter")
    assert str(caught.value) == "'others.lazy.Filter' cannot be imported: ImportError: no GPU"


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("filter", "datatrove.pipeline.filters.LambdaFilter"),
        ("filter", "datatrove.pipeline.filters.SamplerFilter"),
        ("filter", "datatrove.pipeline.filters.c4_filters.C4BadWordsFilter"),
        ("reader", "datatrove.pipeline.readers.jsonl.JsonlReader"),
    ],
)
def test_a_refused_class_is_refused_by_its_path_too(kind, path):
    with pytest.raises(UnknownBlockError) as caught:
        find_block(kind, path)
    assert str(caught.value) == f"{path} cannot be used: {REFUSED[path.rpartition('.')[2]]}"


@pytest.mark.filterwarnings("ignore:The 'registered_domain'")
@pytest.mark.parametrize("name", ["datatrove.pipeline.filters.URLFilter", "others.blocks.Domains"])
def test_a_class_of_datatrove_by_its_path_and_its_subclasses_get_the_same_treatment(package, name):
    url_filter = make(name, extra_domains=["spam.example.com"], use_integrated_lists=False)
    assert not url_filter.judge(Document("1", "x", "http://spam.example.com/")).keep
    assert url_filter.judge(Document("2", "x")).reason == "no address"


def test_a_class_of_others_with_a_name_of_datatrove_is_not_taken_for_it(package):
    assert make("others.blocks.URLFilter").judge(Document("1", "x")).keep


def test_an_option_of_several_types_has_one_problem():
    with pytest.raises(ValidationError) as caught:
        make("GopherQualityFilter", min_doc_words="x")
    (problem,) = caught.value.errors()
    assert problem["loc"] == ("options", "min_doc_words")
    assert problem["msg"] == (
        "Input should be a valid integer, unable to parse string as an integer, or: input should be a valid number, unable to "
        "parse string as a number"
    )


def test_the_code_of_a_class_of_others_is_part_of_the_fingerprint(package):
    others = make("others.blocks.Raises")
    before = PluginCode({}).of([others])
    assert set(before) == {"others"}
    assert PluginCode({}).of([make("RegexFilter", regex_exp="x")]) == {}
    (package / "blocks.py").write_text(THIRD_PARTY.replace("no table", "no list"))
    assert PluginCode({}).of([others]) != before
