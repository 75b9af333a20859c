"""What came back: bounces import, explain, list, show, undo."""

import click

from mailblast.cli.late import Late, LateGroup

BOUNCES = {
    "import": Late("importing", "bounces_import", "Take in mail that came back."),
    "explain": Late("notices", "bounces_explain", "Say what messages that came back mean."),
    "list": Late(
        "history", "bounces_list", "Who bounced, was refused, expired, complained."
    ),
    "show": Late("history", "bounces_show", "What counts against one address, and why."),
    "undo": Late("history", "bounces_undo", "Lift the suppression that bounces brought."),
}


@click.group(cls=LateGroup, late=BOUNCES)
def bounces() -> None:
    """What came back."""
