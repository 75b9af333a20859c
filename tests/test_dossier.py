"""`report --compliance`: what proves that a run was lawful, or shows where it was not."""

import re
import shutil
import time
from email.utils import formatdate
from pathlib import Path

import pytest
from commands import SANDBOX, SETTINGS, letter, ok, the_run

ANN, BO, CY = (f"{name}@inbox.example" for name in ("ann", "bo", "cy"))
PEOPLE = f"{ANN},Ann\n{BO},Bo\n{CY},Cy\n{CY},Again\nnobody,No\n"


@pytest.fixture
def sent(tmp_path: Path) -> Path:
    """A workspace from which a letter went to three."""
    letter(tmp_path, PEOPLE)
    ok(tmp_path, "send", "letter", "--yes")
    return tmp_path


def dossier(where: Path, *words: object):
    return ok(where, "report", "--compliance", "--json", *words).json


def wish(where: Path, who: str, came: float) -> Path:
    """Who pressed the button of their mail program, in a mailbox since then."""
    message = ok(where, "show", who, "--raw").out.replace("\r\n ", " ")
    to = re.search(r"<mailto:([^?>]+)", message)[1]
    path = where / f"{who}.eml"
    path.write_text(
        f"Received: from x.example by mx.shop.example; {formatdate(came)}\n"
        f"Return-Path: <{who}>\nFrom: {who}\nTo: {to}\nSubject: unsubscribe\n\n"
    )
    return path


def test_the_sums_are_those_of_the_run(sent):
    """It has the run's own report, whose sums add up; to a name, and to a campaign's."""
    found = dossier(sent)

    assert found["run"] == the_run(sent)
    assert found["run"]["dispositions"] == {"accepted": 3, "invalid": 2}
    assert dossier(sent, "letter") == dossier(sent, found["run"]["run"]) == found
    assert found["list"]["columns"] == ["email", "name"]
    assert len(found["list"]["digest"]) == 64


def test_what_was_sent_is_shown_whatever_lies_there_today(sent):
    """The message, its address and links are of the run; the files may change or vanish."""
    shutil.rmtree(sent / "letter")
    found = dossier(sent)

    message = found["message"]
    assert (message["proven"], message["row"], message["recipient"]) == (True, 1, ANN)
    assert message["subject"] == "News for Ann"
    assert "Dear Ann" in message["text"]
    assert "Main Road 7" in message["text"]
    (link,) = message["links"]
    assert link.startswith("https://u.shop.example/u/")
    assert f"<{link}>" in dict(message["headers"])["List-Unsubscribe"]
    assert found["sender"]["postal_address"][1] == "Main Road 7"
    assert found["sender"]["from"] == "Example Shop <news@shop.example>"
    assert found["attestations"]["CANSPAM-ADDRESS-FORM"]["by"] == "Ada Lovelace"
    statuses = {one["id"]: one["status"] for one in found["findings"]}
    assert statuses["CANSPAM-ADDRESS"] == statuses["BULK-ONECLICK"] == "pass"
    assert statuses["CANSPAM-ADDRESS-FORM"] == "attested"
    assert "skip" not in statuses.values()


def test_every_opt_out_and_when_it_took_effect(sent):
    """By mail, by hand and by complaint alike; from the day on which the wish came."""
    came = time.time() - 1
    while time.time() < int(came) + 3:  # dates of mail have whole seconds
        time.sleep(0.05)
    ok(sent, "bounces", "import", wish(sent, ANN, came + 2))
    ok(sent, "unsubscribe", "add", BO)
    ok(sent, "unsubscribe", "add", "stranger@inbox.example")
    ann, bo = dossier(sent)["opt_outs"]

    assert (ann["key"], ann["reason"], bo["key"]) == (ANN, "unsubscribed", BO)
    assert ann["asked"] < ann["added"]
    assert bo["asked"] == bo["added"]
    for one in (ann, bo):
        assert one["mailed_before"] <= one["added"]
        assert one["mailed_after"] is one["removed"] is None
    assert "2 recipients, no mail afterwards" in ok(sent, "report", "--compliance").out


def test_mail_after_a_wish_that_lay_unread(sent):
    """The wish had come, nobody imported it, and a second mailing went out: it is told first,
    and the law's deadline is held against it; `check` sees it too."""
    came = time.time()
    mail = wish(sent, BO, came)
    ok(sent, "unsubscribe", "add", ANN)
    time.sleep(1.1)
    ok(sent, "send", "letter", "--yes", "--new-run")
    ok(sent, "bounces", "import", mail)
    found = dossier(sent)

    late = {one["key"]: one["mailed_after"] for one in found["opt_outs"]}
    assert late[ANN] is None
    assert late[BO] is not None
    deadline = {one["id"]: one["status"] for one in found["findings"]}
    assert deadline["CANSPAM-OPTOUT-10BD"] == "warn"  # within ten days, but late
    said = ok(sent, "report", "--compliance").out
    assert "2 recipients, 1 of them MAILED AFTERWARDS" in said
    assert said.index(f"{BO}: unsubscribed") < said.index(f"{ANN}: unsubscribed")
    told = ok(sent, "check", "letter", "--json").json["findings"]
    assert "warn" in [one["status"] for one in told if one["id"] == "CANSPAM-OPTOUT-10BD"]


def test_what_is_missing_is_named(sent):
    """A run book that was removed, a content that is gone: nothing is guessed."""
    (sent / ".mailblast/runs.json").unlink()
    shutil.rmtree(sent / ".mailblast/content")
    found, said = dossier(sent), ok(sent, "report", "--compliance").out

    assert found["sender"] is found["machine"] is found["list"]["digest"] is None
    assert "cannot be composed again" in found["message"]["missing"]
    assert found["findings"] == []
    assert found["run"]["dispositions"] == {"accepted": 3, "invalid": 2}
    for told in ("the run book has no such run", "the copy of the content is gone"):
        assert told in " ".join(said.split())


def test_another_message_than_was_sent_proves_nothing(sent):
    """Whoever changes the copy of the content is found out."""
    (kept,) = (sent / ".mailblast/content").glob("*/letter/message.txt")
    kept.write_text("Dear {{ name }}, another letter\n")

    assert dossier(sent)["message"]["proven"] is False
    assert "NOT what was sent" in ok(sent, "report", "--compliance").out


def test_overrides_stand_there_with_their_reason(tmp_path):
    """Who sends against a rule has to say why, and it is kept."""
    settings = (SETTINGS + SANDBOX).replace('source = "signup"', 'source = "other"')
    letter(tmp_path, PEOPLE, campaign_toml=settings)
    because = "--because=list of 2019, kept on paper"
    ok(tmp_path, "send", "letter", "--yes", "--override", "CANSPAM-HARVEST", because)

    assert dossier(tmp_path)["overrides"] == {
        "CANSPAM-HARVEST": "list of 2019, kept on paper"
    }
    said = " ".join(ok(tmp_path, "report", "--compliance").out.split())
    assert "CANSPAM-HARVEST: OVERRIDDEN, because: list of 2019, kept on paper" in said


def test_consent_is_counted_from_the_ledger(tmp_path):
    """The list may be gone: what each row said of consent entered the ledger with it."""
    rows = (
        "email,name,consent,consent_at\n"
        f"{ANN},Ann,express,2026-01-02\n{BO},Bo,express,2026-01-02\n{CY},Cy,,\nbad,B,express,\n"
    )
    home = letter(tmp_path, "", recipients_csv=rows)
    ok(tmp_path, "send", "letter", "--yes")
    shutil.rmtree(home)

    found = {
        (one["basis"], one["at"]): one["rows"] for one in dossier(tmp_path)["consents"]
    }
    assert found == {("express", "2026-01-02"): 2, ("", None): 1}
    said = ok(tmp_path, "report", "--compliance").out
    assert "2 rows: express, since 2026-01-02" in said
    assert "1 row: no consent recorded" in said


def test_a_file_to_keep(sent):
    """It has everything, is its owner's alone, and nothing is written over."""
    everybody = [f"p{n:02}@inbox.example" for n in range(25)]
    letter(sent, "".join(f"{one},P\n" for one in everybody))
    ok(sent, "send", "letter", "--yes", "--new-run")
    ok(sent, "unsubscribe", "add", *everybody)
    short = ok(sent, "report", "--compliance").out
    ok(sent, "report", "--compliance", "-o", "dossier.txt")
    whole = (sent / "dossier.txt").read_text()

    assert short.count(": unsubscribed, by") == 20
    assert "and 5 more; --output FILE has them all" in short
    assert whole.count(": unsubscribed, by") == 25
    assert (sent / "dossier.txt").stat().st_mode & 0o777 == 0o600
    again = ok(sent, "report", "--compliance", "-o", "dossier.txt", status=1)
    assert "dossier.txt is there already" in again.err
    assert (sent / "dossier.txt").read_text() == whole
    assert ok(sent, "report", "-o", "x", status=1).err


def test_nothing_from_outside_forges_a_line(tmp_path):
    """A name in the list can neither colour the screen nor begin a line of its own."""
    letter(
        tmp_path,
        f'{ANN},"Eve\n\nWhat was declared\n  no override \x1b[2J"\n',
        message_txt="Dear {{ name }}\n",
        campaign_toml=(SETTINGS + SANDBOX).replace("News for {{ name }}", "News"),
    )
    ok(tmp_path, "send", "letter", "--yes")
    said = ok(tmp_path, "report", "--compliance").out

    assert "\x1b" not in said
    assert said.count("\nWhat was declared\n") == 1


def test_a_narrow_terminal(sent):
    """Lines keep to the width, but for what cannot be broken."""
    said = ok(sent, "report", "--compliance", env={"COLUMNS": "60"}).out

    assert [
        line for line in said.splitlines() if len(line) > 60 and " " in line.strip()
    ] == []


def test_nothing_was_accepted(tmp_path):
    """Then there is no message to show, and that is said."""
    letter(tmp_path, "x@unknown.example,X\n")
    ok(tmp_path, "send", "letter", "--yes")

    assert dossier(tmp_path)["message"] == {"missing": "no message was accepted"}
    assert "none: no message was accepted" in ok(tmp_path, "report", "--compliance").out
