SELECT id, version, created_at, updated_at, body FROM documents INDEXED BY documents_by_version
WHERE kind = ?1 AND (version, id) > (?2, ?3)
ORDER BY version, id
LIMIT ?4
