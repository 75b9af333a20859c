"""Trying the unsubscribe address: who answers there, and what a canary's link comes to.

Looking comes first, and POST after it, so that what a look has changed can be seen.
"""

import re
from datetime import UTC, datetime
from urllib.parse import urlsplit

from mailblast import tag
from mailblast.address import Address
from mailblast.bounce.charset import decode
from mailblast.campaign import Campaign
from mailblast.campaign.files import pasted
from mailblast.check.endpoint import FORM, MULTIPART, Doorway, Said, Tried
from mailblast.errors import Refusal
from mailblast.https import Question, Response, Unreached, Untrusted, ask, certified_until
from mailblast.keys import keyring
from mailblast.ledger import Ledger
from mailblast.preflight.reach import Reach, Unresolved, target
from mailblast.smtp.reply import printable

MAX_PAGE = 1_000_000  # octets
_CHARSET = re.compile(rb"<meta[^>]*charset\s*=\s*[\"']?([\w:.-]{1,40})", re.IGNORECASE)

NO_URL = Refusal("there is no url in [unsubscribe]")
NO_CANARY = Refusal("the address is not tried without a token to spend: [check] canary")

# RFC 8058 §3.1 and §8.3.
_BOUNDARY = "mailblast-one-click"
_BODIES = {
    FORM: (FORM, b"List-Unsubscribe=One-Click"),
    MULTIPART: (
        f"{MULTIPART}; boundary={_BOUNDARY}",
        (
            f"--{_BOUNDARY}\r\n"
            'Content-Disposition: form-data; name="List-Unsubscribe"\r\n'
            f"\r\nOne-Click\r\n--{_BOUNDARY}--\r\n"
        ).encode(),
    ),
}


def link(campaign: Campaign, ledger: Ledger | None) -> str | Refusal:
    """The canary's link, or why there is none.  An address has that of its last message."""
    url, canary = campaign.unsubscribe.url, campaign.declared.canary
    if not url:
        return NO_URL
    if canary is None:
        return NO_CANARY
    if not isinstance(canary, Address):
        return tag.link(url, canary)
    sent = ledger.deliveries.last_to(canary) if ledger else None
    if ledger is None or sent is None:
        samples = f"mailblast send {pasted(campaign.directory)} --to-me {canary.mailbox}"
        return Refusal(f"nothing was sent to {canary.mailbox} yet: {samples}")
    run = ledger.runs.numbered(sent.run).run
    return tag.link(url, tag.make(keyring(ledger), "unsubscribe", run, sent.id))


async def doorway(url: str, reach: Reach) -> Doorway | Refusal:
    """Who answers at the host of an https address; a Refusal where the DNS was silent."""
    host = urlsplit(url).hostname or ""
    until = await reach.at(url, certified_until)
    if isinstance(until, Unresolved):
        return until
    if isinstance(until, Refusal):
        untrusted, unreached = (isinstance(until, one) for one in (Untrusted, Unreached))
        return Doorway(host, None, until.why, untrusted, unreached)
    return Doorway(host, datetime.fromtimestamp(until, UTC).date())


async def tried(url: str, reach: Reach) -> Tried:
    """What a link answers when it is looked at, and then used, twice by its form."""
    questions = (
        _question(url, "GET"),
        _question(url, "HEAD"),
        _question(url, "POST", FORM),
        _question(url, "POST", MULTIPART),
        _question(url, "POST", FORM),
    )
    answers: list[Said | Refusal] = []
    silent: Refusal | None = None
    for question in questions:
        # Whoever does not answer one question is not asked another.
        answer = silent or await _answer(url, question, reach)
        silent = silent or (answer if isinstance(answer, Refusal) else None)
        answers.append(answer)
    return Tried(url, *answers)


async def shut(url: str, reach: Reach) -> Refusal | None:
    """Why a link is no way out at this moment; None where it is, by what GET and POST bring."""
    for question in (_question(url, "GET"), _question(url, "POST", FORM)):
        answer = await _answer(url, question, reach)
        if isinstance(answer, Refusal):
            return answer
        if answer.status // 100 != 2:
            return Refusal(f"it answers {question.method} with {answer}")
    return None


def _question(url: str, method: str, kind: str = "") -> Question:
    accept = {"Accept": "text/html"} if method == "GET" else {}
    asked = target(urlsplit(url))
    if not kind:
        return Question(asked, method, accept, max_body=MAX_PAGE)
    content_type, body = _BODIES[kind]
    return Question(asked, method, {"Content-Type": content_type}, body, MAX_PAGE)


async def _answer(url: str, question: Question, reach: Reach) -> Said | Refusal:
    got = await reach.at(url, lambda host, at, web: ask(host, at, web, question))
    return got if isinstance(got, Refusal) else _said(got)


def _said(got: Response) -> Said:
    leads = (
        printable(got.headers.get("Location", ""))[:200] if got.status // 100 == 3 else ""
    )
    return Said(got.status, got.headers.get_content_type(), _text(got), leads)


def _text(got: Response) -> str:
    """The body in the charset that the field says, or the page (HTML §13.2.3.2)."""
    named = got.headers.get_content_charset("")
    if not named and (found := _CHARSET.search(got.body, 0, 1024)):
        named = found[1].decode("ascii")
    return decode(got.body, named)
