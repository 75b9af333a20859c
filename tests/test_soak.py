"""A small soak (soak.py): long enough for every kind of fault, short enough for every day."""

from pathlib import Path

import pytest
from soak import Soak


@pytest.mark.parametrize(
    ("via", "messages", "kills"), [("relay", 3000, 8), ("direct", 1500, 5)]
)
def test_whatever_happens(tmp_path: Path, via: str, messages: int, kills: int) -> None:
    """A receiver that misbehaves at random, and `send` killed again and again: nobody is lost,
    nobody has two copies, and every doubt is listed and explained."""
    soak = Soak(messages, kills, via)
    soak.run(tmp_path)

    assert soak.figures["faults of the receiver"] > messages // 20
