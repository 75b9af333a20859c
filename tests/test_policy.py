"""The suppression policy: which outcomes of an address, in a row, suppress it."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailblast.campaign import Policy, Tolerance
from mailblast.campaign.suppression import BOUNCE_WINDOW
from mailblast.disposition import Outcome, judge, unreachable, unroutable
from mailblast.event import Against, Event, EventKind
from mailblast.reason import Reason, Scope, read_rules
from mailblast.smtp.reply import Reply
from mailblast.suppression.policy import (
    Recorded,
    against,
    consequence,
    counts,
    outcomes,
    verdict,
)

DAY = 86400.0
START = 1_790_000_000.0 // DAY * DAY + 36_000  # ten o'clock (UTC)
REFUSED, BOUNCED, EXPIRED = EventKind.REFUSED, EventKind.BOUNCED, EventKind.EXPIRED


def reply(code: int, text: str, provider: str = "") -> Outcome:
    """What a server's answer to RCPT comes to."""
    status = text.split()[0] if text[:1] in "45" and text.count(".") >= 2 else ""
    found = judge(
        Reply(code, text, status), "", after_dot=False, to_rcpt=True, provider=provider
    )
    assert found
    return found


# What happens to one message, by a name: the kind, what it counts as, and whether it had been
# accepted before.
HAPPENS: dict[str, tuple[EventKind, Against | None]] = {
    "unknown": (REFUSED, Against.NONEXISTENT),
    "restricted": (REFUSED, Against.RESTRICTED),
    "550": (REFUSED, Against.PERMANENT),
    "barred": (REFUSED, Against.POLICY),
    "full": (EXPIRED, Against.FULL),
    "full-bounce": (BOUNCED, Against.FULL),
    "expired": (EXPIRED, Against.SOFT),
    "blocked": (REFUSED, None),
    "spam-bounce": (BOUNCED, None),
    "ok": (EventKind.DELIVERED, None),
    "reply": (EventKind.AUTOREPLIED, None),
    "taken": (EventKind.ACCEPTED, None),
    "doubtful": (EventKind.ATTEMPTED, None),
}


def history(told: str) -> list[Recorded]:
    """ "unknown@0 ok@3" is what happened to messages sent on day 0 and on day 3."""
    found: list[Recorded] = []
    for number, word in enumerate(told.split(), 1):
        what, _, day = word.partition("@")
        sent = START + float(day) * DAY
        kind, counted = HAPPENS[what]
        steps = [(EventKind.ATTEMPTED, sent, None), (kind, sent, counted)]
        if kind in (BOUNCED, EventKind.DELIVERED, EventKind.AUTOREPLIED):
            steps.insert(1, (EventKind.ACCEPTED, sent, None))
            steps[-1] = (kind, sent + DAY / 4, counted)
        for each, at, counts_as in steps:
            event = Event(number, each, at, against=counts_as)
            found.append(Recorded(len(found) + 1, f"run-{number}", event))
    return found


def judged(told: str, policy: Policy | None = None, since: float = 0.0) -> str:
    """Which measure was passed, and by how many outcomes: "full 3"; "" for none."""
    pasts = outcomes(history(told), since)
    now = max((past.sent for past in pasts), default=START) + DAY / 2
    found = verdict(pasts, policy or Policy(), now)
    return f"{found.against} {len(found.causes)}" if found else ""


@pytest.mark.parametrize(
    ("told", "passed"),
    [
        ("", ""),
        # There is no such address: at once.
        ("unknown@0", "nonexistent 1"),
        ("ok@0 unknown@7", "nonexistent 1"),
        ("unknown@0 ok@7", ""),
        ("unknown@0 reply@7", ""),
        # A rule of the recipient's own: the third time; chosen senders only: at once.
        ("restricted@0", "restricted 1"),
        ("barred@0 barred@1", ""),
        ("barred@0 barred@1 barred@2", "policy 3"),
        ("barred@0 ok@1 barred@2 barred@3", ""),
        # For good without an explicit reason: the second time, 24 hours later.
        ("550@0", ""),
        ("550@0 550@0.9", ""),
        ("550@0 550@1", "permanent 2"),
        ("550@0 550@0.5 550@1", "permanent 2"),
        ("550@0 550@90", "permanent 2"),
        ("550@0 ok@1 550@2", ""),
        ("550@0 reply@1 550@2", ""),
        ("550@0 blocked@1 550@2", "permanent 2"),
        ("550@0 doubtful@1 550@2", "permanent 2"),
        # The mailbox is full: three times, over thirty days.
        ("full@0 full@7 full@14 full@21", ""),
        ("full@0 full@30", ""),
        ("full@0 full@15 full@29.9", ""),
        ("full@0 full@15 full@30", "full 3"),
        ("full@0 full-bounce@15 full@30", "full 3"),
        ("full@0 full@10 ok@20 full@30 full@31", ""),
        # Any other soft one: five times, over fourteen days.
        ("expired@0 expired@3 expired@7 expired@14", ""),
        ("expired@0 expired@3 expired@7 expired@10 expired@13.9", ""),
        ("expired@0 expired@3 expired@7 expired@10 expired@14", "soft 5"),
        ("expired@0 expired@3 expired@7 ok@9 expired@10 expired@14", ""),
        # At most one a day counts.
        ("expired@0 expired@0.1 expired@0.2 expired@0.3 expired@14", ""),
        ("full@0 full@0.1 full@31", ""),
        # Each thing by its own measure.
        ("full@0 expired@5 full@10 expired@12 expired@20", ""),
        ("550@0 full@1 barred@2 expired@3", ""),
        # For our fault, never.
        (" ".join(f"blocked@{day}" for day in range(60)), ""),
        (" ".join(f"spam-bounce@{day}" for day in range(60)), ""),
    ],
)
def test_the_table(told: str, passed: str) -> None:
    """The decision table, a line a case."""
    assert judged(told) == passed


def test_what_was_accepted_lately() -> None:
    """It may still come back: as the last it says nothing; before a failure it counts as
    delivered; and it proves the address when the bounce window has closed in silence."""
    assert judged("full-bounce@0 full-bounce@15 full-bounce@30 taken@31") == "full 3"
    assert judged("550@0 taken@1 550@2") == ""
    pasts = outcomes(history("550@0 550@1 taken@2"))
    assert verdict(pasts, Policy(), START + 2 * DAY + BOUNCE_WINDOW)
    assert not verdict(pasts, Policy(), START + 2 * DAY + BOUNCE_WINDOW + 1)
    assert verdict(
        pasts, Policy(bounce_window=9 * DAY), START + 2 * DAY + BOUNCE_WINDOW + 1
    )


def test_the_last_event_decides() -> None:
    """A message that bounced and was delivered after all was delivered, and the other way
    round; a late notice counts when the message was sent."""
    given_back = history("full-bounce@1")
    after_all = Recorded(9, "run-1", Event(1, EventKind.DELIVERED, START + 2 * DAY))
    (past,) = outcomes([*given_back, after_all])
    assert past.works(START, BOUNCE_WINDOW)
    (past,) = outcomes([*given_back, after_all, given_back[-1]])
    assert not past.works(START, BOUNCE_WINDOW)
    assert (past.against, past.sent) == ("full", START + DAY)

    told = history("taken@0 taken@1")
    late = [
        Recorded(8, "run-1", Event(1, BOUNCED, START + 9 * DAY, against=Against.PERMANENT)),
        Recorded(9, "run-2", Event(2, BOUNCED, START + 9 * DAY, against=Against.PERMANENT)),
    ]
    found = verdict(outcomes([*told, *late]), Policy(), START + 9 * DAY)
    assert found
    assert [past.sent for past in found.causes] == [START, START + DAY]
    assert [past.last.id for past in found.causes] == [8, 9]


def test_who_was_pardoned_begins_anew() -> None:
    """Messages sent before the entry was lifted count no more, whenever their notice comes."""
    assert judged("550@0 550@1 550@2", since=START + DAY) == ""
    assert judged("550@0 550@1 550@2 550@3", since=START + DAY) == "permanent 2"
    assert judged("unknown@0", since=START) == ""


def test_another_measure() -> None:
    """The workspace may bear more, or everything."""
    twice = Policy(nonexistent=Tolerance(2, DAY))
    assert judged("unknown@0", twice) == ""
    assert judged("unknown@0 unknown@1", twice) == "nonexistent 2"
    never = Policy(*[Tolerance(0)] * 6)
    assert judged("unknown@0 restricted@1 550@2 550@4", never) == ""


def test_an_unknown_address_confirms_a_refusal() -> None:
    """Where *does not exist* is borne, it counts as a permanent refusal all the same."""
    patient = Policy(nonexistent=Tolerance(0))
    assert judged("550@0 unknown@2", patient) == "permanent 2"
    assert judged("unknown@0 unknown@2", patient) == ""


# --- What counts as what ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "counted"),
    [
        (reply(550, "5.1.1 user unknown"), Against.NONEXISTENT),
        (reply(550, "no"), Against.PERMANENT),
        (reply(554, "5.0.0 rejected"), Against.PERMANENT),
        (reply(550, "Requested action not taken: mailbox unavailable"), Against.PERMANENT),
        (
            reply(550, "5.4.1 Recipient address rejected: Access denied", "m365"),
            "permanent",
        ),
        (reply(525, "5.2.1 account disabled"), Against.PERMANENT),
        (reply(552, "5.2.2 mailbox full"), Against.FULL),
        (reply(550, "5.7.133 sender not authenticated for group", "m365"), "restricted"),
        (reply(550, "5.7.513 Service unavailable, Customer Block list", "m365"), "policy"),
        (unroutable(Reason.DOMAIN_INVALID, "", 550, "5.1.2", permanent=True), "permanent"),
        (reply(550, "5.7.26 unauthenticated mail", "google"), None),
        (reply(550, "5.7.1 blocked using zen.spamhaus.org"), None),
        (reply(554, "5.7.1 message looks like spam"), None),
        (reply(552, "5.3.4 message too large"), None),
        (reply(501, "5.5.4 syntax error"), None),
        (reply(550, "5.5.1 user unknown"), Against.NONEXISTENT),
        (reply(552, "5.5.0 mailbox full"), Against.FULL),
        (reply(554, "5.3.0 system not configured"), None),
        (reply(450, "4.1.1 user unknown"), None),
        (unreachable("mx: 550 5.1.1 user unknown here", 550, permanent=True), None),
        (unreachable("mx: 554 5.7.1 blocked", 554, permanent=True), None),
        (unreachable("mx: 521 takes no mail", 521, permanent=True), Against.PERMANENT),
    ],
)
def test_what_a_refusal_counts_as(outcome: Outcome, counted: str | None) -> None:
    """In answer to RCPT, or without any connection."""
    assert against(outcome) == counted


def test_a_bare_refusal_of_the_message() -> None:
    """Without a word it may be for the content: only in answer to RCPT it is of somebody."""
    refused = reply(554, "no")
    assert against(refused) is Against.PERMANENT
    assert against(replace(refused, to_rcpt=False)) is None
    assert against(replace(refused, kind=BOUNCED, to_rcpt=False)) is None


@pytest.mark.parametrize(
    ("outcome", "counted"),
    [
        (reply(452, "4.2.2 mailbox full"), Against.FULL),
        (reply(450, "4.1.1 user unknown"), Against.SOFT),
        (reply(451, "4.3.0 try later"), Against.SOFT),
        (unreachable("mx: connection refused", 0, permanent=False), Against.SOFT),
        (unreachable("mx: no TLS", 0, permanent=False, unencrypted=True), None),
        (reply(421, "4.7.28 unusual rate of unsolicited mail", "google"), None),
        (reply(451, "4.7.1 your address is on a block list"), None),
    ],
)
def test_what_counts_when_it_expires(outcome: Outcome, counted: str | None) -> None:
    """An attempt is no outcome; when all of them failed, what was said last counts."""
    assert against(outcome) is None
    assert against(replace(outcome, kind=EXPIRED)) == counted


OURS = [rule for rule in read_rules() if rule.meaning.scope in (Scope.US, Scope.MESSAGE)]


@pytest.mark.parametrize("rule", OURS, ids=lambda rule: rule.meaning.rule)
@pytest.mark.parametrize("kind", [REFUSED, BOUNCED, EXPIRED])
def test_no_reply_that_is_ours_counts(rule, kind) -> None:
    """Whatever the code, however it came: by every rule that says so."""
    found = rule.meaning
    outcome = Outcome(kind, found.reason, 550, "5.1.1", rule.sample, found.scope)

    assert against(replace(outcome, to_rcpt=True)) is None


FAULTS_OF_OURS = st.builds(
    Outcome,
    kind=st.sampled_from([REFUSED, BOUNCED, EXPIRED, EventKind.DEFERRED]),
    reason=st.sampled_from(
        [
            Reason.BLOCKED_REPUTATION,
            Reason.SPAM_CONTENT,
            Reason.POLICY_AUTH,
            Reason.RATE_LIMITED,
            Reason.MESSAGE_TOO_LARGE,
            Reason.RELAY_DENIED,
        ]
    ),
    code=st.sampled_from([0, 421, 450, 452, 550, 552, 554]),
    status=st.from_regex(r"|[45]\.[0-7]\.[0-9]{1,3}", fullmatch=True),
    scope=st.sampled_from([None, Scope.US, Scope.MESSAGE, Scope.DESTINATION]),
    to_rcpt=st.booleans(),
    generic=st.booleans(),
)


@given(st.lists(st.tuples(FAULTS_OF_OURS, st.floats(0, 400)), max_size=40))
def test_our_faults_suppress_nobody(told: list[tuple[Outcome, float]]) -> None:
    """No history of refusals for our own faults, of whatever length, suppresses anybody."""
    past = [
        Recorded(
            number,
            "run",
            Event(number, one.kind, START + day * DAY, against=against(one)),
        )
        for number, (one, day) in enumerate(told)
    ]

    assert counts(outcomes(past), Policy(), START + 500 * DAY) == []


WORDS = st.lists(
    st.tuples(st.sampled_from(sorted(HAPPENS)), st.integers(0, 1600)), max_size=25
)


@given(WORDS)
def test_a_delivery_clears_everything(words: list[tuple[str, int]]) -> None:
    """After a delivery that is the last outcome, nothing is left to count."""
    told = " ".join(f"{what}@{at / 4}" for what, at in words)

    assert judged(f"{told} ok@500") == ""


@given(WORDS)
def test_a_verdict_names_its_causes(words: list[tuple[str, int]]) -> None:
    """As many as the measure asks for, far enough apart, all of failures, one a day; and
    with one of them less, sent by the same time, the measure is not passed by them."""
    told = " ".join(f"{what}@{at / 4}" for what, at in words)
    pasts = outcomes(history(told))
    found = verdict(pasts, Policy(), START + 401 * DAY)
    if found is None:
        return
    sent = [past.sent for past in found.causes]
    assert len(sent) >= found.tolerance.count
    assert sent[-1] - sent[0] >= found.tolerance.span
    assert len({at // DAY for at in sent}) == len(sent)
    assert all(past.against in (found.against, "nonexistent") for past in found.causes)
    entry = found.entry("a@b.example")
    assert entry.events == tuple(past.last.id for past in found.causes)


@pytest.mark.parametrize(
    ("outcome", "does"),
    [
        (reply(550, "5.1.1 User unknown"), "suppresses the address now"),
        (reply(450, "4.1.1 User unknown"), "tries this message again later; nobody is"),
        (
            reply(550, "5.4.1 Access denied", "m365"),
            "against the address (refused for good): [suppression]",
        ),
        (reply(550, "5.7.26 unauthenticated", "google"), "the fault is ours; nobody is"),
        (reply(421, "[TS03] Retrying will NOT succeed"), "later; pauses the destination"),
        (
            reply(421, "4.7.28 unusual rate of mail"),
            "10 minutes, then goes on with one",
        ),
        (reply(552, "5.2.2 mailbox full"), "gives up on this message; it counts against"),
        (reply(552, "5.3.4 too large"), "gives up on this message; nobody is suppressed"),
        (reply(451, "greylisted"), "tries this message again later; nobody"),
    ],
)
def test_what_follows_is_said_in_a_sentence(outcome: Outcome, does: str) -> None:
    """Every refusal has one plain consequence, and the sentence says it."""
    assert does in consequence(outcome)
