-- What exists. `version` is the sequence number of the audit entry of the change that wrote the row last.
CREATE TABLE documents (
    kind       TEXT    NOT NULL,
    id         TEXT    NOT NULL,
    parent     TEXT,
    version    INTEGER NOT NULL,
    created_at INTEGER NOT NULL, -- microseconds since 1970 in UTC, as every time here
    updated_at INTEGER NOT NULL,
    body       TEXT    NOT NULL, -- JSON
    PRIMARY KEY (kind, id)
) STRICT;
CREATE INDEX documents_by_age ON documents (kind, created_at, id);
CREATE INDEX documents_by_parent ON documents (kind, parent, id) WHERE parent IS NOT NULL;
CREATE INDEX documents_by_parent_and_age ON documents (kind, parent, created_at, id) WHERE parent IS NOT NULL;

-- What was made from what: `to_node` was made from, or with, `from_node`.
CREATE TABLE edges (
    from_node TEXT    NOT NULL,
    to_node   TEXT    NOT NULL,
    kind      TEXT    NOT NULL,
    at        INTEGER NOT NULL,
    PRIMARY KEY (from_node, to_node, kind)
) STRICT, WITHOUT ROWID;
CREATE INDEX edges_to ON edges (to_node);

-- Numbers that a run reports while it goes. A null value stands for "not a number", which SQLite cannot keep.
CREATE TABLE metrics (
    ordinal INTEGER PRIMARY KEY,
    run     TEXT    NOT NULL,
    key     TEXT    NOT NULL,
    step    INTEGER NOT NULL,
    value   REAL,
    at      INTEGER NOT NULL
) STRICT;
CREATE INDEX metrics_of_run ON metrics (run, key, step, at);

-- Who did what, one entry a change, each holding the hash of the one before.
CREATE TABLE audit (
    seq            INTEGER PRIMARY KEY,
    at             INTEGER NOT NULL,
    principal_kind TEXT    NOT NULL,
    principal      TEXT    NOT NULL,
    action         TEXT    NOT NULL,
    subject        TEXT    NOT NULL,
    outcome        TEXT    NOT NULL,
    detail         TEXT    NOT NULL,
    changes        TEXT    NOT NULL,
    prev_hash      TEXT    NOT NULL,
    hash           TEXT    NOT NULL
) STRICT;
CREATE INDEX audit_of_subject ON audit (subject, seq);
CREATE INDEX audit_of_principal ON audit (principal, seq);

-- The end of the chain, so that a cut-off tail is seen even without a head kept elsewhere.
CREATE TABLE audit_head (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    seq  INTEGER NOT NULL,
    at   INTEGER NOT NULL,
    hash TEXT    NOT NULL
) STRICT;
