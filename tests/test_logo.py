"""DNS-BIMI: the record, the logo and its certificate; hostile ones too."""

import asyncio
import gzip
from datetime import UTC, datetime, timedelta

import pytest
from checking import TODAY, campaign, facts, findings
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st
from scripted_dns import ScriptedDns
from told import told
from web import Website, trusted

from mailblast.certificate import mark
from mailblast.check import svg
from mailblast.check.logo import LogoFiles
from mailblast.check.published import ASKINGS, Dmarc, Logo
from mailblast.errors import Refusal
from mailblast.lookup import Lookup
from mailblast.preflight.behind import MAX_LOGO, logo_files
from mailblast.preflight.reach import Reach
from mailblast.resolver import Resolver

STANDARDS = "standards"
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" version="1.2" baseProfile="tiny-ps" '
    'viewBox="0 0 64 64"><title>Example Shop</title><circle cx="32" cy="32" r="30"/></svg>'
)


def made_for(names=("shop.example",), days=300, logotype=True, purpose=True):
    """A certificate for a logo, as PEM."""
    key = ec.generate_private_key(ec.SECP256R1())
    ours = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Example Shop")])
    start = datetime(TODAY.year, TODAY.month, TODAY.day, tzinfo=UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(ours)
        .issuer_name(ours)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(start - timedelta(400))
        .not_valid_after(start + timedelta(days))
    )
    if names:
        sans = x509.SubjectAlternativeName([x509.DNSName(one) for one in names])
        builder = builder.add_extension(sans, critical=False)
    if logotype:
        oid = x509.ObjectIdentifier("1.3.6.1.5.5.7.1.12")
        builder = builder.add_extension(
            x509.UnrecognizedExtension(oid, b"0"), critical=False
        )
    if purpose:
        oid = x509.ObjectIdentifier("1.3.6.1.5.5.7.3.31")
        builder = builder.add_extension(x509.ExtendedKeyUsage([oid]), critical=False)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


PEM = made_for()
LOGO = 'default._bimi.shop.example. TXT "v=BIMI1; l={}; a={}"\n'
FULL = LOGO.format("https://shop.example/l.svg", "https://shop.example/l.pem")
REJECT = '_dmarc.shop.example. TXT "v=DMARC1; p=reject"\n'


LOGO_OCTETS = SVG.encode()


def statuses(text, logo=LOGO_OCTETS, certificate=PEM):
    """The statuses of DNS-BIMI if this is what the DNS and the web have."""
    made = campaign()
    groups = [told(text, ASKINGS[kind](made)) for kind in (Logo, Dmarc)]
    files = LogoFiles(logo, certificate)
    found = findings("DNS-BIMI", facts(made, *groups, files), STANDARDS)
    return [str(one.status) for one in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (FULL + REJECT, ["pass"]),
        (FULL, ["warn"]),
        (FULL + REJECT.replace("reject", "none"), ["warn"]),
        (LOGO.format("https://shop.example/l.svg", "") + REJECT, ["warn"]),
        (LOGO.format("http://shop.example/l.svg", "x") + REJECT, ["fail"]),
        (LOGO.format("https://shop.example/l.png", "x") + REJECT, ["warn"]),
        (FULL * 2 + REJECT, ["fail"]),
        (REJECT, ["skip"]),
        ("default._bimi.shop.example. TXT !TIMEOUT", ["skip"]),
    ],
)
def test_bimi(text, expected):
    """A logo by https, its certificate, and a policy that lets it be shown."""
    assert statuses(text) == expected


@pytest.mark.parametrize(
    ("logo", "fault"),
    [
        (SVG, ""),
        (gzip.compress(SVG.encode()), ""),
        (SVG.replace("tiny-ps", "tiny"), "baseProfile"),
        (SVG.replace('version="1.2"', 'version="1.1"'), "version"),
        (SVG.replace("Example Shop", " "), "<title>"),
        (SVG.replace("0 0 64 64", "0 0 64 32"), "square"),
        (SVG.replace("<circle", "<script/><circle"), "<script>"),
        (
            SVG.replace("<circle", '<image href="https://x.example/a.png"/><circle'),
            "<image>",
        ),
        (SVG.replace("<circle", '<g onclick="go()"/><circle'), "handler"),
        (SVG.replace("<circle", '<use href="https://x.example/#a"/><circle'), "outside"),
        (SVG.replace("<circle", f"<g>{' ' * 40_000}</g><circle"), "octets"),
        (SVG.replace("<circle", "<filter/><circle"), "<filter>"),
        (SVG.replace("<circle", '<n:view xmlns:n="urn:x"/><circle'), "<view>"),
        (SVG.replace("<circle", "<defs><linearGradient/></defs><circle"), ""),
        (SVG.replace("<svg", "<html").replace("</svg", "</html"), "no SVG"),
        ("<svg", "no XML"),
        ("", "no XML"),
        ("<!DOCTYPE svg>" + SVG, "DOCTYPE"),
    ],
)
def test_the_logo(logo, fault):
    """SVG Tiny PS: a picture that does nothing, and is square."""
    octets = logo if isinstance(logo, bytes) else logo.encode()
    found = svg.faults(octets)
    said = found.why if isinstance(found, Refusal) else "; ".join(found)

    assert fault in said
    assert bool(fault) == bool(said)
    assert statuses(FULL + REJECT, octets) == ["fail" if fault else "pass"]


BOMB = (
    '<!DOCTYPE b [<!ENTITY a "aaaaaaaaaa">'
    + "".join(
        f'<!ENTITY {"abcdefghij"[n]}{n} "{("&" + "abcdefghij"[n - 1] + str(n - 1) + ";") * 10}">'
        for n in range(1, 10)
    )
    + "]><svg>&j9;</svg>"
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_a_bomb_of_entities(encoding):
    """Nothing of it is ever unfolded."""
    found = svg.faults(BOMB.encode(encoding))

    assert found == Refusal("it has a DOCTYPE, which no logo may have")


def test_a_bomb_of_gzip():
    """A thousand times its size: it is let go at half a megabyte."""
    found = svg.faults(gzip.compress(SVG.encode() + b" " * 50_000_000))

    assert found == Refusal("unpacked it is far too large")


@pytest.mark.parametrize(
    ("certificate", "expected"),
    [
        (made_for(), ["pass"]),
        (made_for(("SHOP.example", "x.example")), ["pass"]),
        (made_for(("default._bimi.shop.example",)), ["pass"]),
        (made_for(("other.example",)), ["fail"]),
        (made_for(()), ["fail"]),
        (made_for(days=30), ["warn"]),
        (made_for(days=31), ["pass"]),
        (made_for(days=-1), ["fail"]),
        (made_for(logotype=False), ["fail"]),
        (made_for(purpose=False), ["fail"]),
        (PEM[:300], ["fail"]),
        (b"", ["fail"]),
        (Refusal("status 404"), ["fail"]),
    ],
)
def test_the_certificate(certificate, expected):
    """For this domain, for a logo, and for a while yet."""
    assert statuses(FULL + REJECT, certificate=certificate) == expected


@given(st.binary(max_size=500) | st.binary(max_size=200).map(lambda tail: PEM[:400] + tail))
def test_whatever_a_certificate_is(octets):
    """It is read, or refused."""
    assert isinstance(mark.read(octets), mark.MarkCertificate | Refusal)


@given(
    st.binary(max_size=300)
    | st.binary(max_size=50).map(lambda tail: gzip.compress(SVG.encode())[:60] + tail)
    | st.lists(st.sampled_from(SVG.split("<")), max_size=20).map(
        lambda p: "<".join(p).encode()
    )
)
def test_whatever_a_logo_is(octets):
    """It is read, or refused."""
    assert isinstance(svg.faults(octets), tuple | Refusal)


@pytest.fixture(scope="module")
def known(tmp_path_factory):
    """An authority, and the file that has it."""
    return trusted(tmp_path_factory.mktemp("ca"))


def fetched(known, answer, logo="https://shop.example:{}/l.svg", more=""):
    """What is fetched for a record, from a real server."""
    authority, file = known

    async def main(port):
        text = f"v=BIMI1; l={logo.format(port)}; a={more.format(port)}"
        async with ScriptedDns({("shop.example", "A"): "127.0.6.4"}) as dns:
            reach = Reach(Resolver(dns.server), allow_loopback=True, ca_file=file)
            record = Logo("default._bimi.shop.example", Lookup((text,)))
            return await logo_files(record, reach)

    with Website(authority, "127.0.6.4", "shop.example", answer) as site:
        return asyncio.run(main(site.port)), site.seen


def test_the_files_are_fetched(known):
    """Each once, over HTTPS; what is not named is not asked for."""
    both, seen = fetched(
        known, lambda *_: (200, {}, SVG), more="https://shop.example:{}/l.pem?v=2"
    )
    one, _ = fetched(known, lambda *_: (200, {}, SVG))

    assert both.logo == both.certificate == SVG.encode()
    assert sorted(path for _, path, _, _ in seen) == ["/l.pem?v=2", "/l.svg"]
    assert one.certificate == Refusal("the record names none")


def test_files_that_are_none(known):
    """Not there, without end, or an address that is a trap."""
    gone, _ = fetched(known, lambda *_: (404, {}, ""))
    large, _ = fetched(known, lambda *_: (200, {}, "x" * (MAX_LOGO + 50_000)))
    trap, seen = fetched(known, lambda *_: (200, {}, SVG), "https://shop.example/\r\nX: y")
    odd, _ = fetched(known, lambda *_: (200, {}, SVG), "https://shop.example:99999/")

    assert gone.logo == Refusal("status 404")
    assert "more than" in large.logo.why
    assert trap.logo == odd.logo == Refusal("this is no https address")
    assert not seen
