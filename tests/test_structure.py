"""MIME: the parts of a message, and the files that may travel in it."""

import os

import pytest
from letters import bodies, campaign, composed, composer, due, parsed, structure

from mailblast.compose import TemplateError
from mailblast.errors import Refusal

HTML = "<html><body><p>Hi {{ name }}</p></body></html>"
TEXT = "Hi {{ name }}\n"


def test_structures(tmp_path):
    """A level with one part in it is left out."""
    png = b"\x89PNG\r\n\x1a\n"
    image = HTML.replace("<p>", '<p><img src="a.png">')

    def made(message="", **files):
        home = tmp_path / str(len(list(tmp_path.iterdir())))
        home.mkdir()
        return structure(
            parsed(composed(composer(campaign(home, message=message, **files)), "Jo"))
        )

    attached = 'attachments = ["b.pdf"]'
    assert made(message_txt=TEXT) == "plain"
    assert made(message_html=HTML) == ("alternative", "plain", "html")
    assert made(message_html=image, a_png=png) == (
        "alternative",
        "plain",
        ("related", "html", "png"),
    )
    assert made(attached, message_txt=TEXT, b_pdf=b"%PDF") == ("mixed", "plain", "pdf")
    assert made(attached, message_html=image, a_png=png, b_pdf=b"%PDF") == (
        "mixed",
        ("alternative", "plain", ("related", "html", "png")),
        "pdf",
    )


def test_images_and_attachments_arrive_whole(tmp_path):
    """Their bytes, their names, and the Content-ID that the HTML asks for."""
    png, pdf = bytes(range(256)) * 3, b"%PDF-1.7\r\n\n\r" * 50
    made = campaign(
        tmp_path,
        message='attachments = ["terms.pdf", "{{ file }}"]',
        message_html='<img src="logo.png">',
        logo_png=png,
        terms_pdf=pdf,
        **{"Schlüssel für dich_txt": "key"},
    )
    read = parsed(composed(composer(made, "name", "file"), "Jo", "Schlüssel für dich.txt"))

    image, terms, key = [part for part in read.walk() if not part.is_multipart()][2:]
    assert image.get_content() == png
    assert image["Content-Disposition"].content_disposition == "inline"
    assert f'src="cid:{image["Content-ID"][1:-1]}"' in bodies(read)["html"]
    assert (terms.get_filename(), terms.get_content()) == ("terms.pdf", pdf)
    assert (key.get_filename(), key.get_content()) == ("Schlüssel für dich.txt", "key")
    assert {part["Content-Disposition"].content_disposition for part in (terms, key)} == {
        "attachment"
    }


def test_a_path_that_renders_to_nothing_attaches_nothing(tmp_path):
    """So that only some recipients get an attachment."""
    made = campaign(
        tmp_path, message='attachments = ["{{ name }}"]', message_txt="x", a_pdf=b"%"
    )

    assert structure(parsed(composed(composer(made), ""))) == "plain"
    assert structure(parsed(composed(composer(made), "a.pdf"))) == ("mixed", "plain", "pdf")


@pytest.mark.parametrize(
    "name",
    [
        "../../etc/passwd",
        "../secret.txt",
        "/etc/passwd",
        "sub/../../secret.txt",
        "link.txt",
        "linked/secret.txt",
        "recipients.csv",
        "campaign.toml",
        "message.txt",
        ".hidden",
        ".",
        "sub",
        "a\\b",
        "absent.pdf",
        "a\0b",
        "~/x",
        "x" * 300,
    ],
)
def test_an_attachment_never_leaves_the_directory(tmp_path, name):
    """Nor is it the list, a setting or a hidden file; the row is invalid."""
    (tmp_path / "secret.txt").write_text("secret")
    made = campaign(
        tmp_path,
        message='attachments = ["{{ name }}"]',
        message_txt="x",
        _hidden="x",
    )
    (made.directory / "sub").mkdir()
    (made.directory / "link.txt").symlink_to(tmp_path / "secret.txt")
    (made.directory / "linked").symlink_to(tmp_path)

    refused = composer(made).compose(due(name))

    assert isinstance(refused, Refusal)
    assert refused.why.startswith("attachment ")


def test_a_file_that_all_should_get_is_missed_at_once(tmp_path):
    """An image: with the line that asks for it."""
    made = campaign(tmp_path, message_html='<p>\n<img src="no.png">')

    with pytest.raises(TemplateError, match=r"message\.html:2: 'no\.png' is no file"):
        composer(made)


def test_too_much_is_refused(tmp_path):
    """25 MB, as sent."""
    made = campaign(
        tmp_path,
        message='attachments = ["a.bin"]',
        message_txt="x",
        a_bin=os.urandom(19_000_000),
    )

    with pytest.raises(TemplateError, match="more than 25,000,000 bytes"):
        composer(made)
