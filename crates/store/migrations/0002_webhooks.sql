-- What is sent to webhooks. Endpoints themselves are documents; `endpoint` is the `id` in such a document.

CREATE TABLE webhook_deliveries (
    id         INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice: people name deliveries by it
    endpoint   TEXT    NOT NULL,
    event      TEXT    NOT NULL,
    event_type TEXT    NOT NULL,
    body       TEXT    NOT NULL,
    state      TEXT    NOT NULL,
    created_at INTEGER NOT NULL,
    due_at     INTEGER NOT NULL, -- when it is sent next; of those that are done: since when they are
    tries      INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX webhook_deliveries_once ON webhook_deliveries (endpoint, event);
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (endpoint, due_at, id) WHERE state = 'pending';
CREATE INDEX webhook_deliveries_by_endpoint ON webhook_deliveries (endpoint, id);
CREATE INDEX webhook_deliveries_done ON webhook_deliveries (due_at) WHERE state <> 'pending';

CREATE TABLE webhook_attempts (
    id          INTEGER PRIMARY KEY,
    delivery    INTEGER NOT NULL REFERENCES webhook_deliveries (id) ON DELETE CASCADE,
    at          INTEGER NOT NULL,
    duration_ms INTEGER NOT NULL,
    status      INTEGER,
    error       TEXT,
    response    TEXT    NOT NULL
) STRICT;
CREATE INDEX webhook_attempts_by_delivery ON webhook_attempts (delivery, id);

-- They have to sign, so they are kept as they are.
CREATE TABLE webhook_secrets (
    id       INTEGER PRIMARY KEY,
    endpoint TEXT    NOT NULL,
    secret   TEXT    NOT NULL,
    made_at  INTEGER NOT NULL,
    until    INTEGER -- null: until it is replaced
) STRICT;
CREATE INDEX webhook_secrets_by_endpoint ON webhook_secrets (endpoint, id);

CREATE TABLE webhook_health (
    endpoint      TEXT    PRIMARY KEY,
    failing_since INTEGER,
    failures      INTEGER NOT NULL
) STRICT;
