-- Streams of the embedded NATS server. Descriptions are texts whose form is the server's own; times are nanoseconds.

CREATE TABLE streams (
    name          TEXT    PRIMARY KEY,
    description   TEXT    NOT NULL,
    last_sequence INTEGER NOT NULL,
    last_time     INTEGER NOT NULL
) STRICT;

CREATE TABLE stream_messages (
    stream   TEXT    NOT NULL,
    sequence INTEGER NOT NULL,
    time     INTEGER NOT NULL,
    subject  TEXT    NOT NULL,
    headers  BLOB    NOT NULL,
    payload  BLOB    NOT NULL,
    id       TEXT,    -- what its publisher called it
    expires  INTEGER, -- when it has to be gone; null: with its stream
    PRIMARY KEY (stream, sequence)
) STRICT;

CREATE TABLE stream_consumers (
    stream      TEXT NOT NULL,
    name        TEXT NOT NULL,
    description TEXT NOT NULL,
    PRIMARY KEY (stream, name)
) STRICT;
