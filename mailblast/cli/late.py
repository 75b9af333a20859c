"""Commands that are loaded when they are asked for.

To load them all takes longer than most of them run, and an MTA starts one for every message
that comes back.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, NamedTuple

import click


class Late(NamedTuple):
    """A command: the module of `mailblast.cli` that has it, its name there, and the line that
    `--help` shows of it, which fits beside its name in 80 columns."""

    module: str
    name: str
    summary: str


class LateGroup(click.Group):
    """A group of commands that are loaded when they are asked for, shown in their order here."""

    def __init__(self, *, late: Mapping[str, Late], **settings: Any) -> None:
        # For their names alone: of them click suggests one for a word that is none.
        super().__init__(commands=[click.Command(name) for name in late], **settings)
        self._late = late

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """The names of the commands."""
        return list(self._late)

    def get_command(self, _ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name; None if there is none."""
        late = self._late.get(cmd_name)
        if late is None:
            return None
        module = import_module(f"mailblast.cli.{late.module}")
        command: click.Command = getattr(module, late.name)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of them in `--help`, for which none is loaded."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, late.summary) for name, late in self._late.items()])
