"""The tables of the ledger.

`events` is only ever appended to; `deliveries` is what the events add up to, changed in the
same transaction.  docs/ledger.md explains every column.
"""

from sqlalchemy import (
    Column,
    Float,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

# Raised by one with every change of these tables; `database.MIGRATIONS` brings older files up.
SCHEMA_VERSION = 5

metadata = MetaData()

schema = Table("schema", metadata, Column("version", Integer, nullable=False))

runs = Table(
    "runs",
    metadata,
    Column("number", Integer, primary_key=True),
    Column("run", Text, nullable=False, unique=True),
    Column("campaign", Text, nullable=False),  # its directory, seen from the workspace
    Column("kind", Text, nullable=False),  # campaign, or sample: counted nowhere
    Column("state", Text, nullable=False),  # enrolling, enrolled, started, ended
    Column("created", Float, nullable=False),
    Column("started", Float),
    Column("ended", Float),
    Column("digest", Text, nullable=False),  # of the content
    Column("manifest", Text, nullable=False),  # JSON: what the digest covers, name by name
    Column("header", Text, nullable=False),  # JSON: the recipients' header line, as it came
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run", Integer, nullable=False),
    Column("row", Integer, nullable=False),  # of the recipients file, from 1
    Column("line", Integer, nullable=False),
    Column("mailbox", Text, nullable=False),  # as mailed; "" when the row has none
    Column("key", Text),  # normalised; NULL when the row is invalid
    Column("domain", Text, nullable=False),  # of the mailbox: A-labels, lower case
    Column("cells", Text, nullable=False),  # JSON: the row, as it came
    Column("disposition", Text, nullable=False),
    Column("reason", Text),
    Column("marks", Text, nullable=False, default=""),
    Column(
        "attempt", Integer, nullable=False, default=0
    ),  # claims so far: the fencing token
    Column("deferrals", Integer, nullable=False, default=0),  # how often it was put off
    Column("due", Float, nullable=False, default=0.0),
    Column("owner", Text),  # who has claimed it, until `lease`
    Column("lease", Float),
    Column("dated", Float),  # the moment of the first claim: the message's Date
    Column("digest", LargeBinary),  # SHA-256 of the message that was offered last
    Column("settled", Float),
    UniqueConstraint("run", "key"),
)
# What is due and nobody's.  It shrinks with each claim, and so for many rows at a time: that an
# `attempted` touches no index saves half of the pages that are written for it.
CLAIMABLE = text("disposition IN ('queued', 'deferred') AND owner IS NULL")
Index(
    "deliveries_due",
    deliveries.c.run,
    deliveries.c.domain,
    deliveries.c.due,
    sqlite_where=CLAIMABLE,
    postgresql_where=CLAIMABLE,
)
Index("deliveries_key", deliveries.c.key)
# So a run is gone through in the order of its list without sorting it, in memory, first.
Index("deliveries_run", deliveries.c.run)

events = Table(
    "events",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("delivery", Integer, nullable=False, index=True),
    Column("kind", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("reason", Text),
    Column("code", Integer, nullable=False),
    Column("status", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("host", Text, nullable=False),
    Column("tls", Text, nullable=False, server_default=""),  # how the line was protected
    Column("digest", LargeBinary),
    Column("against", Text),  # what it counts as against the address
)

# To which destination a domain was found to belong; a domain without a row is its own.
domains = Table(
    "domains",
    metadata,
    Column("domain", Text, primary_key=True),
    Column("destination", Text, nullable=False),
)

# Where sending is stopped until somebody lifts it.
pauses = Table(
    "pauses",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("run", Integer),  # NULL: whatever the run, for a destination judges the sender
    Column("destination", Text, nullable=False),  # "" is the whole run
    Column("reason", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("at", Float, nullable=False),
    Column("lifted", Float),
)

# MTA-STS policies of domains, kept for as long as they say.
policies = Table(
    "policies",
    metadata,
    Column("domain", Text, primary_key=True),
    Column("id", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("until", Float, nullable=False),
)

suppressions = Table(
    "suppressions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("scope", Text, nullable=False),  # "" is the workspace, else a campaign
    Column("key", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("note", Text, nullable=False),
    Column("source", Text, nullable=False),
    Column("added", Float, nullable=False),
    Column("removed", Float),  # an entry is never deleted: it is evidence
    Column("consent", Text),
    Column("events", Text, nullable=False, server_default="[]"),  # JSON: what caused it
)
Index("suppressions_key", suppressions.c.key)

returned = Table(
    "returned",
    metadata,
    Column("digest", LargeBinary, primary_key=True),  # SHA-256 of a mail that was imported
    Column("at", Float, nullable=False),
    Column("source", Text, nullable=False),
    Column("result", Text, nullable=False),
    Column("kind", Text, nullable=False, server_default=""),
    Column("tied", Text, nullable=False, server_default=""),  # by what, to `delivery`
    Column("delivery", Integer, index=True),
    Column("text", Text, nullable=False, server_default=""),
)
