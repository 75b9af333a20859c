"""Composing within bounds of memory and time, here and in worker processes."""

import asyncio

import pytest
from commands import letter, relay, run
from letters import KEYRING, campaign, due
from misbehaving import running

from mailblast.compose import Message, TemplateError
from mailblast.header import Columns
from mailblast.pool import Pool, Workbench, workbench

COLUMNS = Columns(("email", "name"), 0, ("email", "name"))

ENDLESS = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
DOUBLING = (
    "{% set s = namespace(l=['x']) %}"
    "{% for a in range(99) %}{% set s.l = s.l + s.l %}{% endfor %}{{ s.l|length }}"
)


def bench(tmp_path, text):
    found = campaign(tmp_path, message_txt=text)
    return Workbench(found, COLUMNS, "run", KEYRING)


def test_workers_make_the_same_bytes(tmp_path):
    """A message is a function of what it is made from, in whichever process."""
    made_from = bench(tmp_path, "Dear {{ name }}\n")
    batch = [due("Ä", mailbox="x@one.example"), due("B", mailbox="y@one.example")]
    here, there = Pool(made_from, 0), Pool(made_from, 2)
    try:
        made = asyncio.run(here.compose(batch))
        assert asyncio.run(there.compose(batch)) == made
        assert all(isinstance(one, Message) for one in made)
    finally:
        there.close()


@pytest.mark.parametrize("text", [ENDLESS, DOUBLING])
def test_a_template_has_bounds_of_time_and_memory(tmp_path, monkeypatch, text):
    """One that never ends, or that doubles what it holds, is an error and no outage."""
    monkeypatch.setattr(workbench, "SECONDS", 0.5)
    monkeypatch.setattr(workbench, "MEMORY", 200 << 20)
    with pytest.raises(TemplateError, match=r"too (much|large)"):
        asyncio.run(Pool(bench(tmp_path, text), 0).compose([due("A")]))


@pytest.mark.parametrize(
    "text",
    [
        "{{ ''.__class__.__mro__ }}",
        "{{ 'a' * 1000000000 }}",
        "{% for a in range(99999) %}{% for b in range(999) %}aaaaaaaa{% endfor %}{% endfor %}",
        "{{ nmae }}",
        "{% if %}",
    ],
)
def test_nothing_is_sent_of_a_hostile_template(tmp_path, text):
    """The campaign is refused with the file and a sentence before any connection."""
    with running() as server:
        settings = relay(server.port, 1)
        letter(tmp_path, "x@one.example,A\n", delivery=settings, message_txt=text)
        ended = run(tmp_path, "send", "letter", "--yes")

    assert ended.status == 1
    assert "message.txt:1" in ended.err
    assert server.sessions == 0
