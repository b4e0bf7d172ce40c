SELECT 'check', k.conname, pg_catalog.pg_get_expr(k.conbin, k.conrelid)
FROM pg_catalog.pg_constraint k
WHERE k.conrelid = $1::bigint::oid AND k.contype = 'c'
UNION ALL
-- A row has a place when one of the leaves takes it; a partition takes what its own bounds say.
SELECT 'partition', '', string_agg('(' || coalesce(pg_catalog.pg_get_partition_constraintdef(p.relid), 'true') || ')', ' OR ')
FROM pg_catalog.pg_class c
CROSS JOIN LATERAL (SELECT t.relid FROM pg_catalog.pg_partition_tree(c.oid) t WHERE t.isleaf) p
WHERE c.oid = $1::bigint::oid AND (c.relkind = 'p' OR c.relispartition)
HAVING count(*) > 0
ORDER BY 1, 2
