-- Times are nanoseconds since the epoch, buckets are seconds. JSON is text.

PRAGMA application_id = 1179410759; -- "FLaG", told apart from any other SQLite file

-- One row. The revision is the change log's head: it is raised in the transaction that writes the change,
-- so revisions have no gaps and become visible in order.
CREATE TABLE meta (
    id             INTEGER PRIMARY KEY CHECK (id = 1),
    schema_version INTEGER NOT NULL,
    revision       INTEGER NOT NULL
) STRICT;
INSERT INTO meta (id, schema_version, revision) VALUES (1, 0, 0);

CREATE TABLE documents (
    kind        TEXT    NOT NULL,
    environment TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    revision    INTEGER NOT NULL,
    body        TEXT    NOT NULL,
    search      TEXT    NOT NULL, -- key and name, in lower case
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    PRIMARY KEY (kind, environment, key)
) STRICT;

CREATE TABLE changes (
    revision    INTEGER PRIMARY KEY,
    event       BLOB    NOT NULL,
    at          INTEGER NOT NULL,
    actor_kind  TEXT    NOT NULL,
    actor_id    TEXT    NOT NULL,
    actor_name  TEXT    NOT NULL,
    reason      TEXT    NOT NULL,
    kind        TEXT    NOT NULL,
    environment TEXT    NOT NULL,
    key         TEXT    NOT NULL,
    verb        TEXT    NOT NULL,
    before      TEXT,
    after       TEXT,
    detail      TEXT
) STRICT;
CREATE INDEX changes_by_document ON changes (kind, environment, key, revision);

CREATE TABLE users (
    id            TEXT    PRIMARY KEY,
    email         TEXT    NOT NULL,
    email_key     TEXT    NOT NULL UNIQUE, -- in lower case
    password_hash TEXT    NOT NULL,
    role          TEXT    NOT NULL,
    groups        TEXT    NOT NULL,
    grants        TEXT    NOT NULL,
    disabled      INTEGER NOT NULL,
    created_at    INTEGER NOT NULL,
    updated_at    INTEGER NOT NULL,
    version       INTEGER NOT NULL
) STRICT;
CREATE INDEX users_by_role ON users (role) WHERE disabled = 0;

CREATE TABLE sessions (
    id         TEXT    PRIMARY KEY,
    user_id    TEXT    NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    revoked_at INTEGER,
    client     TEXT    NOT NULL,
    overrides  TEXT    NOT NULL
) STRICT;
CREATE INDEX sessions_by_user ON sessions (user_id, created_at);

CREATE TABLE invitations (
    token_hash TEXT    PRIMARY KEY,
    role       TEXT    NOT NULL,
    email      TEXT,
    setup      INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT;

CREATE TABLE rollups (
    resolution  INTEGER NOT NULL, -- width of the bucket in seconds
    environment TEXT    NOT NULL,
    bucket      INTEGER NOT NULL,
    route       TEXT    NOT NULL,
    flag        TEXT    NOT NULL,
    variant     TEXT    NOT NULL,
    metric      TEXT    NOT NULL,
    count       INTEGER NOT NULL,
    sum         REAL    NOT NULL,
    sum_squares REAL    NOT NULL,
    max         REAL    NOT NULL,
    PRIMARY KEY (resolution, environment, bucket, route, flag, variant, metric)
) STRICT, WITHOUT ROWID;
CREATE INDEX rollups_by_flag ON rollups (resolution, environment, flag, bucket);

CREATE TABLE recorded_events (
    id          INTEGER PRIMARY KEY,
    environment TEXT    NOT NULL,
    event_id    TEXT    NOT NULL,
    flag        TEXT    NOT NULL,
    variant     TEXT    NOT NULL,
    event_type  TEXT    NOT NULL,
    value       REAL,
    unit        TEXT,
    at          INTEGER NOT NULL,
    received_at INTEGER NOT NULL,
    recorded_by TEXT    NOT NULL
) STRICT;
CREATE UNIQUE INDEX recorded_events_once ON recorded_events (environment, event_id);
CREATE INDEX recorded_events_by_type ON recorded_events (environment, event_type, at);
CREATE INDEX recorded_events_by_flag ON recorded_events (environment, flag, at);
CREATE INDEX recorded_events_by_age ON recorded_events (at);

CREATE TABLE notes (
    name TEXT PRIMARY KEY,
    body TEXT NOT NULL
) STRICT;
