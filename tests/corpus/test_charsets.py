"""Charsets: labels as browsers read them, declarations of pages, the option `encoding`, replacement characters."""

import json

import pytest

from rexplug.components import Document, Shard
from rexplug.corpus.sources import ERROR, Csv, HtmlFiles, TextFiles, Warc
from rexplug.corpus.sources.charsets import codec_of, content_type_charset, decoded, decoded_as, decoded_page
from rexplug.corpus.statistics import MergedSteps, StepStatistics

SENTENCE = "<p>Der Stuhl ist aus massiver Eiche gebaut, trägt 120 Kilogramm und kostet 59 € – „günstig“ für ein Möbelstück.</p>"


def read(source):
    return list(source.documents(Shard(0, 1)))


@pytest.mark.parametrize(
    ("label", "codec"),
    [
        ("ISO-8859-1", "cp1252"), ("latin1", "cp1252"), ("ascii", "cp1252"), (" US-ASCII ", "cp1252"), ("iso-8859-9", "cp1254"),
        ("tis-620", "cp874"), ("gb2312", "gb18030"), ("GBK", "gb18030"), ("ks_c_5601-1987", "cp949"), ("sjis", "cp932"),
        ("big5", "big5hkscs"), ("UTF8", "utf-8"), ("x-user-defined", "cp1252"),
        ("undefined", None), ("idna", None), ("base64", None), ("unicode_escape", None), ("hz-gb-2312", None), ("", None),
    ],
)  # fmt: skip
def test_labels_mean_what_they_mean_in_browsers(label, codec):
    assert codec_of(label) == codec


@pytest.mark.parametrize(
    ("header", "charset"),
    [
        ("text/html; charset=utf-8", "utf-8"), ("text/html;Charset=Windows-1251", "Windows-1251"),
        ("text/html; CHARSET = 'shift_jis' ; q=1", "shift_jis"), ('text/html; charset="euc-kr"', "euc-kr"),
        ("text/html; xcharset=utf-8", None), ("text/html", None), ("text/html; charset=", None),
    ],
)  # fmt: skip
def test_the_charset_of_a_header(header, charset):
    assert content_type_charset(header) == charset


@pytest.mark.parametrize(
    ("declaration", "charset"),
    [
        ('<meta charset="undefined">', "utf-8"),
        ('<meta charset="undefined"><meta charset="windows-1251">', "windows-1251"),
        ("<META http-equiv=Content-Type content='text/html; CharSet=Windows-1251'>", "windows-1251"),
        ('<!-- <meta charset="utf-8"> --><meta charset=windows-1251>', "windows-1251"),
        ('<meta data-charset="koi8-r" charset="windows-1251">', "windows-1251"),
        ('<?xml version="1.0" encoding="windows-1251"?>', "windows-1251"),
        ('<meta charset="utf-16">', "utf-8"),
        ('<?xml version="1.0" encoding="UTF-16"?>', "utf-8"),
        ('<meta charset="unicode_escape">', "utf-8"),
        ("", "utf-8"),
    ],
)
def test_the_charset_that_a_page_declares(declaration, charset):
    page = f"{declaration}<p>Стул из дуба с круглыми ножками, ручная работа, доставка по всей стране</p>"
    assert decoded_page(page.encode(charset)) == page


def test_a_header_has_precedence_over_the_page_and_a_byte_order_mark_over_both():
    page = '<meta charset="windows-1251"><p>Größe</p>'
    assert decoded_page(page.encode("cp1252"), "latin1") == page
    assert decoded_page(page.encode("utf-8-sig"), "latin1") == page
    assert decoded_page(b"\xff\xfe" + page.encode("utf-16-le"), "latin1") == page
    assert decoded_page(page.encode("cp1251", "ignore"), "no-such-charset") == page.replace("ö", "").replace("ß", "")


def test_bytes_that_the_charset_does_not_know_cost_only_themselves():
    assert decoded("Größe für".encode() + b" \xff 5") == "Größe für \ufffd 5"
    assert decoded("Größe für".encode() + b" \xff 5", "utf-8") == "Größe für \ufffd 5"


def test_a_charset_that_is_plainly_wrong_is_guessed():
    text = "Größe: 5 cm, für den täglichen Gebrauch im Büro, schön und günstig"
    assert decoded(text.encode("cp1252"), "utf-8") == text
    assert decoded(text.encode("cp1252")) == text


def test_euc_jp_has_the_rows_of_nec_as_in_browsers():
    assert decoded(b"\xad\xa1\xa4\xa2\xad\xea", "euc-jp") == "①あ㈱"
    assert decoded(b"\xa4\xa2\xff\xa4\xa2\xa4\xa2\xa1", "euc-jp") == "あ\ufffdああ\ufffd"


def test_a_page_that_names_no_charset_ends_nothing(tmp_path):
    for number, declaration in enumerate(
        ('<meta charset="undefined">', '<?xml version="1.0" encoding="windows-1251"?>')
    ):
        page = f"{declaration}<html><head><title>x</title></head><body><article>{SENTENCE * 3}</article></body></html>"
        (tmp_path / f"{number}.html").write_text(page, encoding="utf-8-sig")
    for document in read(HtmlFiles(paths=str(tmp_path))):
        assert "59 € – „günstig“ für" in document.text


def test_the_charset_in_a_header_of_an_archive_may_be_in_any_case(tmp_path):
    page = f"<html><body><article>{SENTENCE * 3}</article></body></html>".encode("cp1252")
    block = b"HTTP/1.1 200 OK\r\nContent-Type: Text/HTML; Charset=ISO-8859-1\r\n\r\n" + page
    head = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://x.example/\r\nContent-Type: application/http; msgtype=response\r\nContent-Length: {len(block)}"
    (tmp_path / "a.warc").write_bytes(head.encode() + b"\r\n\r\n" + block + b"\r\n\r\n")
    [document] = read(Warc(paths=str(tmp_path)))
    assert "59 € – „günstig“ für" in document.text


@pytest.mark.parametrize(
    ("encoding", "codec"),
    [
        ("windows-1252", "cp1252"),
        ("iso-8859-1", "cp1252"),
        ("cp850", "cp850"),
        ("utf-8", "utf-16"),
        ("utf-8", "utf-8-sig"),
    ],
)
def test_the_encoding_of_tables_and_texts(tmp_path, encoding, codec):
    text = 'Größe 5 für "Büro"' if codec == "cp850" else "Größe 5 € für Büro"
    (tmp_path / "a.csv").write_bytes("text;n\r\n{};1\r\n".format(text.replace('"', "'")).encode(codec))
    (tmp_path / "a.txt").write_bytes(text.encode(codec))
    (tmp_path / "a.html").write_bytes(f"<p>{text}".encode(codec))
    [row] = read(Csv(paths=str(tmp_path), delimiter=";", encoding=encoding))
    assert row.text == text.replace('"', "'")
    assert [d.text for d in read(TextFiles(paths=str(tmp_path), encoding=encoding))] == [text]
    assert [d.text for d in read(HtmlFiles(paths=str(tmp_path), encoding=encoding, extract="none"))] == [f"<p>{text}"]


def test_a_table_in_another_charset_keeps_its_rows(tmp_path):
    rows = "".join(f"Стул {number}\n" for number in range(50_000))
    (tmp_path / "a.csv").write_bytes(f"text\n{rows}".encode("cp1251"))
    assert [d.text for d in read(Csv(paths=str(tmp_path), encoding="windows-1251"))] == rows.splitlines()
    [first, *_] = read(Csv(paths=str(tmp_path)))
    assert (first.text, first.metadata.get(ERROR)) == ("\ufffd\ufffd\ufffd\ufffd 0", None)


@pytest.mark.parametrize("encoding", ["undefined", "base64", "no-such"])
def test_an_encoding_that_is_none_is_refused(encoding):
    message = f"'{encoding}' is not a charset that is known here; examples: utf-8, windows-1252, shift_jis, cp850"
    with pytest.raises(ValueError, match=message):
        Csv(paths="x.csv", encoding=encoding)
    with pytest.raises(ValueError, match=message):
        decoded_as(b"x", encoding)


def test_replacement_characters_are_counted():
    merged = MergedSteps()
    for texts in (["Gr\ufffd\ufffde", "x"], ["\ufffd"]):
        step = StepStatistics("read")
        for text in texts:
            step.count_replaced(Document("1", text))
        merged.add([json.loads(json.dumps(step.to_json()))])
    assert merged.to_json()[0]["replaced"] == {"documents": 2, "characters": 3}
