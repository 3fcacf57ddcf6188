SELECT from_node, to_node, kind FROM edges WHERE from_node = ?1 ORDER BY at, to_node, kind LIMIT ?2
