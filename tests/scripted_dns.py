"""A DNS server that answers as it is told, above all as it should not.

    async with ScriptedDns({("a.example", "MX"): "10 mx.a.example."}) as dns:
        …                                              dns.server, .asked

A script says what to answer to a name and a type: records as text, one a line; `silence`;
an rcode as "SERVFAIL"; or a function from the query to the octets that are sent.  Anything
else does not exist.  `asked` has every question with the protocol that it came by.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

Answer = str | Callable[[dns.message.Message], bytes]
Script = Mapping[tuple[str, str], Answer]


def answer(
    query: dns.message.Message, records: str, *, ttl: int = 60
) -> dns.message.Message:
    """A proper response with these records, of the type that was asked for."""
    response = dns.message.make_response(query, recursion_available=True)
    asked = query.question[0]
    lines = records.splitlines()
    response.answer.append(
        dns.rrset.from_text_list(asked.name, ttl, "IN", asked.rdtype, lines)
    )
    return response


def authentic(records: str) -> Answer:
    """The records, with the flag that says: DNSSEC was validated."""

    def act(query: dns.message.Message) -> bytes:
        response = answer(query, records)
        response.flags |= dns.flags.AD
        return response.to_wire()

    return act


def silence(_: dns.message.Message) -> bytes:
    """Say nothing."""
    return b""


def garbage(_: dns.message.Message) -> bytes:
    """What is no DNS at all."""
    return b"\x00\x01HTTP/1.1 400"


def bogus(query: dns.message.Message) -> bytes:
    """SERVFAIL, because the signatures are wrong (RFC 8914 §4.7)."""
    response = dns.message.make_response(query, recursion_available=True)
    response.set_rcode(dns.rcode.SERVFAIL)
    response.use_edns(options=[dns.edns.EDEOption(dns.edns.EDECode.DNSSEC_BOGUS)])
    return response.to_wire()


def cname_loop(query: dns.message.Message) -> bytes:
    """An alias of an alias of itself."""
    name, other = query.question[0].name, "loop2.example."
    response = dns.message.make_response(query, recursion_available=True)
    response.answer.append(dns.rrset.from_text(name, 60, "IN", "CNAME", other))
    response.answer.append(dns.rrset.from_text(other, 60, "IN", "CNAME", str(name)))
    return response.to_wire()


def alias(target: str, records: str) -> Answer:
    """An alias, and the records of what it stands for."""

    def act(query: dns.message.Message) -> bytes:
        asked = query.question[0]
        response = dns.message.make_response(query, recursion_available=True)
        response.answer.append(dns.rrset.from_text(asked.name, 60, "IN", "CNAME", target))
        lines = records.splitlines()
        response.answer.append(
            dns.rrset.from_text_list(target, 60, "IN", asked.rdtype, lines)
        )
        return response.to_wire()

    return act


class ScriptedDns(asyncio.DatagramProtocol):
    """The server, by UDP and TCP; an asynchronous context.

    An answer that is too long for UDP is truncated there, as it should be.
    """

    def __init__(self, script: Script) -> None:
        self.script = dict(script)
        self.asked: list[tuple[str, str, str]] = []
        self.server = ""

    async def __aenter__(self) -> "ScriptedDns":
        loop = asyncio.get_running_loop()
        self._tcp = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._tcp.sockets[0].getsockname()[1]
        self._udp, _ = await loop.create_datagram_endpoint(
            lambda: self, local_addr=("127.0.0.1", port)
        )
        self.server = f"127.0.0.1:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._udp.close()
        self._tcp.close()
        await self._tcp.wait_closed()

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        query = dns.message.from_wire(data)
        wire = self._answer(query, "udp")
        if len(wire) > query.payload:
            response = dns.message.make_response(query, recursion_available=True)
            response.flags |= dns.flags.TC
            wire = response.to_wire()
        if wire:
            self._transport.sendto(wire, addr)

    async def _serve(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        length = int.from_bytes(await reader.readexactly(2))
        query = dns.message.from_wire(await reader.readexactly(length))
        wire = self._answer(query, "tcp")
        writer.write(len(wire).to_bytes(2) + wire)
        await writer.drain()
        writer.close()

    def _answer(self, query: dns.message.Message, protocol: str) -> bytes:
        asked = query.question[0]
        name = asked.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(asked.rdtype)
        self.asked.append((name, kind, protocol))
        told = self.script.get((name, kind))
        if callable(told):
            return told(query)
        if told is not None and not told.isalpha():
            return answer(query, told).to_wire(max_size=65_535)
        response = dns.message.make_response(query, recursion_available=True)
        if told or not any(known == name for known, _ in self.script):
            response.set_rcode(dns.rcode.from_text(told or "NXDOMAIN"))
        return response.to_wire()
