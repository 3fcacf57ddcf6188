-- Upstream and downstream of a node are walked apart, so that what else was made from the same inputs stays out.
WITH RECURSIVE
    up (node, depth) AS (
        SELECT ?1, 0
        UNION
        SELECT edges.from_node, up.depth + 1 FROM up JOIN edges ON edges.to_node = up.node WHERE up.depth < ?2
    ),
    down (node, depth) AS (
        SELECT ?1, 0
        UNION
        SELECT edges.to_node, down.depth + 1 FROM down JOIN edges ON edges.from_node = down.node WHERE down.depth < ?2
    )
SELECT from_node, to_node, kind FROM edges
WHERE to_node IN (SELECT node FROM up WHERE depth < ?2)
   OR from_node IN (SELECT node FROM down WHERE depth < ?2)
ORDER BY at, from_node, to_node, kind
LIMIT ?3
