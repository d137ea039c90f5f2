-- What the ledger's schema has on PostgreSQL besides what it has everywhere (mailer/ledger/schema.sql).

-- Which format the tables have; SQLite has a number of its own for that.
CREATE TABLE ledger_format (version bigint NOT NULL);

-- With the id, so that the newest attempt at a delivery is the end of the index; in SQLite every index ends so.
DROP INDEX attempts_by_delivery;
CREATE INDEX attempts_by_delivery ON attempts (delivery_id, id);

-- The first one is the ledger's own, and written with its number.
ALTER TABLE suppression_secrets ALTER COLUMN id RESTART WITH 2;

-- What SQLite has of its own.

CREATE FUNCTION instr(whole text, part text) RETURNS integer LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN strpos(whole, part);

-- Where a contact's field holds a NUL, which jsonb does not take, something else stands there that nobody can read.
CREATE FUNCTION json_extract(document text, path text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN jsonb_path_query_first(
        CAST(replace(document, '\u0000', '\ufffd') AS jsonb), CAST(replace(path, '\', '\\') AS jsonpath)
    ) #>> '{}';

CREATE FUNCTION joined(before text, another text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN before IS NULL THEN another WHEN another IS NULL THEN before ELSE before || ',' || another END;
CREATE AGGREGATE group_concat(text) (SFUNC = joined, STYPE = text);

-- HMAC-SHA256 of an entry (RFC 2104), as mailer.suppression.fingerprint makes it. PostgreSQL has SHA-256, but HMAC only in an
-- extension that not everybody may install. A secret has 32 octets: the key's block are those and as many zeros.
CREATE FUNCTION masked(secret bytea, mask bigint) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN int8send(CAST(CAST('x' || encode(substr(secret, 1, 8), 'hex') AS bit(64)) AS bigint) # mask)
        || int8send(CAST(CAST('x' || encode(substr(secret, 9, 8), 'hex') AS bit(64)) AS bigint) # mask)
        || int8send(CAST(CAST('x' || encode(substr(secret, 17, 8), 'hex') AS bit(64)) AS bigint) # mask)
        || int8send(CAST(CAST('x' || encode(substr(secret, 25, 8), 'hex') AS bit(64)) AS bigint) # mask)
        || int8send(mask) || int8send(mask) || int8send(mask) || int8send(mask);
CREATE FUNCTION fingerprint(secret bytea, entry text) RETURNS bytea LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN sha256(
        masked(secret, CAST(x'5c5c5c5c5c5c5c5c' AS bigint))
        || sha256(masked(secret, CAST(x'3636363636363636' AS bigint)) || convert_to(entry, 'UTF8'))
    );
ALTER TABLE suppression_secrets ADD CONSTRAINT secret_length CHECK (length(secret) = 32);

-- The places of quotas that many senders share (mailer/pace/shared.py): each serves one message, from before its start until a window
-- after its reply. `holder` is the number of the lock that the sender who has it holds while it lives. Times as everywhere, by the
-- clock of this server.
CREATE TABLE places (
    account text COLLATE "C" NOT NULL,
    domain  text COLLATE "C" NOT NULL,
    seconds bigint NOT NULL,
    number  bigint NOT NULL,
    free_at double precision NOT NULL DEFAULT 0,
    holder  integer,
    PRIMARY KEY (account, domain, seconds, number)
) WITH (fillfactor = 50);
CREATE INDEX places_free ON places (account, domain, seconds, free_at) WHERE holder IS NULL;
CREATE INDEX places_held ON places (holder) WHERE holder IS NOT NULL;

-- What the relay of an account bears, as its storms have taught (mailer/ledger/postgres/lessons.py): messages a second, NULL if nothing is
-- held back. `storms` counts them, so that of several senders that see one only the first says so.
CREATE TABLE throttles (
    account text COLLATE "C" PRIMARY KEY,
    storms  bigint NOT NULL DEFAULT 0,
    rate    double precision,
    before  double precision NOT NULL DEFAULT 0,
    peak    double precision NOT NULL DEFAULT 0,
    next_at double precision NOT NULL DEFAULT 0,
    used_at double precision NOT NULL DEFAULT 0
);
