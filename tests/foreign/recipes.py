"""Random changes of the shipped recipes, and what the command line makes of them.

The right answer to every one of them is the command's output, or one message of a few lines and exit code 2. As a script this
runs any number of them and prints what went wrong, grouped by cause:

    python tests/foreign/recipes.py --from 0 --to 4000
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import os
import random
import re
import signal
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import click
import yaml

ROOT = Path(__file__).parents[2]
RECIPES = tuple(sorted((ROOT / "recipes").glob("*.yaml")))
COMMANDS = ("check", "show", "plan")
SECONDS = 20
"""Longest time that one call may take before it counts as hanging."""
LONGEST = 4000
"""Most characters that one line of a message may have, and a message of one problem."""

NUMBERS: Sequence[Any] = (
    0, -1, 1, 2, -0.0, 0.5, 1e-320, 5e-324, 1e-300, 1e308, 1.7976931348623157e308, float("inf"), float("-inf"), float("nan"),
    2**31, 2**32, 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**25, 10**400, -(10**400), 10**5000, True, False,
)  # fmt: skip
"""Values of the kind that scalars are replaced by."""
TEXTS: Sequence[str] = (
    "", " ", "\x00", "a\x00b", "a\x1b[31mb", "\x07", "\x85", "\u2028", "\ufeff", "\ufffe", "\ud800", "a\udfffb", "²", "٣", "١٢", "Ⅷ",
    "1e400", "-1e400", "1e-400", ".inf", "nan", "Infinity", "1_000", "0x" + "f" * 5000, "9" * 5000, "1e99999", "9.9T", "99999999T", "-5k",
    "5e-1k", "random", "train", "wsd", "annealing.constant", "guided_mlm.guided", "ecommerce.attributes", "core", ".", "..", "/", "../..",
    "~", "null", "{}", "{x}", "%s", "{message}", "[bold]x[/bold]", "[/]", "x" * 100_000, "x" * 4000, "a/" * 3000, "ä" * 300, "../../../../etc/passwd", "con",
    "a/b", "a\nb", "s3://x/y", "https://", "file:///", "*", "[", "**", "x=bm25", "random:", "=", "label=", "-", "name", "use", "from",
)  # fmt: skip
KEYS: Sequence[str] = (
    "", "use", "name", "from", "from_", "size", "extends", "defaults", "tokens", "²", "\x00", "\ud800", "0", "-1", "__class__", "model_config",
    "x" * 100_000, "a.b", "[key]", "filters", "rate", "paths", "masking", "limit", "sample", "self", "~", "null", "true", "3", "1.5", ".inf",
)  # fmt: skip
SNIPPETS: Sequence[str] = (
    "\x00", "\x01", "\x07", "\x1b", "\x7f", "\x80", "\x85", "\ufeff", "\u2028", "\u200b", "\ufffe", "\t", "\r", "\n", "\n---\n", "\n...\n", "%YAML 9.9\n", "%TAG ! x\n",
    "!!int ", "!!int x", "!!float x", "!!bool x", "!!null x", "!!timestamp x", "!!timestamp 2024-99-99", "!!binary x", "!!binary =",
    "!!set ", "!!omap ", "!!pairs ", "!!str ", "!!seq ", "!!map ", "!!python/name:os.system ", "!!python/object/apply:os.getcwd []", "! ", "!x ", "!<> ",
    "!<tag:yaml.org,2002:int> ", "!<x> ", "!!x ", "!e!x ", "&a ", "*a ", "&a [*a]", "<<: ", "<<: *a", "? ", ": ", "- ", "|", ">", "|9", ">-", '"', "'", '"\\ud800"', '"\\x00"',
    '"\\uD83D"', '"\\U99999999"', '"\\U0010FFFF"', '"\\q"', "{", "}", "[", "]", "[" * 40, "{a: " * 40, "[" * 900, "{a: " * 900, "[" * 6000, "- " * 3000, "? " * 1500, ".inf", "-.inf", ".nan",
    "1e400", "9" * 5000, "0x" + "f" * 6000, "0o17", "1_0", "+1", "-0", ".", "~", "12:30:45", "2024-01-01", "#", "@", "`", "%", "\\", "²", "٣",
    "extends: \"a\\0b\"\n", "extends: ecommerce.yaml\n", "extends: .\n", "extends: [x]\n", f"extends: {'x' * 5000}\n", "extends: \"\\ud800\"\n", "extends: /dev/null\n",
    "defaults: {tokens: .inf}\n", "defaults: []\n", "defaults: {²: 1}\n",
)  # fmt: skip


@dataclass(frozen=True)
class Mutant:
    """A changed recipe: the bytes of its file, overrides, and what was done to it."""

    seed: int
    content: bytes
    overrides: tuple[str, ...]
    what: str


@dataclass(frozen=True)
class Answer:
    """What a command made of a recipe: exit code (1 for a traceback), output, message, seconds."""

    code: int
    output: str
    message: str
    seconds: float
    error: BaseException | None = None

    @property
    def cause(self) -> str:
        """Type of the exception that escaped, and the line of ours that it came through last."""
        if self.error is None:
            return ""
        frames = traceback.extract_tb(self.error.__traceback__)
        ours = [frame for frame in frames if "rexplug" in frame.filename and "/tests/" not in frame.filename]
        last = ours[-1] if ours else frames[-1]
        where = re.sub(r".*/((?:rexplug|plugins)/.*)", r"\1", last.filename)
        return f"{type(self.error).__name__} at {where}:{last.lineno} {last.name}: {str(self.error)[:90]!r}"


def mutant(seed: int) -> Mutant:
    """The recipe of a seed, always the same."""
    draw = random.Random(seed)
    text = draw.choice(RECIPES).read_text(encoding="utf-8")
    kind = draw.choices(("structure", "text", "override"), (5, 4, 3))[0]
    if kind == "override":
        overrides = tuple(_override(draw, text) for _ in range(draw.randint(1, 2)))
        return Mutant(seed, text.encode(), overrides, f"overrides {overrides!r:.200}")
    if kind == "text":
        done = []
        content = text.encode()
        for _ in range(draw.choices((1, 2, 3), (6, 2, 1))[0]):
            content, what = draw.choice(_TEXT_LEVEL)(draw, content)
            done.append(what)
        return Mutant(seed, content, (), "; ".join(done))
    value = yaml.safe_load(text)
    done = [draw.choice(_STRUCTURE_LEVEL)(draw, value) for _ in range(draw.choices((1, 2, 3), (6, 2, 1))[0])]
    return Mutant(seed, _written(value), (), "; ".join(done))


def _written(value: Any) -> bytes:
    """As YAML; lone surrogates and control characters are escaped, so that the file is valid."""
    sys.set_int_max_str_digits(0)
    try:
        return yaml.safe_dump(value, sort_keys=False, allow_unicode=False, width=10**6).encode()
    finally:
        sys.set_int_max_str_digits(4300)


def _nested(draw: random.Random) -> Any:
    depth = draw.choice((5, 60, 150))
    value: Any = draw.choice((1, "x", None))
    for _ in range(depth):
        value = [value] if draw.random() < 0.5 else {draw.choice(("a", "use", "name")): value}
    return value


def odd(draw: random.Random) -> Any:
    """A value that does not belong where it will stand."""
    kind = draw.randrange(10)
    if kind < 4:
        return draw.choice(NUMBERS)
    if kind < 7:
        return draw.choice(TEXTS)
    return draw.choice((None, [], {}, [[]], [None], {"": None}, {"use": None}, {"use": ["x"]}, [1, "x"], list(range(2000)), _nested(draw)))  # fmt: skip


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, each in items:
        if len(path) < 12:
            found += _paths(each, (*path, key))
    return found


def _at(value: Any, path: Sequence[Any]) -> Any:
    for step in path:
        value = value[step]
    return value


def _replace(draw: random.Random, value: Any) -> str:
    *head, last = draw.choice(_paths(value) or [()]) or (None,)
    if last is None:
        return "nothing"
    new = odd(draw)
    _at(value, head)[last] = new
    return f"{[*head, last]} = {new!r:.80}" if not isinstance(new, int) else f"{[*head, last]} = a number"


def _scale(draw: random.Random, value: Any) -> str:
    paths = [path for path in _paths(value) if isinstance(_at(value, path), int | float)]
    if not paths:
        return "nothing"
    *head, last = draw.choice(paths)
    old = _at(value, (*head, last))
    factors = (10, 1e3, 1e6, 1e9, 1e30, -1, 1e-9, 0.5, 2, 7) if abs(old) < 1e100 else ()
    new = draw.choice(
        (*NUMBERS, *(old * factor for factor in factors))
        if draw.random() < 0.5
        else (*NUMBERS[:4], *(old * f for f in factors))
    )
    _at(value, head)[last] = new
    return f"{[*head, last]} = another number"


def _retext(draw: random.Random, value: Any) -> str:
    paths = [path for path in _paths(value) if isinstance(_at(value, path), str)]
    if not paths:
        return "nothing"
    *head, last = draw.choice(paths)
    new = draw.choice(TEXTS)
    _at(value, head)[last] = new
    return f"{[*head, last]} = {new!r:.60}"


def _remove(draw: random.Random, value: Any) -> str:
    paths = _paths(value)
    if not paths:
        return "nothing"
    *head, last = draw.choice(paths)
    del _at(value, head)[last]
    return f"{[*head, last]} removed"


def _rename(draw: random.Random, value: Any) -> str:
    paths = [path for path in _paths(value) if isinstance(path[-1], str)]
    if not paths:
        return "nothing"
    *head, last = draw.choice(paths)
    new = draw.choice(KEYS)
    parent = _at(value, head)
    parent[new] = parent.pop(last)
    return f"{[*head, last]} renamed to {new!r:.40}"


def _add(draw: random.Random, value: Any) -> str:
    paths = [(), *(path for path in _paths(value) if isinstance(_at(value, path), dict))]
    path = draw.choice(paths)
    key, new = draw.choice(KEYS), odd(draw)
    if isinstance(_at(value, path), dict):
        _at(value, path)[key] = new
    return f"{list(path)}: {key!r:.40} added"


@cache
def _options() -> dict[str, tuple[str, ...]]:
    """What may stand beside a `use`, in a phase, and at the top of a recipe, by the name of the component or section."""
    from rexplug.plugins.discovery import load_plugins
    from rexplug.recipe.schema import Curation, LearningRate, Model, Optimizer, Phase, Recipe, Tokenizer

    sections = {
        "phase": Phase, "recipe": Recipe, "curation": Curation, "model": Model, "tokenizer": Tokenizer,
        "learning_rate": LearningRate, "optimizer": Optimizer,
    }  # fmt: skip
    entries = load_plugins().entries.values()
    models = sections | {entry.component.name: entry.component for entry in entries}
    return {
        name: tuple(field.alias or key for key, field in each.model_fields.items()) for name, each in models.items()
    }


def _option(draw: random.Random, value: Any) -> str:
    """Give an option that is there, and that the recipe leaves out, some value or other."""
    paths = [(), *(path for path in _paths(value) if isinstance(_at(value, path), dict))]
    path = draw.choice(paths)
    at = _at(value, path)
    if not isinstance(at, dict):
        return "nothing"
    what = at.get("use") if isinstance(at.get("use"), str) else path[-1] if path else "recipe"
    what = "phase" if isinstance(what, int) else what
    keys = _options().get(what)
    if not keys:
        return "nothing"
    key = draw.choice(keys)
    plain = (
        None,
        True,
        0,
        1,
        3,
        0.5,
        100,
        "text",
        "url",
        ["a"],
        [0.1, 0.2],
        {"start": 0.1, "end": 0.3},
        {"web": 1},
        {"a": None},
    )
    new = at[key] = draw.choice(plain) if draw.random() < 0.7 else odd(draw)
    return f"{list(path)}: option {key} = {new!r:.60}" if not isinstance(new, int) else f"{list(path)}: option {key}"


def _swap(draw: random.Random, value: Any) -> str:
    paths = _paths(value)
    if len(paths) < 2:
        return "nothing"
    (*head, last), other = draw.choice(paths), draw.choice(paths)
    new = copy.deepcopy(_at(value, other))
    _at(value, head)[last] = new
    return f"{[*head, last]} = what stands at {list(other)}"


def _repeat(draw: random.Random, value: Any) -> str:
    paths = [path for path in _paths(value) if isinstance(_at(value, path), list)]
    if not paths:
        return "nothing"
    path = draw.choice(paths)
    items = _at(value, path)
    items *= draw.choice((2, 3, 40))
    return f"{list(path)} repeated"


def _insert(draw: random.Random, content: bytes) -> tuple[bytes, str]:
    snippet = draw.choice(SNIPPETS)
    place = draw.randrange(len(content) + 1)
    if draw.random() < 0.6:  # where a value begins
        places = [match.end() for match in re.finditer(rb": |- |\n|\[|, ", content)]
        place = draw.choice(places) if places else place
    return content[:place] + snippet.encode() + content[place:], f"{snippet!r:.40} at byte {place}"


def _instead(draw: random.Random, content: bytes) -> tuple[bytes, str]:
    """Replace a scalar's text by a snippet, so that what is before and after it still parses."""
    found = list(re.finditer(rb"(?<=: )[^\s{}\[\],#]+", content))
    if not found:
        return content, "nothing"
    match, snippet = draw.choice(found), draw.choice(SNIPPETS)
    return content[: match.start()] + snippet.encode() + content[match.end() :], f"{snippet!r:.40} for {match[0]!r}"


def _tagged(draw: random.Random, content: bytes) -> tuple[bytes, str]:
    found = list(re.finditer(rb"(?<=: )(?=[^\s#])", content))
    if not found:
        return content, "nothing"
    place, tag = (
        draw.choice(found).start(),
        draw.choice([snippet for snippet in SNIPPETS if snippet.startswith(("!", "&"))]),
    )
    return content[:place] + tag.strip().encode() + b" " + content[place:], f"{tag!r:.40} before a value"


def _cut(draw: random.Random, content: bytes) -> tuple[bytes, str]:
    first = draw.randrange(len(content) + 1)
    last = len(content) if draw.random() < 0.3 else min(len(content), first + draw.choice((1, 3, 20, 200)))
    return content[:first] + content[last:], f"bytes {first} to {last} cut"


def _flip(draw: random.Random, content: bytes) -> tuple[bytes, str]:
    if not content:
        return content, "nothing"
    place = draw.randrange(len(content))
    return content[:place] + bytes([draw.randrange(256)]) + content[place + 1 :], f"another byte at {place}"


def _lines(draw: random.Random, content: bytes) -> tuple[bytes, str]:
    lines = content.splitlines(keepends=True) or [b"\n"]
    place = draw.randrange(len(lines))
    how = draw.choice(("doubled", "removed", "moved", "indented", "dedented"))
    line = lines.pop(place)
    if how == "doubled":
        lines[place:place] = [line, line]
    elif how == "moved":
        lines.insert(draw.randrange(len(lines) + 1), line)
    elif how == "indented":
        lines.insert(place, b"  " + line)
    elif how == "dedented":
        lines.insert(place, line.lstrip())
    return b"".join(lines), f"line {place + 1} {how}"


def _override(draw: random.Random, text: str) -> str:
    value = yaml.safe_load(text)
    path = [*draw.choice(_paths(value))]
    for place, step in enumerate(path):
        if isinstance(step, int) and draw.random() < 0.15:
            path[place] = draw.choice(("²", "٣", "-1", "99999999999", "9" * 5000, "", "Ⅷ", "0x1", "1.5", "+0", "1_0"))
    how = draw.randrange(8)
    if how == 0:
        path.insert(draw.randrange(len(path) + 1), draw.choice(KEYS))
    elif how == 1:
        path[draw.randrange(len(path))] = draw.choice(KEYS)
    elif how == 2:
        path = path[: draw.randint(1, len(path))]
    new = odd(draw)
    written = draw.choice(SNIPPETS) if draw.random() < 0.4 else new if isinstance(new, str) else _written(new).decode()
    dotted = ".".join(map(str, path))
    return draw.choice((f"{dotted}={written}",) * 9 + (f"{dotted}", f"={written}", "", "="))


_TEXT_LEVEL: Sequence[Callable[[random.Random, bytes], tuple[bytes, str]]] = (
    _insert, _insert, _instead, _instead, _tagged, _cut, _flip, _lines,
)  # fmt: skip
_STRUCTURE_LEVEL: Sequence[Callable[[random.Random, Any], str]] = (
    _replace, _replace, _retext, _scale, _scale, _scale, _option, _option, _option, _remove, _rename, _add, _swap, _repeat,
)  # fmt: skip


def prepare(folder: Path) -> None:
    """Write what shipped recipes for local text read, and the recipe that others extend."""
    for name in ("general", "retail", "devops"):
        (folder / "data" / name).mkdir(parents=True)
        (folder / "data" / name / "texts.jsonl").write_text('{"text": "a server and a waterproof jacket"}\n')
    for path in RECIPES:
        (folder / path.name).write_bytes(path.read_bytes())


class _Hangs(BaseException):
    """A call took too long."""


def ask(command: str, mutated: Mutant, folder: Path) -> Answer:
    """Run a command on a recipe in this process, as the command line does, from a folder that `prepare` made."""
    from rexplug.cli import cli
    from rexplug.errors import RexplugError

    path = folder / "mutant.yaml"
    path.write_bytes(mutated.content)

    def give_up(number: int, frame: Any) -> None:
        raise _Hangs(f"more than {SECONDS} s")

    before = Path.cwd()
    os.chdir(folder)
    output, errors = _strict(), _strict()
    handler = signal.signal(signal.SIGALRM, give_up)
    signal.alarm(SECONDS)
    began = time.perf_counter()
    code, message, error = 0, "", None
    try:
        with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
            try:
                cli([command, "mutant.yaml", "--", *mutated.overrides], standalone_mode=False)
            except click.ClickException as refused:
                code, message = 2, refused.format_message()
            except RexplugError as refused:
                code, message = 2, str(refused)
            if message:
                click.echo(message, err=True)  # a message that cannot be printed is a traceback too
    except (Exception, _Hangs) as problem:
        code, error = 1, problem
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, handler)
        os.chdir(before)
    output.flush()
    return Answer(code, output.buffer.getvalue().decode(), message, time.perf_counter() - began, error)


def _strict() -> Any:
    """A stream that takes what a terminal takes: valid Unicode."""
    return io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict", write_through=True)


def faults(command: str, answer: Answer, folder: Path) -> list[str]:
    """What is wrong with an answer; empty if it is right. What `show` prints must be a recipe, and the same one."""
    if answer.error is not None:
        return [f"traceback: {answer.cause}"]
    found = []
    if command == "show" and answer.code == 0:
        again = ask("show", Mutant(0, answer.output.encode(), (), "what show printed"), folder)
        if again.error is not None or again.code:
            found.append(f"show prints no valid recipe: {again.cause or again.message[:200]}")
        elif again.output != answer.output:
            changed = [line for line in again.output.splitlines() if line not in answer.output.splitlines()]
            found.append(f"what show prints is another recipe: {changed[:3]}")
    if answer.code == 0 and command != "show" and (odd := re.search(r".*\b(?:inf|nan)\b.*", answer.output)):
        found.append(f"the output holds no number: {odd[0][:120]}")
    if answer.seconds > SECONDS / 2:
        found.append(f"slow: {answer.seconds:.1f} s")
    if answer.code == 2 and not answer.message.strip():
        found.append("no message")
    if any(len(line) > LONGEST for line in answer.message.splitlines()):
        found.append("a line of the message is too long")
    control = re.search(r"[\x00-\x08\x0b-\x1f\x7f\x80-\x9f\u2028\u2029]", answer.message)
    if control:
        found.append(f"the message holds the control character {control[0]!r}")
    return found


def main() -> None:
    """Run seeds and print what went wrong."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--to", dest="stop", type=int, default=1000)
    parser.add_argument("--save", type=Path, help="where to write the recipes that went wrong")
    options = parser.parse_args()
    causes: Counter[str] = Counter()
    examples: dict[str, str] = {}
    codes: Counter[str] = Counter()
    slowest = (0.0, "")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        prepare(folder)
        for seed in range(options.first, options.stop):
            made = mutant(seed)
            for command in COMMANDS:
                answer = ask(command, made, folder)
                codes[f"{command} {answer.code}"] += 1
                slowest = max(slowest, (answer.seconds, f"{command} of seed {seed}: {made.what[:120]}"))
                for fault in faults(command, answer, folder):
                    causes[fault] += 1
                    examples.setdefault(fault, f"{command} of seed {seed}: {made.what[:160]!r}")
                    if options.save:
                        options.save.mkdir(parents=True, exist_ok=True)
                        (options.save / f"{seed}.yaml").write_bytes(made.content)
    print(dict(sorted(codes.items())))  # noqa: T201
    print(f"slowest: {slowest[0]:.1f} s, {slowest[1]}")  # noqa: T201
    print(f"{sum(causes.values())} faults of {sum(codes.values())} calls from {len(causes)} causes")  # noqa: T201
    for cause, count in causes.most_common():
        print(f"{count:6} {cause}\n         {examples[cause]}")  # noqa: T201


if __name__ == "__main__":
    main()
