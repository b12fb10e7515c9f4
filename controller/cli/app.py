"""Builds ``herald`` and runs it: errors become one line on stderr and an exit code.

0 done, 1 refused or failed, 2 wrong usage, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.metadata import entry_points
from io import TextIOWrapper

import typer
from typer.exceptions import TyperException

from controller.errors import HeraldError

INTERRUPTED = 130
GROUP = "herald.commands"


def build_app() -> typer.Typer:
    """Return the command line with all commands, those of other packages among them."""
    from controller.cli import (  # noqa: PLC0415
        advertise,
        completion,
        freeze,
        history,
        probe,
        processes,
        ribs,
        rollback,
        shadow,
    )
    from controller.cli.frame import lazily  # noqa: PLC0415
    from controller.cli.resources import GROUPS  # noqa: PLC0415

    completion.install()

    app = typer.Typer(
        name="herald",
        help="Put IP prefixes on the air by BGP, take them off, and look at what real routers hold.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_root)
    for room in (advertise, rollback, freeze, ribs, history, probe, processes, shadow):
        room.register(app)
    for name, what in GROUPS:
        lazily(app, name, what, f"controller.cli.resources.{name.replace('-', '_')}")
    for entry in sorted(entry_points(group=GROUP), key=lambda e: e.name):
        try:
            entry.load()(app)
        except Exception as error:  # noqa: BLE001 (a plugin is anybody's code: the other commands must work)
            _say(f"the commands of {entry.name!r} ({entry.value}) cannot be loaded: {error!r}")
    return app


def _print_version(wanted: bool) -> None:
    if wanted:
        from controller import __version__  # noqa: PLC0415

        typer.echo(f"herald {__version__}")
        raise typer.Exit


def _root(
    version: bool = typer.Option(
        False, "--version", help="Print the version and end.", is_eager=True, callback=_print_version
    ),
) -> None:
    pass


def run(argv: Sequence[str]) -> int:
    """Run one command and return the exit code; whatever a user can do wrong ends as one line."""
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a name that the locale lacks is no failure
    try:
        _check_encoding(argv)
        result = build_app()(args=list(argv), prog_name="herald", standalone_mode=False)
    except TyperException as error:
        return _usage(error)
    except HeraldError as error:
        _say(str(error))
        return 1
    except (KeyboardInterrupt, typer.Abort):
        _say("interrupted")
        return INTERRUPTED
    except SystemExit as ended:  # --show-completion and its like
        return ended.code if isinstance(ended.code, int) else 0
    except BrokenPipeError:
        # Whoever read our output has gone (``herald ribs | head``): no second error at the last flush.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return result if isinstance(result, int) else 0


def _check_encoding(argv: Sequence[str]) -> None:
    """Refuse bytes that are no text in this locale: Python hides them in the words as lone surrogates."""
    for word in argv:
        if not word.isascii() and any("\ud800" <= character <= "\udfff" for character in word):
            raise typer.BadParameter(f"{word!a} is not UTF-8: give it in this locale's encoding")


def _usage(error: TyperException) -> int:
    message = getattr(error, "format_message", lambda: str(error))()
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":  # a group without a command: its help is the answer
        typer.echo(message, err=True)
    else:
        where = context.command_path if context is not None else "herald"
        _say(f"{message.rstrip('.')} (see {where} --help)")
    return int(getattr(error, "exit_code", 2))


def _say(message: str) -> None:
    from controller.cli.cells import plain  # noqa: PLC0415

    print(f"herald: {plain(' '.join(message.split()))}", file=sys.stderr)
