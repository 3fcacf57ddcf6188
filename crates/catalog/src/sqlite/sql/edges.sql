SELECT from_node, to_node, kind FROM edges
WHERE (from_node, to_node, kind) > (?1, ?2, ?3) AND from_node <= ?4
ORDER BY from_node, to_node, kind
LIMIT ?5
