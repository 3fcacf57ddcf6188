INSERT INTO audit_head (one, seq, at, hash) VALUES (1, ?1, ?2, ?3)
ON CONFLICT (one) DO UPDATE SET seq = excluded.seq, at = excluded.at, hash = excluded.hash
