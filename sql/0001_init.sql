-- The first schema.
--
-- Integers: an unsigned 64-bit number is kept as the signed one of the same bits (two's complement), so
-- printf('%016x', token) shows it. Rows and generations are counters and never negative. Times are Unix
-- milliseconds. An address is its 4 or 16 bytes, the port and, with 16, the scope, in network order.

PRAGMA application_id = 1280127571; -- "LM2S"

-- Small numbers by name, written with the transaction that changes them:
--   row, generation   highest ever used; they survive the deletion of their row
--   devices           rows of registration
--   hash_key0, _key1  seed of objlist.hash, drawn once per database
--   migration_…       a migration step in progress (version, row, done, total)
CREATE TABLE meta (
    key TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

INSERT INTO meta (key, value) VALUES
    ('row', 0),
    ('generation', 0),
    ('devices', 0),
    ('hash_key0', random()),
    ('hash_key1', random());

-- Link texts, one for all devices that sent the same. `refs` counts their registrations.
CREATE TABLE objlist (
    id INTEGER PRIMARY KEY,
    hash INTEGER NOT NULL,
    refs INTEGER NOT NULL,
    text TEXT NOT NULL
) STRICT;

CREATE INDEX objlist_by_hash ON objlist (hash);

-- Written by Register and by Updates that change something. The columns a write looks at come first.
CREATE TABLE registration (
    row INTEGER PRIMARY KEY,
    endpoint TEXT NOT NULL UNIQUE,
    reg_id INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    objlist INTEGER NOT NULL,        -- objlist.id, 0 = no links
    version INTEGER NOT NULL,        -- major * 256 + minor
    lifetime INTEGER NOT NULL,       -- seconds, 0 = for ever
    lifetime_given INTEGER NOT NULL, -- 0: the client omitted lt
    binding INTEGER NOT NULL,        -- bits: U 1, T 2, S 4, N 8, M 16, H 32
    queue INTEGER NOT NULL,
    sms TEXT NOT NULL,
    profile TEXT NOT NULL,
    unknown TEXT NOT NULL,           -- other query parameters as sent
    peer BLOB NOT NULL,
    local BLOB NOT NULL,
    transport INTEGER NOT NULL,
    listener INTEGER NOT NULL,
    identity_type INTEGER NOT NULL,
    identity TEXT NOT NULL,
    registered INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT;

-- What every Update changes, narrow and keyed by number: a row for each row of registration.
CREATE TABLE renewal (
    row INTEGER PRIMARY KEY,
    generation INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    seen INTEGER NOT NULL
) STRICT;

CREATE TABLE observation (
    token INTEGER PRIMARY KEY,
    row INTEGER NOT NULL,
    reg_id INTEGER NOT NULL,
    path TEXT NOT NULL,
    format INTEGER NOT NULL, -- Accept asked for, -1 = none
    attributes TEXT NOT NULL,
    since INTEGER NOT NULL
) STRICT;

CREATE INDEX observation_by_row ON observation (row);

-- Imported object definitions.
CREATE TABLE model (
    object INTEGER NOT NULL,
    version INTEGER NOT NULL, -- major * 256 + minor
    xml TEXT NOT NULL,
    PRIMARY KEY (object, version)
) STRICT;

-- Rewritten, and large enough to matter, to see whether a disk that was full takes writes again.
CREATE TABLE probe (
    id INTEGER PRIMARY KEY,
    filler BLOB NOT NULL
) STRICT;

INSERT INTO probe (id, filler) VALUES (1, zeroblob(32768));
