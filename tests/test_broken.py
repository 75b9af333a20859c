"""A campaign with one fault for each rule: `check` finds exactly those; then facts as they are
gathered, from a real list and a real ledger.
"""

import sqlite3
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import pytest
from commands import letter, look, ok
from test_check_dns import APART, MISCONFIGURED
from test_content_broken import OURS
from test_endpoint import OUT_OF_ORDER
from test_spamfilter import RULE

from mailblast.check.facts import Consent, Seen
from mailblast.check.policies import CHECKS
from mailblast.check.survey import Survey
from mailblast.check.visible import read
from mailblast.ledger import Ledger
from mailblast.recipients import open_recipients

PACKS = (
    '[check]\ndns = false\npacks = ["can-spam", "bulk-senders", "standards", "casl", '
    '"gdpr-eprivacy", "uk-pecr", "spam-act-au"]\nwireless_domains = "wireless.txt"\n'
)
RELAY = '[delivery]\nvia = "relay"\nhost = "smtp.relay.example"\ngive_up_after = "1 h"\n'

# Everything that can be wrong with a commercial campaign at once.  A fault that hides another
# (an address that is empty has no form) has a campaign of its own below.
BROKEN = f"""\
[sender]
from = "Re: your order <noreply@shop.example>"
organisation = "Example Shop"
on_behalf_of = "Lantern Press"
postal_address = ["Example Shop", "P.O. Box 7", "1234 Town"]
[message]
subject = "Re: last chance to win a yacht"
advertisers = ["Lantern Press", "Harbour Books"]
sexually_explicit = true
[message.headers]
CFBL-Address = "fbl@other.example; report=arf"
[dkim]
selector = "mb1"
algorithm = "ed25519-sha256"
[recipients]
source = "third-party"
[unsubscribe]
url = "https://u.shop.example/u"
{RELAY}{PACKS}
"""
HTML = """\
<p>Come and see us, and reply with STOP to be removed.</p>
<p style="display:none">{{ postal_address }}</p>
<p><a href="{{ unsubscribe_url }}" style="font-size:1px">here</a></p>
<img src="https://shop.example/open?u=1" width="1" height="1">
"""
MADE = "".join(f"user{n}@made.example,User,because,\n" for n in range(1001))
ROWS = (
    "email,name,consent,country\nann@txt.example,Ann,because,\nbad,Bad,because,\n"
    f"info@txt.example,Info,because,\nann@yahoo.example,Ann,because,\n{MADE}"
)


BREAKS = {
    "CANSPAM-FROM-IDENT": "fail",
    "CANSPAM-RELAY-DISGUISE": "fail",
    "CANSPAM-SUBJECT": "warn",
    "CANSPAM-SUBJECT-REFWD": "fail",
    "CANSPAM-SUBJECT-URGENCY": "warn",
    "CANSPAM-OPTOUT-CONSPICUOUS": "fail",
    "CANSPAM-OPTOUT-NOTICE": "fail",
    "CANSPAM-OPTOUT-REPLY": "fail",
    "CANSPAM-AD-IDENT": "warn",
    "BULK-FBL": "warn",
    "BULK-LISTSOURCE": "warn",
    "BULK-RAMP": "warn",
    "DKIM-ED25519": "fail",
    "IN-CFBL": "fail",
    "SMTP-RETRY": "warn",
    "BULK-REPLYABLE": "warn",
    "CANSPAM-ADDRESS": "fail",
    "CANSPAM-ADDRESS-FORM": "fail",
    "CANSPAM-MULTISENDER": "fail",
    "CANSPAM-SEXUAL": "fail",
    "CANSPAM-HARVEST": "fail",
    "CANSPAM-DICTIONARY": "warn",
    "CANSPAM-WIRELESS": "fail",
    "CANSPAM-THIRDPARTY": "warn",
    "CONSENT-RECORD": "fail",
    "SMTP-ADDR-SYNTAX": "warn",
    "BNC-HYGIENE": "warn",
    "CASL-CONSENT": "fail",
    "CASL-CONTENT": "fail",
    "CASL-SUBJECT": "warn",
    "EU-CONSENT": "fail",
    "EU-CONTENT": "fail",
    "EU-TRACKING": "warn",
    "UK-PECR": "fail",
    "AU-CONSENT": "fail",
    "AU-CONTENT": "fail",
    "MSG-ALIKE": "fail",
    "MSG-ALT": "fail",
    "MSG-DISPLAYNAME": "fail",
    "MSG-HIDDEN": "warn",
}


def verdicts(workspace: Path) -> dict[str, str]:
    """What is wrong, by rule."""
    document = ok(workspace, "check", "letter", "--json", status=4).json
    wrong = ("fail", "warn")
    return {f["id"]: f["status"] for f in document["findings"] if f["status"] in wrong}


def test_a_campaign_with_every_fault(tmp_path: Path) -> None:
    """Exactly those rules that it breaks, and no other."""
    home = letter(
        tmp_path, "", campaign_toml=BROKEN, message_html=HTML, recipients_csv=ROWS
    )
    (home / "wireless.txt").write_text("txt.example\n")

    assert verdicts(tmp_path) == BREAKS


def test_what_that_campaign_cannot_break(tmp_path: Path) -> None:
    """The other rules that `check` enforces: each has a campaign of its own."""
    no_way_out = BROKEN.replace("[unsubscribe]", "[breaker]").replace("url =", "# url =")
    letter(tmp_path, "", campaign_toml=no_way_out, message_html=HTML, recipients_csv=ROWS)
    (tmp_path / "letter/wireless.txt").write_text("txt.example\n")
    assert verdicts(tmp_path)["CANSPAM-OPTOUT-PRESENT"] == "fail"

    other = BROKEN.replace("[message]", '[message]\npurpose = "transactional"')
    other = other.replace("Re: last chance", "Special offer")
    letter(tmp_path, "", campaign_toml=other, message_html=HTML, recipients_csv=ROWS)
    (tmp_path / "letter/wireless.txt").write_text("txt.example\n")
    found = verdicts(tmp_path)
    assert (found["CANSPAM-SCOPE"], found["CANSPAM-PURPOSE-MIXED"]) == ("fail", "warn")

    home = letter(tmp_path, "", campaign_toml=BROKEN.replace("win", "{{ name }}"))
    (home / "wireless.txt").write_text("txt.example\n")
    (home / "recipients.csv").write_text('email,name\na@x.example,"A\nB"\n')
    assert verdicts(tmp_path)["MSG-RENDER"] == "fail"

    # Those of opt-outs need a history: below; those of what left lately too, in test_traffic;
    # those of the DNS a name server, in test_check_dns; those of the messages stand in
    # test_content_broken, and that of a spam filter in test_spamfilter.  So every rule has its
    # fault.
    late = {
        "CANSPAM-OPTOUT-10BD",
        "BULK-UNSUB-48H",
        "CASL-OPTOUT",
        "EU-OBJECTION",
        "AU-OPTOUT",
        "BULK-SPAMRATE",
        "BULK-STREAMS",
    }
    apart = {
        "CANSPAM-OPTOUT-PRESENT",
        "CANSPAM-SCOPE",
        "CANSPAM-PURPOSE-MIXED",
        "MSG-RENDER",
    }
    elsewhere = {*MISCONFIGURED, *APART, *OURS, *OUT_OF_ORDER, RULE}
    assert {*BREAKS, *late, *apart, *elsewhere} == CHECKS.keys()


# --- History ------------------------------------------------------------------------------


def opted_out(workspace: Path, days: float) -> None:
    """Ann is mailed, and had opted out so many days before."""
    files = '[delivery]\nvia = "maildir"\nmaildir = "../out"\n'
    letter(workspace, "ann@inbox.example,Ann\nbo@inbox.example,Bo\n", delivery=files)
    ok(workspace, "send", "letter", "--yes")
    ok(workspace, "unsubscribe", "add", "ann@inbox.example")
    (mailed,) = look(
        workspace,
        "SELECT max(at) FROM events WHERE kind = 'attempted' AND delivery IN "
        "(SELECT id FROM deliveries WHERE key = 'ann@inbox.example')",
    )
    change(workspace, "UPDATE suppressions SET added = ?", mailed - days * 86400)


def change(workspace: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(workspace / ".mailblast/ledger.db")) as ledger, ledger:
        ledger.execute(statement, values)


@pytest.mark.parametrize(("days", "expected"), [(20, "fail"), (1, "warn"), (-1, "pass")])
def test_mail_after_an_opt_out(tmp_path: Path, days: int, expected: str) -> None:
    """The ledger's own history tells whether anybody was mailed after asking not to be."""
    opted_out(tmp_path, days)
    document = ok(tmp_path, "check", "letter", "--json", status=4 if days > 2 else 0).json
    found = {f["id"]: f["status"] for f in document["findings"]}

    assert found["CANSPAM-OPTOUT-10BD"] == expected
    assert found["BULK-UNSUB-48H"] == expected


def test_whoever_came_back_may_be_mailed(tmp_path: Path) -> None:
    """After a consent the opt-out is lifted: mail after that is none that came late."""
    opted_out(tmp_path, 20)
    change(tmp_path, "UPDATE suppressions SET removed = added + 60, consent = 'a form'")
    ledger = Ledger(tmp_path / ".mailblast")
    try:
        assert ledger.opt_outs.history().late == ()
    finally:
        ledger.close()


# --- The list -----------------------------------------------------------------------------


def surveyed(path: Path, text: str) -> Survey:
    path.write_text(text, encoding="utf-8")
    recipients = open_recipients(path)
    survey = Survey(recipients.columns)
    assert len(list(survey.over(recipients))) == text.count("\n") - 1
    return survey


def test_what_a_list_says_of_consent(tmp_path: Path) -> None:
    """Columns are read in many spellings; the same for many rows is counted, not kept."""
    rows = [
        "a@x.example,Express,2026-01-02T10:00:00Z,ca,yes,,,",
        "b@x.example,express,2026-01-02,CA,YES,,,",
        "c@y.example,soft opt-in,2026-01-02,FR,,2020,true,1",
        "d@y.example,soft-opt-in,02.01.2026,FR,no,2020,false,1",
        "e@y.example,they said so,,,,,,",
        "no address,express,2026-01-02,CA,,,,",
    ]
    header = "email,Consent,Consent at,country,double_opt_in_at,customer_since,"
    header += "similar_products,objection_offered"
    found = surveyed(tmp_path / "list.csv", "\n".join([header, *rows, ""])).listed("l", "d")

    day = date(2026, 1, 2)
    assert (found.rows, found.invalid) == (6, 1)
    assert found.domains == {"x.example": Seen(2, 2), "y.example": Seen(3, 4)}
    assert found.consents == {
        Consent("express", day, country="CA", confirmed=True): Seen(2, 2),
        Consent("soft_opt_in", day, country="FR", soft_opt_in=True): Seen(1, 4),
        Consent("soft_opt_in", country="FR", odd="consent_at"): Seen(1, 5),
        Consent("?"): Seen(1, 6),
    }


def test_the_telling_rows(tmp_path: Path) -> None:
    """The first, the longest, the emptiest, one outside ASCII: no row twice."""
    rows = ["a@x.example,Ann", "b@x.example,", "c@x.example," + "n" * 50, "d@x.example,Öz"]
    survey = surveyed(tmp_path / "list.csv", "\n".join(["email,name", *rows, ""]))

    assert [(why, row.number) for why, row in survey.telling()] == [
        ("first row", 1),
        ("longest", 3),
        ("emptiest", 2),
        ("not ASCII", 4),
    ]
    one = surveyed(tmp_path / "one.csv", "email,name\na@x.example,Ann\n")
    assert [row.number for _, row in one.telling()] == [1]


def test_consent_from_the_list_to_the_finding(tmp_path: Path) -> None:
    """What stands in the columns is what the rule of a law judges."""
    two_years = date.today() - timedelta(800)
    rows = f"email,name,consent,consent_at\na@x.example,A,implied_ebr,{two_years}\n"
    letter(tmp_path, "", recipients_csv=rows)
    done = ok(tmp_path, "check", "letter", "--pack", "casl", status=4)

    assert "implied_ebr ended" in done.out
    assert "recipients.csv:2" in done.out


def test_a_list_of_nobody(tmp_path: Path) -> None:
    """Nobody to be mailed is nothing to be ready for: status 1, and why the first is not."""
    letter(tmp_path, "no address,Ann\n")

    assert "recipients.csv:2: " in ok(tmp_path, "check", "letter", status=1).err


# --- What can be seen ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("<p>one</p><p>two</p>", "one two"),
        ("o<b>n</b>e", "one"),
        ("<ul><li>a<li>b</ul>c", "a b c"),
        ('<p style="display:none">a<p>b', "b"),  # a new p ends the one before
        ("<style>p{}</style><title>t</title>a<script>b</script>", "a"),
        ('<div style="display:none"><b>a</b></div>b', "b"),
        ("a&nbsp;&amp;&#x41;", "a &A"),
        ("</div>a</p>b", "a b"),
        ('<td style="mso-hide:all">a</td>b', "b"),
    ],
)
def test_text_that_is_seen(html: str, text: str) -> None:
    """As a reader sees it, whatever is left open."""
    assert read(html).text == text


@pytest.mark.parametrize(
    ("style", "size", "contrast"),
    [
        ("", 16, 21),
        ("font:bold 13px/1.5 Helvetica;color:#444444", 13, 9.7),
        ("font-size:9pt;color:gray", 12, 3.9),
        ("font-size:50%;color:rgb(153, 153, 153)", 8, 2.8),
        ("font-size:.5em;color:#fff", 8, 1),
        ("font-size:1.2.3px;opacity:x;color:red", 16, 4.0),
    ],
)
def test_how_text_looks(style: str, size: float, contrast: float) -> None:
    """Sizes in CSS pixels, contrast as WCAG 2 counts it."""
    (piece,) = (p for p in read(f'<p style="{style}">a</p>').pieces if p.text == "a")

    assert piece.look.size == pytest.approx(size)
    assert piece.look.contrast == pytest.approx(contrast, abs=0.06)
