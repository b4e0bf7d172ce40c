WITH tree AS (
    SELECT relid FROM pg_catalog.pg_partition_tree($1::bigint::oid::regclass)
    UNION SELECT $1::bigint::oid::regclass
)
SELECT n.nspname, c.relname, 'TRIGGER', g.tgname, g.tgenabled::text
FROM tree t JOIN pg_catalog.pg_class c ON c.oid = t.relid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_trigger g ON g.tgrelid = c.oid
WHERE NOT g.tgisinternal AND g.tgenabled <> 'D' AND g.tgname NOT LIKE 'dbrollback\_journal\_%'
UNION ALL
SELECT n.nspname, c.relname, 'RULE', r.rulename, r.ev_enabled::text
FROM tree t JOIN pg_catalog.pg_class c ON c.oid = t.relid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_rewrite r ON r.ev_class = c.oid
WHERE r.rulename <> '_RETURN' AND r.ev_enabled <> 'D'
ORDER BY 1, 2, 3, 4
