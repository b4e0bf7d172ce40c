SELECT concat_ws(' | ', c.oid, t.xmin,
    (SELECT string_agg(a.attnum || ':' || a.xmin, ' ' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''),
    (SELECT string_agg(g.oid || ':' || g.xmin, ' ' ORDER BY g.oid) FROM pg_catalog.pg_trigger g
        WHERE g.tgrelid = c.oid AND g.tgname LIKE 'dbrollback\_journal\_%' AND right(g.tgname, 32) = $2::text))
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_type t ON t.oid = c.reltype
WHERE c.oid = $1::bigint::oid
