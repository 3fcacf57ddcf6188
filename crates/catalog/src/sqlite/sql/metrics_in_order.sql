SELECT ordinal, run, key, step, value, at FROM metrics
ORDER BY ordinal
