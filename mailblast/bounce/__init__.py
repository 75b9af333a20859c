"""What came back: notices read from mail, whoever wrote them.

    parts    a mail within bounds: its fields and leaves
    notice   what is read from it
    dsn      delivery status notices (RFC 3464, RFC 6533)

One reader for each kind of notice; each takes the parts of a mail and answers with a
`Notice`, or a `Refusal` that says why this is none of its kind.  A new kind is a module
beside `dsn` and a name in `READERS`.
"""

from collections.abc import Callable

from mailblast.bounce import dsn, parts
from mailblast.bounce.notice import Notice, Report
from mailblast.bounce.parts import Part
from mailblast.errors import Refusal

__all__ = ["Notice", "Report", "read"]

# In the order in which they are asked: what a standard defines before what one must guess.
READERS: tuple[Callable[[tuple[Part, ...]], Notice | Refusal], ...] = (dsn.read,)


def read(content: bytes) -> Notice | Refusal:
    """Read a mail that came back.  Never raises, whatever the bytes."""
    found = parts.read(content)
    if isinstance(found, Refusal):
        return found
    answers = []
    for reader in READERS:
        answer = reader(found)
        if isinstance(answer, Notice):
            return answer
        answers.append(answer.why)
    return Refusal("; ".join(answers))
