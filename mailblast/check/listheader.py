"""The List- fields: what a mail program makes its unsubscribe button of."""

import re
from collections import Counter
from collections.abc import Iterator

from mailblast.check import each, visible
from mailblast.check.facts import Facts, Messages, Sample
from mailblast.check.finding import Verdict, failed, passed, skipped
from mailblast.check.header import values
from mailblast.check.pack import Check
from mailblast.check.scope import commercial
from mailblast.quantity import counted

_URL_FIELDS = (
    "List-Help",
    "List-Subscribe",
    "List-Unsubscribe",
    "List-Owner",
    "List-Archive",
)
# RFC 2369 §2: addresses in angle brackets, no blank in them, commas between.
_URLS = re.compile(
    r"<[A-Za-z][A-Za-z0-9+.-]*:[^<>\s]+>(?:\s*,\s*<[A-Za-z][^<>\s]*:[^<>\s]+>)*"
)
_LIST_ID = re.compile(r"(?:[^<>]*\s)?<[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)+>")
MAX_LIST_ID = 255  # RFC 2919 §3
ONE_CLICK = "List-Unsubscribe=One-Click"
OPAQUE = 12  # letters and digits of a token that nobody guesses
_BOTH = ("list-unsubscribe", "list-unsubscribe-post")


def one_click(sample: Sample) -> Iterator[Verdict]:
    """BULK-ONECLICK: one https address, and the field that says what to post to it."""
    ways, posts = (
        values(sample, "List-Unsubscribe"),
        values(sample, "List-Unsubscribe-Post"),
    )
    for found, name in ((ways, "List-Unsubscribe"), (posts, "List-Unsubscribe-Post")):
        if len(found) != 1:
            yield failed(f"{len(found) or 'no'} {name}")
            return
    schemes = [one.partition(":")[0].lower() for one in sample.ways_out]
    if schemes.count("https") != 1 or "http" in schemes:
        yield failed(f"its addresses are {', '.join(schemes) or 'none'}")
    if posts[0] != ONE_CLICK:
        yield failed(f"List-Unsubscribe-Post: {posts[0][:60]}")


def signed(facts: Facts) -> Verdict:
    """BULK-ONECLICK-SIGNED: both fields are in the h= of a signature."""
    samples = facts.of(Messages).samples
    if not any(values(one, "List-Unsubscribe-Post") for one in samples):
        return skipped("there is no List-Unsubscribe-Post to sign")
    if not any(values(one, "DKIM-Signature") for one in samples):
        # One fault, one rule: that mail is signed at all is asked by BULK-DKIM.
        return skipped("nothing is signed here; what signs behind it cannot be seen")
    for one in samples:
        if lacking := _unsigned(one):
            return failed(f"{one.name}: h= lacks {' and '.join(lacking)}")
    return passed(f"in {counted(len(samples), 'message')}")


def _unsigned(sample: Sample) -> tuple[str, ...]:
    """Which of both fields no signature covers."""
    for value in values(sample, "DKIM-Signature"):
        tags = dict(tag.strip().partition("=")[::2] for tag in value.split(";"))
        covered = {name.strip().lower() for name in tags.get("h", "").split(":")}
        if covered.issuperset(_BOTH):
            return ()
    return _BOTH


def personal(facts: Facts) -> Iterator[Verdict]:
    """BULK-ONECLICK-TOKEN: the address alone tells whose it is, and nobody can guess it."""
    samples = facts.of(Messages).samples
    links = {one: _https(one) for one in samples}
    if not all(links.values()):
        yield skipped("there is no https address to unsubscribe at")
        return
    for one, link in links.items():
        if one.recipient.casefold() in link.casefold():
            yield failed(
                one.name, how="made of the recipient's address: anybody can make it"
            )
            return
        if not re.search(rf"[A-Za-z0-9_-]{{{OPAQUE},}}", link.partition("://")[2]):
            yield failed(f"{one.name}: {link}", how="without a part that is hard to guess")
            return
    for link, count in Counter(links.values()).items():
        if count > 1:
            yield failed(link, how=f"the same for {count} recipients")
            return
    yield passed(f"in {counted(len(samples), 'message')}")


def _https(sample: Sample) -> str:
    return next((one for one in sample.ways_out if one.lower().startswith("https:")), "")


def in_the_body(sample: Sample) -> Iterator[Verdict]:
    """BULK-UNSUB-LINK: a link in the body as well, and one that can be seen."""
    if sample.html is None:
        if not any(way in sample.text for way in sample.ways_out):
            yield failed("not in the text")
        return
    links = visible.read(sample.html).links()
    pieces = [piece for way in sample.ways_out for piece in links.get(way, ())]
    if not pieces:
        yield failed("not in the HTML")
    elif all(piece.look.hidden for piece in pieces):
        yield failed(f"hidden: {pieces[0].look.hidden}")


def list_id(sample: Sample) -> Iterator[Verdict]:
    """BULK-LISTID: of the form Name <list.domain>."""
    for value in values(sample, "List-Id"):
        if not _LIST_ID.fullmatch(value) or len(value) > MAX_LIST_ID:
            yield failed("", v=value[:100])


def bracketed(sample: Sample) -> Iterator[Verdict]:
    """HDR-LIST: addresses in angle brackets, with commas between."""
    for name in _URL_FIELDS:
        for value in values(sample, name):
            if not _URLS.fullmatch(value):
                yield failed(value[:100], name=name)


def answerable(sample: Sample) -> Iterator[Verdict]:
    """HDR-PRECEDENCE: nothing asks Exchange to keep its notices of failure."""
    for value in values(sample, "X-Auto-Response-Suppress"):
        wrong = {"all", "dr", "ndr"} & {word.strip().lower() for word in value.split(",")}
        if wrong:
            yield failed("", v=value)


CHECKS: dict[str, Check] = {
    "BULK-ONECLICK": commercial(each.message(one_click)),
    "BULK-ONECLICK-SIGNED": commercial(signed),
    "BULK-ONECLICK-TOKEN": commercial(personal),
    "BULK-UNSUB-LINK": commercial(each.message(in_the_body)),
    "BULK-LISTID": each.message(list_id),
    "HDR-LIST": each.message(bracketed),
    "HDR-PRECEDENCE": each.message(answerable),
}
