INSERT INTO edges (from_node, to_node, kind, at, seq) VALUES (?1, ?2, ?3, ?4, ?5)
ON CONFLICT (from_node, to_node, kind) DO NOTHING
