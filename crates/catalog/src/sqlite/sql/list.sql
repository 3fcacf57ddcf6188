SELECT id, version, created_at, updated_at, body FROM documents
WHERE kind = ?1 AND id >= ?2 AND id < ?3 AND id > ?5
ORDER BY id
LIMIT ?4
