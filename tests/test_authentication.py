"""The rules of SPF, DKIM and DMARC in `mailblast check`, each with its cases.

What is published stands in zones on paper (`told`); the resolver itself meets real name
servers in test_check_dns.py.
"""

import base64
from dataclasses import replace
from functools import cache

import pytest
from checking import attested, campaign, facts, findings, listed, sample, says
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from told import told

from mailblast.address import parse, parse_mailbox
from mailblast.campaign import Dkim
from mailblast.check.facts import Messages, Seen
from mailblast.check.published import ASKINGS, DkimKey, Dmarc, Spf
from mailblast.check.signature import OwnKey
from mailblast.signing import Signer, new_key

BULK = "bulk-senders"
IP = "192.0.2.1"
SPF = 'shop.example. TXT "v=spf1 ip4:192.0.2.0/24 -all"\n'


def published(text, made=None, *more, kinds=(Spf, DkimKey, Dmarc)):
    """The facts, if this is what the DNS has."""
    made = made or campaign(declared={"sending_addresses": (IP,)})
    groups = [told(text, ASKINGS[kind](made)) for kind in kinds]
    return facts(made, *(one for one in groups if one is not None), *more)


def statuses(rule, told_, pack=BULK):
    """The statuses of all findings of a rule, each once, in their order."""
    return list(dict.fromkeys(str(one.status) for one in findings(rule, told_, pack)))


def spf(rule, text, made=None):
    return statuses(rule, published(text, made, kinds=(Spf,)))


# --- How much -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("domain", "rows", "expected"),
    [
        ("gmail.com", 4_499, "pass"),
        ("gmail.com", 4_500, "warn"),
        ("googlemail.com", 4_500, "warn"),
        ("hotmail.co.uk", 5_000, "pass"),
        ("hotmail.co.uk", 5_001, "warn"),
        ("inbox.example", 99_999, "pass"),
    ],
)
def test_who_is_a_bulk_sender(domain, rows, expected):
    """Near 5,000 rows at Gmail, or more than 5,000 at Outlook.com."""
    list_ = listed(domains={domain: Seen(rows, 2)})

    assert says("BULK-THRESHOLD", facts(None, list_), BULK).status == expected


def test_what_binds_bulk_senders_alone_is_a_warning_for_others():
    """The same is looked at; only the numbers make an error of it."""
    few, many = (listed(domains={"gmail.com": Seen(rows, 2)}) for rows in (10, 9_000))

    assert statuses("BULK-DMARC", published("", None, few)) == ["warn"]
    assert statuses("BULK-DMARC", published("", None, many)) == ["fail"]
    stray = campaign(sender={"return_path": parse("bounces@other.example")})
    assert statuses("BULK-ALIGN", published("", stray, few)) == ["warn"]
    assert statuses("BULK-ALIGN", published("", stray, many)) == ["fail"]


# --- SPF ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SPF, "pass"),
        ('shop.example. TXT "v=spf1 ip4:198.51.100.1 -all"', "fail"),
        ('shop.example. TXT "v=spf1 ip4:198.51.100.1 ~all"', "fail"),
        ('shop.example. TXT "v=spf1 foo"', "fail"),
        ("shop.example. A 192.0.2.1", "fail"),
        ("", "fail"),
        ('shop.example. TXT "v=spf1 a:x.example"\nx.example. A !SERVFAIL', "warn"),
        ("shop.example. TXT !SERVFAIL", "warn"),
        ("shop.example. TXT !BOGUS", "fail"),
        ("shop.example. TXT !TIMEOUT", "skip"),
    ],
)
def test_spf_permits_the_sending_addresses(text, expected):
    """SPF passes for the return path's domain, from each address that is known."""
    assert spf("BULK-SPF", text) == [expected]


def test_each_sending_address_counts():
    """One that is forgotten fails, beside one that passes."""
    both = campaign(declared={"sending_addresses": (IP, "2001:db8::1")})

    assert spf("BULK-SPF", SPF, both) == ["pass", "fail"]


def test_a_relay_is_included():
    """Where only the relay knows its addresses, its record has to be included."""
    relay = campaign(
        delivery={"via": "relay", "host": "smtp.relay.example"},
        declared={"spf_include": "spf.relay.example"},
    )
    theirs = 'spf.relay.example. TXT "v=spf1 ip4:198.51.100.0/24 -all"\n'
    ours = 'shop.example. TXT "v=spf1 include:{} -all"\n'
    deep = ours.format("x.example") + 'x.example. TXT "v=spf1 include:spf.relay.example"\n'

    assert spf("BULK-SPF", ours.format("spf.relay.example") + theirs, relay) == ["pass"]
    assert spf("BULK-SPF", deep + theirs, relay) == ["pass"]
    assert spf("BULK-SPF", SPF + theirs, relay) == ["fail"]


def test_what_is_not_known_of_a_relay_is_skipped():
    """Without an address and without a domain to include nothing can be said."""
    relay = campaign(delivery={"via": "relay", "host": "smtp.relay.example"})

    assert spf("BULK-SPF", SPF, relay) == ["skip"]


def many(lookups):
    zone = "".join(f'x{n}.example. TXT "v=spf1 -all"\n' for n in range(lookups))
    terms = " ".join(f"include:x{n}.example" for n in range(lookups))
    return f'shop.example. TXT "v=spf1 {terms} -all"\n{zone}'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (many(0), "pass"),
        (many(8), "pass"),
        (many(9), "warn"),
        (many(10), "warn"),
        (many(11), "fail"),
        ('shop.example. TXT "v=spf1 a:x.example a:y.example -all"', "pass"),
        ('shop.example. TXT "v=spf1 a:x.example a:y.example a:z.example -all"', "fail"),
        ('shop.example. TXT "v=spf1 foo"', "skip"),
        ("", "skip"),
    ],
)
def test_spf_lookups_are_counted(text, expected):
    """All of them, also those behind the term that matches: other mail takes the whole way."""
    assert spf("SPF-LOOKUPS", text) == [expected]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (SPF, "pass"),
        (SPF + 'shop.example. TXT "v=spf1 -all"', "fail"),
        ('shop.example. TXT "v=spf1 +all"', "fail"),
        ('shop.example. TXT "v=spf1 all"', "fail"),
        ('shop.example. TXT "v=spf1 ?all"', "warn"),
        ('shop.example. TXT "v=spf1 ptr -all"', "warn"),
        ('shop.example. TXT "v=spf1 ip4:192.0.2.1"', "warn"),
        ('shop.example. TXT "v=spf1 -all ip4:192.0.2.1"', "warn"),
        ('shop.example. TXT "v=spf1 -all redirect=x.example"', "warn"),
        ('shop.example. TXT "v=spf1 ipv4:192.0.2.1 -all"', "fail"),
        ('shop.example. TXT "v=spf1 include:x.example -all"', "fail"),
        ("shop.example. A 192.0.2.1", "skip"),
    ],
)
def test_spf_syntax(text, expected):
    """One record, without faults, that says what is meant."""
    assert spf("SPF-SYNTAX", text) == [expected]


@pytest.mark.parametrize(
    ("terms", "expected"), [("-all", "warn"), ("~all", "pass"), ("foo", "skip")]
)
def test_spf_hard_fail(terms, expected):
    """`-all` is told, because what it forgets is refused before DKIM is looked at."""
    assert spf("SPF-HARDFAIL", f'shop.example. TXT "v=spf1 {terms}"') == [expected]


# --- DKIM ---------------------------------------------------------------------------------


@cache
def signer(bits=2048, algorithm="rsa-sha256"):
    if algorithm == "rsa-sha256" and bits != 2048:
        pem = rsa.generate_private_key(public_exponent=65537, key_size=bits).private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    else:
        pem = new_key(algorithm)
    return Signer(pem, "shop.example", "mb1", algorithm)


def strings(text):
    """A TXT record of several strings, none longer than 255 octets (RFC 1035 §3.3)."""
    return " ".join(f'"{text[at : at + 200]}"' for at in range(0, len(text), 200))


def key_zone(text):
    return f"mb1._domainkey.shop.example. TXT {strings(text)}\n"


def keyed(text, ours=None, algorithm="rsa-sha256", **more):
    """A campaign that signs, what the DNS has under its key's name, and its own key."""
    made = campaign(declared={"sending_addresses": (IP,)}, **more)
    made = signing(made, algorithm)
    key = ours or signer()
    return published(text, made, OwnKey(key.public, key.record()), message(key))


def signing(made, algorithm="rsa-sha256"):
    return replace(made, dkim=Dkim("shop.example", "mb1", None, algorithm))


def message(by):
    """A message signed with a key."""
    headers = [("From", b" Shop <news@shop.example>"), ("Subject", b" News")]
    body = b"News\r\n"
    head = b"".join(name.encode() + b":" + value + b"\r\n" for name, value in headers)
    return Messages((sample(content=by.sign(headers, body, 1) + head + b"\r\n" + body),))


def test_a_composed_message_verifies():
    """dkimpy verifies what was composed, with the record that is published."""
    right, other = signer(), signer(1024)
    rule = "BULK-DKIM"

    assert statuses(rule, keyed(key_zone(right.record()))) == ["pass"]
    assert statuses(rule, keyed(key_zone(other.record()))) == ["fail"]
    assert statuses(rule, keyed(key_zone("v=DKIM1; p="))) == ["fail"]
    assert statuses(rule, keyed("")) == ["fail"]
    assert statuses(rule, keyed("mb1._domainkey.shop.example. TXT !SERVFAIL")) == ["warn"]
    assert statuses(rule, keyed("mb1._domainkey.shop.example. TXT !TIMEOUT")) == ["skip"]


def test_a_relay_that_signs_is_attested():
    """Whether it does cannot be seen from here; whoever sends directly signs himself."""
    relay = campaign(delivery={"via": "relay", "host": "smtp.relay.example"})

    asked = says("BULK-DKIM", published("", relay), BULK)
    assert (asked.status, bool(asked.digest)) == ("fail", True)
    word = attested("BULK-DKIM", asked.digest)
    given = replace(relay, declared=replace(relay.declared, **word))
    assert statuses("BULK-DKIM", published("", given)) == ["attested"]
    assert statuses("BULK-DKIM", published("")) == ["fail"]


def spoilt(text, **tags):
    """The record with other tags."""
    parts = dict(part.strip().split("=", 1) for part in text.split(";"))
    return "; ".join(f"{name}={value}" for name, value in {**parts, **tags}.items())


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ({}, "pass"),
        ({"t": "s"}, "pass"),
        ({"h": "sha1:sha256"}, "pass"),
        ({"s": "email"}, "pass"),
        ({"n": "a note"}, "pass"),
        ({"t": "y"}, "warn"),
        ({"t": "s:y"}, "warn"),
        ({"p": ""}, "fail"),
        ({"p": "AAAA"}, "fail"),
        ({"p": "?"}, "fail"),
        ({"h": "sha1"}, "fail"),
        ({"s": "tlsrpt"}, "fail"),
        ({"k": "dsa"}, "fail"),
        ({"v": "DKIM2"}, "fail"),
    ],
)
def test_the_published_key(tags, expected):
    """It is ours, for mail, for sha256, not revoked, not for tests alone."""
    found = keyed(key_zone(spoilt(signer().record(), **tags)))

    assert statuses("DKIM-KEY", found) == [expected]


def test_another_key_is_published():
    """That of an old selector, or of another machine: nothing would verify."""
    found = says("DKIM-KEY", keyed(key_zone(signer(3072).record())), BULK)

    assert found.status == "fail"
    assert "not the other half" in found.message


@pytest.mark.parametrize(
    ("bits", "expected"), [(1024, "warn"), (2048, "pass"), (3072, "pass"), (4096, "pass")]
)
def test_the_length_of_the_key(bits, expected):
    """Less than 2048 bits is a warning (less than 1024 cannot sign here at all)."""
    ours = signer(bits)

    assert statuses("DKIM-KEY", keyed(key_zone(ours.record()), ours)) == [expected]


def test_a_key_that_is_too_short():
    """One of 512 bits in the DNS, whoever put it there."""
    short = (
        "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf9Cnzj4p4WGeKLs1Pt8Qu"
        "KUpRKfFLfRYC9AIKjbJTWit+CqvjWYzvQwECAwEAAQ=="
    )
    found = findings("DKIM-KEY", keyed(key_zone(f"v=DKIM1; k=rsa; p={short}")), BULK)

    assert "the key has 512 bits" in [one.evidence for one in found]


def test_a_key_without_its_frame():
    """RSAPublicKey, as RFC 6376 §3.6.1 has it, is the same key as SubjectPublicKeyInfo."""
    der = serialization.load_der_public_key(signer().public.octets).public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.PKCS1
    )
    plain = base64.b64encode(der).decode()

    assert statuses("DKIM-KEY", keyed(key_zone(f"p={plain}"))) == ["pass"]


def test_not_ed25519_alone():
    """Many receivers cannot verify it (RFC 8463); who does not sign has no algorithm."""
    rule, pack = "DKIM-ED25519", "standards"

    assert says(rule, facts(signing(campaign())), pack).status == "pass"
    assert says(rule, facts(signing(campaign(), "ed25519-sha256")), pack).status == "fail"
    made = signing(campaign())
    beside = Dkim("shop.example", "mb2", None, "ed25519-sha256")
    twice = replace(made, dkim=replace(made.dkim, second=beside))
    assert says(rule, facts(twice), pack).status == "pass"
    assert says(rule, facts(campaign()), pack).status == "skip"


def test_an_ed25519_key():
    """Its record says k=ed25519; an RSA record in its place does not fit."""
    ours = signer(algorithm="ed25519-sha256")
    kind = "ed25519-sha256"

    assert statuses("DKIM-KEY", keyed(key_zone(ours.record()), ours, kind)) == ["pass"]
    assert statuses("DKIM-KEY", keyed(key_zone(signer().record()), ours, kind)) == ["fail"]
    assert statuses("BULK-DKIM", keyed(key_zone(ours.record()), ours, kind)) == ["pass"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "fail"),
        ("mb1._domainkey.shop.example. TXT !SERVFAIL", "warn"),
        ("mb1._domainkey.shop.example. TXT !BOGUS", "fail"),
        ("mb1._domainkey.shop.example. TXT !TIMEOUT", "skip"),
        ('mb1._domainkey.shop.example. TXT "v=spf1 -all"', "fail"),
    ],
)
def test_no_key_is_published(text, expected):
    """Nothing there, nothing that can be read, or no answer."""
    assert statuses("DKIM-KEY", keyed(text)) == [expected]


def test_two_records_for_one_key():
    """Which one a verifier takes is open (RFC 6376 §3.6.2.2)."""
    twice = key_zone(signer().record()) + key_zone(signer(1024).record())

    assert statuses("DKIM-KEY", keyed(twice)) == ["fail"]


def test_who_does_not_sign_needs_no_key():
    """That nobody signs is for BULK-DKIM to say."""
    assert statuses("DKIM-KEY", published("")) == ["skip"]


# --- DMARC --------------------------------------------------------------------------------

GOOD = "v=DMARC1; p=none; rua=mailto:d@shop.example"


def dmarc(text, rule="BULK-DMARC", made=None, pack=BULK):
    return statuses(rule, published(text, made, kinds=(Dmarc,)), pack)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f'_dmarc.shop.example. TXT "{GOOD}"', "pass"),
        (f'_dmarc.shop.example. TXT "hello"\n_dmarc.shop.example. TXT "{GOOD}"', "pass"),
        (f'_dmarc.example. TXT "{GOOD}"', "pass"),  # found by walking up
        ('_dmarc.shop.example. TXT "v=DMARC1; rua=mailto:d@shop.example"', "warn"),
        ('_dmarc.shop.example. TXT "v=DMARC1; p=maybe; rua=mailto:d@shop.example"', "warn"),
        (f'_dmarc.shop.example. TXT "{GOOD}; pct=50"', "warn"),
        ('_dmarc.shop.example. TXT "v=DMARC1; p=none"', "warn"),
        ('_dmarc.shop.example. TXT "v=DMARC1; p=none; rua=d@shop.example"', "warn"),
        ("_dmarc.shop.example. TXT !SERVFAIL", "warn"),
        ("_dmarc.shop.example. TXT !TIMEOUT", "skip"),
    ],
)
def test_dmarc_record(text, expected):
    """One record, with p= and rua=, and nothing that RFC 9989 has dropped."""
    assert dmarc(text) == [expected]


@pytest.mark.parametrize(
    "text",
    [
        "",
        '_dmarc.shop.example. TXT "v=dmarc1; p=none"',
        '_dmarc.shop.example. TXT "p=none; v=DMARC1"',
        '_dmarc.shop.example. TXT "v=DMARC1 p=none"',
        f'_dmarc.shop.example. TXT "{GOOD}"\n_dmarc.shop.example. TXT "{GOOD}; t=y"',
        "_dmarc.shop.example. TXT !BOGUS",
    ],
)
def test_no_dmarc_record_that_counts(text):
    """None, one that begins otherwise, or two: all are discarded (RFC 9989 §4.7, §4.10)."""
    many_rows = listed(domains={"gmail.com": Seen(9_000, 2)})

    assert statuses("BULK-DMARC", published(text, None, many_rows)) == ["fail"]


def test_reports_to_others_need_their_consent():
    """RFC 9990 §4: a record of theirs says that they take them."""
    record = '_dmarc.shop.example. TXT "v=DMARC1; p=none; rua=mailto:d@reports.test"\n'
    consent = 'shop.example._report._dmarc.reports.test. TXT "v=DMARC1;"\n'

    assert dmarc(record) == ["warn"]
    assert dmarc(record + consent) == ["pass"]


def aligning(sender="shop.example", path="shop.example", d="", via="direct"):
    """A campaign with these domains."""
    made = campaign(
        sender={
            "mailbox": parse_mailbox(f"Shop <news@{sender}>"),
            "return_path": parse(f"bounces@{path}"),
        },
        delivery={"via": via, "host": "smtp.relay.example"},
    )
    return replace(made, dkim=Dkim(d, "mb1", None, "rsa-sha256") if d else None)


RELAXED = '_dmarc.shop.example. TXT "v=DMARC1; p=none; psd=n"\n'
STRICT = '_dmarc.shop.example. TXT "v=DMARC1; p=reject; psd=n; adkim=s; aspf=s"\n'
HOLE = "_dmarc.mail.shop.example. TXT !SERVFAIL\n"


@pytest.mark.parametrize(
    ("text", "domains", "either", "both"),
    [
        (RELAXED, ("shop.example", "shop.example", "shop.example"), "pass", "pass"),
        (RELAXED, ("shop.example", "mail.shop.example", "shop.example"), "pass", "pass"),
        (RELAXED, ("news.shop.example", "b.shop.example", "shop.example"), "pass", "pass"),
        (RELAXED, ("shop.example", "shop.example", "esp.example"), "pass", "warn"),
        (RELAXED, ("shop.example", "esp.example", "shop.example"), "pass", "warn"),
        (RELAXED, ("shop.example", "esp.example", "esp.example"), "warn", "skip"),
        (STRICT, ("shop.example", "mail.shop.example", "shop.example"), "pass", "warn"),
        (STRICT, ("shop.example", "b.shop.example", "d.shop.example"), "warn", "skip"),
        (HOLE, ("shop.example", "mail.shop.example", "shop.example"), "warn", "skip"),
        ("", ("shop.example", "shop.example", ""), "pass", "warn"),
    ],
)
def test_alignment(text, domains, either, both):
    """The organisational domains of From, of the return path and of the signature."""
    made = aligning(*domains)

    assert dmarc(text, "BULK-ALIGN", made) == [either]
    assert dmarc(text, "BULK-ALIGN-BOTH", made) == [both]


def test_alignment_of_what_a_relay_signs():
    """It is not known, and not guessed."""
    own, foreign = aligning(via="relay"), aligning(path="esp.example", via="relay")

    assert dmarc("", "BULK-ALIGN", own) == ["pass"]
    assert dmarc("", "BULK-ALIGN-BOTH", own) == ["skip"]
    assert dmarc("", "BULK-ALIGN", foreign) == ["skip"]


@pytest.mark.parametrize(
    ("text", "d", "via", "expected"),
    [
        (STRICT, "shop.example", "direct", "pass"),
        (STRICT, "esp.example", "direct", "fail"),
        (STRICT, "", "direct", "fail"),
        (STRICT, "", "relay", "skip"),
        (RELAXED, "", "direct", "pass"),
        ("", "", "direct", "pass"),
    ],
)
def test_a_strict_policy_needs_a_signature(text, d, via, expected):
    """SPF breaks when mail is forwarded; p=reject then loses it."""
    assert dmarc(text, "DMARC-REJECT-SPFONLY", aligning(d=d, via=via)) == [expected]


def test_the_policy_for_subdomains():
    """sp= holds for a subdomain without a record of its own."""
    text = '_dmarc.shop.example. TXT "v=DMARC1; p=none; sp=reject"'

    assert dmarc(text, "DMARC-REJECT-SPFONLY", aligning("a.shop.example")) == ["fail"]
    assert dmarc(text, "DMARC-REJECT-SPFONLY", aligning()) == ["pass"]


@pytest.mark.parametrize(
    ("text", "path", "expected"),
    [
        (RELAXED, "shop.example", "pass"),
        (RELAXED, "b.shop.example", "pass"),
        (STRICT, "b.shop.example", "warn"),
        (RELAXED, "esp.example", "warn"),
        (HOLE, "mail.shop.example", "skip"),
    ],
)
def test_the_return_path_is_aligned(text, path, expected):
    """It is of From's organisation, and its own domain where aspf=s."""
    assert dmarc(text, "RP-ALIGN", aligning(path=path), "standards") == [expected]


@pytest.mark.parametrize(
    ("text", "sender", "d", "expected"),
    [
        ("", "gmail.com", "", "fail"),
        ("", "shop.example", "", "pass"),
        (STRICT, "shop.example", "shop.example", "pass"),
        (STRICT, "shop.example", "esp.example", "fail"),
    ],
)
def test_from_is_of_a_domain_of_ones_own(text, sender, d, expected):
    """Not a mailbox provider's, and none whose policy this mail cannot meet."""
    made = aligning(sender, path="esp.example", d=d)

    assert dmarc(text, "BULK-FROM-IMPERSONATE", made) == [expected]
