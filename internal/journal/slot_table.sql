-- The columns of a table as the log has them, each with the type that its values are read as: of a domain the one below it.
WITH RECURSIVE base AS (
    SELECT a.attnum, a.attname, a.atttypid, a.atttypmod, a.atttypid AS type
    FROM pg_catalog.pg_attribute a
    WHERE a.attrelid = $1::bigint::oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
    UNION ALL
    SELECT b.attnum, b.attname, b.atttypid, b.atttypmod, t.typbasetype
    FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type
    WHERE t.typtype = 'd'
)
SELECT b.attnum, b.attname, b.atttypid::bigint, b.atttypmod, quote_ident(n.nspname) || '.' || quote_ident(t.typname)
FROM base b JOIN pg_catalog.pg_type t ON t.oid = b.type JOIN pg_catalog.pg_namespace n ON n.oid = t.typnamespace
WHERE t.typtype <> 'd'
ORDER BY b.attnum
