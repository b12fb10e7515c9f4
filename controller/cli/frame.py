"""Declares commands: what they share is said here once, and each is left with what it alone does.

A command is a function of a :class:`Call` and its own arguments that returns an answer::

    prefixes = Commands("prefixes", "Onboarded prefixes.")

    @prefixes.reads("show")
    def show(call: Call, prefix: Which) -> Card: ...

``reads`` and ``writes`` give it the shared options, make the call, print the answer, and wait.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, TypeVar, get_type_hints

import typer
from typer.core import TyperCommand, TyperGroup

from controller.cli import options
from controller.cli.answers import Answer
from controller.cli.call import Call, Shared
from controller.cli.errors import ApiError

Command = TypeVar("Command", bound=Callable[..., Answer | None])
"""A function of a :class:`Call` and of what the user gives."""
Given = dict[str, tuple[Any, Any]]

REACH: Given = {
    "url": (options.Url, None),
    "token": (options.Token, None),
    "lab": (options.Lab, None),
    "ca": (options.Ca, None),
    "as_json": (options.Json, False),
}
"""Options that every command has, with their defaults, by the names of :class:`Shared`'s fields."""

SHARED_OPTIONS = frozenset(
    {"account", "dry_run", "reason", "if_match", "intent", "wait", "deadline", "yes", "help", *REACH}
)


class HeraldCommand(TyperCommand):
    """A command whose help gives its own options first, and the shared ones after them."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the options in two sections."""
        parts: dict[str, list[tuple[str, str]]] = {"Arguments": [], "Options": [], "Shared options": []}
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is None:
                continue
            if parameter.param_type_name == "argument":
                parts["Arguments"].append(record)
            else:
                parts["Shared options" if parameter.name in SHARED_OPTIONS else "Options"].append(record)
        for title, records in parts.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


class Commands:
    """A group of commands, or the top of them all."""

    def __init__(self, name: str, what: str, app: typer.Typer | None = None) -> None:
        self.app = app or typer.Typer(name=name, help=what, no_args_is_help=True, rich_markup_mode=None)

    def reads(self, *names: str, account: bool = True) -> Callable[[Command], Command]:
        """Add a command that changes nothing, by each of ``names``; all but the first are not shown."""
        return self._add(names, _account(account))

    def writes(
        self,
        *names: str,
        account: bool = True,
        matches: bool = False,
        rolls: bool = False,
        bulk: bool = False,
        shown: bool = True,
        fields: bool = True,
        other: Given | None = None,
    ) -> Callable[[Command], Command]:
        """Add a command that changes something.

        ``matches``: it takes an ETag. ``rolls``: it may make a change-set, and so can be waited for.
        ``bulk``: it may take away much at once, and asks. ``shown`` false: help leaves it out.
        ``fields`` false: a refusal does not name the field, as the user typed none. ``other`` stands in for
        shared options.
        """
        given: Given = {"dry_run": (options.DryRun, False), "reason": (options.Reason, None)}
        if matches:
            given["if_match"] = (options.IfMatch, None)
        if rolls:
            given["intent"] = (options.Intent, None)
            given |= {"wait": (options.Wait, options.Until.ACCEPTED), "deadline": (options.Deadline, 15.0)}
        if bulk:
            given["yes"] = (options.Yes, False)
        return self._add(names, {**given, **(other or {}), **_account(account)}, shown, fields)

    def _add(
        self, names: tuple[str, ...], given: Given, shown: bool = True, fields: bool = True
    ) -> Callable[[Command], Command]:
        def register(function: Command) -> Command:
            run = _framed(function, {**given, **REACH}, fields)
            for name in names:
                self.app.command(name, cls=HeraldCommand, hidden=not shown or name != names[0])(run)
            return function

        return register


def _account(wanted: bool) -> Given:
    return {"account": (options.Account, None)} if wanted else {}


def _framed(function: Callable[..., Answer | None], given: Given, fields: bool) -> Callable[..., None]:
    """Return ``function`` as Typer is to see it: with the shared options, without the call."""

    def run(**values: Any) -> None:
        from controller.cli.output import finish  # noqa: PLC0415 (quick `herald --help`)

        call = Call(Shared(**{name: values.pop(name) for name in given}))
        try:
            answer = function(call, **values)
            if answer is not None:
                finish(call, answer)
        except ApiError as error:
            if fields:
                raise error.naming_fields() from error
            raise

    hints = get_type_hints(function, include_extras=True)
    own = [
        p.replace(annotation=hints[p.name], kind=inspect.Parameter.KEYWORD_ONLY)
        for p in list(inspect.signature(function).parameters.values())[1:]
    ]
    shared = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=kind)
        for name, (kind, default) in given.items()
    ]
    run.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in (*own, *shared)}
    run.__name__, run.__doc__ = function.__name__, function.__doc__
    return run


class LazyGroup(TyperGroup):
    """A group whose commands are loaded when one of them is asked for.

    ``module`` has the group as ``app``. Help of the whole names groups only, and so stays quick.
    """

    module = ""

    @property
    def commands(self) -> dict[str, Any]:
        """The group's commands."""
        if not hasattr(self, "_loaded"):
            from importlib import import_module  # noqa: PLC0415

            found: Commands = import_module(self.module).app
            self._loaded = typer.main.get_group(found.app).commands
        return dict(self._loaded)

    @commands.setter
    def commands(self, value: object) -> None:
        """Typer gives none: they come from the module."""


def lazily(app: typer.Typer, name: str, what: str, module: str) -> None:
    """Add the group of commands that ``module`` has as ``app``, loaded when it is asked for."""
    cls = type(f"Lazy{name.title()}", (LazyGroup,), {"module": module})
    app.add_typer(
        typer.Typer(name=name, help=what, no_args_is_help=True, rich_markup_mode=None, cls=cls), name=name
    )
