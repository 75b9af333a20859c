"""Tags: made, read back in any case, and not to be forged."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailblast import tag
from mailblast.errors import UserError
from mailblast.tag import Keyring

KEYRING = Keyring(2, {1: b"a" * 32, 2: b"b" * 32})
purposes = st.sampled_from(["return-path", "unsubscribe"])
deliveries = st.integers(0, tag.MAX_DELIVERY)


@given(purposes, deliveries, st.text(max_size=20))
def test_a_tag_comes_back_as_it_was_made(purpose, delivery, run):
    """Reading gives the delivery and the key, and the tag is genuine."""
    read = tag.read(tag.make(KEYRING, purpose, run, delivery))

    assert read is not None
    assert (read.key_id, read.delivery) == (2, delivery)
    assert tag.genuine(KEYRING, purpose, run, read)


@given(purposes, deliveries)
def test_case_does_not_matter(purpose, delivery):
    """A server on the way that folds the case of a local part does no harm."""
    made = tag.make(KEYRING, purpose, "r", delivery)

    assert made == made.lower()
    assert tag.read(made.upper()) == tag.read(made)


def test_lengths():
    """28 characters leave a return path 35 for its own local part; 37 for a link."""
    assert len(tag.make(KEYRING, "return-path", "r", 1)) == 28
    assert len(tag.make(KEYRING, "unsubscribe", "r", 1)) == 37


@given(purposes, deliveries, st.data())
def test_one_changed_character_is_not_genuine(purpose, delivery, data):
    """Whatever character is changed, the tag is unreadable or not ours."""
    made = tag.make(KEYRING, purpose, "r", delivery)
    at = data.draw(st.integers(0, len(made) - 1))
    other = data.draw(
        st.sampled_from("abcdefghijklmnopqrstuvwxyz234567".replace(made[at], ""))
    )

    read = tag.read(made[:at] + other + made[at + 1 :])

    assert read is None or not tag.genuine(KEYRING, purpose, "r", read)


def test_each_purpose_and_run_has_its_own_tags():
    """A return path seen on the way neither unsubscribes nor counts in another run."""
    back = tag.read(tag.make(KEYRING, "return-path", "r", 1))

    assert back is not None
    assert not tag.genuine(KEYRING, "unsubscribe", "r", back)
    assert not tag.genuine(KEYRING, "return-path", "s", back)


def test_an_old_key_still_reads_and_a_lost_one_does_not():
    """Tags made before a new key was added stay genuine while the old key is kept."""
    old = tag.make(Keyring(1, {1: b"a" * 32}), "unsubscribe", "r", 5)
    read = tag.read(old)

    assert read is not None
    assert tag.genuine(KEYRING, "unsubscribe", "r", read)
    assert not tag.genuine(Keyring(2, {2: b"b" * 32}), "unsubscribe", "r", read)


@given(st.text(max_size=60))
def test_any_text_can_be_read(text):
    """What is no tag is None, never an error."""
    read = tag.read(text)

    assert read is None or not tag.genuine(KEYRING, "return-path", "r", read)


def test_only_one_spelling_of_the_last_character():
    """Base32's spare bits do not make a second spelling of a tag."""
    made = tag.make(KEYRING, "return-path", "r", 1)
    raw = base64.b32decode(made.upper() + "====")
    spellings = [
        made[:-1] + last
        for last in "abcdefghijklmnopqrstuvwxyz234567"
        if base64.b32decode(made[:-1].upper() + last.upper() + "====") == raw
    ]

    assert len(spellings) > 1
    assert [text for text in spellings if tag.read(text)] == [made]


@pytest.mark.parametrize("delivery", [-1, 2**48])
def test_a_delivery_fits_six_bytes(delivery):
    """A number that the tag cannot hold is a mistake of ours, and loud."""
    with pytest.raises(ValueError, match="no delivery"):
        tag.make(KEYRING, "return-path", "r", delivery)


def test_keyring_round_trip():
    """A key file keeps every key, and which of them is the current one."""
    ring = Keyring(1, {1: b"a" * 32, 2: b"b" * 16, 255: b"c" * 64})

    assert tag.parse_keyring(tag.format_keyring(ring)) == ring


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no key"),
        ("# nothing\n", "no key"),
        ("1 zz\n", 'secret.key:1: a line is "NUMBER HEX"'),
        ("1 aabb\n", "at least 16 bytes"),
        (f"256 {'aa' * 32}\n", "0 to 255"),
        (f"1 {'aa' * 32}\n1 {'bb' * 32}\n", "secret.key:2: a second key number 1"),
    ],
)
def test_a_bad_key_file_is_refused_with_its_line(text, why):
    """The line is named, the key is not shown."""
    with pytest.raises(UserError, match=why) as caught:
        tag.parse_keyring(text)

    assert "aabb" not in str(caught.value)
