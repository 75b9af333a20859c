"""Fetching an MTA-STS policy over HTTPS.

Rule (RFC 8461 §3.3): the certificate must be valid for mta-sts.<domain>, nothing is
followed elsewhere, and size and time are bounded.
"""

from collections.abc import Sequence

from mailblast.errors import Refusal
from mailblast.https import Question, Web, ask
from mailblast.mtasts import MAX_TEXT

PATH = "/.well-known/mta-sts.txt"


async def fetch(host: str, addresses: Sequence[str], web: Web) -> str | Refusal:
    """The text of the policy at `host`, from the first of its addresses that answers."""
    question = Question(PATH, headers={"Accept": "text/plain"}, max_body=MAX_TEXT)
    got = await ask(host, addresses, web, question)
    if isinstance(got, Refusal):
        return got
    if got.status != 200:
        return Refusal(f"{host}: status {got.status}")
    if got.headers.get_content_type() != "text/plain":
        return Refusal(f"{host}: the policy is no text/plain")
    return got.body.decode("ascii", "backslashreplace")
