SELECT seq, from_node, to_node, kind, at FROM edges
ORDER BY seq, from_node, to_node, kind
