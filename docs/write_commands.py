"""Write docs/commands.md from the commands themselves.

    python docs/write_commands.py

The page is what `--help` says, in another form; a test sees that it is up to date.
"""

from collections.abc import Iterator
from pathlib import Path

import click

from mailblast import cli as commands

PAGE = Path(__file__).with_name("commands.md")

HEAD = """\
# Every command

This page is written by `docs/write_commands.py` from the commands themselves: change their help,
then `make docs`.

Every command takes `-h` or `--help`. Commands that take no campaign work in the workspace of the
current directory: the nearest directory upward with a `mailblast.toml` or a `.mailblast/`.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD, _statuses()]
    for name, command in _all("mailblast", commands.cli):
        parts.append("\n".join(_command(name, command)) + "\n")
    return "\n".join(parts)


def _statuses() -> str:
    """The exit statuses, from the head of the module that gives them."""
    lines = [
        line.split(maxsplit=1)
        for line in (commands.__doc__ or "").splitlines()
        if line[:1].isdigit()
    ]
    rows = [f"| {status} | {meaning} |" for status, meaning in lines]
    return "\n".join(["## Exit status", "", "| Status | Meaning |", "|---|---|", *rows, ""])


def _all(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """The commands without the groups that only hold others, in their order."""
    if isinstance(command, click.Group):
        context = click.Context(command)
        for word in command.commands:
            if one := command.get_command(context, word):
                yield from _all(f"{name} {word}", one)
    else:
        yield name, command


def _command(name: str, command: click.Command) -> Iterator[str]:
    arguments = [one for one in command.params if isinstance(one, click.Argument)]
    options = [one for one in command.params if isinstance(one, click.Option)]
    words = [name, *(["[OPTIONS]"] if options else []), *map(_shown, arguments)]
    yield f"## {name}"
    yield ""
    yield f"    {' '.join(words)}"
    yield ""
    yield " ".join((command.help or "").split())
    if options:
        yield ""
        yield "| Option | Meaning |"
        yield "|---|---|"
        for option in options:
            yield f"| {_spelt(option)} | {_meaning(option)} |"


def _shown(argument: click.Argument) -> str:
    word = (argument.metavar or (argument.name or "")).upper()
    word += "..." if argument.nargs == -1 else ""
    return word if argument.required else f"[{word}]"


def _spelt(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    if option.is_flag:
        return names
    if isinstance(option.type, click.Choice):
        return f"{names} {' or '.join(f'`{one}`' for one in option.type.choices)}"
    kind = {"integer range": "N", "path": "FILE", "file": "FILE"}.get(
        option.type.name, "TEXT"
    )
    return f"{names} {option.metavar or kind}"


def _meaning(option: click.Option) -> str:
    said = " ".join((option.help or "").split()).replace("|", "\\|")
    parts = [said]
    if option.show_default and option.default is not None:
        parts.append(f"Default: `{option.default}`.")
    if option.required:
        parts.append("Must be given.")
    return " ".join(filter(None, parts))


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
