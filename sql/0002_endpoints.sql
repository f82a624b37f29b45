-- What outlives a registration: endpoints that are known, what is wanted of them, operations, values, timelines.
--
-- A path is one integer here: 16 bits for each level, id + 1, 0 = there is no such level; the top bit is turned
-- over, so that paths sort as signed numbers, and all that lies below one is a range. Numbers of kinds, states,
-- types and origins are those of src/model/model.h.

-- In meta: rows of device that are offline, operations that are settled, rows of the tables.
INSERT INTO meta (key, value) VALUES
    ('offline', 0),
    ('settled', 0),
    ('history', 0),
    ('timeline', 0),
    ('profiles', 0);

-- Endpoints that something below belongs to, or that were registered once. No Register makes a row.
CREATE TABLE device (
    id INTEGER PRIMARY KEY,
    endpoint TEXT NOT NULL UNIQUE,
    offline INTEGER NOT NULL,    -- 1: it has no row in registration
    registered INTEGER NOT NULL, -- of its last registration; 0 while it is registered
    updated INTEGER NOT NULL,
    seen INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    resources INTEGER NOT NULL,  -- rows of value, history and timeline
    history INTEGER NOT NULL,
    timeline INTEGER NOT NULL
) STRICT;

CREATE INDEX device_offline ON device (endpoint) WHERE offline = 1;
CREATE INDEX device_by_end ON device (ended) WHERE offline = 1;

-- Durable operations. `attempts`: 30 bytes each, big endian: token, sent, answered, retransmissions, code,
-- transport.
CREATE TABLE operation (
    id BLOB PRIMARY KEY,             -- UUIDv7: in order of age
    state INTEGER NOT NULL,
    device INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    path INTEGER NOT NULL,
    format INTEGER NOT NULL,         -- -1 = none
    depth INTEGER NOT NULL,
    priority INTEGER NOT NULL,
    repeatable INTEGER NOT NULL,
    late INTEGER NOT NULL,
    token INTEGER NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER NOT NULL,        -- 0 = never
    settled INTEGER NOT NULL,        -- 0 = not yet
    arguments TEXT NOT NULL,
    content BLOB NOT NULL,           -- values, packed
    key TEXT,
    key_hash INTEGER NOT NULL,
    rc TEXT NOT NULL,                -- a name of src/base/err.def, '' = none
    code INTEGER NOT NULL,
    result_format INTEGER NOT NULL,
    result BLOB NOT NULL,
    result_text TEXT NOT NULL,
    location INTEGER NOT NULL,
    attempt_count INTEGER NOT NULL,
    attempts BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE INDEX operation_by_device ON operation (device);
CREATE UNIQUE INDEX operation_by_key ON operation (key) WHERE key IS NOT NULL;
-- Queued, sent, and those whose late answer is still awaited.
CREATE INDEX operation_open ON operation (id) WHERE state IN (0, 1, 5);
CREATE INDEX operation_waiting ON operation (device, state) WHERE state IN (0, 1, 5);
CREATE INDEX operation_settled ON operation (settled) WHERE settled <> 0;

-- The newest value of each resource. `content` is in the type of SQLite that comes next to it; NULL for a float that
-- is no number.
CREATE TABLE value (
    device INTEGER NOT NULL,
    path INTEGER NOT NULL,
    prefix TEXT NOT NULL, -- of a device behind this one, a gateway; '' = its own
    time INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    type INTEGER NOT NULL,
    content ANY,
    PRIMARY KEY (device, path, prefix)
) STRICT, WITHOUT ROWID;

-- Every value with its time. `seq` of this and the next table: when it was written, Unix milliseconds, and 21 bits
-- that count.
CREATE TABLE history (
    seq INTEGER PRIMARY KEY,
    device INTEGER NOT NULL,
    path INTEGER NOT NULL,
    prefix TEXT NOT NULL, -- as of value
    time INTEGER NOT NULL,
    origin INTEGER NOT NULL,
    type INTEGER NOT NULL,
    content ANY
) STRICT;

CREATE INDEX history_by_device ON history (device, time, path);

CREATE TABLE timeline (
    seq INTEGER PRIMARY KEY,
    device INTEGER NOT NULL,
    time INTEGER NOT NULL,
    type INTEGER NOT NULL,
    rc TEXT NOT NULL, -- as of operation
    reg_id INTEGER NOT NULL,
    detail TEXT NOT NULL
) STRICT;

CREATE INDEX timeline_by_device ON timeline (device, time);

-- What profile IDs stand for.
CREATE TABLE profile (
    id TEXT PRIMARY KEY,
    links TEXT NOT NULL,
    source INTEGER NOT NULL,
    since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Observations belong to endpoints and outlive registrations: row 0 while there is none.
ALTER TABLE observation ADD COLUMN device INTEGER NOT NULL DEFAULT 0;
ALTER TABLE observation ADD COLUMN paths TEXT NOT NULL DEFAULT ''; -- of a composite one, else ''

-- chunked: observation
INSERT OR IGNORE INTO device (endpoint, offline, registered, updated, seen, ended, resources, history, timeline)
    SELECT r.endpoint, 0, 0, 0, 0, 0, 0, 0, 0 FROM observation o JOIN registration r ON r.row = o.row
    WHERE o.token > ?1 AND o.token <= ?2;
UPDATE observation SET device = coalesce(
        (SELECT d.id FROM registration r JOIN device d ON d.endpoint = r.endpoint WHERE r.row = observation.row), 0)
    WHERE token > ?1 AND token <= ?2;
-- finish
DELETE FROM observation WHERE device = 0; -- of no registration
CREATE INDEX observation_by_device ON observation (device);
