"""The command line: parses arguments, calls `rexplug.api` and prints. Commands are imported when they are called."""

from __future__ import annotations

import errno
import importlib
import os
import sys
import traceback
import warnings
from contextlib import suppress
from functools import cache
from typing import Any

import click

from rexplug import distributed
from rexplug.cli.results import only_results
from rexplug.cli.terminal import echo
from rexplug.errors import RankLost, RexplugError, RunInterrupted, blocked, full_disk, printable
from rexplug.renamed import RenamedWarning

_COMMANDS = {
    "run": "Curate, train, evaluate, export and report as a recipe says.",
    "export": "Write a checkpoint of a run as a Hugging Face model.",
    "check": "Print the problems of a recipe.",
    "evaluate": "Measure any models on the same items.",
    "compare": "Test the differences between runs or results on the same items.",
    "ablate": "Run variants of a recipe and compare them.",
    "report": "Write a run's report and model card again.",
    "verify": "Compare every file of a run with its checksum.",
    "corpus": "Show what curation kept and dropped, and why.",
    "show": "Print a recipe with every default written out.",
    "plan": "Print what a recipe will take: tokens, steps, time, memory, disk, GPUs and their price.",
    "peek": "Show packed rows and masks before anything is trained.",
    "tokens": "Show what is in the token stores of a run.",
    "lineage": "List the documents of a step, or the steps of a document.",
    "plugins": "List plugins, components and their options.",
    "new-plugin": "Write the distribution of a plugin, to change.",
    "plugin-test": "Check that the components of a plugin keep their contracts.",
    "schema": "Print the JSON Schema of recipes.",
}
"""Command -> what `rexplug --help` says of it; kept here so that help imports no command."""


class _OutputClosed(Exception):
    """The reader of our output has closed it, as `| head` does."""


class _Commands(click.Group):
    """The commands; each is imported when it is called."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except OSError as error:  # click would exit with 1
            if error.errno == errno.EPIPE:
                raise _OutputClosed from None
            raise
        except SystemExit as error:  # this is how rich stops then
            if isinstance(error.__context__, BrokenPipeError):
                raise _OutputClosed from None
            raise

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        return _command(name) if name in _COMMANDS else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@cache
def _command(name: str) -> click.Command:
    module = name.replace("-", "_")
    command = getattr(importlib.import_module(f"rexplug.cli.{module}"), module)
    assert isinstance(command, click.Command)
    _reserve_output(command)
    return command


def _reserve_output(command: click.Command) -> None:
    """Redirect all other output of a command, or of the commands of a group, from standard output; not of `--help`."""
    if isinstance(command, click.Group):
        for part in command.commands.values():
            _reserve_output(part)
    elif command.callback is not None:
        command.callback = only_results()(command.callback)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="rexplug", prog_name="rexplug")
def cli() -> None:
    """Turn one vertical's text into a domain encoder."""


def main() -> None:
    """Run the command line; exit codes: 0 done, 1 a mistake of rexplug, 2 a mistake of the user, 130 interrupted."""
    show_others = warnings.showwarning

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if issubclass(category, RenamedWarning):  # of a recipe, not of the line of code that read it
            echo(f"rexplug: {printable(str(message))}", err=True)
        else:
            show_others(message, category, *place, **more)

    warnings.showwarning = show
    distributed.exit_process(_run())


def _print_error(message: str) -> None:
    echo(f"rexplug: {printable(message)}", err=True)


def _discard_output() -> int:
    """Discard all further output, also that at exit, and exit with code 0."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _run() -> int:
    try:
        cli(standalone_mode=False)
    except click.exceptions.Exit as error:
        return error.exit_code
    except click.ClickException as error:
        error.message = printable(error.message)  # type: ignore[misc] # click says Final, and each class shows it in its way
        error.show()
        return 2
    except RunInterrupted as error:
        _print_error(str(error))
        return 130
    except (KeyboardInterrupt, click.Abort):
        echo("rexplug: interrupted; what was finished is kept, and the same command resumes from there", err=True)
        return 130
    except RankLost as error:
        _print_error(str(error))
        return distributed.peer_lost_exit_code()
    except RexplugError as error:
        _print_error(str(error))
        return 2
    except _OutputClosed:
        return _discard_output()
    except Exception as error:
        reason = full_disk(error)
        if reason is not None:
            _print_error(f"the disk is full ({reason}); make room, and the same command resumes from there")
            return 2
        from rexplug import api

        for problem in api.damage_in(sys.argv[1:]):  # files that others changed are not a mistake of rexplug
            _print_error(problem)
            return 2
        if (reason := blocked(error)) is not None:
            _print_error(reason)
            return 2
        echo(traceback.format_exc(), err=True, nl=False)
        echo("rexplug: this is a mistake in rexplug or in a plugin, not yours; please report it", err=True)
        return 1
    return 0
