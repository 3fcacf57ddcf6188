SELECT id, version, created_at, updated_at, body FROM documents INDEXED BY documents_by_age
WHERE kind = ?1 AND id >= ?2 AND id < ?3 AND (created_at, id) < (?6, ?5)
ORDER BY created_at DESC, id DESC
LIMIT ?4
