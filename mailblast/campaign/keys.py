"""Every key of campaign.toml and mailblast.toml.

`KEYS` is the one description: it drives the checks (`settings`), the guesses at a misspelt
name, and docs/campaign.md, which a test holds against it.  `*` stands for any name.
"""

from mailblast.campaign import declared, forms, ip, limits
from mailblast.campaign.forms import Key, choice, whole

__all__ = ["DESTINATIONS", "ED25519", "HEADERS", "KEYS", "Key"]

HEADERS = "message.headers"  # a table whose keys are names of headers
ED25519 = ("dkim", "ed25519_selector")
DESTINATIONS = "throttle.destinations"  # a table of tables, one a destination


KEYS = (
    *declared.KEYS,
    Key(
        "sender",
        "from",
        forms.MAILBOX,
        "Who writes: the From of every message. The name should be your organisation's.",
        otherwise="must be given",
    ),
    Key(
        "sender",
        "reply_to",
        forms.MAILBOX,
        "Where answers go.",
        otherwise="answers go to `from`",
    ),
    Key(
        "sender",
        "return_path",
        forms.RETURN_PATH,
        "Where undeliverable mail comes back to. Each message gets a tag of its own in it: "
        "local+TAG@domain.",
        otherwise="bounces@ and the domain of `from`",
    ),
    Key(
        "sender",
        "organisation",
        forms.TEXT,
        "The name of the sender in the footer.",
        otherwise="the name in `from`",
    ),
    Key(
        "sender",
        "postal_address",
        forms.LINES,
        "The sender's physical postal address, line by line. Commercial mail is refused "
        "without one (15 U.S.C. 7704(a)(5)).",
        otherwise="none",
    ),
    Key(
        "message",
        "subject",
        forms.TEMPLATE,
        "The subject line.",
        otherwise="must be given",
    ),
    Key(
        "message",
        "purpose",
        choice("commercial", "transactional"),
        "Commercial mail advertises or promotes, and must offer a way out; transactional "
        "mail concerns something the recipient has already agreed to, as a purchase.",
        "commercial",
    ),
    Key(
        "message",
        "list_id",
        forms.LIST_ID,
        "The name of the list, by which recipients filter (RFC 2919).",
        otherwise="made from the campaign's name and the domain of `from`",
    ),
    Key(
        "message",
        "attachments",
        forms.ATTACHMENTS,
        "Files that are attached, inside the campaign's directory; `licences/{{ id }}.pdf` "
        "is another one for each recipient.",
        [],
    ),
    Key(
        HEADERS,
        "*",
        forms.TEMPLATE,
        "A header of your own, by its name. Those that mailblast writes are refused.",
        otherwise="none",
    ),
    Key(
        "recipients",
        "file",
        forms.FILE,
        "The list: CSV with a header line, separated by comma, semicolon or tab.",
        otherwise="recipients.csv in the campaign's directory",
    ),
    Key(
        "recipients",
        "email",
        forms.TEXT,
        "The column that holds the address.",
        "email",
    ),
    Key(
        "recipients",
        "encoding",
        forms.ENCODING,
        "How the list is encoded; `auto` finds UTF-8 and UTF-16, with or without a BOM.",
        "auto",
    ),
    Key(
        "unsubscribe",
        "url",
        forms.HTTPS,
        "The https address that takes unsubscribe requests (RFC 8058); a token of the "
        "recipient's is appended as one more path segment. Commercial mail needs it.",
        otherwise="none",
    ),
    Key(
        "unsubscribe",
        "mailto",
        forms.UNSUBSCRIBE_ADDRESS,
        "An address that takes unsubscribe requests by mail: local+TOKEN@domain.",
        otherwise="none",
    ),
    Key(
        "unsubscribe",
        "url_ends",
        declared.DAY,
        "The day on which the addresses below `url` cease to work, if it is known: 30 days "
        "after the last message at the soonest (15 U.S.C. 7704(a)(3)(A)(ii)).",
        otherwise="never",
    ),
    Key(
        "dkim",
        "domain",
        forms.DOMAIN,
        "The domain that signs: that of `from`, its parent or a child of it.",
        otherwise="the domain of `from`",
    ),
    Key(
        "dkim",
        "selector",
        forms.SELECTOR,
        "The name of the key in the DNS: selector._domainkey.domain.",
        otherwise="must be given when there is a [dkim] table",
    ),
    Key(
        "dkim",
        "key",
        forms.FILE,
        "The private key (PEM); `mailblast keys new` makes one.",
        otherwise=".mailblast/keys/DOMAIN.SELECTOR.pem in the workspace",
    ),
    Key(
        "dkim",
        "algorithm",
        choice("rsa-sha256", "ed25519-sha256"),
        "Some receivers cannot verify Ed25519 (RFC 8463).",
        "rsa-sha256",
    ),
    Key(
        *ED25519,
        forms.SELECTOR,
        "The selector of a second key, with which each message is signed a second time, for "
        "those who verify Ed25519. It lies in .mailblast/keys/DOMAIN.SELECTOR.pem.",
        otherwise="one signature",
    ),
    Key(
        "delivery",
        "via",
        forms.VIA,
        "How mail leaves: by your provider's server (relay), straight to the mail hosts of "
        "each domain (direct), to the practice Internet on this machine (sandbox), or into "
        "files (maildir).",
        "relay",
    ),
    Key(
        "delivery",
        "host",
        forms.HOST,
        "The relay.",
        otherwise='must be given for via = "relay"',
    ),
    Key(
        "delivery",
        "port",
        whole(1, 65535),
        "The port of the relay, or of all mail hosts.",
        otherwise='587; 465 with security = "tls", 25 with "none" and for via = "direct"',
    ),
    Key(
        "delivery",
        "security",
        choice("starttls", "tls", "none"),
        "How the connection to the relay is encrypted; its certificate is always verified. "
        "`none` is for a relay on this machine only.",
        "starttls",
    ),
    Key(
        "delivery",
        "username",
        forms.TEXT,
        "The name to log in with.",
        otherwise="no login",
    ),
    Key(
        "delivery",
        "password",
        forms.SECRET,
        "Where the password is: in a variable, in a file that only you can read, or in the "
        "first line that a command prints. Never the password itself.",
        otherwise="no login",
    ),
    Key(
        "delivery",
        "ca_file",
        forms.FILE,
        "Certificates (PEM) to trust instead of the system's, for servers with a private CA.",
        otherwise="those of the system",
    ),
    Key(
        "delivery",
        "connections",
        whole(1, 500),
        "How many connections are open at a time, in all.",
        10,
    ),
    Key(
        "delivery",
        "retry",
        forms.DURATIONS,
        "How long to wait before each new attempt after a temporary refusal; the last one "
        "repeats.",
        ["15 min", "30 min", "1 h", "2 h", "4 h"],
    ),
    Key(
        "delivery",
        "give_up_after",
        forms.DURATION,
        "When a message that was never accepted expires (RFC 5321 §4.5.4.1).",
        "4 days",
    ),
    Key(
        "delivery",
        "maildir",
        forms.FILE,
        "The directory for the messages.",
        otherwise='must be given for via = "maildir"',
    ),
    Key(
        "delivery",
        "ehlo",
        forms.OWN_NAME,
        "The name this machine gives itself in EHLO.",
        otherwise='the machine\'s own; must be given for via = "direct"',
    ),
    Key(
        "delivery",
        "source",
        ip.SOURCES,
        'The addresses of this machine to send from, for via = "direct". A family that has '
        "none is not used.",
        otherwise="the system chooses",
    ),
    Key(
        "delivery",
        "resolver",
        ip.RESOLVER,
        'The DNS resolver to ask: with via = "direct", and by `mailblast check`.',
        otherwise="the system's",
    ),
    Key(
        "delivery",
        "trust_ad",
        forms.FLAG,
        "Whether the resolver is believed when it says that DNSSEC was validated (the AD "
        "flag), on which DANE rests. On loopback it always is.",
        False,
    ),
    Key(
        "delivery",
        "allow_loopback",
        forms.FLAG,
        "Whether mail hosts at loopback addresses are connected to: for rehearsals and "
        "tests. Other private addresses never are.",
        False,
    ),
    Key(
        "throttle",
        "connections",
        limits.CONNECTIONS,
        "How many connections to one destination at a time.",
        otherwise="10; straight to the recipients' servers, what the table of providers says",
    ),
    Key(
        "throttle",
        "rate",
        limits.RATE,
        "How fast one destination is sent to. Of several rates each holds. A rate per day is "
        "a cap of the calendar day (UTC); the others are spaced evenly.",
        otherwise="unlimited",
    ),
    Key(
        "throttle",
        "messages_per_connection",
        limits.MESSAGES_PER_CONNECTION,
        "How many messages a connection carries before it is closed.",
        otherwise="100; straight to the recipients' servers, what the table of providers says",
    ),
    Key(
        "throttle",
        "warmup",
        limits.WARMUP,
        "A cap a day for one destination that begins with `start` on `day-one` and grows by "
        "`growth` from day to day, until it passes the cap in `rate`, or 10 million.",
        otherwise="none",
    ),
    *(
        Key(f"{DESTINATIONS}.*", name, form, meaning, otherwise="as in [throttle]")
        for name, form, meaning in (
            ("connections", limits.CONNECTIONS, "The same for one destination."),
            ("rate", limits.RATE, "The same for one destination."),
            (
                "messages_per_connection",
                limits.MESSAGES_PER_CONNECTION,
                "The same for one destination.",
            ),
            ("warmup", limits.WARMUP, "The same for one destination."),
        )
    ),
    Key(
        "breaker",
        "minimum",
        whole(1, 1_000_000),
        "How many messages of a run must have met their answer before its shares count.",
        200,
    ),
    Key(
        "breaker",
        "minimum_destination",
        whole(1, 1_000_000),
        "The same for one destination.",
        20,
    ),
    Key(
        "breaker",
        "hard",
        limits.SHARE,
        "More hard bounces (addresses or domains that do not exist) than this pause the run: "
        "the list is old, or bought.",
        "5 %",
    ),
    Key(
        "breaker",
        "blocked",
        limits.SHARE,
        "More messages refused for our reputation or as spam than this pause the destination.",
        "10 %",
    ),
    Key(
        "breaker",
        "complaints",
        limits.SHARE,
        "More complaints than this pause the run; three at least.",
        "0.3 %",
    ),
    Key(
        "breaker",
        "authentication",
        whole(1, 1_000_000),
        "Refusals for our authentication (SPF, DKIM, DMARC), of as many recipients at one "
        "destination, pause the run; as many that say that none of our mail is taken pause "
        "the destination.",
        3,
    ),
)
