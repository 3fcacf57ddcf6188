SELECT run, key, step, value, at FROM metrics WHERE run = ?1 AND key = ?3 ORDER BY step, at, ordinal LIMIT ?2
