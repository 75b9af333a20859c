"""How healthy a list is: what addresses tell, and what `check` says of a list."""

import socket
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from checking import facts, findings, listed
from commands import SETTINGS, letter, ok, relay, run
from hypothesis import given
from hypothesis import strategies as st
from misbehaving import running
from nameservers import Nameservers, needs_nameservers, nobody_comes

from mailblast.address import parse
from mailblast.check.census import FIRST, Census, Mailable
from mailblast.check.facts import Seen as Rows
from mailblast.errors import Refusal, UserError
from mailblast.hygiene import disposable, typo
from mailblast.hygiene.generated import suspicions
from mailblast.hygiene.role import is_role
from mailblast.ledger.seen import Seen
from mailblast.mx import Unroutable
from mailblast.preflight.mailable import look_up
from mailblast.reason import Reason
from mailblast.recipients import Row
from mailblast.resolver import Resolver

REAL = relay(9, 1)  # nobody listens there, and nothing is sent

# --- Role accounts ------------------------------------------------------------------------


@pytest.mark.parametrize("local", ["info", "INFO", "sales+news", "postmaster", "x-request"])
def test_a_job(local):
    """RFC 2142's names and some more, in any case, with or without a detail behind a +."""
    assert is_role(f"{local}@firm.example")


@pytest.mark.parametrize("local", ["ann", "informa", "mary.sales", "request", "infos"])
def test_a_person(local):
    """A name that has a job's in it is a name."""
    assert not is_role(f"{local}@firm.example")


# --- Disposable domains -------------------------------------------------------------------


def test_disposable():
    """A domain that is known, and whatever stands below it."""
    assert disposable.is_disposable("mailinator.com")
    assert disposable.is_disposable("mx.mailinator.com")
    assert not disposable.is_disposable("com")
    assert disposable.edition().startswith("disposable-email-domains 0.")


@pytest.mark.parametrize(
    "domain", ["gmail.com", "web.de", "gmx.co", "yahoo.co.jp", "qq.com"]
)
def test_large_providers_are_not_disposable(domain):
    """Whoever keeps the data: a slip there must not cost the half of a list."""
    assert not disposable.is_disposable(domain)


# --- Slips --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "right"),
    [
        ("gmial.com", "gmail.com"),  # exchanged
        ("mgail.com", "gmail.com"),
        ("gmai.com", "gmail.com"),  # one too few
        ("ggmail.com", "gmail.com"),  # one too many
        ("gnail.com", "gmail.com"),  # another one
        ("hotnail.co.uk", "hotmail.co.uk"),
        ("outlok.de", "outlook.de"),
        ("tonline.de", "t-online.de"),
        ("gmail.con", "gmail.com"),
        ("gmail.co", "gmail.com"),
        ("aol.con", "aol.com"),
        ("comcast.ner", "comcast.net"),
    ],
)
def test_a_slip(typed, right):
    """One letter, or the ending."""
    assert typo.meant(typed) == right


@pytest.mark.parametrize(
    "domain",
    ["gmail.com", "mail.com", "ymail.com", "email.com", "gmx.co", "gmx.de", "web.de",
     "hotmail.se", "yahoo.co", "aol.de", "abl.com", "libera.it", "gmal.example", "me.co",
     "gmil.com", "firm.example", "gamail.de", "hotmai.se"],
)  # fmt: skip
def test_no_slip(domain):
    """Real domains beside a known one; short names; endings of other countries."""
    assert typo.meant(domain) == ""


@given(st.sampled_from(sorted(typo._KNOWN)), st.data())
def test_every_slip_is_found(known, data):
    """Whatever letter behind the first is lost, the domain that was meant is found, unless
    what is left is somebody's own."""
    name, _, rest = known.partition(".")
    lost = data.draw(st.integers(1, len(name) - 1))
    typed = f"{name[:lost]}{name[lost + 1 :]}.{rest}"

    assert typo.meant(typed) == ("" if typed in typo._ALL else known)


# --- Made by a program --------------------------------------------------------------------


def made(*locals_, public=False):
    """What is suspected of the addresses of a domain."""
    rows = sorted((local, line) for line, local in enumerate(locals_, 2))
    return [one.why for one in suspicions("firm.example", rows, public=public)]


def test_numbers_in_a_row():
    """Twenty, in whatever order they stand; nineteen are none, and neither are years."""
    numbered = [f"user{n}" for n in range(20)]

    assert made(*reversed(numbered)) == ["20 in a row, user0 to user19"]
    assert made(*numbered[:19]) == []
    assert made(*[f"ann{n}" for n in range(1960, 2000)]) == []
    assert made(*[f"u{n:05d}" for n in range(30)], "u1.x") == [
        "30 in a row, u00000 to u00029"
    ]


def test_letters_in_a_row():
    """Counting in letters."""
    words = [f"{a}{b}c" for a in "ab" for b in "abcdefghijklmnopqrstuvwxyz"]

    assert made(*[f"aa{c}" for c in "abcdefghijklmnopqrstuvwxyz"]) == [
        "26 in a row, aaa to aaz"
    ]
    assert made(*words, "ann", "zoe") == []


ROLES = [
    "info", "sales", "support", "abuse", "noc", "security", "postmaster", "hostmaster", "www",
    "usenet", "news", "webmaster", "ftp", "admin", "billing", "hr", "jobs", "press", "team",
    "office",
]  # fmt: skip


def test_many_roles():
    """More than three in ten, and twenty: a firm with its info@ alone is a firm."""
    assert made(*ROLES) == ["100 % are role accounts"]
    assert made("info") == []
    assert made(*ROLES, *[f"p{'x' * n}" for n in range(60)]) == []


def test_one_name_in_every_spelling():
    """More than five of one person; at a public provider they are different people."""
    spelt = ["john.smith", "smith.john", "jsmith", "j.smith", "johnsmith", "john_smith"]

    assert made(*spelt, "ann.jones", "jones") == [
        "johnsmith, john.smith, john_smith … are one name"
    ]
    assert made(*spelt[:5]) == []
    assert made(*spelt, public=True) == []


# --- Which were seen ----------------------------------------------------------------------


@given(st.lists(st.sampled_from(["a@x", "b@x", "a@y", "ä@y", "a@b@y"])))
def test_seen(keys):
    """Each address knows where it stood first; domains come together, in order."""
    first: dict[str, int] = {}
    with closing(Seen()) as seen:
        for line, key in enumerate(keys):
            assert seen.first(key, line) == first.setdefault(key, line)
        got = [(f"{a}@{d}", line) for d, rows in seen.domains() for a, line in rows]

    assert dict(got) == first
    assert len(got) == len(first)


# --- What the rules say -------------------------------------------------------------------


def told(*cells, suppressed=(), with_ledger=True, generated=()):
    """The facts of a list with these addresses."""
    census, first, domains = Census(), {}, {}
    for line, cell in enumerate(cells, 2):
        address = parse(cell)
        good = hasattr(address, "key")
        why = "" if good else address.why
        reason = None if good else Reason.ADDRESS_SYNTAX
        row = Row(line - 1, line, (cell,), address if good else None, reason, why)
        at = first.setdefault(address.key, line) if good else line
        census.take(row, at, "unsubscribed" if cell in suppressed else "")
        if good:
            before = domains.get(address.domain, Rows(0, line))
            domains[address.domain] = Rows(before.rows + 1, before.line)
    told_ = census.hygiene("recipients.csv", generated, with_ledger=with_ledger)
    return facts(None, told_, listed(domains=domains))


def say(rule, told_, pack="standards"):
    return [
        (str(one.status), one.message, one.evidence) for one in findings(rule, told_, pack)
    ]


def test_one_address_a_row():
    """SMTP-ADDR-SYNTAX: pass, warn, skip."""
    rule = "SMTP-ADDR-SYNTAX"

    assert say(rule, told("a@x.example", "o'b@x.example")) == [
        ("pass", "", "2 rows, each with one address")
    ]
    [(status, message, evidence)] = say(rule, told("a@x.example", "b@", "c", "d", "e"))
    assert status == "warn"
    assert message == "4 rows have no address that can be mailed."
    assert evidence.startswith("recipients.csv:3 (")
    assert evidence.endswith(" and 1 more")
    assert say(rule, told("a$b@x.example"))[0][2] == "recipients.csv:2 ($)"
    assert say(rule, told("a@gmial.com", "b@gmial.com", "c@gmail.com")) == [
        (
            "warn",
            "2 addresses are at domains that look mistyped.",
            "gmial.com → gmail.com (2, recipients.csv:2)",
        )
    ]
    assert say(rule, facts())[0][0] == "skip"


def test_a_healthy_list():
    """BNC-HYGIENE: pass, warn, skip."""
    rule = "BNC-HYGIENE"
    good = told("a@x.example", "b@x.example")

    assert [one[0] for one in say(rule, good)] == ["pass", "pass", "skip"]
    assert "no duplicate" in say(rule, good)[0][2]
    assert say(rule, told("a@x.example", "A@x.example", "b@x.example"))[0] == (
        "warn",
        "1 row repeats an address; send mails it once.",
        "recipients.csv:3 (as line 2)",
    )
    assert say(rule, told("info@x.example"))[0][2] == "recipients.csv:2"
    assert (
        say(rule, told("a@mailinator.com"))[0][2] == "mailinator.com (1, recipients.csv:2)"
    )
    assert say(rule, told("a@gmial.com"))[0][0] == "pass"  # a slip: the other rule's matter
    assert say(rule, told("a@x.example", suppressed={"a@x.example"}))[1][2] == (
        "on the suppression list, and left out by send: recipients.csv:2 (unsubscribed)"
    )
    assert len(say(rule, told("a@x.example", with_ledger=False))) == 2
    assert say(rule, facts())[0][0] == "skip"


def test_made_by_a_program():
    """CANSPAM-DICTIONARY: pass, warn, skip; many domains are no flood."""
    rule = "CANSPAM-DICTIONARY"
    rows = sorted((f"user{n:02d}", n + 2) for n in range(20))
    one = next(suspicions("x.example", rows))

    assert say(rule, told("a@x.example"), "can-spam")[0][0] == "pass"
    [(status, message, evidence)] = say(rule, told(generated=[one]), "can-spam")
    assert (status, message) == ("warn", "x.example: 20 addresses look machine-generated.")
    assert evidence == "recipients.csv:2: 20 in a row, user00 to user19"
    many = [replace(one, line=line) for line in range(50)]
    assert len(say(rule, told(generated=many), "can-spam")) == FIRST + 1
    assert say(rule, facts(), "can-spam")[0][0] == "skip"


def test_domains_that_take_no_mail():
    """BNC-HYGIENE: a few are a warning, as many as trip the breaker a failure; and what was
    not looked up is said."""
    few = told(*[f"a{n}@x.example" for n in range(99)], "a@gone.example")
    many = told("a@x.example", "a@gone.example")
    gone = {"gone.example": "the domain gone.example does not exist"}

    def last(told_, found):
        given_ = facts(None, *told_.groups.values(), found)
        return say("BNC-HYGIENE", given_)[-1]

    assert last(few, Mailable(2, 2, 0, {}))[::2] == (
        "pass",
        "no domain is known to take no mail; 2 of 2 domains were looked up",
    )
    asked = (
        "2 of 9 domains were looked up, those with most rows (--all-domains); "
        "1 gave no answer"
    )
    assert last(few, Mailable(9, 2, 1, gone)) == (
        "warn",
        "1 address is at a domain that takes no mail.",
        "the domain gone.example does not exist (1, recipients.csv:101); " + asked,
    )
    assert last(many, Mailable(2, 2, 0, gone))[0] == "fail"
    assert last(few, Refusal("no DNS"))[0] == "skip"


def test_who_bounced_last_time(tmp_path: Path) -> None:
    """BNC-HYGIENE: whoever the ledger has something against, and bears it still; a delivery
    after that is forgiveness."""
    with running({}) as server:
        letter(
            tmp_path,
            "ann@inbox.example,Ann\nbo@inbox.example,Bo\n",
            delivery=relay(server.port, 1),
        )
        for said, last in (("550 no", "warn"), ("250 ok", "pass")):
            server.script = {"RCPT": {"bo@inbox.example": said}}
            ok(tmp_path, "send", "letter", "--new-run", "--yes", "--wait", "0")
            found = ok(tmp_path, "check", "letter", "--json").json["findings"]
            bounced = [
                one for one in found if one["evidence"] == "recipients.csv:3 (permanent)"
            ]
            assert [one["status"] for one in bounced] == (
                ["warn"] if last == "warn" else []
            )


# --- The DNS --------------------------------------------------------------------------------

ZONES = {
    "good.example": "@ MX 10 mx\nmx A 127.0.3.1",
    "bare.example": "@ A 127.0.3.2",
    "null.example": "@ MX 0 .",
    "empty.example": "",
    "inside.example": "@ MX 10 mx\nmx A 10.0.0.1",
    "forged.example": "@ MX 10 mx\nmx A 127.0.3.3",
}
HOSTED = {
    "firm.example": "@ MX 10 aspmx.l.google.com.\n@ MX 20 mx.good.example.",
    "l.google.com": "aspmx A 127.0.3.2",
}
DEAD = {"null.example", "empty.example", "inside.example", "gone.example"}


@pytest.fixture(scope="module")
def dns():
    """Name servers for the domains of a list; one zone's signatures are wrong."""
    forged = {"forged.example": ("127.0.3.3", "127.0.3.4")}
    with Nameservers(ZONES | HOSTED, forged=forged) as servers:
        yield servers


@needs_nameservers
def test_which_domains_take_mail(dns) -> None:
    """Of real zones; a domain that gives no answer is not called dead."""
    resolver = Resolver(dns.resolver)
    answers = look_up(
        [*ZONES, "gone.example"], resolver, lambda *_: None, allow_loopback=True
    )

    no = {name: one for name, one in answers.items() if isinstance(one, Unroutable)}
    assert {name for name, one in no.items() if one.permanent} == DEAD
    assert {name for name, one in no.items() if not one.permanent} == {"forged.example"}
    assert "null MX, RFC 7505" in no["null.example"].why
    assert answers["good.example"] == (("mx.good.example",),)


@needs_nameservers
def test_check_asks_the_dns(tmp_path: Path, dns) -> None:
    """The domains with most rows, or all; nobody speaks to a mail host."""
    rows = "".join(f"a@{one},A\n" for one in [*ZONES, "gone.example"])
    direct = '[delivery]\nvia = "direct"\nehlo = "m.shop.example"\nallow_loopback = true\n'
    toml = SETTINGS.replace("dns = false", "dns = true") + direct
    letter(tmp_path, rows, campaign_toml=f'{toml}resolver = "{dns.resolver}"\n')
    hosts = [("127.0.3.1", 25), ("127.0.3.2", 25)]
    with nobody_comes(*hosts):
        words = ("check", "letter", "--json", "--all-domains")
        found = ok(tmp_path, *words, status=4).json["findings"]

    (last,) = [one for one in found if "looked up" in one["evidence"]]
    assert (last["id"], last["status"]) == ("BNC-HYGIENE", "fail")
    assert last["message"] == "4 addresses are at domains that take no mail."
    assert "7 of 7 domains were looked up; 1 gave no answer" in last["evidence"]
    ended = ok(tmp_path, "check", "letter", "--json", "--no-dns")
    quiet = [one for one in ended.json["findings"] if one["id"] == "BNC-HYGIENE"]
    assert [one["status"] for one in quiet if "--no-dns" in one["evidence"]] == ["skip"]


@needs_nameservers
def test_the_share_of_each_provider(tmp_path: Path, dns) -> None:
    """A domain is its provider's whose mail hosts it names; without the DNS the names tell."""
    rows = "a@gmail.com,A\nb@firm.example,B\nc@firm.example,C\nd@good.example,D\nbad,Bad\n"
    direct = '[delivery]\nvia = "direct"\nehlo = "m.shop.example"\nallow_loopback = true\n'
    toml = SETTINGS.replace("dns = false", "dns = true") + direct
    letter(tmp_path, rows, campaign_toml=f'{toml}resolver = "{dns.resolver}"\n')

    # gmail.com itself has no name server here, and goes by its name.
    asked = run(tmp_path, "check", "letter", "--json").json["providers"]
    assert asked == {"google": 3, "": 1}
    named = run(tmp_path, "check", "letter", "--json", "--no-dns").json["providers"]
    assert named == {"": 3, "google": 1}
    said = run(tmp_path, "check", "letter", "--no-dns").out
    assert "the list, 4 addresses: no provider known 75.0 %, google 25.0 %" in said


def test_a_dns_that_says_nothing() -> None:
    """Then it was not asked: no domain is dead, and none is alive."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as mute:
        mute.bind(("127.0.0.1", 0))
        resolver = Resolver(f"127.0.0.1:{mute.getsockname()[1]}")
        with pytest.raises(UserError, match="the DNS answers nothing"):
            look_up([f"d{n}.example" for n in range(40)], resolver, lambda *_: None)


# --- The command --------------------------------------------------------------------------

OURS = {"SMTP-ADDR-SYNTAX", "BNC-HYGIENE", "CANSPAM-DICTIONARY"}
SICK = (
    "ann@inbox.example,Ann\nAnn@inbox.example,Ann\ninfo@firm.example,Info\nbad,Bad\n"
    "bob@gmial.com,Bob\ncid@mailinator.com,Cid\nopt@inbox.example,Opt\n"
) + "".join(f"user{n}@made.example,U\n" for n in range(25))


def test_a_sick_list(tmp_path: Path) -> None:
    """`check` names each fault with its line, and nothing of it keeps mail from leaving."""
    letter(tmp_path, SICK, delivery=REAL)
    ok(tmp_path, "unsubscribe", "add", "opt@inbox.example")
    document = ok(tmp_path, "check", "letter", "--json").json

    seen = {
        one["evidence"]: one["status"]
        for one in document["findings"]
        if one["status"] != "skip"
        and one["id"] in ("SMTP-ADDR-SYNTAX", "BNC-HYGIENE", "CANSPAM-DICTIONARY")
    }
    assert seen == {
        "recipients.csv:5 (An email address must have an @-sign)": "warn",
        "gmial.com → gmail.com (1, recipients.csv:6)": "warn",
        "recipients.csv:3 (as line 2)": "warn",
        "recipients.csv:4": "warn",
        "mailinator.com (1, recipients.csv:7)": "warn",
        "on the suppression list, and left out by send: recipients.csv:8 (unsubscribed)": "pass",
        "recipients.csv:9: 25 in a row, user0 to user24": "warn",
    }
