SELECT from_node, to_node, kind FROM edges WHERE to_node = ?1 ORDER BY at, from_node, kind LIMIT ?2
