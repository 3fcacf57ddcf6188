SELECT id, version, created_at, updated_at, body FROM documents INDEXED BY documents_by_parent
WHERE kind = ?1 AND parent = ?6 AND id >= ?2 AND id < ?3 AND id > ?5
ORDER BY id
LIMIT ?4
