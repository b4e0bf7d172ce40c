-- What generated values of a table must respect, besides its columns and keys. Domains are followed to their base.
WITH RECURSIVE t AS (
    SELECT c.oid, c.relkind FROM pg_catalog.pg_class c WHERE c.oid = $1::bigint::oid
), col AS (
    SELECT a.attname, a.attnum, a.atttypid AS typ, a.atttypmod AS mod, ARRAY[]::text[] AS checks, false AS filled
    FROM t JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT col.attname, col.attnum, d.typbasetype, d.typtypmod,
           col.checks || ARRAY(SELECT pg_catalog.pg_get_constraintdef(k.oid) FROM pg_catalog.pg_constraint k WHERE k.contypid = d.oid ORDER BY k.oid),
           col.filled OR d.typnotnull
    FROM col JOIN pg_catalog.pg_type d ON d.oid = col.typ AND d.typtype = 'd'
), base AS (
    SELECT DISTINCT ON (attnum) * FROM col ORDER BY attnum, (SELECT typtype = 'd' FROM pg_catalog.pg_type WHERE oid = typ)
)
SELECT json_build_object(
    'columns', (SELECT json_agg(json_build_object(
            'name', b.attname, 'type', ty.typname, 'category', ty.typcategory, 'mod', b.mod, 'checks', b.checks, 'filled', b.filled,
            'labels', ARRAY(SELECT e.enumlabel FROM pg_catalog.pg_enum e WHERE e.enumtypid = ty.oid ORDER BY e.enumsortorder),
            'element', el.typname, 'ecat', el.typcategory,
            'elabels', ARRAY(SELECT e.enumlabel FROM pg_catalog.pg_enum e WHERE e.enumtypid = el.oid ORDER BY e.enumsortorder)) ORDER BY b.attnum)
        FROM base b JOIN pg_catalog.pg_type ty ON ty.oid = b.typ LEFT JOIN pg_catalog.pg_type el ON el.oid = ty.typelem AND ty.typcategory = 'A'),
    'checks', (SELECT json_agg(json_build_object('text', pg_catalog.pg_get_constraintdef(k.oid),
            'columns', ARRAY(SELECT a.attname FROM pg_catalog.pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey))) ORDER BY k.oid)
        FROM t JOIN pg_catalog.pg_constraint k ON k.conrelid = t.oid AND k.contype = 'c'),
    'unique', (SELECT json_agg(json_build_object(
            'columns', ARRAY(SELECT a.attname FROM pg_catalog.pg_attribute a WHERE a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[])),
            'text', CASE WHEN i.indexprs IS NULL THEN '' ELSE pg_catalog.pg_get_expr(i.indexprs, i.indrelid) END) ORDER BY i.indexrelid)
        FROM t JOIN pg_catalog.pg_index i ON i.indrelid = t.oid AND (i.indisunique OR i.indisexclusion)),
    'bounds', (SELECT json_agg(pg_catalog.pg_get_expr(p.relpartbound, p.oid) ORDER BY p.oid)
        FROM t JOIN pg_catalog.pg_inherits h ON h.inhparent = t.oid JOIN pg_catalog.pg_class p ON p.oid = h.inhrelid AND p.relispartition),
    'key', CASE WHEN (SELECT relkind FROM t) = 'p' THEN pg_catalog.pg_get_partkeydef((SELECT oid FROM t)) ELSE '' END)
