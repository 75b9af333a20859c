"""mx: which hosts, in which order, and which addresses are never connected to."""

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailblast import mx
from mailblast.lookup import Failure, Lookup, Mx
from mailblast.mx import Unroutable, allowed, hosts, in_order, is_host, merged, unreachable
from mailblast.reason import Reason


def found(*records: tuple[int, str]) -> Lookup[Mx]:
    return Lookup(tuple(Mx(*record) for record in records))


# -- hosts --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("records", "expected"),
    [
        ([(10, "a.example")], (("a.example",),)),
        ([(20, "b.example"), (10, "a.example")], (("a.example",), ("b.example",))),
        # Equals stand together, by name: the order of the answer is the server's whim.
        ([(5, "c.example"), (5, "a.example")], (("a.example", "c.example"),)),
        # The numbers themselves do not matter, only their order.
        ([(0, "a.example"), (65535, "b.example")], (("a.example",), ("b.example",))),
        # Named twice: where it is preferred more.
        ([(20, "a.example"), (10, "a.example")], (("a.example",),)),
        # What is no host name is passed over.
        ([(1, "192.0.2.1"), (2, "a.example")], (("a.example",),)),
        ([(1, ""), (2, "a.example")], (("a.example",),)),
        ([(1, "a b.example"), (2, "a_b.example")], (("a_b.example",),)),
    ],
)
def test_hosts_in_groups(records, expected):
    """Hosts come by preference, equals together and sorted."""
    assert hosts("x.example", found(*records)) == expected


def test_implicit_mx():
    """A domain without any MX is its own host (RFC 5321 §5.1)."""
    assert hosts("x.example", Lookup(failure=Failure.NODATA)) == (("x.example",),)


def test_null_mx():
    """One MX that names the root: no mail at all (RFC 7505 §3), whatever its preference."""
    for preference in (0, 10):
        way = hosts("x.example", found((preference, "")))

        assert isinstance(way, Unroutable)
        assert (way.code, way.status, way.permanent) == (556, "5.1.10", True)
        assert way.reason is Reason.DOMAIN_INVALID


@pytest.mark.parametrize(
    ("failure", "code", "status", "permanent"),
    [
        (Failure.NXDOMAIN, 550, "5.1.2", True),
        (Failure.SERVFAIL, 451, "4.4.3", False),
        (Failure.TIMEOUT, 451, "4.4.3", False),
        (Failure.BOGUS, 451, "4.4.3", False),
    ],
)
def test_failures(failure, code, status, permanent):
    """A domain that does not exist is told for good; what may pass is tried again."""
    way = hosts("x.example", Lookup(failure=failure))

    assert isinstance(way, Unroutable)
    assert (way.code, way.status, way.permanent) == (code, status, permanent)
    assert way.why.startswith(("x.example ", "the domain x.example "))


def test_mx_of_no_use_is_no_implicit_mx():
    """MX records that name no host are an error, and never lead to the domain itself."""
    way = hosts("x.example", found((1, "192.0.2.1"), (2, "10.0.0.1")))

    assert isinstance(way, Unroutable)
    assert (way.code, way.status, way.permanent) == (550, "5.4.4", True)


def test_at_most_fifty_hosts():
    """A hundred MX records are cut to the fifty most preferred."""
    way = hosts("x.example", found(*((n, f"h{n}.example") for n in range(100))))

    assert not isinstance(way, Unroutable)
    assert way == tuple((f"h{n}.example",) for n in range(mx.MAX_HOSTS))


def test_the_caller_orders_equals():
    """`order` sorts equals and moves nobody past another preference."""
    groups = (("a", "b", "c"), ("d",))
    numbers = {"a": 3.0, "b": 1.0, "c": 2.0, "d": 0.0}

    assert list(in_order(groups, numbers.__getitem__)) == ["b", "c", "a", "d"]


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3), st.sampled_from(["a.example", "b.example", "c.example", ""])
        ),
        min_size=1,
        max_size=8,
    ),
    st.randoms(use_true_random=False),
)
def test_the_order_of_the_answer_does_not_matter(records, chance):
    """However the records of an answer are shuffled, the hosts are the same, each once."""
    shuffled = list(records)
    chance.shuffle(shuffled)
    way = hosts("x.example", found(*records))

    assert hosts("x.example", found(*shuffled)) == way
    if not isinstance(way, Unroutable):
        named = [host for group in way for host in group]
        assert sorted(named) == sorted({host for _, host in records if host})


@pytest.mark.parametrize(
    ("name", "good"),
    [
        ("mx.example", True),
        ("mx-1.example.net", True),
        ("xn--mller-kva.example", True),
        ("_mx.example", True),
        ("a", True),
        ("3com.example", True),
        ("127.0.0.1", False),
        ("2130706433", False),
        ("", False),
        (".", False),
        ("-a.example", False),
        ("a-.example", False),
        ("a..example", False),
        ("a.example.", False),
        ("A.example", False),
        ("mx.example\r\n", False),
        ("mx.ex\\032ample", False),
        ("[127.0.0.1]", False),
        ("::1", False),
        ("ä.example", False),
        ("x" * 64 + ".example", False),
        ("x." * 126 + "example", False),
    ],
)
def test_what_is_a_host_name(name, good):
    """Letters, digits, hyphens, underscores; in lower case; no address in disguise."""
    assert is_host(name) is good


# -- addresses ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "100.127.255.255",
        "127.0.0.1",
        "127.255.255.255",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.8",
        "192.0.2.1",
        "192.88.99.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",  # IPv4-compatible
        "::ffff:127.0.0.1",  # IPv4-mapped
        "::ffff:8.8.8.8",
        "::ffff:0:127.0.0.1",  # IPv4-translated
        "64:ff9b::10.0.0.1",  # NAT64 of a private one
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",  # NAT64 of a network's own
        "100::1",
        "2001::1",  # Teredo
        "2001:2::1",
        "2001:10::1",
        "2001:db8::1",
        "2002:7f00:1::1",  # 6to4 of 127.0.0.1
        "2002:a00:1::1",
        "2002:c0a8:101::1",
        "3fff::1",
        "4000::1",
        "5f00::1",
        "fc00::1",
        "fd00::1",
        "fe80::1",
        "fe80::1%eth0",
        "2606:4700::1%eth0",
        "fec0::1",
        "ff02::1",
        "",
        "localhost",
        "127.1",
        "0x7f.0.0.1",
        "2130706433",
        "mx.example",
    ],
)
def test_never_connected_to(address):
    """This machine, its neighbours, what is reserved, and each of them in disguise."""
    assert not allowed(address)


@pytest.mark.parametrize(
    "address",
    [
        "1.1.1.1",
        "8.8.8.8",
        "100.63.255.255",
        "100.128.0.1",
        "172.15.255.255",
        "172.32.0.1",
        "192.0.1.1",
        "223.255.255.255",
        "2001:4860:4860::8888",
        "2606:4700::1111",
        "2002:808:808::1",  # 6to4 of 8.8.8.8
        "64:ff9b::8.8.8.8",
    ],
)
def test_connected_to(address):
    """What the world can reach, up to the borders of what it cannot."""
    assert allowed(address)


def test_loopback_can_be_opened():
    """`allow_loopback` opens 127.0.0.0/8 and ::1, no disguise of them and nothing else."""
    opened = ("127.0.0.1", "127.9.9.9", "::1")
    closed = ("::ffff:127.0.0.1", "2002:7f00:1::1", "10.0.0.1", "0.0.0.0", "fe80::1", "::")

    assert all(allowed(one, allow_loopback=True) for one in opened)
    assert not any(allowed(one, allow_loopback=True) for one in closed)


@given(st.ip_addresses(v=4))
def test_nothing_private_is_ever_allowed(address: IPv4Address):
    """What Python calls private, reserved or multicast is not allowed, plain or in IPv6."""
    if address.is_private or address.is_reserved or address.is_multicast:
        assert not allowed(str(address))
        assert not allowed(f"::ffff:{address}")
        assert not allowed(f"64:ff9b::{address}")
        six_to_four = IPv6Address((0x2002 << 112) | (int(address) << 80) | 1)
        assert not allowed(str(six_to_four))


@given(st.ip_addresses(v=6))
def test_nothing_private_is_allowed_in_ipv6(address: IPv6Address):
    """The same of IPv6."""
    if allowed(str(address)):
        assert not address.is_loopback
        assert not address.is_multicast
        assert not address.is_link_local


# -- none of them -------------------------------------------------------------------------

NONE = Lookup(failure=Failure.NODATA)
GONE = Lookup(failure=Failure.NXDOMAIN)
SLOW = Lookup(failure=Failure.TIMEOUT)
PRIVATE = Lookup(("10.0.0.1",))


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (Lookup(("192.0.2.1",)), NONE, (("192.0.2.1",), None)),
        (Lookup(("192.0.2.1",)), Lookup(("::2",)), (("192.0.2.1", "::2"), None)),
        (NONE, Lookup(("::2",)), (("::2",), None)),
        (Lookup(("192.0.2.1",)), SLOW, (("192.0.2.1",), None)),
        (NONE, NONE, ((), Failure.NODATA)),
        (NONE, SLOW, ((), Failure.TIMEOUT)),
        (SLOW, NONE, ((), Failure.TIMEOUT)),
        (GONE, GONE, ((), Failure.NXDOMAIN)),
    ],
)
def test_two_kinds_of_addresses(first, second, expected):
    """Addresses of either kind do; without any, a failure that may pass is what counts."""
    both = merged(first, second)

    assert (both.records, both.failure) == expected


def test_addresses_are_secure_together():
    """Only what both kinds proved is secure; a kind that failed does not count."""
    secure = Lookup(("192.0.2.1",), secure=True, ttl=60)

    assert merged(secure, Lookup(("::2",), secure=True)).secure
    assert not merged(secure, Lookup(("::2",))).secure
    assert merged(secure, SLOW).secure
    assert len(merged(Lookup(("::1",) * 50), Lookup(("::2",) * 50)).records) == 40


@pytest.mark.parametrize(
    ("tried", "status", "says"),
    [
        ({"x.example": NONE}, "5.1.2", "neither a mail host nor an address"),
        ({"x.example": PRIVATE}, "5.4.4", "no address on the public Internet (10.0.0.1)"),
        ({"mx.example": GONE}, "5.4.4", "no mail host of x.example has an address"),
        ({"a": GONE, "b": PRIVATE}, "5.4.4", "the mail host b of x.example"),
        ({"a": PRIVATE, "b": SLOW}, "4.4.3", "b cannot be looked up"),
    ],
)
def test_nobody_can_be_reached(tried, status, says):
    """For good, unless a look-up that failed may still bring an address."""
    way = unreachable("x.example", tried)

    assert (way.status, way.permanent) == (status, status[0] == "5")
    assert way.code // 100 == int(status[0])
    assert says in way.why
