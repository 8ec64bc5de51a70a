"""CSV: quotes that are not closed, delimiters, names."""

import pytest
from pydantic import ValidationError

from rexplug.components import Shard
from rexplug.corpus.sources import Csv
from rexplug.errors import DataError


def read(source):
    return [document.text for document in source.documents(Shard(0, 1))]


def rows(*lines):
    return "text,price\n" + "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize(
    ("lines", "problem"),
    [
        (["oak chair,10", '"oak table,20', "lamp,30"], "the row that begins at line 3: a quote is not closed"),
        (
            ["oak chair,10", '"oak table,20', '"lamp",30'],
            "the row that begins at line 3: text behind a closing quote, or a quote before it that is not closed",
        ),
        (
            ['"oak" chair,10', "lamp,30"],
            "the row that begins at line 2: text behind a closing quote, or a quote before it that is not closed",
        ),
    ],
)
def test_a_quote_that_is_not_closed_is_damage(tmp_path, lines, problem):
    file = tmp_path / "x.csv"
    file.write_text(rows(*lines))
    with pytest.raises(DataError) as error:
        read(Csv(paths=str(file)))
    assert str(error.value).startswith(f"{file} is damaged: {problem}; ")
    kept = read(Csv(paths=str(file), damaged="skip"))
    assert kept == [line.split(",")[0] for line in lines[:1] if '"' not in line] + [""], (
        "the rest is dropped with a reason"
    )


def test_quotes_as_they_come(tmp_path):
    (tmp_path / "x.csv").write_text(rows('"oak" chair,10', 'pipe 5" wide,20'))
    assert read(Csv(paths=str(tmp_path), strict=False)) == ["oak chair", 'pipe 5" wide']


def test_quotes_that_are_right(tmp_path):
    (tmp_path / "x.csv").write_text(rows('"a 5"" pipe, of\nsteel",10', 'pipe 5" wide,20', '"",5'))
    assert read(Csv(paths=str(tmp_path))) == ['a 5" pipe, of\nsteel', 'pipe 5" wide', ""]


@pytest.mark.parametrize("delimiter", ["||", ""])
def test_a_delimiter_is_one_character(delimiter):
    with pytest.raises(ValidationError, match="1 character"):
        Csv(paths="x.csv", delimiter=delimiter)


@pytest.mark.parametrize("delimiter", ['"', "\n", "\r", "\0"])
def test_an_invalid_delimiter_is_refused(delimiter):
    for option in ("delimiter", "escape"):
        with pytest.raises(ValidationError, match="a quote, a line end or NUL cannot be this character"):
            Csv(paths="x.csv", **{option: delimiter})


def test_quotes_as_ordinary_characters(tmp_path):
    """Tab-separated tables as in MS MARCO, ESCI and many other data sets."""
    (tmp_path / "x.tsv").write_text('id\ttext\n1\t"Best" pipe\n2\t"5 inch\n3\tpipe 5"\n4\t"all"\n')
    assert read(Csv(paths=str(tmp_path), quotes=False)) == ['"Best" pipe', '"5 inch', 'pipe 5"', '"all"']
    with pytest.raises(DataError, match="where quotes have no meaning write `quotes: false`"):
        read(Csv(paths=str(tmp_path)))


def test_quotes_escaped_by_a_backslash(tmp_path):
    """Tables as Spark and MySQL write them."""
    (tmp_path / "x.csv").write_text(rows('"a \\"5 inch\\" pipe",10', "lamp,20"))
    assert read(Csv(paths=str(tmp_path), escape="\\")) == ['a "5 inch" pipe', "lamp"]
    with pytest.raises(DataError) as error:
        read(Csv(paths=str(tmp_path)))
    assert r'where \ is before a quote inside of quotes write `escape: "\\"`' in str(error.value)


def test_empty_fields_beyond_the_header_are_none(tmp_path):
    (tmp_path / "x.csv").write_text(rows("oak chair,10,", "oak table,20,,", "lamp,30,x"))
    assert read(Csv(paths=str(tmp_path))) == ["oak chair", "oak table", ""]


def test_a_field_that_is_too_long_drops_only_its_row(tmp_path):
    (tmp_path / "x.csv").write_text(rows("oak chair,10", "a" * 5000 + ",20", "lamp,30"))
    assert read(Csv(paths=str(tmp_path), longest=1000)) == ["oak chair", "", "lamp"]


@pytest.mark.parametrize(("sign", "written"), [(";", '";"'), ("\t", r'"\t"'), ("|", '"|"')])
def test_another_delimiter_is_named(tmp_path, sign, written):
    (tmp_path / "x.csv").write_text(f"text{sign}price\noak chair{sign}10\n")
    with pytest.raises(DataError) as error:
        read(Csv(paths=str(tmp_path)))
    assert str(error.value) == (
        f"{tmp_path / 'x.csv'} has no column text: its fields are not separated by ','; write `delimiter: {written}`"
    )


def test_the_name_of_the_file_decides_and_not_that_of_its_folder(tmp_path):
    folder = tmp_path / "shop.tsv"
    folder.mkdir()
    (folder / "x.csv").write_text(rows("oak chair,10"))
    (folder / "y.tsv.gz.csv").write_text("text\tprice\noak table\t10\n")
    assert read(Csv(paths=str(folder / "x.csv"))) == ["oak chair"]
    assert read(Csv(paths=str(folder / "y.tsv.gz.csv"))) == ["oak table"]
