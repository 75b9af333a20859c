"""The rules of what a message shows: its HTML, its images, its links, both its parts."""

import pytest
from checking import HTML, LINK, TEXT, facts, findings, sample, says
from content import PAGE, composed

from mailblast.check import links
from mailblast.check.facts import Messages

BULK, STANDARDS = "bulk-senders", "standards"
WORDS = (
    "Dear Ann here are kettles teapots spoons bowls plates glasses baskets lamps chairs "
    "tables rugs curtains cushions"
)
JAPANESE = "今週の新しい商品をご紹介します。"
OUTLOOK = (
    "<!--[if mso]><table><tr><td><![endif]-->x<!--[if mso]></td></tr></table><![endif]-->"
)


def page(html: str, text: str = TEXT) -> Messages:
    return Messages((sample(text, html),))


def told(html: str, rule: str, pack: str = STANDARDS, text: str = TEXT) -> list[str]:
    """What a rule says of a page; nothing if it passes."""
    found = findings(rule, facts(None, page(html, text)), pack)
    return [one.message for one in found if one.status in ("fail", "warn")]


def status(html: str, rule: str, pack: str = STANDARDS, text: str = TEXT) -> str:
    return str(says(rule, facts(None, page(html, text)), pack).status)


@pytest.mark.parametrize(
    ("rule", "pack"),
    [
        ("MSG-CLIPPED", BULK),
        ("MSG-HIDDEN", BULK),
        ("MSG-ALIKE", STANDARDS),
        ("MSG-HTML", STANDARDS),
        ("MSG-ALT", STANDARDS),
        ("MSG-IMAGE-SIZE", STANDARDS),
        ("MSG-LINK-SCHEME", STANDARDS),
    ],
)
def test_of_html_alone(rule, pack):
    """A good page passes; where there is no HTML, nothing was looked at."""
    text = Messages((sample(TEXT, None),))

    assert says(rule, facts(None, composed(PAGE)), pack).status == "pass"
    assert says(rule, facts(None, text), pack).status == "skip"
    assert says(rule, facts(None, object()), pack).status == "skip"


@pytest.mark.parametrize(
    "html", ["<i>" * 450 + "x" + "</i>" * 450, "<p>" + "x" * 1_000_000 + "</p>"]
)
@pytest.mark.parametrize("rule", ["MSG-HTML", "MSG-LINK-HTTP"])
def test_what_takes_too_long_is_not_looked_at(html, rule):
    """A page without measure is skipped, and not passed."""
    found = findings(rule, facts(None, page(html)), STANDARDS)

    assert [one.status for one in found] == ["skip"]


# --- Size, and both parts -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("size", "expected"),
    [(92_159, "pass"), (92_160, "warn"), (102_399, "warn"), (102_400, "fail")],
)
def test_clipping(size, expected):
    """Gmail cuts off what stands behind 102,400 octets of HTML; near to it is a warning."""
    assert status("ä" * (size // 2) + "x" * (size % 2), "MSG-CLIPPED", BULK) == expected


@pytest.mark.parametrize(
    ("html", "text", "expected"),
    [
        (WORDS, WORDS, "pass"),
        (WORDS, WORDS + " https://shop.example/a/long/link?of=no&words=at&all", "pass"),
        (WORDS, " ".join(WORDS.split()[:8]), "warn"),
        (WORDS, "Your mail program cannot show HTML.", "fail"),
        (WORDS, WORDS + " buy" + " ".join(f"word{n}" for n in range(12)), "warn"),
        (WORDS, WORDS + " ".join(f" word{n}" for n in range(40)), "fail"),
        ('<img src="a" alt="">', WORDS, "warn"),
        (f'<img src="a" alt="{WORDS}">', WORDS, "pass"),
        ("Hello", "Hi", "pass"),
        (JAPANESE, JAPANESE, "pass"),
        (JAPANESE + "ぜひご覧ください。", JAPANESE, "warn"),
    ],
)  # fmt: skip
def test_both_parts_say_the_same(html, text, expected):
    """Seven of ten words of each part stand in the other (RFC 2046 §5.1.4)."""
    assert status(html, "MSG-ALIKE", text=text) == expected


def test_the_text_that_is_made_from_the_html():
    """It says the same, whatever the template."""
    html = (
        PAGE
        + "<ul><li>One thing</li><li>Another thing</li></ul><table><tr><td>7</td></tr></table>"
    )

    assert says("MSG-ALIKE", facts(None, composed(html)), STANDARDS).status == "pass"


# --- HTML ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<div><p>x</p>", "<div> is never closed"),
        ("<p>x</p></div>", "</div> fits no open tag"),
        ("<p><b><i>x</b></i></p>", "</b> closes in the wrong order, or nothing"),
        ("<table><p>x</p></table>", "<p> in a table, outside its cells"),
        ("<table><tr><td><div>x</td></tr></table>", "</td> closes what is open in it"),
        ("<a href='x'>y<a href='z'>w</a></a>", "<a> in <a>"),
        ("<p>x</br></p>", "</br> is no end tag"),
        ("<div/><p>x</p></div>", "<div/> is not closed by its slash"),
        ("<p a=1 a=2>x</p>", "an attribute is given twice"),
        ('<p class=a"b>x</p>', "a value needs quotation marks"),
        ('<a href="x>y</a>', "a tag, an attribute or a comment is not closed at the end"),
        ("<p>x</p><!-- y", "a tag, an attribute or a comment is not closed at the end"),
        ("<html><body><div></body></html>", "<div> is open at </body>"),
    ],
)
def test_html_is_sound(html, expected):
    """What every mail program would mend in its own way, with the line it stands in."""
    assert f"Broken HTML: {expected}." in told(html, "MSG-HTML")
    found = findings("MSG-HTML", facts(None, page("\n\n" + html)), STANDARDS)
    assert found[0].evidence.endswith("line 3 of the HTML")


@pytest.mark.parametrize(
    "html",
    [
        HTML,
        "<ul><li>one<li>two</ul><table><tr><td>x<td>y</table>",
        "<p>a & b &copy; c</p><br/><img src=x alt=''/>",
        OUTLOOK,
        "<![if !mso]><p>x</p><![endif]>",
        '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "x"><html><p>x</p></html>',
        "<o:p>x</o:p><center><font color=red>y</font></center>",
    ],
)
def test_html_as_mail_has_it(html):
    """No doctype, a bare &, Outlook's comments: nobody need mend these."""
    assert told(html, "MSG-HTML") == []


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<img src="https://a.example/a.png" alt="A kettle">', "pass"),
        ('<img src="https://a.example/a.png" alt="">', "pass"),
        ('<img src="https://a.example/a.png">', "fail"),
        ('<a href="https://a.example/">Go <img src="a.png" alt=""></a>', "pass"),
        ('<a href="https://a.example/"><img src="a.png" alt=""></a>', "fail"),
        ('<a href="https://a.example/"><img src="a.png" alt="The shop"></a>', "pass"),
    ],
)
def test_alt_texts(html, expected):
    """Each image has one, and a link that is an image says where it leads."""
    assert status(html, "MSG-ALT") == expected


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ('width="80" height="60"', "pass"),
        ('style="width:80px;height:auto"', "pass"),
        ('width="80" style="height:60px"', "pass"),
        ('width="80"', "fail"),
        ("", "fail"),
    ],
)
def test_image_sizes(attributes, expected):
    """Width and height, in the tag or its style."""
    html = f'<img src="https://a.example/a.png" alt="x" {attributes}>'

    assert status(html, "MSG-IMAGE-SIZE") == expected


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<p>All of it</p>", "pass"),
        ("<style>p { color: red }</style><title>Words</title><p>x</p>", "pass"),
        ('<div style="display:none">A line for the list of messages</div>', "warn"),
        (f'<div style="display:none">{"word " * 60}</div>', "fail"),
        (f'<div style="font-size:1px">{"word " * 60}</div>', "fail"),
        (f'<div style="display:none">{"&nbsp;&zwnj;" * 300}</div>', "pass"),
        ('<div style="color:#fff">white on white</div>', "warn"),
        ('<div style="background:#000;color:#fff">white on black</div>', "pass"),
    ],
)
def test_hidden_text(html, expected):
    """What is hidden is a warning as a preheader, and a fault when it is more than that."""
    assert status(html, "MSG-HIDDEN", BULK) == expected


# --- Links --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "shown", "expected"),
    [
        ("https://shop.example/x", "Our shop", "pass"),
        ("https://shop.example/x", "https://shop.example/y", "pass"),
        ("https://www.shop.example/", "shop.example", "pass"),
        ("https://news.shop.example/", "www.shop.example", "pass"),
        ("https://click.esp.example/1", "https://shop.example", "fail"),
        ("https://shop.example.evil.example/", "www.shop.example", "fail"),
        ("https://evilshop.com/", "shop.com", "warn"),
        ("https://nodejs.org/", "Node.js", "warn"),
        ("https://nodejs.org/", "Node.js is here", "pass"),
        ("mailto:help@shop.example", "help@shop.example", "pass"),
        ("mailto:help@shop.example?subject=x", "Write to help@shop.example", "pass"),
        ("mailto:other@shop.example", "help@shop.example", "fail"),
        ("https://192.0.2.1/x", "Here", "fail"),
        ("https://[2001:db8::1]/x", "Here", "fail"),
        ("https://3221225985/x", "Here", "fail"),
        ("https://0xc0.0.2.1/x", "Here", "fail"),
        ("https://shop.example@evil.example/", "Here", "fail"),
        ("https://bit.ly/abc", "Here", "fail"),
        ("https://www.tinyurl.com/abc", "Here", "fail"),
        ("https://notbit.ly/abc", "Here", "pass"),
    ],
)
def test_links_are_honest(target, shown, expected):
    """The text of a link shows where it leads, and that is a host with a name of its own."""
    assert status(f'<a href="{target}">{shown}</a>', "MSG-LINKS", BULK) == expected


def test_links_of_the_text_are_looked_at_too():
    """A reader of the text follows them as well, a dot behind them or not."""
    text = Messages((sample("See https://bit.ly/abc.", None),))
    (found,) = findings("MSG-LINKS", facts(None, text), BULK)

    assert found.message == (
        "https://bit.ly/abc: bit.ly is a shortener: nobody sees where it leads."
    )


def test_the_list_of_shorteners():
    """Hosts, and none of one company alone."""
    hosts = links.shorteners()

    assert {"bit.ly", "tinyurl.com", "is.gd"} < hosts
    assert not {"youtu.be", "lnkd.in", "t.co", "doi.org"} & hosts
    assert all(host == host.lower() and "." in host and "/" not in host for host in hosts)


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<a href="https://shop.example/">x</a>', ""),
        ('<a href="tel:+15551234">x</a>', ""),
        ('<a href="#more">x</a><p id="more">y</p>', ""),
        ('<a name="top"></a>x', ""),
        ('<img src="cid:a@shop.example" alt="x">', ""),
        ('<a href="#more">x</a>', "there is no such place"),
        ('<a href="">x</a>', "it has no address"),
        ('<a href="/new">x</a>', "it has no https:// before it"),
        ('<a href="www.shop.example">x</a>', "it has no https:// before it"),
        ('<a href="https://{{ host }}/">x</a>', "it is not filled in"),
        ('<a href="javascript:alert(1)">x</a>', "mail programs do not open javascript:"),
        ('<a href="https:///new">x</a>', "it names no host"),
        ('<a href="https://[/">x</a>', "it has no https:// before it"),
        ('<img src="a.png" alt="x">', "it has no https:// before it"),
        ('<img src="data:image/png;base64,AA" alt="x">', "mail programs do not open data:"),
    ],
)
def test_links_lead_somewhere(html, expected):
    """A whole address, filled in, of a kind that mail programs open."""
    found = told(html, "MSG-LINK-SCHEME")

    assert bool(found) == bool(expected)
    assert all(expected in one for one in found)


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ('<a href="https://shop.example/">x</a>', []),
        ('<a href="http://shop.example/">x</a>', ["http://shop.example/"]),
        ('<img src="http://shop.example/a.png">', ["http://shop.example/a.png"]),
    ],
)
def test_plain_http(html, expected):
    """Links and images are asked for with TLS."""
    assert told(html, "MSG-LINK-HTTP") == [
        f"{one} is asked for without TLS." for one in expected
    ]


@pytest.mark.parametrize(("count", "expected"), [(9, "pass"), (10, "fail")])
def test_many_hosts(count, expected):
    """Ten hosts, that of the way out among them; a host counts once."""
    html = "".join(f'<a href="https://h{n}.example/a">x</a>' for n in range(count)) * 2

    assert LINK in TEXT
    assert status(html, "MSG-LINK-DOMAINS", BULK) == expected
