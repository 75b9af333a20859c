"""Templates: sandboxed, told where they fail, and never what a cell says."""

import html as html_module
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailblast import template as templates
from mailblast.errors import Refusal
from mailblast.template import Rendered, Source, Sources, TemplateError

GIVEN = {
    "email": "jo@example.net",
    "organisation": "Shop",
    "sender_name": "Example",
    "postal_address": "Shop Ltd\nMain Road 7\n1234 Town & Vale",
    "unsubscribe_url": "https://u.example.com/u/abc",
}


def template(subject="Hi", *, html=None, text=None, markdown=None, **more):
    """A compiled template."""
    return templates.compile(
        Sources(
            Source("[message] subject", subject),
            Source("message.html", html) if html is not None else None,
            Source("message.txt", text) if text is not None else None,
            Source("message.md", markdown) if markdown is not None else None,
            **more,
        )
    )


def rendered(*subject, fields=None, given=None, **sources):
    """What comes out for these fields."""
    made = template(*subject, **sources).render(fields or {}, {**GIVEN, **(given or {})})
    assert isinstance(made, Rendered), made
    return made


# Values are data.


def test_a_cell_is_never_a_template():
    """`{{ 7*7 }}` in a cell stays as it is: in the subject, the text and the HTML."""
    cell = "{{ 7*7 }}{% raw %}{# x #}"
    made = rendered(
        "{{ a }}",
        text="{{ a }}",
        html="<p>{{ a }}</p>",
        markdown=None,
        headers=(("X-A", Source("[message.headers] X-A", "{{ a }}")),),
        attachments=(Source("[message] attachments", "{{ a }}"),),
        fields={"a": cell},
    )

    assert made.subject == cell
    assert made.text.startswith(cell)
    assert made.html is not None
    assert f"<p>{html_module.escape(cell)}</p>" in made.html
    assert made.headers == (("X-A", cell),)
    assert made.attachments == (cell,)


def test_html_is_escaped_and_text_is_not():
    """A name may have an ampersand."""
    made = rendered(
        "{{ a }}", text="{{ a }}", html="<p>{{ a }}</p>", fields={"a": "<b>&'\""}
    )

    assert made.subject == "<b>&'\""
    assert made.text.startswith("<b>&'\"")
    assert "<p>&lt;b&gt;&amp;&#39;&#34;</p>" in (made.html or "")


# Errors point and help.


@pytest.mark.parametrize(
    ("sources", "says"),
    [
        (
            {"text": "a\nb\n{{ nmae }}"},
            "message.txt:3: 'nmae' is undefined; did you mean \"name\"?",
        ),
        (
            {"html": "<p>\n\n{{ zzz }}"},
            "message.html:3: 'zzz' is undefined; the columns are: name, ",
        ),
        ({"text": "a\n{% if %}"}, "message.txt:2: Expected an expression"),
        ({"text": "a\n\n{% iff x %}"}, "message.txt:3: Encountered unknown tag 'iff'"),
        ({"html": "<p>\n{{ a"}, "message.html:2: unexpected end of template"),
        (
            {"markdown": "# A\n\ntext\n\n{% if name %}\n* {{ zzz }}\n{% endif %}"},
            "message.md:6: ",
        ),
        ({"text": "{{ name + 1 }}"}, "message.txt:1: can only concatenate str"),
        ({"text": "{% include 'x' %}"}, "message.txt:1: no loader"),
    ],
)
def test_a_fault_is_named_with_file_and_line(sources, says):
    """So that it can be found and mended."""
    with pytest.raises(TemplateError) as caught:
        rendered(fields={"name": "Jo"}, **sources)

    assert str(caught.value).startswith(says)


def test_a_fault_after_a_style_sheet_keeps_its_line():
    """CSS goes into the elements, and the lines stay in number."""
    style = "<style>\np { color: red }\n\n@media print { p { color: blue } }\n</style>\n"

    with pytest.raises(TemplateError, match=r"message\.html:8: 'b'"):
        rendered(
            html=f"<html>\n{style}<p>{{{{ a }}}}</p>\n<p>{{{{ b }}}}</p>", fields={"a": "x"}
        )


def test_a_fault_in_the_subject_names_the_setting():
    """There is no line to count."""
    with pytest.raises(TemplateError, match=r"^\[message\] subject: 'b' is undefined"):
        rendered("{{ b }}", text="x")


@pytest.mark.parametrize(
    "source", ["{{ 1 // (a|int) }}", "{{ a.split(';')[3] }}", "{{ [1][a|int + 5] }}"]
)
def test_a_row_that_does_not_fit_is_refused_alone(source):
    """A value that does not fit makes the row invalid, not the campaign."""
    made = template(text=f"x\n{source}").render({"a": "0"}, GIVEN)

    assert isinstance(made, Refusal)
    assert made.why.startswith("message.txt:2: ")


# The sandbox.


@pytest.mark.parametrize(
    "source",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ ''['__class__'] }}",
        "{{ ''|attr('__class__') }}",
        "{{ self._TemplateReference__context }}",
        "{{ range.__init__.__globals__ }}",
        "{{ '{0.__class__}'.format('') }}",
        "{{ 'a' * 10**9 }}",
        "{{ 10 ** 1000000000 }}",
        "{{ 10**1000 * 10**1000 }}",
        "{{ [0] * 10**9 }}",
        "{{ 'a'|center(10**9) }}",
        "{{ 'a'.ljust(10**9) }}",
        "{{ '%1000000000d' % 1 }}",
        "{{ '%*d' % (1000000000, 1) }}",
        "{{ range(10**9)|list }}",
        "{% for a in range(9999) %}{% for b in range(9999) %}01234{% endfor %}{% endfor %}",
        "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
        "{{ lipsum(10000) }}",
    ],
)
def test_the_sandbox_holds(source):
    """No way to Python's insides, and no single operation without bound."""
    try:
        made = template(text=source).render({}, GIVEN)
    except TemplateError:
        return
    assert isinstance(made, Refusal)


def test_a_deeply_nested_template_is_an_error():
    """And no crash of the compiler."""
    with pytest.raises(TemplateError):
        template(text="{{ " + "(" * 5000 + "1" + ")" * 5000 + " }}")


# CSS.


def test_styles_go_into_the_elements():
    """Rules become style attributes, before the element's own; media queries stay."""
    made = rendered(
        html="<style>p { color: red } @media print { p { color: blue } }</style>"
        "<p>a</p><p style='color:green'>b</p><p class=x style>c</p>"
    )

    assert '<p style="color: red">a</p>' in made.html
    assert "<p style='color: red; color:green'>b</p>" in made.html
    assert made.html.count("color: red") >= 3
    assert "<style>@media print { p { color: blue } }</style>" in made.html


def test_a_template_without_styles_stays_as_it_is():
    """To the character: nobody mends the author's HTML."""
    source = "<!DOCTYPE html>\n<P CLASS=a  >x<br/>&nbsp;<!-- c -->{{ postal_address }}"
    made = template(html=source)

    assert made.html is not None
    assert made.html.source.text == source


def test_jinja_stays_where_it_was():
    """In attributes, between table rows, in a style: a parser would have moved it."""
    source = """<style>td { color: {{ brand }}; padding: 1px }</style>
<table>{% for i in range(2) %}<tr{% if i %} class="odd"{% endif %}>
<td data-x="{{ i }}">{{ i }}</td></tr>{% endfor %}</table>"""
    made = rendered(html=source, fields={"brand": "#abc"})

    assert "{" not in made.html
    assert '<tr>\n<td style="color: #abc;padding: 1px" data-x="0">0</td></tr>' in made.html
    assert (
        '<tr class="odd">\n<td style="color: #abc;padding: 1px" data-x="1">1' in made.html
    )


def test_a_statement_in_a_style_sheet_is_refused():
    """Its rules would apply to all; the error says what to do."""
    source = "<p>\n<style>{% if a %}p { color: red }{% endif %}</style>"

    with pytest.raises(TemplateError, match=r"message\.html:2: \{% if a %\} cannot stand"):
        template(html=source)
    assert template(html=source.replace("<style>", '<style data-css-inline="ignore">'))


def test_no_style_sheet_is_loaded(tmp_path):
    """Neither from the network nor from the disk."""
    sheet = tmp_path / "a.css"
    sheet.write_text("p { color: red }")
    made = rendered(
        html=f'<link rel="stylesheet" href="{sheet}"><link rel=stylesheet href="file://{sheet}">'
        f"<style>@import url('file://{sheet}'); b {{ color: blue }}</style><p>x</p>"
    )

    assert "red" not in made.html


# Text from HTML, and Markdown.


def test_text_is_made_from_html():
    """Paragraphs, lists, links, images; values are not escaped."""
    made = rendered(
        html="""<html><head><title>T</title><style>p { color: red }</style></head><body>
<h1>Hello&nbsp;{{ name }}</h1>
<div style="display: none">hidden {% if a %}x{% endif %}</div>
<!-- {% if a %} secret {% endif %} -->
<ul>{% for i in range(2) %}<li>item {{ i }}</li>{% endfor %}</ul>
{% if name %}
<p>See <a href="https://a.example/?n={{ name }}&amp;b=1">the page</a>
or <a href="https://b.example/">https://b.example/</a>.</p>
{% else %}
<p>never</p>
{% endif %}
<table><tr><td><img src="https://c.example/l.png" alt="Logo"></td>
<td>2 &lt; 3</td></tr></table>
</body></html>""",
        fields={"name": "A&B", "a": "1"},
        given={"postal_address": "", "unsubscribe_url": ""},
    )

    assert made.text == (
        "Hello A&B\n\n"
        "  * item 0\n  * item 1\n"
        "See the page <https://a.example/?n=A&B&b=1> or https://b.example/.\n\n"
        "Logo  2 < 3\n"
    )


def test_braces_in_html_stay_braces():
    """What HTML writes as references does not become a template in the text."""
    made = rendered(html="<p>&#123;{ 7*7 }} {% raw %}{{ 8*8 }}{% endraw %}</p>")

    assert made.text.startswith("{{ 7*7 }} {{ 8*8 }}")


def test_markdown_makes_both_parts():
    """HTML with its styles, and a text to read."""
    made = rendered(
        markdown="""# Hello {{ name }}

{% if name %}
Some **bold** text, [a link](https://a.example/{{ name }}).
{% endif %}

{% for i in range(2) %}
- item {{ i }}
{% endfor %}
""",
        fields={"name": "J&o"},
        given={"postal_address": "", "unsubscribe_url": ""},
    )

    assert re.search(r'<h1 style="[^"]+">Hello J&amp;o</h1>', made.html)
    assert "<strong>bold</strong>" in made.html
    assert made.html.count("<ul") == 1
    assert made.html.count("<li>") == 2
    assert made.text == (
        "Hello J&o\n\nSome bold text, a link <https://a.example/J&o>.\n\n"
        "  * item 0\n  * item 1\n"
    )


def test_html_in_a_value_is_escaped_in_markdown():
    """A value is no Markdown and no HTML."""
    made = rendered(markdown="Hi {{ a }}", fields={"a": "<b>*x*"})

    assert "Hi &lt;b&gt;*x*" in made.html
    assert made.text.startswith("Hi <b>*x*")


# Images.


def test_images_of_the_campaign_get_a_content_id():
    """Files do, once each; images elsewhere are left alone."""
    made = template(
        html='<img src="a%20b.png"><IMG SRC=cid:logo.png><img src="a b.png">\n'
        '<img src="https://c.example/x.png"><img src="data:image/png;base64,AA==">'
        '<img src="{{ url }}">',
        domain="example.com",
    )

    assert [(image.name, image.where) for image in made.images] == [
        ("a b.png", "message.html:1"),
        ("logo.png", "message.html:1"),
    ]
    text = made.html.source.text
    assert text.count(f'src="cid:{made.images[0].content_id}"') == 2
    assert f"SRC=cid:{made.images[1].content_id}>" in text
    assert 'src="https://c.example/x.png"' in text
    assert 'src="{{ url }}"' in text


def test_an_image_name_is_no_template():
    """All messages have the same images."""
    with pytest.raises(TemplateError, match=r"message\.html:2: the file name of an image"):
        template(html='\n<img src="img/{{ a }}.png">')


# Invariants.

markup = st.lists(
    st.sampled_from(
        [
            "<p>", "</p>", "<table>", "<tr>", "<td>", "</td>", "</tr>", "</table>", "<b>",
            "</b>", "<div class='a'>", "</div>", "text", " ", "\n", "&amp;", "<!-- c -->",
            "<br>", "{{ v }}", "<a href='{{ v }}'>", "</a>", "<ul>", "<li>", "</ul>",
            "<img alt='{{ v }}'>", "<p {% if v %}class='a'{% endif %}>", "{# c #}",
            "{% if v %}x{% endif %}", "<style>p { color: {{ v }} }</style>", "<", ">", "'",
            '"', "<h{{ n }}>", "</h{{ n }}>", "{% if v %}", "{% endif %}",
        ]
    ),
    max_size=25,
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(markup)
def test_whatever_the_html_both_parts_come_out(pieces):
    """However broken the HTML: no tag of Jinja is left, or an error names a line."""
    source = "".join(pieces)
    try:
        made = template(html=source).render({"v": "VALUE", "n": "2"}, GIVEN)
    except TemplateError as error:
        assert re.match(r"message\.html:\d+: ", str(error))  # noqa: PT017
        return

    assert isinstance(made, Rendered)
    for part in (made.html, made.text):
        assert not re.search(r"\{\{|\{%|\{#|mbx|\ue000|\ue001", part)
