"""The rules of CAN-SPAM and of other laws, each with its cases: the tests read like the rule."""

from datetime import UTC, date, datetime, timedelta

import pytest
from checking import (
    ADDRESS,
    HTML,
    LINK,
    SHOWN,
    TEXT,
    TODAY,
    attested,
    campaign,
    facts,
    findings,
    listed,
    sample,
    says,
    status,
)

from mailblast.address import parse
from mailblast.check.consent import months_after
from mailblast.check.facts import (
    Consent,
    History,
    Late,
    Messages,
    Seen,
    TriedOut,
    WirelessDomains,
)


def message(text: str = TEXT, html: str | None = HTML, **changes: object) -> Messages:
    return Messages((sample(text, html, **changes),))


def transactional() -> object:
    return campaign(message={"purpose": "transactional"})


def answered(rule: str, made: dict[str, object], *groups: object, days: int = 0) -> str:
    """The status once somebody has attested what the rule asks, so many days ago."""
    digest = says(rule, facts(campaign(**made), *groups)).digest
    word = attested(rule, digest, TODAY - timedelta(days))
    made = {**made, "declared": {**made.get("declared", {}), **word}}
    return status(rule, facts(campaign(**made), *groups))


# --- What it is ---------------------------------------------------------------------------


def test_purpose():
    """Commercial mail is held against every rule; that it is not takes somebody's word."""
    rule, other = "CANSPAM-SCOPE", {"message": {"purpose": "transactional"}}

    assert status(rule, facts()) == "pass"
    assert status(rule, facts(campaign(**other))) == "fail"
    assert answered(rule, other) == "attested"


@pytest.mark.parametrize(
    ("subject", "text", "expected"),
    [
        ("Your order 7", "Thank you for your order.", "pass"),
        ("Your order 7, and 20% off", "Thank you for your order.", "warn"),
        ("Your order 7", "Special offer! And thank you for your order.", "warn"),
        ("Your order 7", "Thank you. " * 30 + "Special offer!", "pass"),
    ],
)
def test_a_transaction_comes_first(subject, text, expected):
    """Promotion in the subject or before the transaction makes it commercial (16 CFR 316.3)."""
    rule, sent = "CANSPAM-PURPOSE-MIXED", message(text, None, subject=subject)

    assert status(rule, facts(transactional(), sent)) == expected
    assert status(rule, facts(None, sent)) == "skip"


@pytest.mark.parametrize(
    "rule",
    [
        *("CANSPAM-ADDRESS", "CANSPAM-ADDRESS-FORM", "CANSPAM-OPTOUT-PRESENT"),
        *("CANSPAM-OPTOUT-CONSPICUOUS", "CANSPAM-OPTOUT-NOTICE", "CANSPAM-HARVEST"),
        *("CANSPAM-SUBJECT", "CANSPAM-SUBJECT-URGENCY", "CANSPAM-OPTOUT-REPLY"),
        *("CANSPAM-AD-IDENT", "CANSPAM-MULTISENDER", "CANSPAM-SEXUAL", "CANSPAM-WIRELESS"),
        "CANSPAM-THIRDPARTY",
    ],
)
def test_transactional_mail_need_not(rule):
    """What is asked of commercial mail alone is not looked at in other mail."""
    found = says(rule, facts(transactional()))

    assert (found.status, found.evidence) == (
        "skip",
        "the campaign is declared transactional",
    )


# --- Who sends ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Example Shop", "pass"),
        ("Ann of Example Shop", "pass"),
        ("ShopClub", "pass"),  # a brand
        ("", "warn"),
        ("Somebody Else", "fail"),
        ("Re: your Example order", "fail"),
        ("Example Shop boss@bank.example", "fail"),
        ("Example Shop \u2714", "fail"),
    ],
)
def test_from_names_the_sender(name, expected):
    """From names the organisation or a brand of it, and nothing else."""
    mailbox = campaign().sender.mailbox
    made = campaign(
        sender={
            "mailbox": type(mailbox)(name, mailbox.address),
            "organisation": "Example Shop Ltd",
        },
        declared={"brands": ("ShopClub",)},
    )

    assert status("CANSPAM-FROM-IDENT", facts(made)) == expected


@pytest.mark.parametrize(
    ("text", "html", "parts"),
    [
        (TEXT, HTML, []),
        (TEXT, None, []),
        (
            TEXT.replace("\n1234", "  1234").upper(),
            HTML,
            [],
        ),  # blanks and case do not count
        (TEXT.replace("Main Road 7", ""), HTML, ["text"]),
        (TEXT, HTML.replace("1234 Town", ""), ["HTML"]),
        (TEXT, f'{HTML.replace(SHOWN, "")}<img src="a.png" alt="{ADDRESS}">', ["HTML"]),
        (TEXT, HTML.replace(SHOWN, f'<span style="display:none">{SHOWN}</span>'), ["HTML"]),
        (TEXT, HTML.replace(SHOWN, f"<!-- {SHOWN} -->"), ["HTML"]),
        ("", HTML.replace(SHOWN, f"<p hidden>{SHOWN}</p>"), ["text", "HTML"]),
    ],
)
def test_the_address_can_be_read(text, html, parts):
    """Every line of it, in each part, as text that is not hidden."""
    found = findings("CANSPAM-ADDRESS", facts(None, message(text, html)))

    assert [one.status for one in found] == (["fail"] * len(parts) or ["pass"])
    for one, part in zip(found, parts, strict=False):
        assert f"in the {part} part" in one.message


@pytest.mark.parametrize(
    "lines", [(), ("Example Shop", "123 Main Street", "Your City 12345")]
)
def test_an_address_that_is_none(lines):
    """Neither nothing nor an example is an address."""
    assert (
        status("CANSPAM-ADDRESS", facts(campaign(sender={"postal_address": lines})))
        == "fail"
    )


@pytest.mark.parametrize(
    ("kind", "lines", "expected"),
    [
        ("street", ("Shop", "Main Road 7", "1234 Town"), "attested"),
        ("street", ("Shop", "8 Steps", "Bay, ME 04599", "United States"), "attested"),
        ("street", ("Shop", "8 Steps", "Bay, Maine", "USA"), "fail"),  # no ZIP code
        ("street", ("Shop", "P.O. Box 8", "Bay, ME 04599"), "fail"),  # no street
        ("usps-po-box", ("Shop", "P.O. Box 8", "Bay, ME 04599"), "attested"),
        ("usps-po-box", ("Shop", "P.O. Box 8", "Leeds LS1 4AP", "UK"), "warn"),
        ("cmra", ("Shop", "8 Steps PMB 12", "Bay, ME 04599-1234"), "attested"),
        ("street", ("Shop", "Main Road 7"), "fail"),
        ("street", ("Shop", "Main Road", "Town"), "fail"),
    ],
)
def test_the_form_of_the_address(kind, lines, expected):
    """Street, PO box of USPS, or registered private mailbox; a person says that it is current."""
    made = {"declared": {"postal_address_kind": kind}, "sender": {"postal_address": lines}}

    assert answered("CANSPAM-ADDRESS-FORM", made) == expected


def test_an_attestation_is_of_what_was_asked():
    """Another address, a day that is to come, a year that has passed: it does not hold."""
    rule, street = (
        "CANSPAM-ADDRESS-FORM",
        {"postal_address": ("Shop", "Main Road 7", "1234 T")},
    )
    digest = says(rule, facts(campaign(sender=street))).digest
    word = attested(rule, digest)

    moved = {**street, "postal_address": ("Shop", "Main Road 8", "1234 T")}
    found = says(rule, facts(campaign(sender=moved, declared=word)))
    assert found.status == "fail"
    assert "has changed since" in found.evidence
    assert found.digest != digest
    assert answered(rule, {"sender": street}, days=366) == "attested"
    assert answered(rule, {"sender": street}, days=367) == "warn"
    assert answered(rule, {"sender": street}, days=-1) == "fail"


@pytest.mark.parametrize(
    ("delivery", "expected"),
    [
        ({"via": "relay", "host": "smtp.example.com", "username": "news"}, "pass"),
        ({"via": "relay", "host": "127.0.0.1"}, "pass"),
        ({"via": "direct"}, "pass"),
        ({"via": "relay", "host": "smtp.example.com"}, "attested"),
        ({"via": "sandbox"}, "skip"),
    ],
)
def test_the_relay_knows_us(delivery, expected):
    """By a login, or because it is this machine; else somebody says that we may use it."""
    assert answered("CANSPAM-RELAY-DISGUISE", {"delivery": delivery}) == expected


# --- The subject --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("News for Ann", "pass"),
        ("Newsletter", "pass"),  # "news" and "newsletter" begin alike
        ("Hi", "pass"),  # no word to compare
        ("お知らせ", "pass"),  # no blanks between its words
        ("You have won a yacht", "warn"),
        ("", "warn"),
        ("Dear None", "warn"),
        ("News for {{ name }}", "warn"),
    ],
)
def test_the_subject_has_to_do_with_the_body(subject, expected):
    """It is filled in and has a word of the body in it; or somebody says that it is true."""
    text = "Newsletter and news for Ann"
    sent = message(text, f"<p>{text}</p>", subject=subject)

    assert status("CANSPAM-SUBJECT", facts(None, sent)) == expected
    if expected == "warn":
        assert answered("CANSPAM-SUBJECT", {}, sent) == "attested"


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("News: all of it", "pass"),
        ("Regarding your garden", "pass"),
        ("Re: your order", "fail"),
        ("FW: look at this", "fail"),
        ("AW[2]: Termin", "fail"),
        ("  sv : hej", "fail"),
    ],
)
def test_the_subject_is_no_reply(subject, expected):
    """Re: and Fwd: are for replies and forwards, in every language, in all mail."""
    assert (
        status("CANSPAM-SUBJECT-REFWD", facts(None, message(subject=subject))) == expected
    )


# --- The way out --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "html", "parts"),
    [
        (TEXT, HTML, []),
        (TEXT, None, []),
        ("News", HTML, ["text"]),
        (TEXT, "<p>News</p>", ["HTML"]),
        (TEXT, f"<p>News <!-- {LINK} --></p>", ["HTML"]),
        ("News", "<p>News</p>", ["text", "HTML"]),
    ],
)
def test_the_way_out_is_there(text, html, parts):
    """In each part; the header field alone is not displayed to anybody."""
    found = findings("CANSPAM-OPTOUT-PRESENT", facts(None, message(text, html)))

    assert [one.status for one in found] == (["fail"] * len(parts) or ["pass"])
    for one, part in zip(found, parts, strict=False):
        assert f"in the {part} part" in one.message


def test_no_way_out_at_all():
    """Without an address or a link in the settings there is none."""
    made = campaign(unsubscribe={"url": "", "mailto": ""})

    assert status("CANSPAM-OPTOUT-PRESENT", facts(made, message())) == "fail"


def link(style: str = "", inner: str = "Unsubscribe", around: str = "%s") -> str:
    return around % f'<a href="{LINK}" style="{style}">{inner}</a>'


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        (link(), "pass"),
        (link("font-size:10px;color:#666"), "pass"),
        (link("font-size:9px"), "warn"),
        (link("color:#999"), "warn"),  # 2.8:1 on white
        (link("font-size:1px"), "fail"),
        (link("color:#fff"), "fail"),
        (link("color:#fefefe", around='<td bgcolor="#ffffff">%s</td>'), "fail"),
        (link("color:#fff", around='<td style="background:#000">%s</td>'), "pass"),
        (link("display:none"), "fail"),
        (link("visibility: hidden"), "fail"),
        (link("opacity:.1"), "fail"),
        (link(around='<div style="max-height:0;overflow:hidden">%s</div>'), "fail"),
        (link(around="<div hidden>%s</div>"), "fail"),
        (link(inner='<img src="u.png" alt="Unsubscribe">'), "fail"),
        (link(inner='<img src="u.png"> Unsubscribe'), "pass"),
        (link("display:none") + link(), "pass"),  # one that can be seen is enough
    ],
)
def test_the_way_out_can_be_seen(html, expected):
    """A link of text, of a size and in a colour to be read; not hidden, not an image alone."""
    sent = message(TEXT, html)

    assert status("CANSPAM-OPTOUT-CONSPICUOUS", facts(None, sent)) == expected


def test_the_way_out_is_not_far_below():
    """More than thirty blank lines above it are a trick."""
    rule, far = "CANSPAM-OPTOUT-CONSPICUOUS", f"News{chr(10) * 40}Unsubscribe: {LINK}"

    assert status(rule, facts(None, message(far, None))) == "warn"


@pytest.mark.parametrize(
    ("inner", "around", "expected"),
    [
        ("Unsubscribe", "%s", "pass"),
        ("here", "<p>To unsubscribe, click %s.</p>", "pass"),
        ("Hier abmelden", "%s", "pass"),
        ("配信停止", "%s", "pass"),
        ("click here", "<p>Thank you. %s.</p>", "fail"),
        ("here", "<p>To unsubscribe, write to us. Or look %s.</p>", "fail"),
        ("Tilmelding og mere", "%s", "warn"),  # who knows
    ],
)
def test_the_way_out_says_what_it_is(inner, around, expected):
    """The link itself or its sentence says that one can opt out."""
    sent = message(TEXT, link(inner=inner, around=around))

    assert status("CANSPAM-OPTOUT-NOTICE", facts(None, sent)) == expected


def test_the_notice_in_the_text_part():
    """A bare address says nothing of what it is for."""
    rule = "CANSPAM-OPTOUT-NOTICE"

    assert status(rule, facts(None, message(TEXT, None))) == "pass"
    assert status(rule, facts(None, message(f"News\n\n{LINK}\n", None))) == "fail"


# --- The list -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("signup", "pass"),
        (None, "fail"),
        ("other", "attested"),
        ("third-party", "attested"),
    ],
)
def test_the_list_has_a_source(source, expected):
    """It is declared; "other" takes somebody's word, which is for this list alone."""
    rule, made = "CANSPAM-HARVEST", {"declared": {"source": source}}

    if source is None:
        assert status(rule, facts(campaign(**made), listed())) == expected
        return
    assert answered(rule, made, listed()) == expected


def test_a_word_for_another_list():
    """Whoever attested one list did not attest the next."""
    rule, other = "CANSPAM-HARVEST", {"source": "other"}
    digest = says(rule, facts(campaign(declared=other), listed())).digest
    made = campaign(declared={**other, **attested(rule, digest)})
    told = facts(made, listed(digest="d2"))

    assert status(rule, told) == "fail"


@pytest.mark.parametrize(
    ("source", "rows", "expected"),
    [
        ("signup", 10, "pass"),
        ("customer", 10, "pass"),
        (None, 10, "skip"),
        ("other", 10, "warn"),
        ("third-party", 10, "warn"),
        ("third-party", 5_000, "fail"),
    ],
)
def test_its_people_asked_for_it(source, rows, expected):
    """BULK-LISTSOURCE: whoever mails many may not do so to a list of somebody else's."""
    at_gmail = listed(Consent(confirmed=True), domains={"gmail.com": Seen(rows, 2)})
    found = says(
        "BULK-LISTSOURCE",
        facts(campaign(declared={"source": source}), at_gmail),
        "bulk-senders",
    )

    assert found.status == expected
    assert ("1 of 1 rows" in found.evidence) == (source not in (None, "third-party"))


def test_a_list_of_other_origin_was_asked_for():
    """That takes somebody's word."""
    rule, other = "BULK-LISTSOURCE", {"source": "other"}
    digest = says(rule, facts(campaign(declared=other), listed()), "bulk-senders").digest
    made = campaign(declared={**other, **attested(rule, digest)})

    assert says(rule, facts(made, listed()), "bulk-senders").status == "attested"


# --- Other rules of the subject and the sender ------------------------------------------------


@pytest.mark.parametrize(
    ("subject", "ends", "expected"),
    [
        ("Ten new books", None, "pass"),
        ("Last chance: ten books", None, "warn"),
        ("Ends tonight", TODAY, "pass"),
        ("Only 2 days left", TODAY - timedelta(1), "fail"),
    ],
)
def test_a_deadline_is_one(subject, ends, expected):
    """A deadline in the subject is declared; one that is over is false (RCW 19.190.020)."""
    made = campaign(declared={"offer_ends": ends})

    assert (
        status("CANSPAM-SUBJECT-URGENCY", facts(made, message(subject=subject))) == expected
    )


@pytest.mark.parametrize(
    ("subject", "html", "expected"),
    [
        ("SEXUALLY-EXPLICIT: news", None, "pass"),
        ("SEXUALLY-EXPLICIT:news", None, "fail"),  # the blank is one of the 19 characters
        ("sexually-explicit: news", None, "fail"),
        ("=?utf-8?q?SEXUALLY-EXPLICIT=3A?= news", None, "fail"),
        ("SEXUALLY-EXPLICIT: news", '<img src="https://a.example/a.png">', "fail"),
    ],
)
def test_the_label(subject, html, expected):
    """What is declared sexually oriented begins with the label, as it stands in the field."""
    sent = message(TEXT, html, headers=(("Subject", subject),))
    made = campaign(declared={"sexually_explicit": True})

    assert status("CANSPAM-SEXUAL", facts(made, sent)) == expected
    assert status("CANSPAM-SEXUAL", facts(None, sent)) == "skip"


@pytest.mark.parametrize(
    ("advertisers", "organisation", "expected"),
    [
        ((), "Example Shop", "skip"),
        (("Example Shop",), "Example Shop", "pass"),
        (("Example Shop", "Lantern Press"), "Example Shop", "pass"),
        (("Lantern Press", "Harbour Books"), "Example Shop", "fail"),  # neither is in From
        (("Example Shop", "Shop"), "Example Shop", "fail"),  # both are
        (("Example Shop", "Lantern Press"), "Lantern Press", "fail"),  # another address
    ],
)
def test_of_several_one_is_the_sender(advertisers, organisation, expected):
    """It is alone in From, and the address is its own (16 CFR 316.2(m))."""
    made = campaign(
        declared={"advertisers": advertisers}, sender={"organisation": organisation}
    )

    assert status("CANSPAM-MULTISENDER", facts(made)) == expected


def test_sent_for_another():
    """Somebody says that the principal's suppression list is imported, for this list."""
    rule = "CANSPAM-THIRDPARTY"

    assert status(rule, facts(None, listed())) == "skip"
    made = {"declared": {"on_behalf_of": "Lantern Press"}}
    assert status(rule, facts(campaign(**made), listed())) == "warn"
    assert answered(rule, made, listed()) == "attested"


@pytest.mark.parametrize(
    ("text", "address", "expected"),
    [
        (TEXT, "noreply@shop.example", "pass"),
        ("Reply with STOP to unsubscribe.", "noreply@shop.example", "fail"),
        ("Reply with STOP to unsubscribe.", "news@shop.example", "attested"),
    ],
)
def test_who_asks_for_replies_reads_them(text, address, expected):
    """An opt-out by reply needs an address that takes mail, and somebody who reads it."""
    mailbox = campaign().sender.mailbox
    reply_to = type(mailbox)("", parse(address))
    made = {"sender": {"reply_to": reply_to}}

    assert answered("CANSPAM-OPTOUT-REPLY", made, message(text, None)) == expected


# --- Consent ------------------------------------------------------------------------------

DAY = date(2026, 1, 1)
EXPRESS = Consent("express", DAY)
SOFT = Consent("soft_opt_in", DAY, soft_opt_in=True)


@pytest.mark.parametrize(
    ("rows", "text", "expected"),
    [
        ([EXPRESS, EXPRESS], TEXT, "pass"),
        ([EXPRESS, Consent()], TEXT, "warn"),
        ([EXPRESS, Consent("express")], TEXT, "warn"),  # without its date
        ([Consent()], f"This is an advertisement.\n{TEXT}", "pass"),
    ],
)
def test_it_says_what_it_is(rows, text, expected):
    """An advertisement says so, unless everybody agreed before to get it."""
    told = facts(None, listed(*rows), message(text, None))

    assert status("CANSPAM-AD-IDENT", told) == expected


@pytest.mark.parametrize(
    ("domains", "authorised", "age", "expected"),
    [
        ({"inbox.example": Seen(5, 2)}, {}, 1, "pass"),
        ({"txt.example": Seen(5, 2)}, {}, 1, "fail"),
        ({"txt.example": Seen(5, 2)}, {"txt.example": 4}, 1, "fail"),
        ({"txt.example": Seen(5, 2)}, {"txt.example": 5}, 1, "pass"),
        ({"inbox.example": Seen(5, 2)}, {}, 31, "warn"),
    ],
)
def test_nobody_at_a_wireless_domain(domains, authorised, age, expected):
    """Without prior authorisation nobody there gets it (47 CFR 64.3100); the list is fresh."""
    given = WirelessDomains(frozenset({"txt.example"}), TODAY - timedelta(age))
    told = facts(None, given, listed(domains=domains, authorised=authorised))

    assert status("CANSPAM-WIRELESS", told) == expected
    assert status("CANSPAM-WIRELESS", facts(None, listed(domains=domains))) == "skip"


@pytest.mark.parametrize(
    ("pack", "rule", "row", "expected"),
    [
        ("casl", "CONSENT-RECORD", EXPRESS, "pass"),
        ("casl", "CONSENT-RECORD", Consent(), "fail"),
        ("casl", "CONSENT-RECORD", Consent("?", DAY), "fail"),
        ("casl", "CONSENT-RECORD", Consent("none", DAY), "fail"),
        ("casl", "CONSENT-RECORD", Consent("express"), "fail"),
        ("casl", "CONSENT-RECORD", Consent("express", odd="consent_at"), "fail"),
        ("casl", "CONSENT-RECORD", Consent("express", DAY, withdrawn=True), "fail"),
        ("casl", "CONSENT-RECORD", Consent("express", DAY, expires=TODAY), "pass"),
        ("casl", "CONSENT-RECORD", Consent("express", DAY, DAY), "fail"),
        # CASL s. 10(10): two years after a purchase, six months after an inquiry.
        ("casl", "CASL-CONSENT", Consent("express", DAY, country="CA"), "pass"),
        ("casl", "CASL-CONSENT", Consent("implied_ebr", date(2025, 1, 1)), "pass"),
        ("casl", "CASL-CONSENT", Consent("implied_ebr", date(2024, 12, 20)), "warn"),
        ("casl", "CASL-CONSENT", Consent("implied_ebr", date(2024, 11, 25)), "warn"),
        ("casl", "CASL-CONSENT", Consent("implied_ebr", date(2024, 11, 24)), "fail"),
        ("casl", "CASL-CONSENT", Consent("implied_inquiry", date(2026, 8, 1)), "pass"),
        ("casl", "CASL-CONSENT", Consent("implied_inquiry", date(2026, 5, 24)), "fail"),
        ("casl", "CASL-CONSENT", Consent("implied_published", DAY), "pass"),
        ("casl", "CASL-CONSENT", Consent("legitimate_interest", DAY), "fail"),
        ("casl", "CASL-CONSENT", Consent(country="US"), "skip"),
        # Directive 2002/58/EC Art. 13(1), (2).
        ("gdpr-eprivacy", "EU-CONSENT", Consent("express", DAY, country="FR"), "pass"),
        ("gdpr-eprivacy", "EU-CONSENT", SOFT, "pass"),
        ("gdpr-eprivacy", "EU-CONSENT", Consent("soft_opt_in", DAY), "fail"),
        ("gdpr-eprivacy", "EU-CONSENT", Consent("legitimate_interest", DAY), "fail"),
        ("gdpr-eprivacy", "EU-CONSENT", Consent("express", DAY, country="DE"), "warn"),
        (
            "gdpr-eprivacy",
            "EU-CONSENT",
            Consent("express", DAY, country="DE", confirmed=True),
            "pass",
        ),
        ("gdpr-eprivacy", "EU-CONSENT", Consent(country="US"), "skip"),
        # PECR reg. 22: companies are exempt.
        ("uk-pecr", "UK-PECR", Consent("express", DAY, country="GB"), "pass"),
        ("uk-pecr", "UK-PECR", Consent(country="GB"), "fail"),
        ("uk-pecr", "UK-PECR", Consent(country="GB", corporate=True), "skip"),
        # Spam Act 2003, Schedule 2.
        ("spam-act-au", "AU-CONSENT", Consent("express", DAY, country="AU"), "pass"),
        ("spam-act-au", "AU-CONSENT", Consent("inferred", date(2024, 11, 25)), "pass"),
        ("spam-act-au", "AU-CONSENT", Consent("inferred", date(2024, 11, 24)), "fail"),
        ("spam-act-au", "AU-CONSENT", SOFT, "fail"),
        ("spam-act-au", "AU-CONSENT", Consent(country="NZ"), "skip"),
    ],
)
def test_consent(pack, rule, row, expected):
    """What each law takes for consent, and until when; a row without country is its own too."""
    assert status(rule, facts(None, listed(row)), pack) == expected


def test_the_worst_row_counts():
    """One row without consent among many; the evidence says where it stands, and how many."""
    rows = [*(Consent("express", DAY + timedelta(n)) for n in range(50)), Consent()]
    found = says("CONSENT-RECORD", facts(None, listed(*rows)), "casl")

    assert (found.status, found.evidence) == (
        "fail",
        "no consent recorded: recipients.csv:52",
    )
    assert found.message.startswith("No provable consent of 1 recipient (")


@pytest.mark.parametrize(
    ("day", "months", "expected"),
    [
        (date(2024, 11, 25), 24, date(2026, 11, 25)),
        (date(2024, 2, 29), 24, date(2026, 2, 28)),
        (date(2025, 8, 31), 6, date(2026, 2, 28)),
        (date(2025, 12, 31), 6, date(2026, 6, 30)),
    ],
)
def test_months_after(day, months, expected):
    """The same day of the month, or the last there is."""
    assert months_after(day, months) == expected


# --- Opt-outs in time ---------------------------------------------------------------------


def at(day: int, hour: int = 12) -> float:
    """A moment in November 2026; the 2nd is a Monday."""
    return datetime(2026, 11, day, hour, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("pack", "rule", "asked", "mailed", "expected"),
    [
        ("can-spam", "CANSPAM-OPTOUT-10BD", at(2), at(16), "warn"),  # the tenth weekday
        ("can-spam", "CANSPAM-OPTOUT-10BD", at(2), at(16, 13), "fail"),
        ("can-spam", "CANSPAM-OPTOUT-10BD", at(7), at(20), "warn"),  # from a Saturday
        ("can-spam", "CANSPAM-OPTOUT-10BD", at(7), at(21), "fail"),
        ("bulk-senders", "BULK-UNSUB-48H", at(2), at(4), "warn"),
        ("bulk-senders", "BULK-UNSUB-48H", at(2), at(4, 13), "fail"),
        ("casl", "CASL-OPTOUT", at(2), at(13), "warn"),
        ("casl", "CASL-OPTOUT", at(2), at(17), "fail"),
        ("spam-act-au", "AU-OPTOUT", at(2), at(9), "warn"),  # the fifth weekday
        ("spam-act-au", "AU-OPTOUT", at(2), at(10), "fail"),
        ("gdpr-eprivacy", "EU-OBJECTION", at(2), at(3), "warn"),
        ("gdpr-eprivacy", "EU-OBJECTION", at(2), at(5), "fail"),
    ],
)
def test_opt_outs_take_effect(pack, rule, asked, mailed, expected):
    """No mail after the deadline of each law; before it, one that was late all the same."""
    for told, status_ in (
        ((History(1, (Late(asked, mailed),)),), expected),
        ((History(1, ()),), "pass"),
        ((), "skip"),
    ):
        # That of Australia looks at the page too, which was not asked for here.
        first, *others = findings(rule, facts(None, *told), pack)
        assert first.status == status_
        assert {one.status for one in others} <= {"skip"}


# --- What other laws want to be read ------------------------------------------------------

WHOLE = (
    f"Example Shop\n{ADDRESS}\nPhone +44 20 7946 0000\n"
    f"Privacy: https://shop.example/privacy\nUnsubscribe: {LINK}"
)


@pytest.mark.parametrize(
    ("pack", "rule", "text", "missing"),
    [
        ("casl", "CASL-CONTENT", WHOLE, ""),
        ("casl", "CASL-CONTENT", WHOLE.replace("Road 7", ""), "the postal address"),
        ("casl", "CASL-CONTENT", TEXT.replace("News", "Example Shop"), "a phone number"),
        ("gdpr-eprivacy", "EU-CONTENT", WHOLE, ""),
        (
            "gdpr-eprivacy",
            "EU-CONTENT",
            WHOLE.replace("Privacy", "See").replace("privacy", "p"),
            "privacy notice",
        ),
        ("gdpr-eprivacy", "EU-CONTENT", WHOLE.replace(LINK, "?"), "a way to unsubscribe"),
        (
            "uk-pecr",
            "EU-CONTENT",
            WHOLE.replace("Example Shop", "Us"),
            "the name Example Shop",
        ),
        ("spam-act-au", "AU-CONTENT", WHOLE, ""),
        ("spam-act-au", "AU-CONTENT", f"{WHOLE}\nABN 51 824 753 556", ""),
        ("spam-act-au", "AU-CONTENT", f"{WHOLE}\nABN 51 824 753 557", "an ABN that is one"),
    ],
)
def test_the_footer(pack, rule, text, missing):
    """Who sends, and how to reach them: what each law wants to be read there."""
    found = says(rule, facts(None, message(text, None)), pack)

    assert found.status == ("fail" if missing else "pass")
    assert missing in found.message


@pytest.mark.parametrize(
    ("pack", "rule", "days"),
    [("casl", "CASL-CONTENT", 60), ("spam-act-au", "AU-CONTENT", 30)],
)
def test_the_way_out_lasts(pack, rule, days):
    """It is open as long after the message as that law says."""

    def found(left):
        ends = TODAY + timedelta(left)
        made = campaign(unsubscribe={"url_ends": ends})
        return says(rule, facts(made, message(WHOLE, None)), pack)

    assert found(days).status == "pass"
    assert found(days - 1).status == "fail"
    assert f"open for {days} days" in found(days - 1).message


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<img src="https://a.example/logo.png" width="200" height="60">', "pass"),
        ('<img src="cid:logo" width="1" height="1">', "pass"),  # asks nobody
        ('<img src="https://a.example/open?u=7" width="1" height="1">', "warn"),
        ('<img src="https://a.example/o" style="width:1px;height:0">', "warn"),
        ('<img src="https://a.example/o" style="display:none">', "warn"),
    ],
)
def test_no_counting_image(html, expected):
    """An image that nobody sees is there to count."""
    sent = facts(None, message(TEXT, html))

    assert status("EU-TRACKING", sent, "gdpr-eprivacy") == expected


def test_a_subject_in_canada():
    """What may mislead is asked there too."""
    rule, sent = "CASL-SUBJECT", message(subject="You have won a yacht")
    asked = says(rule, facts(None, sent), "casl")

    assert asked.status == "warn"
    made = campaign(declared=attested(rule, asked.digest))
    assert status(rule, facts(made, sent), "casl") == "attested"
    assert status(rule, facts(), "casl") == "pass"
    assert status(rule, facts(None, object()), "casl") == "skip"


@pytest.mark.parametrize(
    ("composed", "refused", "expected"),
    [
        (4, (), "pass"),
        (3, ("row 7: Subject has a line break",), "warn"),
        (0, ("row 7: Subject has a line break",), "fail"),
    ],
)
def test_rows_can_be_rendered(composed, refused, expected):
    """A row that cannot will be `invalid`; if none of the telling ones can, nothing leaves."""
    told = facts(None, TriedOut(composed, refused))
    found = says("MSG-RENDER", told, "standards")

    assert found.status == expected
    if refused:
        assert found.message == "Row 7 cannot be rendered: Subject has a line break."
    assert status("MSG-RENDER", facts(), "standards") == "skip"
