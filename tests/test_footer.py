"""The postal address and the way out stand in each part, whatever the template does."""

import re

import pytest
from test_template import rendered


@pytest.mark.parametrize(
    "html",
    [
        "<body><p>x</p></body>",
        "<p>x",
        "<body><!-- {{ postal_address }} {{ unsubscribe_url }} --></body>",
        "<title>{{ postal_address }} {{ unsubscribe_url }}</title>",
        "<body>{% if false %}{{ postal_address }}{{ unsubscribe_url }}{% endif %}</body>",
        "<body>{# {{ postal_address }} {{ unsubscribe_url }} #}</body>",
    ],
)
def test_what_is_not_shown_is_put_in_a_footer(html):
    """In both parts, with a link that says what it does."""
    made = rendered(html=html)

    shown = re.sub(r"<!--.*?-->|<title.*?</title>", "", made.html)
    assert "Shop Ltd<br>Main Road 7<br>1234 Town &amp; Vale<br>" in shown
    assert re.search(r'<a href="https://u.example.com/u/abc"[^>]*>Unsubscribe</a>', shown)
    assert made.text.endswith(
        "Shop Ltd\nMain Road 7\n1234 Town & Vale\n\nUnsubscribe: https://u.example.com/u/abc\n"
    )
    assert made.html.endswith("</body>") or "</body" not in html


def test_what_is_placed_is_not_repeated():
    """Each once, where the template has it."""
    made = rendered(
        html='<p>{{ postal_address }} <a href="{{ unsubscribe_url }}">Unsubscribe</a></p>',
        text="{{ postal_address }}\n\nStop: {{ unsubscribe_url }}\n",
    )

    assert made.html == (
        "<p>Shop Ltd<br>Main Road 7<br>1234 Town &amp; Vale "
        '<a href="https://u.example.com/u/abc">Unsubscribe</a></p>'
    )
    assert made.text.count("Main Road 7") == made.text.count("https://u") == 1


def test_nothing_to_show_makes_no_footer():
    """A transactional campaign may have neither."""
    made = rendered(
        html="<p>x</p>", text="x", given={"postal_address": "", "unsubscribe_url": ""}
    )

    assert (made.html, made.text) == ("<p>x</p>", "x")
