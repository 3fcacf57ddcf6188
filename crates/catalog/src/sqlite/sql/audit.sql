SELECT seq, at, principal_kind, principal, action, subject, outcome, detail, changes, prev_hash, hash FROM audit
WHERE seq < ?1
  AND (?2 IS NULL OR subject = ?2)
  AND (?3 IS NULL OR principal = ?3)
  AND (?4 IS NULL OR action = ?4 OR substr(action, 1, length(?5)) = ?5)
ORDER BY seq DESC
LIMIT ?6
