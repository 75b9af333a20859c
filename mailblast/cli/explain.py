"""What a server's refusal means, and what mailblast does with it."""

import click

from mailblast.bounce.diagnostic import status
from mailblast.cli.base import json_option, put_json
from mailblast.disposition import judge
from mailblast.errors import UserError
from mailblast.reason import meaning, permanent, providers
from mailblast.smtp.reply import Reply, printable, quoted
from mailblast.suppression.policy import consequence
from mailblast.terminal import Screen
from mailblast.terminal.words import explained

EXAMPLE = 'for example: mailblast explain "550 5.1.1 <bob@example.com>: User unknown"'


@click.command()
@click.argument("reply", nargs=-1)
@click.option(
    "--provider", default="", metavar="NAME", help="Who said it, if the words do not tell."
)
@json_option
def explain(reply: tuple[str, ...], provider: str, as_json: bool) -> None:
    """What a server's REPLY means, and what mailblast does when it gets it.

    REPLY is what the server said, a line of a log, or a diagnostic out of a notice.  Without a
    code of a server in it, its words are explained.
    """
    if provider and provider not in providers():
        known = ", ".join(sorted(providers()))
        raise UserError(f"{provider}: no provider with rules of its own", f"known: {known}")
    said = _said(" ".join(reply), provider)
    found = meaning(said.code, said.status, said.text, provider)
    for_good = permanent(said.code, said.status)
    # What follows depends on the class of the code.
    outcome = judge(said, "", after_dot=False, provider=provider) if said.code else None
    does = consequence(outcome) if outcome else ""
    if not as_json:
        for line in explained(found, does, permanent=for_good):
            Screen().say(line)
        return
    put_json(
        {
            "code": said.code,
            "status": said.status,
            "text": said.text,
            "provider": provider,
            "reason": found.reason,
            "scope": found.scope,
            "permanent": for_good,
            "rest": found.rest,
            "pause": found.pause,
            "rule": found.rule,
            "does": does,
        }
    )


def _said(text: str, provider: str) -> Reply:
    """The refusal in a text; words alone, with code 0, if a rule knows them."""
    found = quoted(text)
    if isinstance(found, Reply):
        return found
    if not meaning(0, "", text, provider).rule:
        raise UserError(str(found), EXAMPLE)
    return Reply(0, printable(text), status(text))
