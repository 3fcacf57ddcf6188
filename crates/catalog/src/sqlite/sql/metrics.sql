SELECT run, key, step, value, at FROM metrics WHERE run = ?1 ORDER BY key, step, at, ordinal LIMIT ?2
