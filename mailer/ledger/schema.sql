-- The ledger: what was decided, tried and answered. The only source for resume and report.
--
-- The story of a delivery (DESIGN, section 5):
--
--   queued -> sending -> sent                   2xx after the final dot
--               |  \---> deferred -> sending    4xx; not before next_attempt_at
--               |  \---> failed                 5xx, or retries exhausted
--               \------> uncertain              lost after the final dot; only a person, or late proof, moves it on
--   queued -> suppressed | skipped              decided before sending; the reason says why
--
-- Times are seconds since 1970 in UTC.

CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Files that shape a campaign's messages, kept by content so that a letter can be rendered again
-- when the campaign folder has changed, moved or gone.
CREATE TABLE blobs (
    digest  TEXT PRIMARY KEY,
    content BLOB NOT NULL
) STRICT;

CREATE TABLE campaigns (
    id          INTEGER PRIMARY KEY,
    name        TEXT NOT NULL UNIQUE,
    revision    INTEGER NOT NULL DEFAULT 1,
    started_at  REAL NOT NULL,
    finished_at REAL,
    -- who sends it just now: shown to a second starter; the operating-system lock decides, not this
    owner       TEXT,
    -- which start of which computer that was: tells a program that ended from a computer that went down
    boot        TEXT,
    -- over which account and how many connections it is being sent: if the sender dies, as many messages may have been begun
    -- that no attempt tells of, and they count towards the account's quota
    wire_account TEXT,
    wire_lines  INTEGER NOT NULL DEFAULT 0,
    -- --hold-after: how many attempts were allowed before the campaign was to be looked at
    held_after  INTEGER,
    -- what its list is called where somebody is suppressed for one list alone
    list        TEXT NOT NULL DEFAULT '',
    -- when its messages may leave by the clock of whoever gets them (mailer/hours.py); '' at any time
    hours       TEXT NOT NULL DEFAULT '',
    -- the time zone of people whose own is not known; NULL where nobody's was looked for
    zone        TEXT
) STRICT;

-- What was frozen when a campaign started, and again at each --update.
CREATE TABLE revisions (
    campaign_id INTEGER NOT NULL REFERENCES campaigns,
    number      INTEGER NOT NULL,
    recorded_at REAL NOT NULL,
    manifest    TEXT NOT NULL,
    PRIMARY KEY (campaign_id, number)
) STRICT, WITHOUT ROWID;

-- One duty per campaign and address. `key` is the normalised address; it is NULL only for a row that was
-- skipped because it holds no usable address.
CREATE TABLE deliveries (
    -- never used twice, lest a sender that stood still takes somebody else's delivery for its own
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    campaign_id      INTEGER NOT NULL REFERENCES campaigns,
    -- what its message is made from
    revision         INTEGER NOT NULL,
    -- the newest revision whose list holds the address: who left the list is not tried again
    listed_in        INTEGER NOT NULL,
    row              INTEGER NOT NULL,
    address          TEXT,
    key              TEXT,
    name             TEXT NOT NULL,
    language         TEXT,
    fields           TEXT NOT NULL,
    message_id       TEXT NOT NULL,
    -- over the message that was checked before the start; what is sent must have the same
    digest           INTEGER NOT NULL,
    status           TEXT NOT NULL CHECK (status IN
        ('queued', 'sending', 'sent', 'deferred', 'failed', 'uncertain', 'suppressed', 'skipped')),
    -- the sender that wrote the intent; kept while uncertain, so that its late proof still counts
    token            TEXT,
    attempts         INTEGER NOT NULL DEFAULT 0,
    first_attempt_at REAL,
    next_attempt_at  REAL,
    reason           TEXT NOT NULL DEFAULT '',
    updated_at       REAL NOT NULL,
    -- as the tz database calls it; NULL: the campaign's
    zone             TEXT,
    UNIQUE (campaign_id, key)
) STRICT;

CREATE INDEX deliveries_by_status ON deliveries (campaign_id, status);

-- One try in one SMTP transaction. Written before the final dot; completed, never changed, by the reply.
-- An attempt that a server refused before the dot is written whole. delivery_id is NULL for a test message,
-- and where a campaign of which nobody had been tried was frozen anew.
CREATE TABLE attempts (
    id          INTEGER PRIMARY KEY,
    delivery_id INTEGER REFERENCES deliveries,
    -- the sender that tried: only its own answer completes the attempt
    token       TEXT,
    account     TEXT NOT NULL,
    domain      TEXT NOT NULL,
    started_at  REAL NOT NULL,
    finished_at REAL,
    verdict     TEXT,
    scope       TEXT,
    phase       TEXT,
    code        INTEGER,
    enhanced    TEXT,
    text        TEXT
) STRICT;

CREATE INDEX attempts_by_delivery ON attempts (delivery_id);
-- what a quota counts; an attempt without an answer has no end yet
CREATE INDEX attempts_by_end ON attempts (account, finished_at);
-- what the log tells: few, and whoever is sent to costs it next to nothing (a list of verdicts would be built for every row)
CREATE INDEX attempts_in_trouble ON attempts (finished_at) WHERE verdict <> 'sent';

-- With which addresses are hashed. The first is this ledger's own; others came with hashes from other ledgers.
CREATE TABLE suppression_secrets (
    id     INTEGER PRIMARY KEY,
    secret BLOB NOT NULL UNIQUE
) STRICT;

-- Who is not to be mailed. `hash` is HMAC-SHA256 of `entry`, an address or @domain, under the secret; it stays when the address
-- is erased (NULL). `scope` is a list's name, '' for all lists.
CREATE TABLE suppressions (
    hash       BLOB NOT NULL,
    scope      TEXT NOT NULL DEFAULT '',
    secret_id  INTEGER NOT NULL REFERENCES suppression_secrets,
    entry      TEXT,
    reason     TEXT NOT NULL CHECK (reason IN ('unsubscribed', 'complaint', 'bounce', 'manual', 'imported')),
    note       TEXT NOT NULL DEFAULT '',
    source     TEXT NOT NULL,
    created_at REAL NOT NULL,
    PRIMARY KEY (hash, scope)
) STRICT, WITHOUT ROWID;

CREATE INDEX suppressions_by_entry ON suppressions (entry);

-- What a preview showed, by its seal, so that a stale seal can be answered with the difference.
CREATE TABLE previews (
    seal       TEXT PRIMARY KEY,
    made_at    REAL NOT NULL,
    manifest   TEXT NOT NULL,
    digests    BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- What came back after a message was sent (mailer inbox, mailer web --public). A delivery that was sent stays sent, whatever
-- stands here. `source` is a digest of the mail and whom it is about, or the delivery whose link was used: the same mail, read
-- twice, and the same link, used twice, are one event. `text` holds no address.
CREATE TABLE events (
    id          INTEGER PRIMARY KEY,
    kind        TEXT NOT NULL CHECK (kind IN ('bounce', 'complaint', 'unsubscribe', 'reply')),
    delivery_id INTEGER REFERENCES deliveries ON DELETE SET NULL,
    campaign_id INTEGER REFERENCES campaigns ON DELETE SET NULL,
    at          REAL NOT NULL,
    class       TEXT CHECK (class IN ('hard', 'soft', 'other')),
    status      TEXT NOT NULL DEFAULT '',
    text        TEXT NOT NULL DEFAULT '',
    source      TEXT NOT NULL UNIQUE
) STRICT;

CREATE INDEX events_by_delivery ON events (delivery_id);
CREATE INDEX events_by_campaign ON events (campaign_id, kind);

-- How far a mailbox has been read: all mails below and with this number, as long as the server keeps its numbering (validity).
CREATE TABLE mailboxes (
    name     TEXT PRIMARY KEY,
    validity INTEGER NOT NULL,
    last_uid INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Who said, on the page, that what was previewed under a seal may be sent.
CREATE TABLE approvals (
    campaign TEXT NOT NULL,
    seal     TEXT NOT NULL,
    name     TEXT NOT NULL,
    at       REAL NOT NULL,
    PRIMARY KEY (campaign, seal, name)
) STRICT, WITHOUT ROWID;

-- What else happened to a campaign: runs that began and ended, what was waited for, connections that broke. For people to read;
-- nothing is decided by it. `text` holds no address.
CREATE TABLE diary (
    id          INTEGER PRIMARY KEY,
    campaign_id INTEGER NOT NULL REFERENCES campaigns,
    at          REAL NOT NULL,
    kind        TEXT NOT NULL,
    until       REAL,
    number      INTEGER NOT NULL DEFAULT 0,
    text        TEXT NOT NULL DEFAULT ''
) STRICT;

CREATE INDEX diary_by_campaign ON diary (campaign_id);
