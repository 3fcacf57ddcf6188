SELECT kind, id, version, CAST(body AS BLOB) FROM documents ORDER BY version, kind, id
