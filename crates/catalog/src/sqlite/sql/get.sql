SELECT id, version, created_at, updated_at, body FROM documents WHERE kind = ?1 AND id = ?2
