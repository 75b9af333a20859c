"""Phrases as servers say them, found in texts as servers write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailblast.phrase import GAPS, Phrases, spelt_out, words


def occurs(phrase: str, text: str) -> bool:
    phrases = Phrases()
    phrases.add(phrase, 7)
    found = phrases.found(text)
    assert found <= {7}
    return bool(found)


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("user unknown", "550 5.1.1 <bob@example.com>... User Unknown"),
        ("user unknown", "user\r\n  unknown"),
        ("mailbox [is] full", "Mailbox full"),
        ("mailbox [is] full", "the mailbox is full!"),
        ("(no such|unknown) user", "sorry, no such user here"),
        ("@ user unknown", "550 bob@example.com...User unknown"),
        ("not allowed @", "550 not allowed...bob@example.com"),
        ("user @ does not exist", "User <bob@example.com> does not exist"),
        ("messages from * deferred", "Messages from 192.0.2.1 temporarily deferred"),
        ("limit[s] exceeded", "LIMITS EXCEEDED"),
        ("doesnt exist", "it doesn't exist"),
        ("doesnt exist", "it doesn’t exist"),
        ("email rejected", "e-mail rejected"),
        ("boite pleine", "Boîte pleine"),
        ("spamhaus.org", "see https://zen.spamhaus.org/query"),
        ("user unknown", "550-5.1.1 user 550-5.1.1 unknown"),
        ("user unknown", "user\n5.1.1 unknown"),
        ("user unknown", "user unk=\r\nnown"),
        ("user unknown", "user unknown.Giving up on 192.0.2.1."),
        ("tss04", "421 4.7.0 [TSS04] Messages"),
        ("邮箱已满", "552 收件人邮箱已满。"),
        ("ящик переполнен", "Почтовый ящик переполнен"),
    ],
)
def test_a_phrase_is_found_as_servers_write_it(phrase, text):
    """Capitals, punctuation, accents, wrapping and repeated codes do not hide a phrase."""
    assert occurs(phrase, text)


@pytest.mark.parametrize(
    ("phrase", "text"),
    [
        ("spam", "from mail.spam.example"),  # a name
        ("spam", "<spam@example.com>: sorry"),  # an address
        ("spam", "antispam"),  # another word
        ("user unknown", "unknown user"),
        ("user unknown", "user is unknown"),
        ("a * b", "b a"),
        ("mailbox is full", "mailbox full"),
    ],
)
def test_a_phrase_is_not_found_in_what_only_looks_like_it(phrase, text):
    """Part of a word, of a name or of an address is no word; the order counts."""
    assert not occurs(phrase, text)


@pytest.mark.parametrize(("sign", "most"), [("~", 4), ("*", 10)])
def test_a_gap_has_a_most(sign, most):
    """`~` stands for four words, `*` for ten, so that two sentences are not one."""
    assert GAPS[sign] == most
    assert occurs(f"a {sign} b", "a b")
    assert occurs(f"a {sign} b", "a" + " x" * most + " b")
    assert not occurs(f"a {sign} b", "a" + " x" * (most + 1) + " b")


def test_either_side_of_a_gap_may_be_said_in_several_ways():
    """Each row before a gap goes with each behind it; a word is part of one row only."""
    phrase = "(mailbox|mail box|inbox) ~ (full|over quota)"

    assert occurs(phrase, "mail box of anna is full")
    assert occurs(phrase, "inbox over quota")
    assert occurs("mailbox [not] ~ not found", "mailbox not found")
    assert not occurs("full ~ full", "full")
    assert not occurs("(a|a b) ~ b c", "b c a")


@pytest.mark.parametrize("phrase", ["", "*", "a *", "* a", "a * ~ b", "[a]", "(|a)"])
def test_a_phrase_needs_words(phrase):
    """A phrase that could be said in no words would be found in every text."""
    with pytest.raises(ValueError, match="no word"):
        spelt_out(phrase)


@pytest.mark.parametrize("phrase", ["(a", "a]", "(a * b)", "[a ~ b] c", "(a [b]) c"])
def test_a_bracket_is_whole(phrase):
    """What is between brackets has no gap and no bracket; nothing is passed over."""
    with pytest.raises(ValueError, match="bracket"):
        spelt_out(phrase)


@given(
    st.lists(st.text("abcdefghij", min_size=1), min_size=1, max_size=5),
    st.text(' ,;:!?()<>"\n\t', min_size=1, max_size=4),
)
def test_any_row_of_words_is_found(row, between):
    """However words are parted and surrounded, their row is found."""
    text = f"zz{between}{between.join(row)}{between}zz"

    assert occurs(" ".join(row), text)


@given(st.text(max_size=300))
def test_words_are_small_and_bare(text):
    """Words have no capitals and no blanks, and taking them again changes nothing."""
    found = words(text)

    assert all(word == word.lower() and not set(word) & set(" \t\n<>()") for word in found)


@pytest.mark.parametrize(
    "text",
    [
        "a" * 2000, "@" * 2000, "a@" * 1000, "a b " * 500, "a " * 1000, "5." * 1000,
        "550-" * 500, "5.7.1 " * 333, "日" * 2000, "ﷺ" * 2000, "x" * 1999 + "@",
        ". A" * 666, "=\n" * 1000, "a" * 10_000_000,
    ],
    ids=lambda text: repr(text[:8]),
)  # fmt: skip
def test_no_text_is_expensive(text):
    """Texts made to be slow are read a thousand times; the time limit of a test is ample."""
    phrases = Phrases()
    for number, phrase in enumerate(["a b * a b a b c", "a * b * a * b * c", "a a a a b"]):
        phrases.add(phrase, number)

    for _ in range(1000):
        assert phrases.found(text) == set()
