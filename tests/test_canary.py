"""A password goes to the server it is for, and nowhere else, whatever goes wrong (FAULTS 30)."""

import base64

import pytest
from commands import letter, run
from misbehaving import Authority, running

CANARY = "canary-Zw7q"
FORMS = [
    CANARY.encode(),
    base64.b64encode(CANARY.encode()),
    base64.b64encode(f"\0news\0{CANARY}".encode())[8:-4],  # as AUTH PLAIN has it
]

FAILURES = {
    "wrong password": ("good", {"AUTH": "535 5.7.8 no"}),
    "an echo of what was sent": ("good", {"AUTH": f"535 5.7.8 {CANARY} is wrong"}),
    "another host": ("other_host", {}),
    "expired": ("expired", {}),
    "unknown authority": ("unknown_authority", {}),
    "a recipient is refused": ("good", {"RCPT": "550 5.1.1 nobody"}),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_canary_is_seen_nowhere(tmp_path, failure):
    """In no output, no ledger, no run book, no kept content, and on no command line."""
    certificate, script = FAILURES[failure]
    authority = Authority(tmp_path)
    workspace = tmp_path / "workspace"
    workspace.mkdir()
    with running(script, tls=getattr(authority, certificate)()) as server:
        delivery = f"""\
[delivery]
via = "relay"
host = "127.0.0.1"
port = {server.port}
security = "starttls"
ca_file = "{authority.file}"
username = "news"
password = {{ env = "SMTP_PASSWORD" }}
"""
        letter(workspace, "r@one.example,R\n", delivery=delivery)
        ended = run(workspace, "send", "letter", "--yes", env={"SMTP_PASSWORD": CANARY})

    files = [path.read_bytes() for path in workspace.rglob("*") if path.is_file()]
    for seen in (ended.raw, ended.err.encode(), *files):
        assert not any(form in seen for form in FORMS)
    if certificate != "good":
        assert not any(form in bytes(server.record) for form in FORMS)
        assert "AUTH" not in server.verbs


def test_a_password_in_the_settings_is_refused_unseen(tmp_path):
    """Written into the file, it is refused with what to do, and not repeated."""
    delivery = f'[delivery]\nvia = "relay"\nhost = "x.example"\npassword = "{CANARY}"\n'
    letter(tmp_path, "r@one.example,R\n", delivery=delivery)
    ended = run(tmp_path, "send", "letter", "--yes")

    assert ended.status == 1
    assert "password = { env = " in ended.err
    assert CANARY not in ended.err + ended.out
