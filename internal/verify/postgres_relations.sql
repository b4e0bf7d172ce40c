WITH RECURSIVE
{{- if .All}}
scope AS MATERIALIZED (
    SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'f', 'v', 'm') AND c.relpersistence <> 't'
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'dbrollback')
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
),
{{- else}}
named AS (
    -- A setting and no parameter: a statement with parameters is planned anew five times and more.
    SELECT to_regclass(x.name)::oid AS oid FROM unnest(current_setting('dbrollback.scope')::text[]) x(name) WHERE to_regclass(x.name) IS NOT NULL
{{- if .Others}}
    UNION
    SELECT c.oid FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('v', 'm') AND c.relpersistence <> 't'
      AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'dbrollback')
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
{{- end}}
),
{{- if .Rare}}
reach AS ( -- with the views over them, their partitions and heirs: what changes a table changes these
    SELECT oid FROM named
    UNION
    SELECT x.oid FROM reach r CROSS JOIN LATERAL (
        SELECT w.ev_class FROM pg_catalog.pg_depend d
        JOIN pg_catalog.pg_rewrite w ON w.oid = d.objid AND w.rulename = '_RETURN'
        WHERE d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = r.oid AND d.classid = 'pg_catalog.pg_rewrite'::regclass
        UNION ALL
        SELECT i.inhrelid FROM pg_catalog.pg_inherits i WHERE i.inhparent = r.oid) x(oid)
),
scope AS MATERIALIZED (SELECT oid FROM reach),
{{- else}}
scope AS MATERIALIZED (SELECT oid FROM named),
{{- end}}
{{- end}}
-- Definitions print names as short as the search path allows, so it is emptied for the time of this
-- statement; it must come after the look-up of the names above.
path AS MATERIALIZED (
    SELECT current_setting('search_path') AS old, set_config('search_path', 'pg_catalog', true) AS new
    FROM (SELECT count(*) FROM scope) s
),
rel AS MATERIALIZED (
    SELECT c.oid, n.nspname AS sch, c.relname AS tab, format('%I.%I', n.nspname, c.relname) AS q, c.relkind,
           CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END AS word,
           c.relpersistence, c.relowner, c.relacl, c.reloptions, c.reltablespace, c.relrowsecurity, c.relforcerowsecurity,
           c.relreplident, c.relispartition, c.relpartbound, c.relam, c.reloftype
    FROM path, scope s
    JOIN pg_catalog.pg_class c ON c.oid = s.oid AND c.relkind IN ('r', 'p', 'f', 'v', 'm')
    JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
),
col AS MATERIALIZED (
    SELECT r.oid, r.sch, r.tab, r.q, r.relkind, r.relispartition, a.attnum, a.attname, a.atttypid, a.attnotnull, a.attidentity, a.attgenerated, a.attacl, a.attislocal,
           format('%s.%I', r.q, a.attname) AS name,
           row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum) AS pos,
           pg_catalog.format_type(a.atttypid, a.atttypmod)
               || CASE WHEN a.attcollation <> t.typcollation
                       THEN (SELECT format(' COLLATE %I.%I', cn.nspname, co.collname) FROM pg_catalog.pg_collation co
                             JOIN pg_catalog.pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = a.attcollation) ELSE '' END AS type,
           pg_catalog.pg_get_expr(d.adbin, d.adrelid) AS expr
           {{- if .Rare}},
           concat_ws(', ',
               CASE WHEN a.attstorage <> t.typstorage THEN 'STORAGE ' || CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END END,
               CASE WHEN a.attstattarget >= 0 THEN 'STATISTICS ' || a.attstattarget END,
               {{- if ge .Version 140000}}
               CASE a.attcompression WHEN 'p' THEN 'COMPRESSION pglz' WHEN 'l' THEN 'COMPRESSION lz4' END,
               {{- end}}
               CASE WHEN a.attoptions IS NOT NULL THEN '(' || array_to_string(a.attoptions, ', ') || ')' END) AS options,
           array_remove(ARRAY[
               CASE WHEN a.attstorage <> t.typstorage THEN 'STORAGE ' || CASE t.typstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END END,
               CASE WHEN a.attstattarget >= 0 THEN 'STATISTICS -1' END
               {{- if ge .Version 140000}}, CASE WHEN a.attcompression <> '' THEN 'COMPRESSION DEFAULT' END{{end}}], NULL) AS unset,
           array_remove(ARRAY[
               CASE WHEN a.attstorage <> t.typstorage THEN 'STORAGE ' || CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END END,
               CASE WHEN a.attstattarget >= 0 THEN 'STATISTICS ' || a.attstattarget END,
               {{- if ge .Version 140000}}
               CASE a.attcompression WHEN 'p' THEN 'COMPRESSION pglz' WHEN 'l' THEN 'COMPRESSION lz4' END,
               {{- end}}
               CASE WHEN a.attoptions IS NOT NULL THEN '(' || array_to_string(a.attoptions, ', ') || ')' END], NULL) AS set
           {{- end}}
    FROM rel r
    JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
        AND NOT (a.attname LIKE 'dbrollback\_%' AND a.attname ~ '^dbrollback_(col|new)_[0-9a-f]{32}(_[0-9]+)?$') -- kept for a rollback
    JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
),
{{- if .Sequences}}
-- The sequences of the columns: those that columns own, and those that identity columns are made of.
seq AS MATERIALIZED (
    SELECT s.seqrelid AS oid, c.oid AS relid, c.attnum, c.q, c.sch, c.tab, c.attname, c.attidentity, dep.deptype, sc.relowner, sc.relacl, sc.relpersistence,
           format('%I.%I', sn.nspname, sc.relname) AS sq,
           format('AS %s START WITH %s INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s %s', pg_catalog.format_type(s.seqtypid, NULL),
                  s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, CASE WHEN s.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END) AS def
    FROM col c
    JOIN pg_catalog.pg_depend dep ON dep.refclassid = 'pg_catalog.pg_class'::regclass AND dep.refobjid = c.oid AND dep.refobjsubid = c.attnum
         AND dep.classid = 'pg_catalog.pg_class'::regclass AND dep.deptype IN ('a', 'i')
    JOIN pg_catalog.pg_sequence s ON s.seqrelid = dep.objid
    JOIN pg_catalog.pg_class sc ON sc.oid = s.seqrelid JOIN pg_catalog.pg_namespace sn ON sn.oid = sc.relnamespace
),
{{- end}}
obj(class, id, sub, ident, kind, name, sch, tab, def, mk, alt, rm, rank, pos, gen, needs) AS MATERIALIZED (
    SELECT 'pg_catalog.pg_class'::regclass::oid, r.oid, 0, r.word || ' ' || r.q,
           CASE r.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' ELSE 'table' END,
           r.q, r.sch, r.tab, d.def,
           CASE WHEN r.relkind IN ('v', 'm') THEN ARRAY['CREATE ' || r.word || ' ' || r.q || d.def]
                ELSE ARRAY[format('CREATE %s%s %s%s%s', CASE r.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END, r.word, r.q,
                                  CASE WHEN r.relispartition THEN ' ' ELSE '(' || coalesce((
                                      SELECT string_agg(format('%I %s', c.attname, c.type || CASE c.attgenerated
                                                  WHEN 's' THEN format(' GENERATED ALWAYS AS (%s) STORED', c.expr)
                                                  WHEN 'v' THEN format(' GENERATED ALWAYS AS (%s) VIRTUAL', c.expr) ELSE '' END), ', ' ORDER BY c.attnum)
                                      FROM col c WHERE c.oid = r.oid), '') || ')' END, d.tail)] END,
           CASE WHEN d.def LIKE 'UNLOGGED%' THEN ARRAY[format('ALTER TABLE %s SET UNLOGGED', r.q)]
                WHEN r.relkind IN ('r', 'p') AND d.tail = '' THEN ARRAY[format('ALTER TABLE %s SET LOGGED', r.q)] END,
           ARRAY[format('DROP %s %s', r.word, r.q)], CASE WHEN r.relkind IN ('v', 'm') THEN 100
                ELSE 50{{if .Rare}} + (WITH RECURSIVE up(oid, n) AS ( -- after what it is a part or an heir of
                               SELECT r.oid, 0 UNION ALL SELECT i.inhparent, up.n + 1 FROM up JOIN pg_catalog.pg_inherits i ON i.inhrelid = up.oid)
                           SELECT least(max(up.n), 4) FROM up){{end}} END, 0, false,
           {{if .Rare}}CASE WHEN r.relkind IN ('v', 'm') THEN ARRAY(
               SELECT DISTINCT CASE k.relkind WHEN 'v' THEN 'view ' WHEN 'm' THEN 'materialized view ' WHEN 'f' THEN 'foreign table ' ELSE 'table ' END || format('%I.%I', kn.nspname, k.relname)
               FROM pg_catalog.pg_rewrite w
               JOIN pg_catalog.pg_depend dep ON dep.classid = 'pg_catalog.pg_rewrite'::regclass AND dep.objid = w.oid AND dep.refclassid = 'pg_catalog.pg_class'::regclass AND dep.refobjid <> r.oid
               JOIN pg_catalog.pg_class k ON k.oid = dep.refobjid JOIN pg_catalog.pg_namespace kn ON kn.oid = k.relnamespace
               WHERE w.ev_class = r.oid ORDER BY 1) END{{else}}NULL{{end}}
    {{- if .Rare}}
    FROM rel r CROSS JOIN LATERAL (
        SELECT CASE WHEN r.relkind IN ('v', 'm') THEN
                   CASE WHEN r.relkind = 'v' AND r.reloptions IS NOT NULL THEN ' WITH (' || array_to_string(r.reloptions, ', ') || ')' ELSE '' END
                   || ' AS ' || rtrim(pg_catalog.pg_get_viewdef(r.oid), ';')
               ELSE CASE r.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END || r.word || x.tail END AS def, x.tail
        FROM (SELECT concat(
                  CASE WHEN r.relispartition THEN (SELECT format(' PARTITION OF %I.%I ', pn.nspname, p.relname)
                           FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class p ON p.oid = i.inhparent JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
                           WHERE i.inhrelid = r.oid) || pg_catalog.pg_get_expr(r.relpartbound, r.oid)
                       WHEN r.relkind IN ('r', 'f') THEN (SELECT ' INHERITS (' || string_agg(format('%I.%I', pn.nspname, p.relname), ', ' ORDER BY i.inhseqno) || ')'
                           FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class p ON p.oid = i.inhparent JOIN pg_catalog.pg_namespace pn ON pn.oid = p.relnamespace
                           WHERE i.inhrelid = r.oid) END,
                  CASE WHEN r.relkind = 'p' THEN ' PARTITION BY ' || pg_catalog.pg_get_partkeydef(r.oid) END,
                  CASE WHEN r.relkind = 'f' THEN (SELECT format(' SERVER %I', s.srvname) || CASE WHEN f.ftoptions IS NULL THEN '' ELSE ' OPTIONS ('
                           || (SELECT string_agg(format('%I %L', o.option_name, o.option_value), ', ' ORDER BY o.option_name) FROM pg_catalog.pg_options_to_table(f.ftoptions) o) || ')' END
                           FROM pg_catalog.pg_foreign_table f JOIN pg_catalog.pg_foreign_server s ON s.oid = f.ftserver WHERE f.ftrelid = r.oid) END,
                  CASE WHEN r.relkind IN ('r', 'm') THEN (SELECT ' USING ' || quote_ident(am.amname) FROM pg_catalog.pg_am am WHERE am.oid = r.relam AND am.amname <> 'heap') END) AS tail OFFSET 0) x OFFSET 0) d
    {{- else}}
    FROM rel r CROSS JOIN (SELECT 'TABLE' AS def, '' AS tail) d
    {{- end}}
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, r.oid, -1, NULL, 'owner', r.q, r.sch, r.tab, pg_catalog.pg_get_userbyid(r.relowner),
           ARRAY[format('ALTER %s %s OWNER TO %I', r.word, r.q, pg_catalog.pg_get_userbyid(r.relowner))], NULL, NULL, 101, 0, false, NULL
    FROM rel r
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, c.oid, c.attnum, 'COLUMN ' || c.name, 'column', c.name, c.sch, c.tab, d.def,
           ARRAY[format('ALTER TABLE %s ADD COLUMN %I %s', c.q, c.attname, d.def)],
           CASE WHEN c.attgenerated = '' THEN ARRAY[format('ALTER TABLE %1$s ALTER COLUMN %2$I TYPE %3$s USING %2$I::%4$s', c.q, c.attname, c.type, regexp_replace(c.type, ' COLLATE .*$', ''))] END,
           ARRAY[format('ALTER TABLE %s DROP COLUMN %I', c.q, c.attname)], 60, c.pos, false, NULL
    FROM col c CROSS JOIN LATERAL (
        SELECT c.type || CASE c.attgenerated WHEN 's' THEN format(' GENERATED ALWAYS AS (%s) STORED', c.expr)
                                             WHEN 'v' THEN format(' GENERATED ALWAYS AS (%s) VIRTUAL', c.expr) ELSE '' END AS def) d
    WHERE c.relkind IN ('r', 'p', 'f')
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, c.oid, -1, NULL, 'default', c.name, c.sch, c.tab, c.expr,
           ARRAY[format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT %s', c.q, c.attname, c.expr)], NULL,
           ARRAY[format('ALTER TABLE %s ALTER COLUMN %I DROP DEFAULT', c.q, c.attname)], 70, 0, false, NULL
    FROM col c WHERE c.attgenerated = '' AND c.expr IS NOT NULL
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, c.oid, -1, NULL, 'not null', c.name, c.sch, c.tab, {{if ge .Version 180000}}nn.def, nn.mk, nn.alt{{else}}'NOT NULL',
           ARRAY[format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', c.q, c.attname)], NULL{{end}},
           ARRAY[format('ALTER TABLE %s ALTER COLUMN %I DROP NOT NULL', c.q, c.attname)], 75, 0, false, NULL
    FROM col c
    {{- if ge .Version 180000}}
    CROSS JOIN LATERAL (SELECT c.oid, c.attnum AS num, c.attname AS name, c.q) nb
    {{template "not null"}}
    {{- end}}
    WHERE c.attnotnull AND c.relkind IN ('r', 'p', 'f')
    UNION ALL
    SELECT 'pg_catalog.pg_constraint'::regclass, k.oid, 0, format('CONSTRAINT %I ON %s', k.conname, q.q),
           CASE k.contype WHEN 'p' THEN 'primary key' WHEN 'u' THEN 'unique' WHEN 'f' THEN 'foreign key' WHEN 'c' THEN 'check' ELSE 'exclude' END,
           format('%s.%I', q.q, k.conname), n.nspname, c.relname, d.def,
           ARRAY[format('ALTER TABLE %s ADD CONSTRAINT %I %s', q.q, k.conname, d.def)], NULL,
           ARRAY[format('ALTER TABLE %s DROP CONSTRAINT %I', q.q, k.conname)],
           CASE k.contype WHEN 'p' THEN 80 WHEN 'u' THEN 81 WHEN 'f' THEN 90 WHEN 'c' THEN 82 ELSE 83 END, 0,
           k.conname ~ '_(pkey|key|fkey|check|excl)\d*$', NULL
    FROM (SELECT k.oid FROM rel r JOIN pg_catalog.pg_constraint k ON k.conrelid = r.oid
          UNION SELECT k.oid FROM rel r -- foreign keys that point here: only what depends on a table has an index to be found by
          JOIN pg_catalog.pg_depend d ON d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = r.oid AND d.classid = 'pg_catalog.pg_constraint'::regclass
          JOIN pg_catalog.pg_constraint k ON k.oid = d.objid AND k.confrelid = r.oid AND r.relkind IN ('r', 'p') AND k.contype = 'f') ks
    JOIN pg_catalog.pg_constraint k ON k.oid = ks.oid AND k.contype IN ('p', 'u', 'f', 'c', 'x') AND k.conparentid = 0 AND (k.conislocal OR k.coninhcount = 0)
    JOIN pg_catalog.pg_class c ON c.oid = k.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL (SELECT format('%I.%I', n.nspname, c.relname) AS q) q
    CROSS JOIN LATERAL (SELECT pg_catalog.pg_get_constraintdef(k.oid) AS def OFFSET 0) d
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, ic.oid, 0, format('INDEX %I.%I', r.sch, ic.relname), 'index', format('%I.%I', r.sch, ic.relname), r.sch, r.tab,
           x.body || CASE WHEN i.indisvalid THEN '' ELSE ' INVALID' END, ARRAY[format('CREATE %sINDEX %I%s', CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END, ic.relname, x.rest)],
           NULL, ARRAY[format('DROP INDEX %I.%I', r.sch, ic.relname)], CASE WHEN r.relkind = 'm' THEN 103 ELSE 85 END, 0, ic.relname ~ '_(idx|key)\d*$', NULL
    FROM rel r JOIN pg_catalog.pg_index i ON i.indrelid = r.oid JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid AND NOT ic.relispartition
    LEFT JOIN pg_catalog.pg_tablespace ts ON ts.oid = ic.reltablespace
    CROSS JOIN LATERAL (SELECT CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END || 'INDEX' || s.rest AS body, s.rest
        -- ON ONLY is how a partitioned table's index prints; made without it, it reaches the partitions.
        FROM (SELECT regexp_replace(substr(pg_catalog.pg_get_indexdef(ic.oid), length(CASE WHEN i.indisunique THEN 'CREATE UNIQUE INDEX ' ELSE 'CREATE INDEX ' END || quote_ident(ic.relname)) + 1),
                                    '^ ON ONLY ', ' ON ')
                     || coalesce(' TABLESPACE ' || quote_ident(ts.spcname), '') AS rest OFFSET 0) s OFFSET 0) x
    WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u', 'x'))
    {{- if .Sequences}}
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, s.oid, -1, NULL, 'identity', format('%s.%I', s.q, s.attname), s.sch, s.tab,
           CASE s.attidentity WHEN 'a' THEN 'ALWAYS ' ELSE 'BY DEFAULT ' END || s.def,
           ARRAY[format('ALTER TABLE %s ALTER COLUMN %I ADD GENERATED %s AS IDENTITY (SEQUENCE NAME %s %s)', s.q, s.attname,
                        CASE s.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END, s.sq, regexp_replace(s.def, '^AS \S+ ', ''))],
           ARRAY[format('ALTER TABLE %s ALTER COLUMN %I SET GENERATED %s', s.q, s.attname, CASE s.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END),
                 format('ALTER SEQUENCE %s %s', s.sq, s.def)],
           ARRAY[format('ALTER TABLE %s ALTER COLUMN %I DROP IDENTITY', s.q, s.attname)], 77, 0, false, NULL
    FROM seq s WHERE s.attidentity <> '' AND s.deptype = 'i'
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, s.oid, 0, 'SEQUENCE ' || s.sq, 'sequence', s.sq, s.sch, s.tab, CASE s.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END || s.def,
           ARRAY[format('CREATE SEQUENCE %s %s', s.sq, s.def)], ARRAY[format('ALTER SEQUENCE %s %s', s.sq, s.def)], ARRAY['DROP SEQUENCE ' || s.sq], 40, 0, false, NULL
    FROM seq s WHERE s.deptype = 'a'
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, s.oid, -1, NULL, 'sequence owner', s.sq, s.sch, s.tab, format('%s.%I', s.q, s.attname),
           ARRAY[format('ALTER SEQUENCE %s OWNED BY %s.%I', s.sq, s.q, s.attname)], NULL, ARRAY[format('ALTER SEQUENCE %s OWNED BY NONE', s.sq)], 65, 0, false, NULL
    FROM seq s WHERE s.deptype = 'a'
    {{- end}}
    {{- if .Rare}}
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, r.oid, -1, NULL, 'options', r.q, r.sch, r.tab, array_to_string(r.reloptions, ', '),
           ARRAY[format('ALTER %s %s SET (%s)', r.word, r.q, array_to_string(r.reloptions, ', '))], NULL,
           ARRAY[format('ALTER %s %s RESET (%s)', r.word, r.q, (SELECT string_agg(split_part(o, '=', 1), ', ') FROM unnest(r.reloptions) o))], 55, 0, false, NULL
    FROM rel r WHERE r.reloptions IS NOT NULL AND r.relkind <> 'v'
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, r.oid, -1, NULL, 'tablespace', r.q, r.sch, r.tab, ts.spcname,
           ARRAY[format('ALTER %s %s SET TABLESPACE %I', r.word, r.q, ts.spcname)], NULL,
           ARRAY[format('ALTER %s %s SET TABLESPACE pg_default', r.word, r.q)], 55, 0, false, NULL
    FROM rel r JOIN pg_catalog.pg_tablespace ts ON ts.oid = r.reltablespace
    {{- if ge .Version 170000}}
    UNION ALL -- of a partitioned table it is what partitions to come get
    SELECT 'pg_catalog.pg_class'::regclass, r.oid, -1, NULL, 'access method', r.q, r.sch, r.tab, am.amname,
           ARRAY[format('ALTER TABLE %s SET ACCESS METHOD %I', r.q, am.amname)], NULL,
           ARRAY[format('ALTER TABLE %s SET ACCESS METHOD DEFAULT', r.q)], 55, 0, false, NULL
    FROM rel r JOIN pg_catalog.pg_am am ON am.oid = r.relam WHERE r.relkind = 'p'
    {{- end}}
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, r.oid, -1, NULL, 'row security', r.q, r.sch, r.tab,
           concat_ws(', ', CASE WHEN r.relrowsecurity THEN 'ENABLE' END, CASE WHEN r.relforcerowsecurity THEN 'FORCE' END),
           array_remove(ARRAY[CASE WHEN r.relrowsecurity THEN format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', r.q) END,
                              CASE WHEN r.relforcerowsecurity THEN format('ALTER TABLE %s FORCE ROW LEVEL SECURITY', r.q) END], NULL), NULL,
           ARRAY[format('ALTER TABLE %s DISABLE ROW LEVEL SECURITY', r.q), format('ALTER TABLE %s NO FORCE ROW LEVEL SECURITY', r.q)], 112, 0, false, NULL
    FROM rel r WHERE r.relrowsecurity OR r.relforcerowsecurity
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, r.oid, -1, NULL, 'replica identity', r.q, r.sch, r.tab, x.def,
           ARRAY[format('ALTER %s %s REPLICA IDENTITY %s', r.word, r.q, x.def)], NULL,
           ARRAY[format('ALTER %s %s REPLICA IDENTITY DEFAULT', r.word, r.q)], 92, 0, false, NULL
    FROM rel r CROSS JOIN LATERAL (
        SELECT CASE r.relreplident WHEN 'f' THEN 'FULL' WHEN 'n' THEN 'NOTHING'
               ELSE (SELECT format('USING INDEX %I', ic.relname) FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
                     WHERE i.indrelid = r.oid AND i.indisreplident) END AS def OFFSET 0) x
    WHERE r.relkind IN ('r', 'p', 'm') AND r.relreplident <> 'd' AND x.def IS NOT NULL
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, r.oid, -1, NULL, 'cluster', r.q, r.sch, r.tab, ic.relname,
           ARRAY[format('ALTER %s %s CLUSTER ON %I', r.word, r.q, ic.relname)], NULL, ARRAY[format('ALTER %s %s SET WITHOUT CLUSTER', r.word, r.q)], 92, 0, false, NULL
    FROM rel r JOIN pg_catalog.pg_index i ON i.indrelid = r.oid AND i.indisclustered JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, c.oid, -1, NULL, 'column options', c.name, c.sch, c.tab, c.options,
           ARRAY(SELECT format('ALTER TABLE %s ALTER COLUMN %I SET %s', c.q, c.attname, o) FROM unnest(c.set) o), NULL,
           ARRAY(SELECT format('ALTER TABLE %s ALTER COLUMN %I SET %s', c.q, c.attname, o) FROM unnest(c.unset) o), 72, 0, false, NULL
    FROM col c WHERE c.options <> ''
    UNION ALL
    SELECT 'pg_catalog.pg_trigger'::regclass, g.oid, 0, format('TRIGGER %I ON %s', g.tgname, r.q), 'trigger', format('%s.%I', r.q, g.tgname), r.sch, r.tab,
           d.def || s.state, ARRAY[d.def] || CASE WHEN s.state <> '' THEN ARRAY[format('ALTER TABLE %s%s TRIGGER %I', r.q, s.state, g.tgname)] ELSE '{}' END, NULL,
           ARRAY[format('DROP TRIGGER %I ON %s', g.tgname, r.q)], 110, 0, false, NULL
    FROM rel r JOIN pg_catalog.pg_trigger g ON g.tgrelid = r.oid AND NOT g.tgisinternal AND g.tgparentid = 0 AND g.tgname NOT LIKE 'dbrollback\_%'
    CROSS JOIN LATERAL (SELECT pg_catalog.pg_get_triggerdef(g.oid) AS def OFFSET 0) d
    CROSS JOIN LATERAL (SELECT CASE g.tgenabled WHEN 'D' THEN ' DISABLE' WHEN 'R' THEN ' ENABLE REPLICA' WHEN 'A' THEN ' ENABLE ALWAYS' ELSE '' END AS state) s
    UNION ALL
    SELECT 'pg_catalog.pg_rewrite'::regclass, w.oid, 0, format('RULE %I ON %s', w.rulename, r.q), 'rule', format('%s.%I', r.q, w.rulename), r.sch, r.tab,
           d.def || s.state, ARRAY[d.def] || CASE WHEN s.state <> '' THEN ARRAY[format('ALTER TABLE %s%s RULE %I', r.q, s.state, w.rulename)] ELSE '{}' END, NULL,
           ARRAY[format('DROP RULE %I ON %s', w.rulename, r.q)], 110, 0, false, NULL
    FROM rel r JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid AND w.rulename <> '_RETURN' AND w.rulename NOT LIKE 'dbrollback\_%'
    CROSS JOIN LATERAL (SELECT rtrim(pg_catalog.pg_get_ruledef(w.oid), ';') AS def OFFSET 0) d
    CROSS JOIN LATERAL (SELECT CASE w.ev_enabled WHEN 'D' THEN ' DISABLE' WHEN 'R' THEN ' ENABLE REPLICA' WHEN 'A' THEN ' ENABLE ALWAYS' ELSE '' END AS state) s
    UNION ALL
    SELECT 'pg_catalog.pg_policy'::regclass, p.oid, 0, format('POLICY %I ON %s', p.polname, r.q), 'policy', format('%s.%I', r.q, p.polname), r.sch, r.tab, d.def,
           ARRAY[format('CREATE POLICY %I ON %s %s', p.polname, r.q, d.def)], NULL, ARRAY[format('DROP POLICY %I ON %s', p.polname, r.q)], 111, 0, false, NULL
    FROM rel r JOIN pg_catalog.pg_policy p ON p.polrelid = r.oid
    CROSS JOIN LATERAL (SELECT concat_ws(' ', 'AS', CASE WHEN p.polpermissive THEN 'PERMISSIVE' ELSE 'RESTRICTIVE' END,
        'FOR', CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd' THEN 'DELETE' ELSE 'ALL' END,
        'TO', (SELECT string_agg(CASE m WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_catalog.pg_get_userbyid(m)) END, ', ' ORDER BY pg_catalog.pg_get_userbyid(m)) FROM unnest(p.polroles) m),
        'USING (' || pg_catalog.pg_get_expr(p.polqual, p.polrelid) || ')', 'WITH CHECK (' || pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) || ')') AS def OFFSET 0) d
    UNION ALL
    SELECT 'pg_catalog.pg_statistic_ext'::regclass, e.oid, 0, format('STATISTICS %I.%I', en.nspname, e.stxname), 'statistics', format('%I.%I', en.nspname, e.stxname), r.sch, r.tab,
           d.def, ARRAY[d.def], NULL, ARRAY[format('DROP STATISTICS %I.%I', en.nspname, e.stxname)], 93, 0, false, NULL
    FROM rel r JOIN pg_catalog.pg_statistic_ext e ON e.stxrelid = r.oid JOIN pg_catalog.pg_namespace en ON en.oid = e.stxnamespace
    CROSS JOIN LATERAL (SELECT pg_catalog.pg_get_statisticsobjdef(e.oid) AS def OFFSET 0) d
    UNION ALL
    SELECT 'pg_catalog.pg_publication_rel'::regclass, pr.oid, 0, NULL, 'publication membership', format('%I: %s', pb.pubname, r.q), r.sch, r.tab, x.def,
           ARRAY[format('ALTER PUBLICATION %I ADD TABLE %s', pb.pubname, x.def)], NULL, ARRAY[format('ALTER PUBLICATION %I DROP TABLE %s', pb.pubname, r.q)], 113, 0, false, NULL
    FROM rel r JOIN pg_catalog.pg_publication_rel pr ON pr.prrelid = r.oid JOIN pg_catalog.pg_publication pb ON pb.oid = pr.prpubid AND pb.pubname NOT LIKE 'dbrollback\_%'
    CROSS JOIN LATERAL (SELECT 'ONLY ' || r.q
        {{- if ge .Version 150000}}
        || coalesce(' (' || (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM unnest(pr.prattrs::int2[]) x(num)
                             JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum = x.num) || ')', '')
        || coalesce(' WHERE ' || pg_catalog.pg_get_expr(pr.prqual, pr.prrelid), '')
        {{- end}} AS def OFFSET 0) x
    {{- end}}
),
{{- if .Rare}}
acl(target, part, name, sch, tab, acl, base, rank) AS (
    SELECT 'TABLE ' || r.q, '', r.q, r.sch, r.tab, r.relacl, pg_catalog.acldefault('r', r.relowner), 130 FROM rel r WHERE r.relacl IS NOT NULL
    UNION ALL
    SELECT 'TABLE ' || c.q, format(' (%I)', c.attname), c.name, c.sch, c.tab, c.attacl, NULL::aclitem[], 131 FROM col c WHERE c.attacl IS NOT NULL
    UNION ALL
    SELECT 'SEQUENCE ' || s.sq, '', s.sq, s.sch, s.tab, s.relacl, pg_catalog.acldefault('s', s.relowner), 130 FROM seq s WHERE s.relacl IS NOT NULL AND s.deptype = 'a'
),
{{template "grants"}},
{{- end}}
doc AS MATERIALIZED (
    SELECT coalesce(json_agg(json_build_array(o.kind, o.name, o.sch, o.tab, o.def, o.mk, o.alt, o.rm, o.rank * 10000000000 + o.id::bigint, o.pos, o.gen, o.needs)), '[]') AS j
    FROM (SELECT * FROM obj
          {{- if .Rare}}
          UNION ALL SELECT * FROM grants
          {{- end}}
          UNION ALL SELECT o.class, o.id, -1, NULL, 'comment', o.ident, o.sch, o.tab, d.description,
                           ARRAY[format('COMMENT ON %s IS %L', o.ident, d.description)], NULL, ARRAY[format('COMMENT ON %s IS NULL', o.ident)], 120, 0, false, NULL
          FROM obj o JOIN pg_catalog.pg_description d ON d.classoid = o.class AND d.objoid = o.id AND d.objsubid = o.sub
          WHERE o.ident IS NOT NULL) o
)
SELECT doc.j, set_config('search_path', path.old, true) FROM doc, path
