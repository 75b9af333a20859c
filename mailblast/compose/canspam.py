"""What the law asks of a commercial message before it may be composed at all.

CANSPAM-ADDRESS: 15 U.S.C. 7704(a)(5)(A)(iii).  CANSPAM-OPTOUT-PRESENT: 7704(a)(3)(A)(i).
That both stand in every part of every message is seen to by `template.footer`.
"""

from mailblast.campaign import Campaign
from mailblast.errors import Problem


def compliance(campaign: Campaign) -> list[Problem]:
    """Why a campaign may not go out; empty when it may, as far as its settings tell."""
    if campaign.message.purpose != "commercial":
        return []
    problems = []
    if not any(line.strip() for line in campaign.sender.postal_address):
        problems.append(
            Problem(
                "[sender] postal_address",
                "a commercial message shows the sender's physical postal address "
                "(15 U.S.C. 7704(a)(5)(A)(iii))",
                'add postal_address = ["Street 1", "12345 City", "Country"] to [sender]',
            )
        )
    if not (campaign.unsubscribe.url or campaign.unsubscribe.mailto):
        problems.append(
            Problem(
                "[unsubscribe]",
                "a commercial message shows a working way to ask for no more "
                "(15 U.S.C. 7704(a)(3)(A)(i))",
                'add url = "https://…" or mailto = "unsubscribe@…" to [unsubscribe]',
            )
        )
    return problems
