"""A broken message with one fault for each rule of the content: exactly that is found."""

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from checking import facts
from content import PAGE, changed, composed, headed, instead

from mailblast.check import body, header, judge, links, listheader, mime
from mailblast.check.facts import Messages
from mailblast.preflight.packs import found

OURS = (
    *header.CHECKS, *listheader.CHECKS, *mime.CHECKS, *links.CHECKS, *body.CHECKS
)  # fmt: skip
WORDS = " ".join(f"secret{n}" for n in range(40))
MANY = "".join(f'<a href="https://h{n}.example/">Shop {n}</a>\n' for n in range(11))


def wrong(messages: Messages) -> set[str]:
    """The content rules that something is wrong with."""
    told = facts(None, messages)
    now = replace(told, today=datetime.now(UTC).date())
    findings = judge(now, found(["bulk-senders", "standards"]))
    return {one.id for one in findings if one.id in OURS and one.status in ("fail", "warn")}


def page(more: str) -> Messages:
    return composed(PAGE + more)


def replaced(pattern: bytes, new: bytes) -> Messages:
    return changed(lambda content: re.sub(pattern, new, content))


FAULTS: dict[str, Callable[[], Messages]] = {
    "MSG-SINGLETONS": lambda: headed("Sender: a@shop.example\r\nSender: b@shop.example"),
    "MSG-MESSAGE-ID": lambda: instead("Message-ID: <", "Message-ID: "),
    "MSG-DATE": lambda: replaced(rb"Date: \w+, \d+ \w+ \d+", b"Date: Wed, 01 Jan 2020"),
    "MSG-ENCODEDWORD": lambda: headed("In-Reply-To: =?utf-8?q?x?="),
    "MSG-HEADER-SIZE": lambda: headed("X-Long:" + ("\r\n " + "x" * 900) * 40),
    "MSG-DISPLAYNAME": lambda: instead("From: Example Shop <", 'From: "Re: your order" <'),
    "BULK-FROM-ONE": lambda: instead(
        "<news@shop.example>", "<n@shop.example>, o@shop.example"
    ),
    "BULK-ONECLICK": lambda: instead("List-Unsubscribe-Post: List", "X-Post: List"),
    "BULK-ONECLICK-SIGNED": lambda: replaced(rb"list-unsubscribe-post:", b""),
    "BULK-ONECLICK-TOKEN": lambda: replaced(rb"/u/a{8}[^\s<>]*(?=>)", b"/u/" + b"a" * 32),
    "BULK-UNSUB-LINK": lambda: page('<p hidden><a href="{{ unsubscribe_url }}">x</a></p>'),
    "BULK-LISTID": lambda: replaced(rb"List-Id: [^\r]*", b"List-Id: letter"),
    "HDR-LIST": lambda: headed("List-Help: https://shop.example/help"),
    "HDR-PRECEDENCE": lambda: instead("Suppress: OOF", "Suppress: NDR"),
    "MSG-LINELEN": lambda: headed("X-Long: " + "x" * 1000),
    "MSG-CRLF": lambda: instead("Dear Ann, here is", "Dear Ann,\nhere is"),
    "MSG-7BIT": lambda: instead("Dear Ann, here", "Dear Änn, here"),
    "MSG-MIME": lambda: instead("text/plain; charset=utf-8", "text/plain"),
    "MSG-HTML": lambda: page("<div><p>More"),
    "MSG-CLIPPED": lambda: page("<!--" + "x" * 110_000 + "-->"),
    "MSG-HIDDEN": lambda: page(
        '<p style="display:none">A line for the list of messages</p>'
    ),
    "MSG-ALT": lambda: page('<img src="https://shop.example/b.png" width="1" height="1">'),
    "MSG-IMAGE-SIZE": lambda: page('<img src="https://shop.example/b.png" alt="A pot">'),
    "MSG-ALIKE": lambda: composed(PAGE, text="Your program cannot show this. {{ name }}"),
    "MSG-LINKS": lambda: page('<a href="https://evil.example/">www.shop.example</a>'),
    "MSG-LINK-SCHEME": lambda: page('<a href="/more">More</a>'),
    "MSG-LINK-HTTP": lambda: page('<a href="http://shop.example/">More</a>'),
    "MSG-LINK-DOMAINS": lambda: page(MANY),
}
# A fault that cannot be without another one.
TOGETHER = {
    "BULK-UNSUB-LINK": {"MSG-HIDDEN"},  # the link is there, and hidden
    "BULK-ONECLICK-TOKEN": {"BULK-UNSUB-LINK"},  # the body has the links as they were
}


def test_a_good_message():
    """Nothing is wrong with it."""
    assert wrong(composed(PAGE)) == set()


def test_every_rule_has_its_fault():
    """None was forgotten."""
    assert FAULTS.keys() == set(OURS)


@pytest.mark.parametrize("rule", FAULTS)
def test_one_fault(rule):
    """It is found, and nothing else."""
    assert wrong(FAULTS[rule]()) == {rule} | TOGETHER.get(rule, set())
