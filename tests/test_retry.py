"""SMTP-RETRY: how long a message is tried."""

import pytest
from checking import campaign, facts, says


@pytest.mark.parametrize(
    ("via", "days", "expected"),
    [
        ("direct", 4, "pass"),
        ("relay", 5, "pass"),
        ("direct", 3.9, "warn"),
        ("relay", 0.5, "warn"),
        ("maildir", 1, "skip"),
        ("sandbox", 1, "skip"),
    ],
)
def test_how_long_it_is_tried(via, days, expected):
    """Four days at least, as RFC 5321 §4.5.4.1 asks; less counts the slow as failures."""
    made = campaign(delivery={"via": via, "host": "h", "give_up_after": days * 86_400})

    assert says("SMTP-RETRY", facts(made), "standards").status == expected
