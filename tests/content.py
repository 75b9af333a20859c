"""Messages for the content rules: really composed, and then changed in one place."""

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

from commands import SETTINGS, letter

from mailblast.campaign import Campaign, load
from mailblast.check.facts import Messages
from mailblast.keys import key_path, new_dkim_key
from mailblast.preflight import looked_over
from mailblast.preflight.listed import messages, taken_apart

PEOPLE = "ann@inbox.example,Ann\nbo@inbox.example,Bö\n"
PAGE = (
    "<p>Dear {{ name }}, here is what is new in our shop this week.</p>\n"
    '<p><a href="https://shop.example/new">Everything that is new</a></p>\n'
    '<p><img src="https://shop.example/a.png" alt="A kettle" width="80" height="60"></p>\n'
)
DIRECT = '[delivery]\nvia = "direct"\nehlo = "mail.shop.example"\n'


@cache
def composed(html: str = PAGE, settings: str = "", text: str = "") -> Messages:
    """What `check` looks at of a campaign with this template and these settings."""
    with tempfile.TemporaryDirectory() as directory:
        made = _campaign(Path(directory), html, settings, text)
        found, _ = messages(
            made, Path(directory), looked_over(made, None, lambda *_: None)[0]
        )
    assert isinstance(found, Messages), found
    return found


def _campaign(workspace: Path, html: str, settings: str, text: str) -> Campaign:
    files = {"message_html": html} if html else {}
    if text or not html:
        files["message_txt"] = text or "Dear {{ name }}\n"
    toml = (
        SETTINGS + DIRECT + '[dkim]\nselector = "s1"\ndomain = "shop.example"\n' + settings
    )
    home = letter(workspace, PEOPLE, campaign_toml=toml, **files)
    if not (text or not html):
        (home / "message.txt").unlink()
    made = load(home, workspace)
    dkim = made.dkim
    assert dkim
    new_dkim_key(dkim.domain, dkim.selector, dkim.algorithm, key_path(dkim, workspace))
    return made


def changed(change: Callable[[bytes], bytes], given: Messages | None = None) -> Messages:
    """The same messages with other bytes."""
    samples = [
        taken_apart(one.why, one.row, one.recipient, change(one.content))
        for one in (given or composed()).samples
    ]
    assert [one.content for one in samples] != [
        one.content for one in (given or composed()).samples
    ]
    return Messages(tuple(samples))


def instead(old: str, new: str, given: Messages | None = None) -> Messages:
    """The same messages with something else at one place."""
    return changed(lambda content: content.replace(old.encode(), new.encode(), 1), given)


def headed(line: str) -> Messages:
    """The same messages with one more field at the top."""
    return changed(
        lambda content: line.encode("utf-8", "surrogateescape") + b"\r\n" + content
    )
