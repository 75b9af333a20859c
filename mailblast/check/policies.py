"""The packs of our own: their texts lie in `packs/`, their functions in the tables below.

Each function here stands under `mailblast.policies` in pyproject.toml, as a company's does in
its own.
"""

from functools import partial
from importlib.resources import files

from mailblast.check import (
    alignment,
    body,
    consent,
    deadlines,
    endpoint,
    envelope,
    feedback,
    header,
    hosts,
    hygiene,
    identity,
    links,
    listheader,
    logo,
    mime,
    ownership,
    rendering,
    retry,
    scope,
    sender,
    signature,
    spam,
    standing,
    subject,
    traffic,
    transport,
    volume,
    wayout,
)
from mailblast.check.pack import Check, Pack, read_pack

CHECKS: dict[str, Check] = {
    **scope.CHECKS,
    **sender.CHECKS,
    **subject.CHECKS,
    **wayout.CHECKS,
    **consent.CHECKS,
    **identity.CHECKS,
    **deadlines.CHECKS,
    **hygiene.CHECKS,
    **rendering.CHECKS,
    **volume.CHECKS,
    **traffic.CHECKS,
    **envelope.CHECKS,
    **signature.CHECKS,
    **ownership.CHECKS,
    **feedback.CHECKS,
    **retry.CHECKS,
    **alignment.CHECKS,
    **hosts.CHECKS,
    **standing.CHECKS,
    **transport.CHECKS,
    **logo.CHECKS,
    **endpoint.CHECKS,
    **header.CHECKS,
    **listheader.CHECKS,
    **mime.CHECKS,
    **links.CHECKS,
    **body.CHECKS,
    **spam.CHECKS,
}


def _pack(name: str) -> Pack:
    text = (
        files("mailblast.check").joinpath(f"packs/{name}.toml").read_text(encoding="utf-8")
    )
    return read_pack(name, text, CHECKS)


can_spam = partial(_pack, "can-spam")
bulk_senders = partial(_pack, "bulk-senders")
standards = partial(_pack, "standards")
casl = partial(_pack, "casl")
gdpr_eprivacy = partial(_pack, "gdpr-eprivacy")
uk_pecr = partial(_pack, "uk-pecr")
spam_act_au = partial(_pack, "spam-act-au")
