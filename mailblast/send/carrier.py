"""By what the mail of a plan is carried: a relay, the recipients' own hosts, files."""

import time
from contextlib import AsyncExitStack
from pathlib import Path

from mailblast.destination import Carrier, Directory, Relay
from mailblast.direct import Direct, Outbound
from mailblast.errors import ConnectionFailed
from mailblast.resolver import Resolver
from mailblast.sandbox import PracticeInternet
from mailblast.send.prepare import Plan
from mailblast.smtp.session import Server


async def carrier_of(plan: Plan, stack: AsyncExitStack) -> Carrier:
    """The carrier; what it needs to run is closed with the stack."""
    delivery = plan.campaign.delivery
    if delivery.via == "maildir":
        assert delivery.maildir is not None  # noqa: S101 - the settings have been checked
        return Directory(delivery.maildir)
    if delivery.via == "direct":
        return _direct(plan)

    def place(domain: str) -> str:
        return plan.table.place(domain).destination

    if delivery.via == "sandbox":
        practice = PracticeInternet(
            inbox_of(plan), clock=time.time, realistic=plan.rehearsal
        )
        port = await practice.start()
        stack.push_async_callback(practice.stop)
        return Relay(Server("127.0.0.1", port, security="none"), place)
    return Relay(
        Server(
            host=delivery.host,
            port=delivery.port,
            security=delivery.security,
            username=delivery.username,
            password=plan.password,
            ehlo=delivery.ehlo,
            ca_file=delivery.ca_file,
        ),
        place,
    )


def _direct(plan: Plan) -> Direct:
    delivery, table = plan.campaign.delivery, plan.table
    outbound = Outbound(
        ehlo=delivery.ehlo,
        source=delivery.source,
        port=delivery.port,
        allow_loopback=delivery.allow_loopback,
        ca_file=delivery.ca_file,
    )
    return Direct(
        Resolver(delivery.resolver, trusted=delivery.trust_ad),
        plan.ledger.policies,
        outbound,
        place=lambda domain, hosts: table.place(domain, hosts).destination,
        tls_required=lambda destination: table.limits(destination).tls == "required",
    )


def inbox_of(plan: Plan) -> Path:
    """Where the practice Internet puts what comes back."""
    return plan.ledger.directory / "sandbox" / "inbox.mbox"


def advice(error: ConnectionFailed) -> str:
    """What to look at when there is no way to the relay; "" where no setting is at fault."""
    if not error.about:
        return ""
    *others, last = error.about
    settings = f"{', '.join(others)} and {last}" if others else last
    return (
        f"look at {settings} in [delivery], of campaign.toml or mailblast.toml; then run the "
        "same command again"
    )
