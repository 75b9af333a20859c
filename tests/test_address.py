"""Exactly one addr-spec, read as email-validator reads it, only faster."""

import unicodedata

import pytest
from email_validator import EmailNotValidError, validate_email
from hypothesis import example, given
from hypothesis import strategies as st

from mailblast.address import Address, Mailbox, parse, parse_mailbox
from mailblast.errors import Refusal


def good(text: str) -> Address:
    found = parse(text)
    assert isinstance(found, Address), found
    return found


def why(text: str) -> str:
    found = parse(text)
    assert isinstance(found, Refusal), found
    return found.why


def test_a_plain_address():
    """The local part stays as it is written; the domain and the key are in lower case."""
    assert good("Ada.Lovelace+news@Example.COM") == Address(
        "Ada.Lovelace+news@example.com",
        "example.com",
        "ada.lovelace+news@example.com",
        smtputf8=False,
    )


def test_role_addresses_stay_as_given():
    """email-validator writes Info@ as info@; what is mailed is what the list says."""
    assert good("Info@example.com").mailbox == "Info@example.com"


def test_an_idn_becomes_a_labels_and_needs_no_smtputf8():
    """A domain outside ASCII travels as A-labels (RFC 6531 §3.2)."""
    found = good("ada@Bücher.example")

    assert found.mailbox == "ada@xn--bcher-kva.example"
    assert found.domain == "xn--bcher-kva.example"
    assert not found.smtputf8
    assert found == good("ada@XN--BCHER-KVA.example")


def test_a_local_part_outside_ascii_needs_smtputf8():
    """Only a server with SMTPUTF8 can take it (RFC 6531 §3.4)."""
    found = good("Jürgen@bücher.example")

    assert found == Address(
        "Jürgen@xn--bcher-kva.example",
        "xn--bcher-kva.example",
        "jürgen@xn--bcher-kva.example",
        smtputf8=True,
    )


def test_composed_and_decomposed_are_one_address():
    """The local part is normalised to NFC, so that duplicates are found."""
    assert good("jose\u0301@example.com") == good("jos\u00e9@example.com")


def test_blanks_around_the_cell_are_dropped():
    """Spaces, tabs and the spreadsheet's no-break space are no part of an address."""
    assert good(" \tada@example.com\u00a0 ") == good("ada@example.com")


@pytest.mark.parametrize(
    "text",
    [
        "a@x> AUTH=<b",
        "a@x.example> AUTH=<b@y.example",
        "a@x, b@y",
        "a@x.example,b@y.example",
        "a@x.example;b@y.example",
        "a@x.example b@y.example",
        "a@b@c.example",
        "a@x.example\r\nRCPT TO:<b@y.example>",
        "a@x.example\n",
        "\ra@x.example",
        "a\0@x.example",
        "a@x.example\0",
        '"a b"@x.example',
        '"a\\"b"@x.example',
        '"a@b"@x.example',
        "a(comment)@x.example",
        "@relay.example:a@x.example",
    ],
)
def test_anything_but_one_addr_spec_is_refused(text):
    """No list, no parameter, no line end, no quoted string: no end to a RCPT."""
    assert why(text)


@pytest.mark.parametrize(
    "text",
    [
        "a＠b.example",  # full-width @
        "a\u200b@b.example",  # zero width space
        "a@b\u200b.example",
        "\ufeffa@b.example",
        "\u202ea@b.example",  # right-to-left override
        "a\u200f@b.example",  # right-to-left mark
        "a\u00ad@b.example",  # soft hyphen
        "a@b.example\u2028",
        "\u0301a@b.example",  # nothing to combine with
        "\ud800@b.example",
        "a@\udcffb.example",
    ],
)
def test_characters_that_deceive_are_refused(text):
    """What cannot be seen, or shows an address as another, is no address."""
    assert why(text)


def test_look_alikes_of_ascii_are_not_taken_for_it():
    """The Kelvin sign is a k in Unicode's lower case, the long s an s; a pattern that is
    not bound to ASCII would let both through as they are."""
    assert good("a@\u212aelvin.example").domain == "kelvin.example"
    assert good("a\u017f@b.example").smtputf8


def test_full_width_dots_become_dots():
    """IDNA maps them (RFC 5895), so two ways to type a domain are one domain."""
    assert good("a@b\u3002example") == good("a@b.example")


@pytest.mark.parametrize(
    "text",
    [
        "a@b.example.", "a@.b.example", "a@b..example", ".a@b.example", "a.@b.example",
        "a..b@b.example", "a@-b.example", "a@b-.example", "a@b_c.example",
        "a@ab--c.example", "a@xn--.example", "a@[192.0.2.1]", "a@[IPv6:2001:db8::1]",
        "a@192.0.2.1", "a@b", "a@localhost", "a@host.local", "a@x.TEST", "a@invalid",
        "@b.example", "a@", "@", "a",
    ],
)  # fmt: skip
def test_what_no_public_mail_server_has_is_refused(text):
    """Dots out of place, address literals, names of one label, names for special use."""
    assert why(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "there is no address"),
        (" \t", "there is no address"),
        ("<a@b.example>", "write the address alone, without a name and without < and >"),
        (
            "Ada <a@b.example>",
            "write the address alone, without a name and without < and >",
        ),
        ("MailTo:a@b.example", 'write the address alone, without "mailto:"'),
        ("a@b.example, c@d.example", "more than one address; write exactly one"),
    ],
)
def test_common_slips_are_told_how_to_mend(text, says):
    """A refusal names the slip and what to write instead."""
    assert says == why(text)


def test_local_part_of_64_octets():
    """64 pass and 65 do not (RFC 5321 §4.5.3.1.1)."""
    assert good("a" * 64 + "@b.example")
    assert "64 octets" in why("a" * 65 + "@b.example")


def test_local_part_is_counted_in_octets():
    """A letter outside ASCII is two octets or more on the wire."""
    assert good("é" * 32 + "@b.example")
    assert "64 octets" in why("é" * 33 + "@b.example")


def test_address_of_254_octets():
    """254 pass and 255 do not: a path is 256 with its brackets (RFC 5321 §4.5.3.1.3)."""
    domain = ".".join(["d" * 60] * 3) + ".example"
    local = "a" * (254 - 1 - len(domain))

    assert len(good(f"{local}@{domain}").mailbox) == 254
    assert why(f"{local}a@{domain}")


def test_an_idn_is_counted_in_its_longest_form():
    """One that fits as A-labels is refused where it does not fit as it is shown."""
    shown = ".".join(["ü" * 40] * 2)
    label = good("a@" + "ü" * 40 + ".example").domain.split(".")[0]

    assert good(f"{'a' * 64}@{shown}.example") == good(
        f"{'a' * 64}@{label}.{label}.example"
    )
    assert why(f"{'a' * 64}@{shown}.{'d' * 20}.example")
    assert why(f"{'a' * 64}@{label}.{label}.{'d' * 20}.example")


def test_a_huge_cell_is_refused_at_once():
    """The length is looked at before anything else is."""
    assert "254" in why("＜" * 100_000)


def test_the_reason_is_one_short_sentence():
    """However many bad characters there are, the reason stays fit for a table."""
    sentence = why("".join(map(chr, range(0x2000, 0x2060))) + "@b.example")

    assert len(sentence) <= 200
    assert "\n" not in sentence


_SPECIALS = (
    "@@@...--<>\"\\,;:()[] _+'xn\0\r\n"
    "\u00fc\u00df\u212a\u017f\u0130\u3002\uff20\u200b\u202e\u0301"
)
_PIECES = st.sampled_from(
    ["a", "Ada", "info", "POSTMASTER", "xn--bcher-kva", "ab--c", "example", "com", "test",
     "local", "onion", "arpa", "é", "日本", "a" * 63, "b" * 64, *_SPECIALS],
)  # fmt: skip
_NEAR_ADDRESSES = st.one_of(
    st.text(max_size=80),
    st.lists(_PIECES, max_size=12).map("".join),
    st.builds("{}@{}".format, st.text(min_size=1, max_size=66), st.text(max_size=20)),
    st.from_regex(
        r"[!-~]{1,66}@([A-Za-z0-9-]{1,64}\.){1,4}[A-Za-z0-9-]{1,5}", fullmatch=True
    ),
    st.builds(
        "{}@{}".format,
        st.from_regex(r"\A[a-z]{1,64}\Z"),
        st.lists(_PIECES, min_size=2, max_size=9).map(".".join),
    ),
)


@given(_NEAR_ADDRESSES)
@example("Info@example.com")
@example("a@b.TEST")
@example("a@xn--a.example")
@example("a" * 64 + "@" + ".".join(["xn--" + "a" * 50] * 3) + ".example")
def test_answers_are_those_of_email_validator(text):
    """For any text: taken if and only if email-validator takes it and the local part has at
    most 64 octets, and then with the same local part and the same domain."""
    text = text.strip(" \t\u00a0")
    found = parse(text)
    try:
        theirs = validate_email(text, check_deliverability=False)
    except EmailNotValidError:
        assert isinstance(found, Refusal)
        return
    if len(theirs.local_part.encode()) > 64:
        assert isinstance(found, Refusal)
        return
    assert isinstance(found, Address)
    local, _, domain = found.mailbox.partition("@")
    assert theirs.ascii_domain == domain == found.domain
    assert theirs.local_part in (local, local.lower())
    assert found.smtputf8 == (theirs.ascii_local_part is None and not local.isascii())


@given(_NEAR_ADDRESSES)
def test_reading_again_changes_nothing(text):
    """The mailbox of an address is read as the same address, and no line end survives."""
    found = parse(text)
    if isinstance(found, Address):
        assert found == parse(found.mailbox)
        assert not any(unicodedata.category(c).startswith("C") for c in found.mailbox)


@given(st.characters(min_codepoint=0x80))
def test_a_key_is_its_own_key(letter):
    """A list that was written out by keys is read back as the same keys."""
    found = parse(f"x{letter}@b.example")
    if isinstance(found, Address):
        assert found.key == good(found.key).key


@pytest.mark.parametrize(
    ("text", "name", "mailbox"),
    [
        ("a@b.example", "", "a@b.example"),
        ("<a@b.example>", "", "a@b.example"),
        ("Ada <a@b.example>", "Ada", "a@b.example"),
        ("Müller & Söhne, Inc. <a@b.example>", "Müller & Söhne, Inc.", "a@b.example"),
        ('"Books <3 \\"Ltd\\"" <a@b.example>', 'Books <3 "Ltd"', "a@b.example"),
        ("Jose\u0301 <a@b.example>", "José", "a@b.example"),
        ("👩\u200d🚀 <a@b.example>", "👩\u200d🚀", "a@b.example"),
    ],
)
def test_a_mailbox_is_a_name_and_an_address(text, name, mailbox):
    """`[sender] from` as people write it, commas and all."""
    found = parse_mailbox(text)

    assert isinstance(found, Mailbox)
    assert (name, mailbox) == (found.name, found.address.mailbox)


@pytest.mark.parametrize(
    "text",
    [
        "", "Ada", "Ada <>", "Ada <a@b.example> x", "Ada <a@b.example", "Ada a@b.example>",
        "a@b.example, Ada <c@d.example>", "<a@b.example> <c@d.example>",
        '"Ada <a@b.example>', '"A" <a@b.example>, "C" <c@d.example>',
        "Ada\r\nBcc: x <a@b.example>", "Ada\0 <a@b.example>", "A\u202eda <a@b.example>",
        "A\u2028da <a@b.example>", '"A\\\nda" <a@b.example>', "x" * 201 + " <a@b.example>",
    ],
)  # fmt: skip
def test_a_mailbox_that_could_break_a_header_is_refused(text):
    """One address, and a name without control characters or hidden changes of direction."""
    assert isinstance(parse_mailbox(text), Refusal)
