"""Reports about us as a whole: DMARC aggregates (RFC 7489), TLS-RPT (RFC 8460).

Rule: they are told by their names alone and never opened: a compressed report may grow a
thousandfold, and what it says concerns no delivery.
"""

import re

from mailblast.bounce.message import Message
from mailblast.bounce.notice import Kind, Notice

# RFC 7489 §7.2.1.1: "receiver!policy-domain!begin!end[!id].xml.gz"; RFC 8460 §5.3 alike.
_FILE = re.compile(
    r"[\w.-]{1,255}![\w.-]{1,255}!\d{6,12}!\d{6,12}(?:![\w.-]{1,255})?\.(?:xml|json)?(?:\.?gz|\.?zip)?",
    re.IGNORECASE,
)
_SUBJECT = re.compile(r"\breport[ _]domain:.{1,300}\bsubmitter:", re.IGNORECASE | re.DOTALL)


def read(message: Message) -> Notice | None:
    """Read an aggregate report."""
    if message.head.parameter("report-type").lower() == "tlsrpt":
        return Notice(Kind.REPORT, rule="TLS report")
    if any(leaf.type.startswith("application/tlsrpt") for leaf in message.leaves):
        return Notice(Kind.REPORT, rule="TLS report")
    if _SUBJECT.search(message.subject):
        return Notice(Kind.REPORT, rule="DMARC report by its subject")
    for leaf in message.leaves:
        named = leaf.value("content-disposition") + leaf.value("content-type")
        if _FILE.search(named):
            return Notice(Kind.REPORT, rule="DMARC report by its file name")
    return None
