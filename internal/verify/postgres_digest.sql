-- What of the catalog hangs on the named tables, as one number that changes with any of it: a row's transaction
-- and place are other ones after each change. Beside it, whether the tables use what few tables do, so that the
-- long statement can be shorter. Reads through indexes only.
WITH named AS MATERIALIZED (
    SELECT DISTINCT to_regclass(x.name)::oid AS oid FROM unnest(current_setting('dbrollback.scope')::text[]) x(name) WHERE to_regclass(x.name) IS NOT NULL
),
dep AS MATERIALIZED (
    SELECT d.classid, d.objid, d.deptype, d.xmin, d.ctid FROM named n
    JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = n.oid
),
seen(kind, xmin, ctid, rare, seq) AS (
    SELECT 1, c.xmin, c.ctid,
           c.relkind <> 'r' OR c.relispartition OR c.relhassubclass OR c.relpersistence <> 'p' OR c.relrowsecurity OR c.relforcerowsecurity OR c.relreplident <> 'd' OR c.reltablespace <> 0
           OR c.reloftype <> 0 OR c.reloptions IS NOT NULL OR c.relacl IS NOT NULL
           OR EXISTS (SELECT FROM pg_catalog.pg_am am WHERE am.oid = c.relam AND am.amname <> 'heap')
           OR EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid)
           OR EXISTS (SELECT FROM pg_catalog.pg_publication_rel p WHERE p.prrelid = c.oid), false
    FROM named n JOIN pg_catalog.pg_class c ON c.oid = n.oid
    UNION ALL
    SELECT 2, a.xmin, a.ctid,
           a.attacl IS NOT NULL OR a.attoptions IS NOT NULL OR a.attstattarget >= 0 OR a.attgenerated <> ''{{if ge .Version 140000}} OR a.attcompression <> ''{{end}}
           OR a.attstorage <> (SELECT t.typstorage FROM pg_catalog.pg_type t WHERE t.oid = a.atttypid), a.attidentity <> ''
    FROM named n JOIN pg_catalog.pg_attribute a ON a.attrelid = n.oid AND a.attnum > 0 AND NOT a.attisdropped
    UNION ALL
    SELECT 3, d.xmin, d.ctid, false, false FROM named n JOIN pg_catalog.pg_attrdef d ON d.adrelid = n.oid
    UNION ALL
    SELECT 4, k.xmin, k.ctid, false, false FROM named n JOIN pg_catalog.pg_constraint k ON k.conrelid = n.oid
    UNION ALL
    SELECT 5, i.xmin, i.ctid, i.indisclustered OR i.indisreplident, false FROM named n JOIN pg_catalog.pg_index i ON i.indrelid = n.oid
    UNION ALL -- views, rules, policies, triggers, statistics, sequences, indexes, foreign keys of other tables
    SELECT 6, d.xmin, d.ctid,
           d.classid IN ('pg_catalog.pg_rewrite'::regclass, 'pg_catalog.pg_policy'::regclass, 'pg_catalog.pg_statistic_ext'::regclass)
           OR d.classid = 'pg_catalog.pg_trigger'::regclass AND d.deptype <> 'i', false
    FROM dep d
    UNION ALL
    SELECT 7, c.xmin, c.ctid, c.relkind = 'S' AND c.relacl IS NOT NULL, c.relkind = 'S' FROM dep d JOIN pg_catalog.pg_class c ON d.classid = 'pg_catalog.pg_class'::regclass AND c.oid = d.objid
    UNION ALL
    SELECT 8, k.xmin, k.ctid, false, false FROM dep d JOIN pg_catalog.pg_constraint k ON d.classid = 'pg_catalog.pg_constraint'::regclass AND k.oid = d.objid
    UNION ALL
    SELECT 10, q.xmin, q.ctid, false, false FROM dep d JOIN pg_catalog.pg_sequence q ON d.classid = 'pg_catalog.pg_class'::regclass AND q.seqrelid = d.objid
    UNION ALL
    SELECT 9, s.xmin, s.ctid, false, false
    FROM (SELECT n.oid, 'pg_catalog.pg_class'::regclass::oid AS classid FROM named n UNION SELECT d.objid, d.classid FROM dep d) o
    JOIN pg_catalog.pg_description s ON s.objoid = o.oid AND s.classoid = o.classid
)
SELECT count(*) || ':' || coalesce(sum(hashtextextended(concat_ws(',', s.kind, s.xmin, s.ctid), 0)::numeric), 0), coalesce(bool_or(s.rare), false), coalesce(bool_or(s.seq), false) FROM seen s
