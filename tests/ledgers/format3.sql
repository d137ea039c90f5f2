-- A ledger as the program of format 3 wrote it, by every road on which somebody was suppressed.
BEGIN TRANSACTION;
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
INSERT INTO "attempts" VALUES(1,5,'t','me@smtp.example.org','example.org',1.0,2.0,'failed','recipient','rcpt',NULL,NULL,'550 5.1.1 no');
INSERT INTO "attempts" VALUES(2,6,'t','me@smtp.example.org','example.org',3.0,NULL,NULL,NULL,NULL,NULL,NULL,NULL);
CREATE TABLE blobs (
    digest  TEXT PRIMARY KEY,
    content BLOB NOT NULL
) STRICT;
INSERT INTO "blobs" VALUES('d1',X'48656C6C6F');
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
    held_after  INTEGER
) STRICT;
INSERT INTO "campaigns" VALUES(1,'appeal--Branches',1,1.79547896729945516587e+09,NULL,NULL,NULL,NULL,0,NULL);
INSERT INTO "campaigns" VALUES(2,'other',1,1.79547896730060482024e+09,NULL,NULL,NULL,NULL,0,NULL);
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
    UNIQUE (campaign_id, key)
) STRICT;
INSERT INTO "deliveries" VALUES(1,1,1,1,2,'ada@example.org','ada@example.org','Someone',NULL,'{"city":"Utrecht"}','<a2@example.org>',0,'suppressed',NULL,0,NULL,NULL,'asked by phone',1.79547896730154347422e+09);
INSERT INTO "deliveries" VALUES(2,1,1,1,3,'Bo@example.org','bo@example.org','Someone',NULL,'{"city":"Utrecht"}','<a3@example.org>',0,'suppressed',NULL,0,NULL,NULL,'unsubscribed',1.79547896730302023893e+09);
INSERT INTO "deliveries" VALUES(3,1,1,1,4,'cem@example.net','cem@example.net','Someone',NULL,'{"city":"Utrecht"}','<a4@example.org>',0,'suppressed',NULL,0,NULL,NULL,'unsubscribed by e-mail',1.79547896730417275426e+09);
INSERT INTO "deliveries" VALUES(4,1,1,1,5,'dov@left.example','dov@left.example','Someone',NULL,'{"city":"Utrecht"}','<a5@example.org>',0,'suppressed',NULL,0,NULL,NULL,'asked not to be mailed',1.79547896730154347422e+09);
INSERT INTO "deliveries" VALUES(5,1,1,1,6,'eve@example.org','eve@example.org','Someone',NULL,'{"city":"Utrecht"}','<a6@example.org>',0,'failed',NULL,1,1.0,NULL,'there is no such address',2.0);
INSERT INTO "deliveries" VALUES(6,1,1,1,7,'fay@example.org','fay@example.org','Someone',NULL,'{"city":"Utrecht"}','<a7@example.org>',0,'sending','t',0,3.0,NULL,'',3.0);
INSERT INTO "deliveries" VALUES(7,2,1,1,2,'ada@example.org','ada@example.org','Someone',NULL,'{"city":"Utrecht"}','<b2@example.org>',0,'suppressed',NULL,0,NULL,NULL,'asked by phone',1.79547896730154347422e+09);
INSERT INTO "deliveries" VALUES(8,2,1,1,3,'Bo@example.org','bo@example.org','Someone',NULL,'{"city":"Utrecht"}','<b3@example.org>',0,'suppressed',NULL,0,NULL,NULL,'unsubscribed',1.79547896730302023893e+09);
INSERT INTO "deliveries" VALUES(9,2,1,1,4,'cem@example.net','cem@example.net','Someone',NULL,'{"city":"Utrecht"}','<b4@example.org>',0,'suppressed',NULL,0,NULL,NULL,'unsubscribed by e-mail',1.79547896730417275426e+09);
INSERT INTO "deliveries" VALUES(10,2,1,1,5,'dov@left.example','dov@left.example','Someone',NULL,'{"city":"Utrecht"}','<b5@example.org>',0,'suppressed',NULL,0,NULL,NULL,'asked not to be mailed',1.79547896730154347422e+09);
INSERT INTO "deliveries" VALUES(11,2,1,1,6,'eve@example.org','eve@example.org','Someone',NULL,'{"city":"Utrecht"}','<b6@example.org>',0,'suppressed',NULL,0,NULL,NULL,'there is no such address',2.0);
INSERT INTO "deliveries" VALUES(12,2,1,1,7,'fay@example.org','fay@example.org','Someone',NULL,'{"city":"Utrecht"}','<b7@example.org>',0,'queued',NULL,0,NULL,NULL,'',1.79547896730060482024e+09);
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
INSERT INTO "events" VALUES(1,'unsubscribe',2,1,1.7954789673030710221e+09,NULL,'','','link of delivery 2');
CREATE TABLE mailboxes (
    name     TEXT PRIMARY KEY,
    validity INTEGER NOT NULL,
    last_uid INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE meta (
    key   TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "meta" VALUES('secret',X'8AAA8964AD88914AA1204E85F2FE983E2EAA722E186C68F0E75E68CA095EBC71');
CREATE TABLE previews (
    seal       TEXT PRIMARY KEY,
    made_at    REAL NOT NULL,
    manifest   TEXT NOT NULL,
    digests    BLOB NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE revisions (
    campaign_id INTEGER NOT NULL REFERENCES campaigns,
    number      INTEGER NOT NULL,
    recorded_at REAL NOT NULL,
    manifest    TEXT NOT NULL,
    PRIMARY KEY (campaign_id, number)
) STRICT, WITHOUT ROWID;
INSERT INTO "revisions" VALUES(1,1,1.79547896729945516587e+09,'{"attachments": {}, "blank": 0, "contacts": "c", "count": 5, "duplicates": 0, "letter": {"letter.md": "d1"}, "list_file": "f", "list_name": "Branches.xlsx", "messages": "m", "program": "", "senders": [], "settings": {}, "template": "letter"}');
INSERT INTO "revisions" VALUES(2,1,1.79547896730060482024e+09,'{"attachments": {}, "blank": 0, "contacts": "c", "count": 5, "duplicates": 0, "letter": {"letter.md": "d1"}, "list_file": "f", "list_name": "people.csv", "messages": "m", "program": "", "senders": [], "settings": {}, "template": "letter"}');
CREATE TABLE suppressions (
    key        TEXT PRIMARY KEY,
    reason     TEXT NOT NULL,
    source     TEXT NOT NULL,
    created_at REAL NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO "suppressions" VALUES('@left.example','asked not to be mailed','by hand',1.79547896730154085158e+09);
INSERT INTO "suppressions" VALUES('ada@example.org','asked by phone','by hand',1.79547896730152368549e+09);
INSERT INTO "suppressions" VALUES('bo@example.org','unsubscribed','link in campaign appeal--Branches',1.79547896730301308632e+09);
INSERT INTO "suppressions" VALUES('cem@example.net','unsubscribed by e-mail','unsubscribed',1.79547896730416488642e+09);
INSERT INTO "suppressions" VALUES('eve@example.org','there is no such address','refused',2.0);
INSERT INTO "suppressions" VALUES('gil@example.org','reported a message as spam','complained',1.79547896730548501012e+09);
INSERT INTO "suppressions" VALUES('hal@example.org','the address does not exist (5.1.1)','bounced',1.79547896730585598941e+09);
INSERT INTO "suppressions" VALUES('old@example.org','unsubscribed in the old tool','imported from old.csv',1.79547896730260181426e+09);
INSERT INTO "suppressions" VALUES('zoe@example.org','imported','imported from old.csv',1.7954789673025918007e+09);
CREATE INDEX deliveries_by_status ON deliveries (campaign_id, status);
CREATE INDEX attempts_by_delivery ON attempts (delivery_id);
CREATE INDEX attempts_by_end ON attempts (account, finished_at);
CREATE INDEX events_by_delivery ON events (delivery_id);
CREATE INDEX events_by_campaign ON events (campaign_id, kind);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('deliveries',12);
COMMIT;
PRAGMA user_version = 3;
