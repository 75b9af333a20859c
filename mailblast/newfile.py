"""A new file: nothing is written over, and none is there before it is whole."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from mailblast.errors import UserError


@contextmanager
def new_file(path: Path, codec: str) -> Iterator[IO[str]]:
    """A file that appears under its name when the block has ended well, and not before.

    Raises UserError if something has that name already.
    """
    if path.exists():
        raise _there(path)
    with ExitStack() as stack:
        try:
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        except OSError as error:
            raise UserError(f"{path}: cannot be written ({error.strerror})") from error
        fresh = Path(name)
        stack.callback(fresh.unlink, missing_ok=True)
        with os.fdopen(descriptor, "w", encoding=codec, newline="") as file:
            yield file
        try:
            # Ours is the name from here on; what is replaced is this empty file.
            path.open("x").close()
        except FileExistsError as error:
            raise _there(path) from error
        fresh.replace(path)


def _there(path: Path) -> UserError:
    return UserError(
        f"{path} is there already", "nothing is written over: name another file, or move it"
    )
