"""mtasts: the TXT record, the text of a policy, and which hosts it names (RFC 8461)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailblast.errors import Refusal
from mailblast.mtasts import MAX_AGE, MAX_PATTERNS, MAX_TEXT, Policy, parse, record_id

GOOD = "version: STSv1\r\nmode: enforce\r\nmx: mx.x.example\r\nmax_age: 86400\r\n"


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["v=STSv1; id=20261124T000000;"], "20261124T000000"),
        (["v=STSv1;id=1"], "1"),
        (["v=STSv1 ; id=1 ; future=x"], "1"),
        (["v=STSv1; future=x; id=1"], "1"),
        (["v=spf1 -all", "v=STSv1; id=1"], "1"),
        ([], ""),
        (["v=STSv1; id=1", "v=STSv1; id=2"], ""),  # §3.1: not exactly one
        (["v=STSv2; id=1"], ""),
        (["id=1; v=STSv1"], ""),
        (["v=STSv1"], ""),
        (["v=STSv1;"], ""),
        (["v=STSv1; id="], ""),
        (["v=STSv1; id=has-hyphen"], ""),
        (["v=STSv1; id=" + "x" * 33], ""),
    ],
)
def test_the_record(texts, expected):
    """Exactly one record with an id of up to 32 letters and digits."""
    assert record_id(texts) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (GOOD, Policy("enforce", ("mx.x.example",), 86400)),
        (GOOD.replace("\r\n", "\n"), Policy("enforce", ("mx.x.example",), 86400)),
        (GOOD.rstrip(), Policy("enforce", ("mx.x.example",), 86400)),
        (GOOD.replace("enforce", "testing"), Policy("testing", ("mx.x.example",), 86400)),
        ("version: STSv1\nmode: none\nmax_age: 0", Policy("none", (), 0)),
        (
            GOOD + "mx: *.y.example",
            Policy("enforce", ("mx.x.example", "*.y.example"), 86400),
        ),
        (GOOD + "future: x\nnonsense", Policy("enforce", ("mx.x.example",), 86400)),
        # Of a field that comes twice the first counts.
        (GOOD + "mode: none\nmax_age: 1", Policy("enforce", ("mx.x.example",), 86400)),
        (GOOD.replace("mx.x", "MX.X"), Policy("enforce", ("mx.x.example",), 86400)),
        (
            GOOD.replace("86400", "9999999999"),
            Policy("enforce", ("mx.x.example",), MAX_AGE),
        ),
    ],
)
def test_a_policy(text, expected):
    """A policy is read with either line end, and what is unknown is passed over."""
    assert parse(text) == expected


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "version"),
        (GOOD.replace("STSv1", "STSv2"), "version"),
        (GOOD.replace("enforce", "Enforce"), "mode"),
        (GOOD.replace("mode: enforce\r\n", ""), "mode"),
        (GOOD.replace("86400", "-1"), "max_age"),
        (GOOD.replace("86400", "1e9"), "max_age"),
        (GOOD.replace("86400", "99999999999"), "max_age"),
        (GOOD.replace("86400", "８"), "max_age"),
        (GOOD.replace("mx: mx.x.example\r\n", ""), "host"),
        (GOOD.replace("mx.x.example", "*"), "host"),
        (GOOD.replace("mx.x.example", "a.*.example"), "host"),
        (GOOD.replace("mx.x.example", "192.0.2.1"), "host"),
        ("<html>", "version"),
        (GOOD + "x" * MAX_TEXT, "octets"),
    ],
)
def test_no_policy(text, why):
    """What is not understood whole is no policy."""
    refused = parse(text)

    assert isinstance(refused, Refusal)
    assert why in refused.why


def test_policies_are_bounded():
    """A policy with a thousand hosts is cut."""
    policy = parse(GOOD + "".join(f"mx: h{n}.example\n" for n in range(1000)))

    assert isinstance(policy, Policy)
    assert len(policy.patterns) == MAX_PATTERNS


@pytest.mark.parametrize(
    ("pattern", "host", "listed"),
    [
        ("mx.x.example", "mx.x.example", True),
        ("mx.x.example", "mx2.x.example", False),
        ("*.x.example", "mx.x.example", True),
        ("*.x.example", "a.mx.x.example", False),  # one label, and no more
        ("*.x.example", "x.example", False),
        ("*.x.example", "mx.y.example", False),
        ("x.example", "mx.x.example", False),
    ],
)
def test_which_hosts_are_named(pattern, host, listed):
    """A star stands for exactly one label, the first (RFC 8461 §4.1)."""
    assert Policy("enforce", (pattern,), 1).lists(host) is listed


@given(st.text(max_size=200), st.lists(st.text(max_size=50), max_size=3))
def test_nothing_breaks_it(text, texts):
    """Whatever is fetched is a policy or a refusal; whatever is found an id or nothing."""
    assert isinstance(parse(text), Policy | Refusal)
    assert isinstance(record_id(texts), str)
