"""The campaign that is sent: one letter, one list and one key for both senders.

The rows are those of the peer (`peer.js`): 50 domains, four columns.  The letter has 11 kB
in HTML and text.
"""

import shutil
from pathlib import Path

from mailblast.signing import new_key

CONNECTIONS = 20
LETTER = ("message.html", "message.txt")

SETTINGS = """\
[sender]
from = "Example Letters <letters@letters.example.com>"
postal_address = ["Example Letters", "1 Main Street", "Springfield, IL 62701"]
[recipients]
source = "signup"
[attest]
CANSPAM-ADDRESS-FORM = {{ by = "The bench", on = 2020-01-01, digest = "8086eb6d26fd28c9" }}
[check]
dns = false
[message]
subject = "{{{{ first_name }}}}, the winter programme"
[unsubscribe]
url = "https://letters.example.com/u"
[dkim]
selector = "mb1"
key = "key.pem"
[delivery]
via = "relay"
host = "127.0.0.1"
port = {port}
security = "none"
connections = {connections}
[throttle]
connections = {connections}
messages_per_connection = 1000000
"""


def written(workspace: Path, count: int, port: int) -> Path:
    """Write the campaign into a new workspace (what was there before is removed)."""
    shutil.rmtree(workspace, ignore_errors=True)
    campaign = workspace / "campaign"
    campaign.mkdir(parents=True)
    (workspace / "mailblast.toml").touch()
    for name in LETTER:
        shutil.copy(Path(__file__).with_name(name), campaign)
    (campaign / "key.pem").touch(mode=0o600)
    (campaign / "key.pem").write_bytes(new_key("rsa-sha256"))
    settings = SETTINGS.format(port=port, connections=CONNECTIONS)
    (campaign / "campaign.toml").write_text(settings)
    with (campaign / "recipients.csv").open("w") as file:
        file.write("email,first_name,city,points\n")
        for n in range(count):
            file.write(
                f"reader{n}@d{n % 50}.example.net,Reader{n},City {n % 500},{n * 7 % 1000}\n"
            )
    return campaign
