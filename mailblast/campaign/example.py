"""The campaign that `mailblast init` writes: complete, commented, and good as it stands."""

from importlib.resources import files
from pathlib import Path

from mailblast.errors import UserError

# In the order in which one reads them.
FILES = (
    "campaign.toml",
    "message.html",
    "message.txt",
    "recipients.csv",
    "suppression.txt",
)


def write_example(directory: Path) -> list[Path]:
    """Write the example into `directory`, made if need be; return the files, in order.

    Raises UserError, and writes nothing, if one of them is there already.
    """
    targets = [directory / name for name in FILES]
    # A link that leads nowhere is something too.
    there = [path.name for path in targets if path.exists() or path.is_symlink()]
    if there:
        raise UserError(
            f"{directory} already has {', '.join(there)}; nothing was written",
            "name a directory that does not exist yet",
        )
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for path in targets:
            with path.open("xb") as file:
                file.write((files("mailblast") / "example" / path.name).read_bytes())
    except OSError as error:
        raise UserError(f"{error.filename or directory}: {error.strerror}") from None
    return targets
