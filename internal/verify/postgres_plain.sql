-- What an ordinary table is made of, in a few rows of the catalog and without the views, triggers, rights and foreign keys
-- of others that hang on it. Beside it, whether the table is an ordinary one, and whether it has parts that only the
-- long statement can tell of. As there, definitions are printed under an empty search path.
WITH t AS MATERIALIZED (
    SELECT to_regclass($1)::oid AS oid, current_setting('search_path') AS old
),
p AS MATERIALIZED (SELECT t.oid, t.old, set_config('search_path', 'pg_catalog', true) AS new FROM t),
d AS MATERIALIZED (
    SELECT p.old, json_build_array(
        n.nspname, c.relname, quote_ident(n.nspname), quote_ident(c.relname), quote_ident(pg_catalog.pg_get_userbyid(c.relowner)), c.oid::bigint,
        c.relkind = 'r' AND NOT c.relispartition AND NOT c.relhassubclass AND c.relpersistence = 'p'
            AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid),
        {{if and .Columns .Constraints .Indexes -}}
        c.relrowsecurity OR c.relforcerowsecurity OR c.relreplident <> 'd' OR c.reltablespace <> 0 OR c.reloftype <> 0 OR c.reloptions IS NOT NULL
            OR c.relacl IS NOT NULL OR c.relhasrules
            OR EXISTS (SELECT FROM pg_catalog.pg_am am WHERE am.oid = c.relam AND am.amname <> 'heap')
            OR c.relhastriggers AND EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal)
            OR EXISTS (SELECT FROM pg_catalog.pg_description s WHERE s.classoid = 'pg_catalog.pg_class'::regclass AND s.objoid = c.oid)
            OR EXISTS (SELECT FROM pg_catalog.pg_publication_rel b WHERE b.prrelid = c.oid)
        {{- else}}true{{end}},
        {{if .Columns}}(SELECT json_agg(json_build_array(
                    a.attname, quote_ident(a.attname), pg_catalog.format_type(a.atttypid, a.atttypmod), CASE WHEN a.attnotnull THEN {{if ge .Version 180000}}json_build_array(nn.def, nn.mk, nn.alt){{else}}'["NOT NULL", null, null]'::json{{end}} END, pg_catalog.pg_get_expr(ad.adbin, ad.adrelid),
                    a.attidentity <> '' OR a.attgenerated <> ''{{if ge .Version 140000}} OR a.attcompression <> ''{{end}} OR a.attacl IS NOT NULL OR a.attoptions IS NOT NULL
                        OR a.attstattarget >= 0 OR a.attstorage <> ty.typstorage OR a.attcollation <> ty.typcollation
                        OR pg_catalog.pg_get_expr(ad.adbin, ad.adrelid) LIKE '%nextval(%') ORDER BY a.attnum)
         FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type ty ON ty.oid = a.atttypid
         LEFT JOIN pg_catalog.pg_attrdef ad ON ad.adrelid = a.attrelid AND ad.adnum = a.attnum
         {{- if ge .Version 180000}}
         CROSS JOIN LATERAL (SELECT c.oid, a.attnum AS num, a.attname AS name, format('%I.%I', n.nspname, c.relname) AS q) nb
         {{template "not null"}}
         {{- end}}
         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
           AND NOT (a.attname LIKE 'dbrollback\_%' AND a.attname ~ '^dbrollback_(col|new)_[0-9a-f]{32}(_[0-9]+)?$')){{else}}NULL{{end}},
        {{if .Constraints}}(SELECT json_agg(json_build_array(k.oid::bigint, quote_ident(k.conname), k.contype, pg_catalog.pg_get_constraintdef(k.oid)))
         FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype IN ('p', 'u', 'f', 'c', 'x')){{else}}NULL{{end}},
        {{if .Indexes}}(SELECT json_agg(json_build_array(ic.oid::bigint, quote_ident(ic.relname), i.indisunique, i.indisvalid, pg_catalog.pg_get_indexdef(ic.oid),
                    i.indisclustered OR i.indisreplident OR ic.reltablespace <> 0))
         FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
         WHERE i.indrelid = c.oid AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.conindid = ic.oid AND k.contype IN ('p', 'u', 'x'))){{else}}NULL{{end}}) AS j
    FROM p JOIN pg_catalog.pg_class c ON c.oid = p.oid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
)
SELECT (SELECT d.j FROM d), set_config('search_path', p.old, true) FROM p
