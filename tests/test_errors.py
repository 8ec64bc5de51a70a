"""How messages quote values: in full if they are short, truncated if they are long."""

from rexplug.errors import DataError, brief, first_few, first_line, one_line, shorten


def test_a_long_text_is_cut_to_the_limit():
    assert shorten("oak") == "oak"
    assert shorten("x" * 60) == "x" * 60
    assert shorten("x" * 61) == "x" * 57 + "..."
    assert shorten("abcdefghij", 8) == "abcde..."


def test_the_number_of_the_names_left_out_is_given():
    assert first_few([]) == ""
    assert first_few(["a", "b", "c"]) == "a, b, c"
    assert first_few(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
    assert first_few(["a", "b"], 1) == "a and 1 more"


def test_the_error_of_a_library_becomes_one_line():
    assert one_line(ValueError("bad\n  header ")) == "bad header"
    assert one_line(ValueError("y" * 400)) == "y" * 300
    assert one_line(ValueError("y" * 400), 5) == "yyyyy"


class WithoutText(Exception):
    def __str__(self):
        raise RuntimeError


def test_the_first_line_of_an_error():
    assert first_line(ValueError("\nbad header\nin line 3")) == "bad header"
    assert first_line(ValueError("bad header"), 3) == "bad"
    assert first_line(ValueError()) == "ValueError"


def test_an_error_whose_text_cannot_be_shown():
    assert one_line(WithoutText()) == first_line(WithoutText()) == "<WithoutText whose text cannot be shown>"


def test_a_value_is_repeated_as_python_writes_it():
    assert brief("oak") == "'oak'"
    assert brief("z" * 200) == "'" + "z" * 119 + "... (202 characters)"


def test_control_characters_do_not_reach_the_terminal():
    assert str(DataError("a\x1b[2Jb")) == "a\\x1b[2Jb"
    assert str(DataError("q" * 3000)) == "q" * 1500 + " [... 1,000 characters ...] " + "q" * 500
