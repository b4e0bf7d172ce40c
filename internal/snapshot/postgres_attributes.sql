WITH RECURSIVE columns AS (
    SELECT c.relname, c.relnamespace, a.attnum, a.attname, a.atttypid
    FROM pg_catalog.pg_class c
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't'
), inside (outer_type, type) AS ( -- what a value consists of: elements, attributes of rows, and so on
    SELECT t.oid, t.oid FROM pg_catalog.pg_type t
    WHERE t.oid IN (SELECT atttypid FROM columns) AND (t.typtype IN ('c', 'd', 'r', 'm') OR t.typelem <> 0)
  UNION
    SELECT i.outer_type, p.type
    FROM inside i
    JOIN pg_catalog.pg_type t ON t.oid = i.type,
    LATERAL (
        SELECT t.typelem WHERE t.typelem <> 0
      UNION ALL
        SELECT t.typbasetype WHERE t.typbasetype <> 0
      UNION ALL
        SELECT r.rngsubtype FROM pg_catalog.pg_range r -- servers before 14 have no multiranges
        WHERE t.typtype IN ('r', 'm') AND t.oid::text IN (r.rngtypid::text, to_jsonb(r) ->> 'rngmultitypid')
      UNION ALL
        SELECT a.atttypid FROM pg_catalog.pg_attribute a
        WHERE t.typrelid <> 0 AND a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    ) p (type)
), parts (type, list) AS (
    SELECT i.outer_type, string_agg(concat_ws('.', t.typrelid, a.attnum, a.atttypid, a.atttypmod), ' ')
    FROM inside i
    JOIN pg_catalog.pg_type t ON t.oid = i.type AND t.typrelid <> 0
    JOIN pg_catalog.pg_attribute a ON a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped
    GROUP BY i.outer_type
)
SELECT n.nspname, c.relname, c.attname, p.list
FROM columns c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN parts p ON p.type = c.atttypid
ORDER BY n.nspname, c.relname, c.attnum
