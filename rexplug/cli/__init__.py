"""The command line: parse, call, print. Commands are imported when they are called, so that help is instant."""

from __future__ import annotations

import errno
import importlib
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import click

from rexplug import __version__, distributed
from rexplug.cli.terminal import echo
from rexplug.errors import RankLost, RexplugError, RunInterrupted, full_disk, printable

_COMMANDS = {
    "run": "Curate, train, evaluate, export and report what a recipe says.",
    "export": "Write any checkpoint of a run as a Hugging Face model.",
    "check": "Say what is wrong with a recipe, or that nothing is.",
    "evaluate": "Measure any models on the same items.",
    "compare": "Say which differences between runs or results are real.",
    "ablate": "Run variants of a recipe that share what they can, and compare them.",
    "report": "Write a run's report and model card again.",
    "verify": "Compare every file of a run with its checksum.",
    "corpus": "Show what curation kept and dropped, and why.",
    "show": "Print the recipe with everything spelled out.",
    "plan": "Say what a recipe takes before it runs: tokens, epochs, steps, time, memory, disk, GPUs and their price.",
    "peek": "Show packed rows and masks before money is spent.",
    "tokens": "Look into the token stores of a run.",
    "lineage": "Say which documents a step saw, and which steps a document.",
    "plugins": "List plugins, components and their options.",
    "schema": "Print the JSON Schema of recipes, installed plugins included.",
}


_IN_THE_WAY = (NotADirectoryError, IsADirectoryError, FileExistsError, PermissionError)
"""What the file system says where something else lies at a place, or may not be touched."""


class _NobodyReads(Exception):
    """What the command writes to is closed."""


class _Lazy(click.Group):
    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OSError as error:  # click would end with 1, as if something were wrong
            if error.errno == errno.EPIPE:
                raise _NobodyReads from None
            raise
        except SystemExit as error:  # so rich ends then
            if isinstance(error.__context__, BrokenPipeError):
                raise _NobodyReads from None
            raise

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in _COMMANDS:
            return None
        command = getattr(importlib.import_module(f"rexplug.cli.{name}"), name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="rexplug")
def cli() -> None:
    """Turn one vertical's text into a domain encoder."""


def main() -> None:
    """Run the command line; exit codes: 0 done, 1 our mistake, 2 the user's, 130 interrupted."""
    distributed.exit_process(_run())


def _say(message: str) -> None:
    echo(f"rexplug: {printable(message)}", err=True)


def _nobody_reads() -> int:
    """End as if all had been read, as after `| head`; nothing more is written, at the end of the process neither."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _damage() -> Iterator[str]:
    """What is damaged in the runs that the command names: files that others changed are no mistake of ours."""
    from rexplug.pipeline.damage import damage, runs_among

    for root in runs_among(sys.argv[1:]):
        yield from damage(root)


def _run() -> int:
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.message = printable(error.message)  # type: ignore[misc]
        error.show()
        return 2
    except RunInterrupted as error:
        _say(str(error))
        return 130
    except (KeyboardInterrupt, click.Abort):
        echo("rexplug: interrupted; what was finished is kept, and the same command goes on from there", err=True)
        return 130
    except RankLost as error:
        _say(str(error))
        return distributed.peer_lost_exit_code()
    except RexplugError as error:
        _say(str(error))
        return 2
    except _NobodyReads:
        return _nobody_reads()
    except Exception as error:
        reason = full_disk(error)
        if reason is not None:
            _say(f"the disk is full ({reason}); make room, and the same command goes on from there")
            return 2
        for problem in _damage():
            _say(problem)
            return 2
        if isinstance(error, _IN_THE_WAY) and error.filename is not None:
            _say(f"{os.fsdecode(error.filename)} cannot be used: {error.strerror}; mend or remove what lies there")
            return 2
        echo(traceback.format_exc(), err=True, nl=False)
        echo("rexplug: this is a mistake in rexplug or in a plugin, not yours; please report it", err=True)
        return 1
    return 0
