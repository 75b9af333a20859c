"""The unsubscribe endpoint: that it is there, takes a POST and nothing else, and asks for nothing.

RFC 8058 (one-click), 15 U.S.C. 7704(a)(3) and 16 CFR 316.5 (the way out).  What was asked of it,
and with which token, is for `preflight.endpoint` to say; without a token that may be spent
([check] canary) it is only seen who answers there.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from mailblast.check import landing
from mailblast.check.deadlines import honoured
from mailblast.check.facts import Facts
from mailblast.check.finding import Verdict, failed, passed, skipped, warned
from mailblast.check.landing import Landing
from mailblast.check.pack import Check, parts
from mailblast.check.phrases import ALL, OPT_OUT
from mailblast.check.scope import commercial
from mailblast.errors import Refusal

FORM, MULTIPART = "application/x-www-form-urlencoded", "multipart/form-data"

RENEWED = 30  # days before its end by which a certificate is renewed
# Days after the last message (15 U.S.C. 7704(a)(3)(A)(ii); CASL s.11(2)).
KEPT, SAFELY = 30, 60


@dataclass(frozen=True, slots=True)
class Doorway:
    """Who answers at the host of [unsubscribe] url.

    `ends` is the last day of its certificate, None where there was no connection; then `why`
    says why, `untrusted` that it was the certificate, and `unreached` that nobody was there, or
    nobody that can be reached from here.
    """

    host: str
    ends: date | None
    why: str = ""
    untrusted: bool = False
    unreached: bool = False


@dataclass(frozen=True, slots=True)
class Said:
    """What it answered; `kind` is the media type, `text` the body, `leads` the Location."""

    status: int
    kind: str = ""
    text: str = ""
    leads: str = ""

    def __str__(self) -> str:
        return f"{self.status} and a redirect" if self.leads else str(self.status)


@dataclass(frozen=True, slots=True)
class Tried:
    """What it answered when the canary was tried, in this order; a Refusal where there was no
    answer, and from there on."""

    url: str
    get: Said | Refusal
    head: Said | Refusal
    form: Said | Refusal
    multipart: Said | Refusal
    again: Said | Refusal  # the form once more

    @property
    def landing(self) -> Landing | Refusal:
        """The page that GET brings."""
        if isinstance(self.get, Refusal):
            return self.get
        if self.get.kind not in ("text/html", "application/xhtml+xml"):
            return Refusal(f"GET brings no page, but {self.get.kind or 'nothing'}")
        return landing.read(self.get.text)

    @property
    def leads(self) -> Iterator[str]:
        """Where answers would have one go on."""
        answers = (self.get, self.head, self.form, self.multipart, self.again)
        return (one.leads for one in answers if isinstance(one, Said) and one.leads)


def encrypted(facts: Facts) -> Verdict:
    """WEB-TLS: the certificate is valid, and for a while yet; the way behind it is open, and
    encrypted to its end."""
    found = facts.of(Doorway)
    if found.untrusted:
        return failed(found.why, host=found.host, problem="is not one to be trusted")
    if found.ends is None:
        return skipped(f"no certificate was seen: {found.why}")
    tried = facts.groups.get(Tried)
    if isinstance(tried, Tried) and (useless := _useless(tried)):
        problem = f"is of no use: {useless}"
        return failed(f"valid until {found.ends}", host=found.host, problem=problem)
    left = (found.ends - facts.today).days
    if left <= RENEWED:
        return warned(
            f"until {found.ends}", host=found.host, problem=f"ends in {left} days"
        )
    return passed(f"{found.host}: valid until {found.ends}")


def _useless(tried: Tried) -> str:
    """What keeps an encrypted connection from being a way out, "" if nothing does."""
    if any(one.lower().startswith("http:") for one in tried.leads):
        return "it is led on to http:"
    page = tried.landing
    if isinstance(page, Refusal):
        return ""
    if page.clear:
        return "the page sends its form in clear text"
    return "a firewall asks for proof that no robot comes" if page.wall else ""


def works(facts: Facts) -> Verdict:
    """CANSPAM-OPTOUT-WORKS: the page is there, and unsubscribes."""
    door = facts.of(Doorway)
    if door.ends is None:
        # Without a canary nobody said that it can be reached from this machine at all.
        here = door.unreached and not facts.campaign.declared.canary
        url = facts.campaign.unsubscribe.url
        problem = "cannot be reached from here" if here else "is not there"
        return (warned if here else failed)(door.why, url=url, problem=problem)
    tried = facts.of(Tried)
    for method, said in (("GET", tried.get), ("POST", tried.form)):
        if isinstance(said, Refusal) or said.status // 100 != 2:
            problem = f"does not answer a {method} with success"
            return failed(f"{method}: {said}", url=tried.url, problem=problem)
    return passed(f"{tried.url}: a page for GET, success for POST")


def one_click(facts: Facts) -> Verdict:
    """WEB-ONECLICK-POST: a POST in either encoding is enough, also a second time."""
    tried = facts.of(Tried)
    posts = ((FORM, tried.form), (MULTIPART, tried.multipart), (FORM, tried.again))
    for kind, said in posts:
        if isinstance(said, Refusal) or said.status // 100 != 2:
            answered = f"answered {said}" if isinstance(said, Said) else "had no answer"
            if said is tried.again:
                answered += " the second time"
            return failed(f"POST: {said}", url=tried.url, ctype=kind, answered=answered)
    return passed(f"{tried.url}: success for both encodings, and for a second POST")


def safe_to_look_at(facts: Facts) -> Verdict:
    """WEB-GET-SAFE: whoever only looks, as link scanners do, unsubscribes nobody."""
    tried, page = facts.of(Tried), facts.of(Tried).landing
    if isinstance(tried.get, Refusal) or tried.get.status != 200:
        return skipped(f"there is no page to look at: {tried.get}")
    if isinstance(tried.head, Refusal) or tried.head.status != 200:
        return warned(f"HEAD: {tried.head}", what="The page answers GET, but not HEAD")
    if isinstance(page, Refusal):
        return warned(str(page), what="There is no page with a button")
    if page.posts:
        return passed("the page has a form that sends by POST")
    if gone := _GONE.search(page.text):
        what = "A plain GET unsubscribed the test address, as the page says"
        or_else = "if an earlier check did, name another canary"
        return failed(f'"{gone[0]}", and no button; {or_else}', what=what)
    return warned(
        "the page has no form with POST", what="The page has no button that sends by POST"
    )


_GONE = re.compile(
    # So many words and no more, or a page made of them would take hours.
    r"(?:(?:have|has|been|are|were|successfully|now) ){1,4}unsubscribed"
    r"|removed from (?:our|the|this)"
    r"|(?:wurden?|sind|erfolgreich) (?:\w{1,30} ){0,6}(?:abgemeldet|ausgetragen)"
    r"|désinscription (?:est|a été)",
    re.IGNORECASE,
)


def lasting(facts: Facts) -> Verdict:
    """CANSPAM-OPTOUT-30DAYS: the way out stays open after the last message."""
    ends = facts.campaign.unsubscribe.url_ends
    if ends is None:
        return passed("the links have no end: url_ends is not in [unsubscribe]")
    if ends < facts.today + timedelta(KEPT):
        return failed(f"url_ends = {ends}", date=ends, days=KEPT)
    if ends < facts.today + timedelta(SAFELY):
        return warned(f"url_ends = {ends}", date=ends, days=SAFELY)
    return passed(f"until {ends}")


def from_all(facts: Facts) -> Verdict:
    """CANSPAM-OPTOUT-ALL: of several choices one ends all mail."""
    page = facts.of(Tried).landing
    if isinstance(page, Refusal):
        return skipped(f"there is no page to look at: {page}")
    choices = [one for one in page.choices if one]
    if len(choices) < 2:
        return passed("the page offers no choice but to leave")
    buttons = [one for one in page.buttons if OPT_OUT.search(one)]
    found = next(filter(ALL.search, [*choices, *buttons]), None)
    if found is not None:
        return passed(f'"{found[:40]}"')
    shown = ", ".join(f'"{one[:40]}"' for one in choices[:6])
    # In a language that nobody here reads, a word that is not found proves nothing.
    read = buttons or OPT_OUT.search(page.text)
    return failed(shown) if read else warned(f"{shown}, in words that are not known")


def unburdened(facts: Facts, **_: Any) -> Verdict:
    """CANSPAM-OPTOUT-BURDEN: one page, and nothing but the address and what to opt out of.

    AU-OPTOUT says the same, and is told a deadline.
    """
    tried, page = facts.of(Tried), facts.of(Tried).landing
    if isinstance(tried.get, Said) and tried.get.leads:
        return _burdened(f"GET: {tried.get}", "a second page")
    if isinstance(page, Refusal):
        return skipped(f"there is no page to look at: {page}")
    if page.burden:
        return _burdened(f"the page wants {page.burden}", page.burden)
    if later := _confirmed_by_mail(tried.form):
        return _burdened(f'after the POST: "{later}"', "an answer to another mail")
    return passed("one page, which asks for nothing")


def _burdened(evidence: str, step: str) -> Verdict:
    return failed(evidence, step=step, problem=f"the unsubscribe page needs {step}")


def _confirmed_by_mail(said: Said | Refusal) -> str:
    found = _CONFIRM.search(said.text) if isinstance(said, Said) else None
    return found[0] if found else ""


_CONFIRM = re.compile(
    r"check your (?:e-?mail|inbox)|sent you an? (?:e-?mail|message|link)"
    r"|(?:confirmation|confirm by) (?:e-?mail|link)",
    re.IGNORECASE,
)

CHECKS: dict[str, Check] = {
    "WEB-TLS": encrypted,
    "WEB-ONECLICK-POST": one_click,
    "WEB-GET-SAFE": safe_to_look_at,
    "CANSPAM-OPTOUT-WORKS": commercial(works),
    "CANSPAM-OPTOUT-30DAYS": commercial(lasting),
    "CANSPAM-OPTOUT-ALL": commercial(from_all),
    "CANSPAM-OPTOUT-BURDEN": commercial(unburdened),
    "AU-OPTOUT": parts(honoured, commercial(unburdened)),
}
