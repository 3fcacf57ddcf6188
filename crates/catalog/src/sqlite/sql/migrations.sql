CREATE TABLE IF NOT EXISTS migrations (
    version    INTEGER PRIMARY KEY,
    digest     TEXT    NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT;
