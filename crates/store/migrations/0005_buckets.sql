-- What buckets hold: versions, pieces, uploads, and how much it is. No release kept anything in the table that goes.

DROP TRIGGER bucket_gone;
DROP TABLE objects;

-- A bucket by its number, and how much it holds.
CREATE TABLE buckets (
    id             INTEGER PRIMARY KEY AUTOINCREMENT, -- never used twice
    environment    TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    objects        INTEGER NOT NULL DEFAULT 0,
    bytes          INTEGER NOT NULL DEFAULT 0,
    older          INTEGER NOT NULL DEFAULT 0,
    older_bytes    INTEGER NOT NULL DEFAULT 0,
    uploads        INTEGER NOT NULL DEFAULT 0,
    uploaded_bytes INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE UNIQUE INDEX buckets_by_name ON buckets (environment, name);

-- The newest version of each object that is there, in the order in which they are listed.
CREATE TABLE objects (
    bucket       INTEGER NOT NULL,
    key          TEXT    NOT NULL,
    seq          INTEGER NOT NULL, -- the revision that wrote it
    version      TEXT    NOT NULL,
    size         INTEGER NOT NULL,
    etag         TEXT    NOT NULL,
    crc64        INTEGER NOT NULL, -- the same 64 bits, signed
    modified     INTEGER NOT NULL,
    content_type TEXT    NOT NULL,
    about        TEXT,             -- head, tags and checksum, when they say anything
    blob         TEXT,             -- null: it has no piece, or several
    PRIMARY KEY (bucket, key)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX objects_by_blob ON objects (blob) WHERE blob IS NOT NULL;

-- What something newer took the place of, and delete markers, newest first.
CREATE TABLE objects_older (
    bucket       INTEGER NOT NULL,
    key          TEXT    NOT NULL,
    seq          INTEGER NOT NULL,
    version      TEXT    NOT NULL,
    marker       INTEGER NOT NULL,
    size         INTEGER NOT NULL,
    etag         TEXT    NOT NULL,
    crc64        INTEGER NOT NULL,
    modified     INTEGER NOT NULL,
    content_type TEXT    NOT NULL,
    about        TEXT,
    blob         TEXT,
    PRIMARY KEY (bucket, key, seq DESC)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX objects_older_by_blob ON objects_older (blob) WHERE blob IS NOT NULL;

-- Where the bytes of an object are that has several pieces.
CREATE TABLE object_pieces (
    object INTEGER NOT NULL, -- its seq
    number INTEGER NOT NULL,
    blob   TEXT    NOT NULL,
    size   INTEGER NOT NULL,
    crc64  INTEGER NOT NULL,
    PRIMARY KEY (object, number)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX object_pieces_by_blob ON object_pieces (blob);

CREATE TABLE uploads (
    bucket INTEGER NOT NULL,
    key    TEXT    NOT NULL,
    id     TEXT    NOT NULL,
    head   TEXT    NOT NULL,
    tags   TEXT    NOT NULL,
    form   TEXT    NOT NULL,
    begun  INTEGER NOT NULL,
    PRIMARY KEY (bucket, key, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX uploads_by_id ON uploads (id);
CREATE INDEX uploads_by_age ON uploads (begun);

CREATE TABLE upload_parts (
    bucket   INTEGER NOT NULL,
    upload   TEXT    NOT NULL,
    number   INTEGER NOT NULL,
    blob     TEXT    NOT NULL,
    size     INTEGER NOT NULL,
    crc64    INTEGER NOT NULL,
    etag     TEXT    NOT NULL,
    checksum TEXT,
    modified INTEGER NOT NULL,
    PRIMARY KEY (bucket, upload, number)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX upload_parts_by_blob ON upload_parts (blob);

CREATE TRIGGER bucket_gone AFTER DELETE ON documents WHEN old.kind = 'bucket' BEGIN
    DELETE FROM buckets WHERE environment = old.environment AND name = old.key;
END;
CREATE TRIGGER bucket_emptied AFTER DELETE ON buckets BEGIN
    DELETE FROM object_pieces WHERE object IN (SELECT seq FROM objects WHERE bucket = old.id AND blob IS NULL)
        OR object IN (SELECT seq FROM objects_older WHERE bucket = old.id AND blob IS NULL);
    DELETE FROM objects WHERE bucket = old.id;
    DELETE FROM objects_older WHERE bucket = old.id;
    DELETE FROM uploads WHERE bucket = old.id;
    DELETE FROM upload_parts WHERE bucket = old.id;
END;
