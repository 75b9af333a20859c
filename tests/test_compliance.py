"""The rules of CAN-SPAM and of other laws, each with its cases: the tests read like the rule."""

from datetime import timedelta

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

from mailblast.check.facts import Messages


def message(text: str = TEXT, html: str | None = HTML, **changes: object) -> Messages:
    return Messages((sample(text, html, **changes),))


def transactional() -> object:
    return campaign(message={"purpose": "transactional"})


def answered(rule: str, made: dict[str, object], *groups: object, days: int = 0) -> str:
    """The status once somebody has attested what the rule asks, so many days ago."""
    digest = says(rule, facts(campaign(**made), *groups)).digest
    word = attested(rule, digest, TODAY - timedelta(days))
    return status(rule, facts(campaign(**made, check=word), *groups))


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
        "CANSPAM-SUBJECT",
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
    sender = {
        "mailbox": type(mailbox)(name, mailbox.address),
        "organisation": "Example Shop Ltd",
        "brands": ("ShopClub",),
    }

    assert status("CANSPAM-FROM-IDENT", facts(campaign(sender=sender))) == expected


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
    made = {"sender": {"postal_address_kind": kind, "postal_address": lines}}

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
    found = says(rule, facts(campaign(sender=moved, check=word)))
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
    ("source", "expected"), [("signup", "pass"), ("", "fail"), ("other", "attested")]
)
def test_the_list_has_a_source(source, expected):
    """It is declared; "other" takes somebody's word, which is for this list alone."""
    rule, made = "CANSPAM-HARVEST", {"recipients": {"source": source}}

    if source == "":
        assert status(rule, facts(campaign(**made), listed())) == expected
        return
    assert answered(rule, made, listed()) == expected


def test_a_word_for_another_list():
    """Whoever attested one list did not attest the next."""
    rule, made = "CANSPAM-HARVEST", {"recipients": {"source": "other"}}
    digest = says(rule, facts(campaign(**made), listed())).digest
    told = facts(campaign(**made, check=attested(rule, digest)), listed(digest="d2"))

    assert status(rule, told) == "fail"
