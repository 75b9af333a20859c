"""SPF by RFC 7208, section by section; and pyspf, an independent implementation, agrees.

The cases follow the meaning of the published test suite; they are our own.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from told import Zone, told, zone

from mailblast.errors import Refusal
from mailblast.lookup import Failure, Lookup, Question
from mailblast.spf import MAX_LOOKUPS, Result, evaluated, surveyed
from mailblast.spf.record import parse

spf = pytest.importorskip("spf")

IP, IP6, DOMAIN = "192.0.2.9", "2001:db8::9", "a.example"


def result(text: str, ip: str = IP, domain: str = DOMAIN, **other: str) -> str:
    sender, helo = f"ann@{domain}", other.get("helo", "mail.a.example")
    found = told(text, evaluated(ip, domain, other.get("sender", sender), helo))
    return str(found.result)


def agreed(text: str, expected: str, ip: str = IP, domain: str = DOMAIN) -> None:
    """Both implementations come to this result."""
    assert result(text, ip, domain) == expected
    theirs = Other(zone(text), ip, f"ann@{domain}", "mail.a.example").check()
    assert theirs[0] == expected, theirs


class Other(spf.query):
    """pyspf, which looks into the zone on paper."""

    def __init__(self, lines: Zone, ip: str, sender: str, helo: str) -> None:
        super().__init__(ip, sender, helo, strict=1)
        self._lines = lines

    def dns(self, name, qtype, cnames=None, ignore_void=False):  # noqa: ARG002
        name = name.rstrip(".").lower()
        records = self._lines.get((qtype, name), [])
        if records and records[0].startswith("!"):
            raise spf.TempError(f"DNS {records[0]}")
        if not records and not ignore_void and qtype not in ("TXT", "PTR"):
            self.void_lookups += 1
            if self.void_lookups > spf.MAX_VOID_LOOKUPS:
                raise spf.PermError("void")
        return [self._read(qtype, one) for one in records]

    @staticmethod
    def _read(qtype, record):
        if qtype == "TXT":
            return [piece.encode() for piece in record.strip('"').split('" "')]
        if qtype == "MX":
            preference, host = record.split()
            return int(preference), host.rstrip(".")
        if qtype == "AAAA":
            return record
        return record.rstrip(".")


def record(terms: str, more: str = "") -> str:
    return f'a.example. TXT "v=spf1 {terms}"\n{more}'


# --- §4: the record -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("b.example. A 192.0.2.1", "none"),  # §4.3: no such domain
        ("a.example. A 192.0.2.1", "none"),  # §4.5: nothing published
        ('a.example. TXT "v=spf10 +all"', "none"),  # §4.5: another version
        ('a.example. TXT "hello v=spf1 +all"', "none"),  # §4.5: it begins with the version
        ('a.example. TXT "V=SPF1 +all"', "pass"),  # §4.6.1: no matter the case
        ('a.example. TXT "v=spf1"', "neutral"),  # §4.7: nothing matches
        ('a.example. TXT "v=spf1 +all"\na.example. TXT "v=spf1 -all"', "permerror"),  # §4.5
        ('a.example. TXT "x"\na.example. TXT "v=spf1 -all"', "fail"),  # others do not count
        ('a.example. TXT "v=sp" "f1 -a" "ll"', "fail"),  # §3.3: strings are joined
        ("a.example. TXT !SERVFAIL", "temperror"),  # §4.4
        ("a.example. TXT !TIMEOUT", "temperror"),  # §4.4
    ],
)
def test_the_record(text, expected):
    """§4.3 to §4.5: which record is read, and what there is without one."""
    agreed(text, expected)


@pytest.mark.parametrize("domain", ["example", "a..example", f"{'x' * 64}.example"])
def test_what_is_no_domain(domain):
    """§4.3: a domain of one label, or with a label that cannot be, has none."""
    assert result('example. TXT "v=spf1 +all"', domain=domain) == "none"


@pytest.mark.parametrize(
    "terms",
    [
        "-all foo",  # §4.6: no such mechanism, even where nobody gets to
        "-all: ",
        "all/8 -all",
        "-all:x.example",
        "include -all",  # §5.2: a domain is needed
        "include:b.example/24 -all",
        "exists -all",
        "exists:x/8 -all",
        "ip4 -all",
        "ip4:192.0.2.1/33 -all",
        "ip4:192.0.2 -all",
        "ip4:192.0.2.1/08 -all",
        "ip4:192.0.2.1//32 -all",
        "ip6:2001:db8::1/129 -all",
        "ip6:192.0.2.1 -all",
        "a:/24 -all",
        "a/33 -all",
        "a//129 -all",
        "a:museum -all",  # §7.1: a top label needs a dot before it
        "a:a.example.123 -all",  # §7.1: and is not of digits
        "a:%{d -all",
        "a:%x.example -all",
        "a:%{c}.example -all",  # §7.2: only in explanations
        "a:%{d0}.example -all",  # §7.3
        "redirect=b.example redirect=b.example",  # §6: once at most
        "exp=b.example exp=b.example -all",
        "redirect=",
    ],
)
def test_syntax_errors(terms):
    """§4.6: one fault anywhere is a permerror, before anything is evaluated."""
    assert result(record(terms)) == "permerror"


@pytest.mark.parametrize(
    "terms",
    [
        "ip4:192.0.2.0/24",
        "ip4:192.0.2.9",
        "IP4:192.0.2.9/32",
        "a:b.example/24//64",
        "moo=any%{d}thing all",  # §6: unknown modifiers are overlooked
        "all exp=nobody.example",
        "?ip4:198.51.100.1  +all",  # several blanks
        "a:b.example. all",
    ],
)
def test_syntax_that_is_right(terms):
    """§4.6.1, §12."""
    agreed(record(terms, "b.example. A 192.0.2.9"), "pass")


# --- §5: mechanisms -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sign", "expected"),
    [("", "pass"), ("+", "pass"), ("-", "fail"), ("~", "softfail"), ("?", "neutral")],
)
def test_qualifiers(sign, expected):
    """§4.6.2."""
    agreed(record(f"{sign}all"), expected)


@pytest.mark.parametrize(
    ("included", "expected"),
    [
        ('b.example. TXT "v=spf1 +all"', "pass"),
        ('b.example. TXT "v=spf1 -all"', "softfail"),  # no match, and on it goes
        ('b.example. TXT "v=spf1 ~all"', "softfail"),
        ('b.example. TXT "v=spf1 ?all"', "softfail"),
        ('b.example. TXT "v=spf1 foo"', "permerror"),
        ("b.example. TXT !SERVFAIL", "temperror"),
        ('b.example. TXT "hello"', "permerror"),  # none becomes permerror
        ("c.example. A 192.0.2.1", "permerror"),
    ],
)
def test_include(included, expected):
    """§5.2: the table of what an include makes of each result."""
    agreed(record("include:b.example ~all", included), expected)


@pytest.mark.parametrize(
    ("terms", "zone_", "ip", "expected"),
    [
        ("a -all", "a.example. A 192.0.2.9", IP, "pass"),
        ("a -all", "a.example. A 192.0.2.8", IP, "fail"),
        ("a/24 -all", "a.example. A 192.0.2.8", IP, "pass"),
        ("a:b.example -all", "b.example. AAAA 2001:db8::9", IP6, "pass"),
        ("a//32 -all", "a.example. AAAA 2001:db8:1::1", IP6, "pass"),
        ("a/0 -all", "a.example. AAAA 2001:db8::1", IP6, "fail"),
        ("a:b.example -all", "b.example. A !SERVFAIL", IP, "temperror"),
        ("mx -all", "a.example. MX 10 m.example.\nm.example. A 192.0.2.9", IP, "pass"),
        ("mx/24 -all", "a.example. MX 10 m.example.\nm.example. A 192.0.2.8", IP, "pass"),
        ("mx -all", "a.example. A 192.0.2.9", IP, "fail"),  # §5.4: no implicit MX
        ("mx -all", "a.example. MX 0 .", IP, "fail"),
        ("ip4:192.0.2.0/24 -all", "", IP, "pass"),
        ("ip4:192.0.2.0/24 -all", "", IP6, "fail"),
        ("ip4:192.0.2.9 -all", "", "::ffff:192.0.2.9", "pass"),  # §5: mapped
        ("ip6:2001:db8::/32 -all", "", IP6, "pass"),
        ("ip6:2001:db8::9/128 -all", "", IP6, "pass"),
        ("ip6:::/0 -all", "", IP, "fail"),
        ("exists:b.example -all", "b.example. A 127.0.0.2", IP, "pass"),
        ("exists:b.example -all", "b.example. A 127.0.0.2", IP6, "pass"),  # §5.7
        ("exists:b.example -all", "b.example. AAAA ::1", IP6, "fail"),
    ],
)
def test_mechanisms(terms, zone_, ip, expected):
    """§5.3 to §5.7."""
    agreed(record(terms, zone_), expected, ip)


def test_ptr():
    """§5.5: a name counts if it leads back; an error is no match."""
    good = "9.2.0.192.in-addr.arpa. PTR m.a.example.\nm.a.example. A 192.0.2.9"

    agreed(record("ptr -all", good), "pass")
    agreed(record("ptr -all", good.replace("A 192.0.2.9", "A 192.0.2.8")), "fail")
    agreed(record("ptr:b.example -all", good), "fail")
    assert result(record("ptr -all", "9.2.0.192.in-addr.arpa. PTR !SERVFAIL")) == "fail"


# --- §6: modifiers ------------------------------------------------------------------------


def test_redirect():
    """§6.1: the other record stands for this one, unless something here matches."""
    other = 'b.example. TXT "v=spf1 ?all"'

    agreed(record("redirect=b.example", other), "neutral")
    agreed(record("-all redirect=b.example", other), "fail")
    agreed(record("redirect=c.example", other), "permerror")
    agreed(record("a redirect=b.example", 'b.example. TXT "v=spf1 a -all"'), "fail")


# --- §7: macros ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("macro", "name"),
    [
        ("%{s}", "strong-bad@email.example.com"),
        ("%{o}", "email.example.com"),
        ("%{d}", "email.example.com"),
        ("%{d4}", "email.example.com"),
        ("%{d3}", "email.example.com"),
        ("%{d2}", "example.com"),
        ("%{d1}", "com"),
        ("%{dr}", "com.example.email"),
        ("%{d2r}", "example.email"),
        ("%{l}", "strong-bad"),
        ("%{l-}", "strong.bad"),
        ("%{lr}", "strong-bad"),
        ("%{lr-}", "bad.strong"),
        ("%{l1r-}", "strong"),
        ("%{ir}.%{v}", "3.2.0.192.in-addr"),
        ("%{h}", "helo.example"),
    ],
)
def test_macros(macro, name):
    """§7.4: the RFC's own examples."""
    text = (
        f'email.example.com. TXT "v=spf1 exists:{macro}.z.example -all"\n'
        f"{name}.z.example. A 127.0.0.2"
    )
    sender = "strong-bad@email.example.com"

    found = result(
        text, "192.0.2.3", "email.example.com", sender=sender, helo="helo.example"
    )

    assert found == "pass"


def test_macros_of_an_ipv6_address():
    """§7.4: nibbles, reversed."""
    text = (
        'a.example. TXT "v=spf1 exists:%{ir}.%{v}._spf.%{d2} -all"\n'
        "b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2"
        ".ip6._spf.a.example. A 127.0.0.2"
    )

    assert result(text, "2001:db8::cb") == "pass"


def test_a_name_that_gets_too_long():
    """§7.3: of more than 253 characters those at the left go, label by label."""
    long = ".".join(["x" * 59] * 4)
    text = f'a.example. TXT "v=spf1 exists:%{{d}}." "{long}.b.example -all"'
    text += f"\n{long}.b.example. A 127.0.0.2"

    assert result(text) == "pass"


# --- §4.6.4: limits -----------------------------------------------------------------------


def chain(length: int) -> str:
    """A record that includes one that includes one …, so many in all."""
    links = "\n".join(
        f'x{n}.example. TXT "v=spf1 include:x{n + 1}.example -all"'
        for n in range(1, length)
    )
    return record(
        "include:x1.example -all", f'{links}\nx{length}.example. TXT "v=spf1 +all"'
    )


def test_ten_lookups():
    """Ten terms may make one ask, and no more."""
    agreed(chain(MAX_LOOKUPS), "pass")
    agreed(chain(MAX_LOOKUPS + 1), "permerror")


def test_two_lookups_in_vain():
    """A third one that finds nothing is a permerror."""
    agreed(record("a:b.example a:c.example -all"), "fail")
    agreed(record("a:b.example a:c.example a:d.example -all"), "permerror")


def test_ten_mail_hosts():
    """An mx of more than ten is a permerror."""
    hosts = "\n".join(
        f"a.example. MX 10 m{n}.example.\nm{n}.example. A 198.51.100.{n}" for n in range(11)
    )

    agreed(record("mx -all", hosts), "permerror")


@pytest.mark.parametrize("loop", ["include:a.example -all", "redirect=a.example"])
def test_loops_end(loop):
    """A record that includes itself runs into the limit, also for a survey."""
    assert result(record(loop)) == "permerror"
    survey = told(record(loop), surveyed(DOMAIN))
    assert survey.lookups > MAX_LOOKUPS
    assert survey.faults


def test_a_survey_counts_all():
    """What would be asked if nothing matched, and who is included."""
    text = record(
        "a:m.example mx include:b.example exists:%{i}.x.example ip4:192.0.2.0/24 -all",
        'b.example. TXT "v=spf1 a include:c.example -all"\n'
        'c.example. TXT "v=spf1 ip4:192.0.2.1 ?all"\nm.example. A 192.0.2.1',
    )

    survey = told(text, surveyed(DOMAIN))

    assert survey.lookups == 6
    assert survey.voids == 2  # no MX of a.example, no address of b.example
    assert survey.included == ("b.example", "c.example")
    assert survey.faults == ()


def test_a_survey_goes_on_after_a_fault():
    """One include that has no record does not hide the next."""
    text = record(
        "include:b.example include:c.example -all", 'c.example. TXT "v=spf1 -all"'
    )

    survey = told(text, surveyed(DOMAIN))

    assert survey.included == ("b.example", "c.example")
    assert survey.faults == ("include:b.example: b.example has no SPF record",)


def test_a_record_without_end():
    """What is too long to be meant is refused, before it is gone through."""
    assert isinstance(parse("v=spf1 " + "a " * 5_000), Refusal)


PIECES = (
    *("a", "mx", "ptr", "all", "include", "ip4", "ip6", "redirect", "exp", "exists", ":"),
    *("/", "//", "=", "%", "{", "}", "d", "i", "r", "0", "9", ".", "-", "~", "?", " "),
    *("192.0.2.1", "::1", "b.example", "%{i}", "%{ir2-}", "\x1b", "é"),
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=14))
def test_whatever_stands_there(pieces):
    """A record is a stranger's: it gets a result, and no more than the limit is asked."""
    text = "v=spf1 " + "".join(pieces)
    asked: list[Question] = []

    def strangers(question: Question) -> Lookup:
        asked.append(question)
        if question == Question("TXT", DOMAIN):
            return Lookup((text,))
        return Lookup(failure=list(Failure)[len(question.name) % len(Failure)])

    found = told(strangers, evaluated(IP, DOMAIN, "ann@a.example", "h.example"))

    assert found.result in Result
    assert len(asked) < 3 * MAX_LOOKUPS
