"""Fetching what records of the DNS point to: the policy of MTA-STS, the logo of BIMI."""

import asyncio

from mailblast.check.logo import LogoFiles, record
from mailblast.check.published import Logo, Transport
from mailblast.check.transport import StsPolicies
from mailblast.errors import Refusal
from mailblast.mtasts import record_id
from mailblast.mtasts.fetch import PATH, fetch
from mailblast.preflight.reach import Reach

MAX_LOGO = 200_000  # octets; 32,768 are allowed, and how many more there are is told
MAX_CERTIFICATE = 1_000_000  # octets: it has the logo in it

NOT_NAMED = Refusal("the record names none")


async def policies(found: Transport, reach: Reach) -> StsPolicies:
    """The policy of each domain that has a record for one."""
    domains = [name for name, texts in found.mta_sts.items() if record_id(texts.records)]
    urls = [f"https://mta-sts.{domain}{PATH}" for domain in domains]
    texts = await asyncio.gather(*(reach.at(url, fetch) for url in urls))
    return StsPolicies(dict(zip(domains, texts, strict=True)))


async def logo_files(found: Logo, reach: Reach) -> LogoFiles:
    """The logo and the certificate of a BIMI record."""
    texts = [text for text in found.found.records if text.lower().startswith("v=bimi1")]
    tags = record(texts[0]) if len(texts) == 1 else {}
    logo, certificate = await asyncio.gather(
        _got(tags.get("l", ""), MAX_LOGO, reach),
        _got(tags.get("a", ""), MAX_CERTIFICATE, reach),
    )
    return LogoFiles(logo, certificate)


async def _got(url: str, most: int, reach: Reach) -> bytes | Refusal:
    return await reach.get(url, most) if url else NOT_NAMED
