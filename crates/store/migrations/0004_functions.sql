-- What functions keep, and what waits for them. Functions and buckets themselves are documents; what belongs to one goes
-- with it, in the same transaction, by the triggers at the end.

CREATE TABLE keyvalue (
    environment TEXT NOT NULL,
    store       TEXT NOT NULL,
    key         TEXT NOT NULL,
    value       BLOB NOT NULL,
    PRIMARY KEY (environment, store, key)
) STRICT;

-- How many bytes the keys and values of a store are.
CREATE TABLE keyvalue_used (
    environment TEXT    NOT NULL,
    store       TEXT    NOT NULL,
    bytes       INTEGER NOT NULL,
    PRIMARY KEY (environment, store)
) STRICT, WITHOUT ROWID;

-- Nobody can read one without the key, which is not in this file.
CREATE TABLE function_secrets (
    environment TEXT    NOT NULL,
    function    TEXT    NOT NULL,
    name        TEXT    NOT NULL,
    key_id      TEXT    NOT NULL,
    sealed      BLOB    NOT NULL,
    set_at      INTEGER NOT NULL,
    PRIMARY KEY (environment, function, name)
) STRICT;

CREATE TABLE function_occasions (
    id           INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice: people name dead letters by it
    environment  TEXT    NOT NULL,
    function     TEXT    NOT NULL,
    trigger      TEXT    NOT NULL,
    event        TEXT    NOT NULL,
    subject      TEXT    NOT NULL,
    event_type   TEXT    NOT NULL,
    content_type TEXT    NOT NULL,
    data         BLOB    NOT NULL,
    schedule     TEXT, -- null: it is an event
    time         INTEGER NOT NULL,
    dead         INTEGER NOT NULL,
    attempts     INTEGER NOT NULL, -- how many there may be
    tries        INTEGER NOT NULL, -- how many there were
    created_at   INTEGER NOT NULL,
    due_at       INTEGER NOT NULL, -- when it is tried next; of the dead: since when they are
    fault        TEXT
) STRICT;
CREATE UNIQUE INDEX function_occasions_once ON function_occasions (environment, function, trigger, event);
CREATE INDEX function_occasions_waiting ON function_occasions (environment, function, due_at, id) WHERE dead = 0;
CREATE INDEX function_occasions_dead ON function_occasions (environment, function, id) WHERE dead = 1;

-- The last moment of each schedule that was taken.
CREATE TABLE function_ticks (
    environment TEXT    NOT NULL,
    function    TEXT    NOT NULL,
    trigger     TEXT    NOT NULL,
    at          INTEGER NOT NULL,
    PRIMARY KEY (environment, function, trigger)
) STRICT, WITHOUT ROWID;

CREATE TABLE objects (
    environment  TEXT    NOT NULL,
    bucket       TEXT    NOT NULL,
    key          TEXT    NOT NULL,
    size         INTEGER NOT NULL,
    content_type TEXT    NOT NULL,
    etag         TEXT    NOT NULL,
    modified     INTEGER NOT NULL,
    blob         TEXT    NOT NULL,
    PRIMARY KEY (environment, bucket, key)
) STRICT;
CREATE UNIQUE INDEX objects_by_blob ON objects (blob);

CREATE TRIGGER function_gone AFTER DELETE ON documents WHEN old.kind = 'function' BEGIN
    DELETE FROM function_secrets WHERE environment = old.environment AND function = old.key;
    DELETE FROM function_occasions WHERE environment = old.environment AND function = old.key;
    DELETE FROM function_ticks WHERE environment = old.environment AND function = old.key;
END;
CREATE TRIGGER bucket_gone AFTER DELETE ON documents WHEN old.kind = 'bucket' BEGIN
    DELETE FROM objects WHERE environment = old.environment AND bucket = old.key;
END;
CREATE TRIGGER environment_gone AFTER DELETE ON documents WHEN old.kind = 'environment' BEGIN
    DELETE FROM keyvalue WHERE environment = old.key;
    DELETE FROM keyvalue_used WHERE environment = old.key;
END;
