"""Comparisons as CSV, Markdown and LaTeX."""

import csv
import io
import re
import shutil
import subprocess

import pytest

from rexplug import Metric
from rexplug.evaluation.statistics import Difference
from rexplug.report.compare import Cell, Comparison, Row
from rexplug.report.costs import Cost
from rexplug.report.tables import COLUMNS, as_csv, as_latex, as_markdown, latex


def cell(value, difference=None, low=None, high=None, spread=None, runs=None):
    return Cell(Metric(value, low, high, 200, spread, runs), difference=difference)


def difference(value, p=0.0001, training_runs=3):
    return Difference(value, value - 0.01, value + 0.01, p, 200, (3, 3), p_holm=p, training_runs=training_runs)


@pytest.fixture
def comparison():
    return Comparison(
        ["bm25", "my_run|a", "b & 50%"],
        [
            Row(
                "ecommerce.esci", "ndcg_at_10", True,
                [cell(0.5, low=0.45, high=0.55), cell(0.6, difference(0.1), 0.55, 0.65, 0.012, 3), cell(0.52, difference(0.02, p=0.4))],
                "bm25",
            ),
            Row(
                "ecommerce.esci", "map", False,
                [cell(0.5), cell(0.6, difference(0.1, training_runs=1)), Cell(None, "it cannot")], "bm25",
            ),
            Row("validation_loss", "loss", True, [Cell(None, "no"), cell(2.0), cell(3.0, difference(1.0))], "my_run|a", True),
        ],
        ["A note with _signs_ & 5 %."],
        costs={"ecommerce.esci": [Cost(1.5, None, "cpu", "", "standard", False), None, None]},
    )  # fmt: skip


def test_csv_has_a_line_per_model_and_metric(comparison):
    rows = list(csv.DictReader(io.StringIO(as_csv(comparison))))
    assert len(rows) == 9
    assert tuple(rows[0]) == COLUMNS
    assert rows[0] == dict.fromkeys(COLUMNS, "") | {
        "model": "bm25", "evaluator": "ecommerce.esci", "metric": "ndcg_at_10", "main": "yes", "value": "0.5", "low": "0.45",
        "high": "0.55", "items": "200", "seconds": "1.5",
    }  # fmt: skip
    tested = rows[1]
    assert (tested["model"], tested["spread"], tested["runs"], tested["seconds"]) == ("my_run|a", "0.012", "3", "")
    assert (tested["compared_with"], tested["difference"], tested["p"], tested["verdict"]) == (
        "bm25",
        "0.1",
        "0.0001",
        "real",
    )
    assert rows[2]["verdict"] == "may be chance"
    assert rows[4]["verdict"] == "differs on these items; seeds were not varied"
    assert (rows[5]["value"], rows[5]["reason"]) == ("", "it cannot")


def test_markdown_is_a_github_table_with_bold_only_where_the_test_confirms(comparison):
    lines = as_markdown(comparison).split("\n")
    assert lines[:5] == [
        r"| metric | bm25 | my_run\|a | b & 50% |",
        "| --- | ---: | ---: | ---: |",
        r"| ecommerce.esci ndcg\_at\_10 | 0.500 \[0.450, 0.550\] | **0.600** + \[0.550, 0.650\] ±0.012 | 0.520 \~ |",
        "| ecommerce.esci map | 0.500 | 0.600 (+) | – |",
        "| validation\\_loss loss | – | **2.000** | 3.000 + |",
    ]
    columns = {len(re.findall(r"(?<!\\)\|", line)) for line in lines[:5]}
    assert columns == {5}
    assert lines[5] == ""
    assert lines[6].startswith(
        "- Paired permutation tests on the same items, 4 corrected together (Holm). + and -: really above"
    )
    assert r"A note with \_signs\_ & 5 %." in lines[7]


def test_a_first_model_that_is_really_above_all_others_is_bold():
    others = [cell(0.4, difference(-0.2)), cell(0.5, difference(-0.1, p=0.3))]
    row = Row("e", "m", True, [cell(0.6), *others], "a")
    assert row.best() is None
    assert Row("e", "m", True, [cell(0.6), others[0]], "a").best() == 0
    assert Row("e", "m", True, [cell(0.6)], "a").best() is None
    assert Row("e", "m", True, [cell(0.6), cell(0.4, difference(-0.2))], "a", True).best() == 1


_COMMANDS = {
    "begin": 1, "end": 1, "textbf": 1, "textit": 1, "textsuperscript": 1, "caption": 1, "multicolumn": 3, "centering": 0,
    "toprule": 0, "midrule": 0, "bottomrule": 0, "quad": 0, "footnotesize": 0, "textasciitilde": 1, "textbackslash": 1,
    "textasciicircum": 1, "textless": 1, "textgreater": 1, "textbar": 1, "ldots": 1, "pm": 0, "rightarrow": 0,
}  # fmt: skip


def check_latex(text):
    """Raise AssertionError where LaTeX would stop: unknown commands, groups or environments left open, missing arguments, signs that
    need an escape, rows that do not have as many cells as the table has columns."""
    text = "\n".join(re.sub(r"(?<!\\)%.*", "", line) for line in text.split("\n"))
    environments, depth, math, place = [], 0, False, 0
    while place < len(text):
        sign = text[place]
        if sign == "\\":
            if text[place + 1] == "\\" or text[place + 1] in "{}$&#_%":
                place += 2
                continue
            command = re.match(r"\\([a-z]+)", text[place:])
            assert command, f"unknown command at {text[place : place + 20]!r}"
            assert command[1] in _COMMANDS, command[1]
            place += len(command[0])
            if _COMMANDS[command[1]]:
                assert text[place] == "{", f"{command[1]} without argument"
            if command[1] in ("begin", "end"):
                name = re.match(r"\{([a-z]+)\}", text[place:])[1]
                if command[1] == "begin":
                    environments.append(name)
                else:
                    assert environments.pop() == name
            continue
        assert sign not in "#_^~" or math, f"unescaped {sign} at {text[place - 10 : place + 10]!r}"
        assert sign.isascii(), f"{sign} needs a package"
        depth += {"{": 1, "}": -1}.get(sign, 0)
        assert depth >= 0
        math = math != (sign == "$")
        place += 1
    assert (environments, depth, math) == ([], 0, False)
    columns = re.search(r"\\begin\{tabular\}\{([lr]+)\}", text)[1]
    for row in re.search(r"\\toprule(.*)\\bottomrule", text, re.DOTALL)[1].split("\\\\")[:-1]:
        spanned = sum(int(number) - 1 for number in re.findall(r"\\multicolumn\{(\d+)\}", row))
        assert len(re.findall(r"(?<!\\)&", row)) + 1 + spanned == len(columns), row


def test_latex_parses_and_is_bold_only_where_the_test_confirms(comparison):
    text = as_latex(comparison)
    check_latex(text)
    assert text.count(r"\textbf{") == 2
    assert (
        r"\quad ndcg\_at\_10 & 0.500 & \textbf{0.600}\textsuperscript{+} & 0.520\textsuperscript{\textasciitilde{}} \\"
        in text
    )
    assert r" & {\footnotesize [0.450, 0.550]} & {\footnotesize [0.550, 0.650] $\pm$0.012} &  \\" in text
    assert r"metric & bm25 & my\_run\textbar{}a & b \& 50\% \\" in text
    assert r"\multicolumn{4}{l}{\textit{validation\_loss}} \\" in text


def test_everything_that_means_something_to_latex_is_escaped():
    text = latex("a_b %c& #d $e {f} ~g ^h \\i < > | ± – … →")
    check_latex(
        "\\begin{table}\n\\begin{tabular}{l}\n\\toprule\n" + text + " \\\\\n\\bottomrule\n\\end{tabular}\n\\end{table}"
    )
    for sign in "_&#$":
        with pytest.raises(AssertionError):
            check_latex(f"\\begin{{tabular}}{{l}}\n\\toprule\na{sign}b \\\\\n\\bottomrule\n\\end{{tabular}}\n")


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="needs pdflatex")
def test_latex_compiles(comparison, tmp_path):
    text = (
        "\\documentclass{article}\\usepackage{booktabs}\\begin{document}\n" + as_latex(comparison) + "\\end{document}\n"
    )
    (tmp_path / "t.tex").write_text(text)
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
