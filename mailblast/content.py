"""The content of a run, kept as it was when the run began.

The template may change and the campaign may vanish; what was sent can still be printed again.
`.mailblast/content/<digest>/` is a small workspace with the campaign in it, kept once for each
content whatever the number of runs; campaigns that differ in their names alone lie there side
by side, for the name is in their messages too.  The recipients are not in it: the ledger has them,
row by row.
"""

import shutil
from pathlib import Path

from mailblast.campaign import Campaign, load
from mailblast.campaign.manifest import Manifest, content_files
from mailblast.secret import private_directory


def keep(state: Path, campaign: Campaign, workspace: Path, manifest: Manifest) -> Campaign:
    """Copy the content, if it is not there yet; gives back the campaign as copied.

    `state` is the `.mailblast` directory.
    """
    copy = state / "content" / manifest.digest
    if not (copy / campaign.name).exists():
        fresh = copy.with_name(f"{copy.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        _copy(campaign, workspace, fresh)
        if copy.exists():
            (fresh / campaign.name).rename(copy / campaign.name)
            shutil.rmtree(fresh)
        else:
            fresh.rename(copy)  # whole, or not at all
    return kept(state, campaign.name, manifest.digest)


def _copy(campaign: Campaign, workspace: Path, fresh: Path) -> None:
    home = fresh / campaign.name
    private_directory(home)
    if (workspace / "mailblast.toml").is_file() and workspace != campaign.directory:
        shutil.copyfile(workspace / "mailblast.toml", fresh / "mailblast.toml")
    shutil.copyfile(campaign.directory / "campaign.toml", home / "campaign.toml")
    for _, path in content_files(campaign):
        if path != campaign.recipients.file:
            target = home / path.relative_to(campaign.directory)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def kept(state: Path, name: str, digest: str) -> Campaign:
    """The campaign of this name as it was kept under this digest.

    Raises UserError when it is no longer there.
    """
    copy = state / "content" / digest
    return load(copy / name, copy, listed=False)
