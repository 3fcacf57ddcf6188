INSERT INTO documents (kind, id, parent, version, created_at, updated_at, body) VALUES (?1, ?2, ?3, ?4, ?5, ?5, ?6)
ON CONFLICT (kind, id) DO UPDATE SET
    parent = excluded.parent, version = excluded.version, updated_at = excluded.updated_at, body = excluded.body
