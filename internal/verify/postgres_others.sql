WITH
{{- if .Own}}
me AS MATERIALIZED (SELECT pg_current_xact_id()::xid AS x),
{{- end}}
{{- if .Named}}
named AS MATERIALIZED (SELECT unnest(current_setting('dbrollback.scope')::text[]) AS n),
{{- end}}
path AS MATERIALIZED (SELECT current_setting('search_path') AS old, set_config('search_path', 'pg_catalog', true) AS new),
nsp AS MATERIALIZED (
    SELECT n.oid, n.nspname, n.nspowner, n.nspacl{{if .Part}}, n.xmin AS made{{end}} FROM path, pg_catalog.pg_namespace n
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast', 'dbrollback')
      AND n.nspname NOT LIKE 'pg\_temp\_%' AND n.nspname NOT LIKE 'pg\_toast\_temp\_%'
),
member AS MATERIALIZED (SELECT d.classid, d.objid FROM pg_catalog.pg_depend d WHERE d.deptype = 'e'),
typ AS MATERIALIZED (
    SELECT t.oid, t.typtype, t.typowner, t.typacl, t.typbasetype, t.typtypmod, t.typcollation, t.typnotnull, t.typdefault, t.typrelid, t.typname,
           format('%I.%I', n.nspname, t.typname) AS q, CASE WHEN t.typtype = 'd' THEN 'DOMAIN' ELSE 'TYPE' END AS word
    FROM nsp n JOIN pg_catalog.pg_type t ON t.typnamespace = n.oid AND t.typtype IN ('e', 'd', 'c', 'r', 'b')
    WHERE t.oid >= 16384 AND (t.typtype <> 'c' OR EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
      AND NOT (t.typtype = 'b' AND t.typelem <> 0 AND t.typlen = -1 AND EXISTS (SELECT FROM pg_catalog.pg_type e WHERE e.typarray = t.oid))
      AND (1247, t.oid) NOT IN (SELECT m.classid, m.objid FROM member m){{if .Own}} AND t.xmin = (SELECT x FROM me){{end}}{{if .Named}} AND t.typname IN (SELECT n FROM named){{end}}
),
fun AS MATERIALIZED (
    SELECT p.oid, p.prokind, p.proowner, p.proacl, format('%I.%I(%s)', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)) AS q,
           CASE p.prokind WHEN 'p' THEN 'PROCEDURE' WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END AS word, n.nspname, p.proname
    FROM nsp n JOIN pg_catalog.pg_proc p ON p.pronamespace = n.oid
    WHERE p.oid >= 16384 AND p.proname NOT LIKE 'dbrollback\_%' AND (1255, p.oid) NOT IN (SELECT m.classid, m.objid FROM member m)
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i'){{if .Own}} AND p.xmin = (SELECT x FROM me){{end}}{{if .Named}} AND p.proname IN (SELECT n FROM named){{end}}
),
-- Sequences that no column owns; the others come with their tables.
seq AS MATERIALIZED (
    SELECT c.oid, c.relowner, c.relacl, format('%I.%I', n.nspname, c.relname) AS q, CASE c.relpersistence WHEN 'u' THEN 'UNLOGGED ' ELSE '' END AS unlogged,
           format('AS %s START WITH %s INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s %s', pg_catalog.format_type(s.seqtypid, NULL),
                  s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcache, CASE WHEN s.seqcycle THEN 'CYCLE' ELSE 'NO CYCLE' END) AS def
    FROM nsp n JOIN pg_catalog.pg_class c ON c.relnamespace = n.oid AND c.relkind = 'S' JOIN pg_catalog.pg_sequence s ON s.seqrelid = c.oid
    WHERE (1259, c.oid) NOT IN (SELECT m.classid, m.objid FROM member m)
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i')
                      AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjsubid > 0){{if .Own}} AND c.xmin = (SELECT x FROM me){{end}}{{if .Named}} AND c.relname IN (SELECT n FROM named){{end}}
),
obj(class, id, sub, ident, kind, name, def, mk, alt, rm, rank, owner) AS MATERIALIZED (
    SELECT 'pg_catalog.pg_namespace'::regclass::oid, n.oid, 0, 'SCHEMA ' || quote_ident(n.nspname), 'schema', quote_ident(n.nspname), 'SCHEMA',
           ARRAY['CREATE SCHEMA ' || quote_ident(n.nspname)], NULL::text[], ARRAY['DROP SCHEMA ' || quote_ident(n.nspname)], 10, n.nspowner
    FROM nsp n{{if .Own}} WHERE n.made = (SELECT x FROM me){{end}}{{if .Named}} WHERE n.nspname IN (SELECT n FROM named){{end}}
    UNION ALL
    SELECT 'pg_catalog.pg_extension'::regclass, e.oid, 0, 'EXTENSION ' || quote_ident(e.extname), 'extension', quote_ident(e.extname),
           format('SCHEMA %I VERSION %L', n.nspname, e.extversion),
           ARRAY[format('CREATE EXTENSION %I SCHEMA %I VERSION %L', e.extname, n.nspname, e.extversion)], NULL, ARRAY['DROP EXTENSION ' || quote_ident(e.extname)], 15, NULL
    FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace WHERE e.oid >= 16384{{if .Own}} AND e.xmin = (SELECT x FROM me){{end}}{{if .Named}} AND e.extname IN (SELECT n FROM named){{end}}
    UNION ALL
    SELECT 'pg_catalog.pg_type'::regclass, t.oid, 0, t.word || ' ' || t.q,
           CASE t.typtype WHEN 'e' THEN 'enum' WHEN 'd' THEN 'domain' WHEN 'c' THEN 'composite' WHEN 'r' THEN 'range' ELSE 'type' END, t.q, d.def,
           CASE WHEN t.typtype <> 'b' THEN ARRAY[format('CREATE %s %s AS %s', t.word, t.q, d.def)] END, NULL, ARRAY[format('DROP %s %s', t.word, t.q)], 20, t.typowner
    FROM typ t CROSS JOIN LATERAL (SELECT CASE t.typtype
        WHEN 'e' THEN 'ENUM (' || coalesce((SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid), '') || ')'
        WHEN 'd' THEN pg_catalog.format_type(t.typbasetype, t.typtypmod) || coalesce((SELECT format(' COLLATE %I.%I', cn.nspname, co.collname)
            FROM pg_catalog.pg_collation co JOIN pg_catalog.pg_namespace cn ON cn.oid = co.collnamespace JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype
            WHERE co.oid = t.typcollation AND t.typcollation <> b.typcollation), '')
        WHEN 'c' THEN '(' || coalesce((SELECT string_agg(format('%I %s%s', a.attname, pg_catalog.format_type(a.atttypid, a.atttypmod),
                CASE WHEN a.attcollation <> at.typcollation THEN (SELECT format(' COLLATE %I.%I', cn.nspname, co.collname) FROM pg_catalog.pg_collation co
                     JOIN pg_catalog.pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = a.attcollation) ELSE '' END), ', ' ORDER BY a.attnum)
            FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type at ON at.oid = a.atttypid WHERE a.attrelid = t.typrelid AND a.attnum > 0 AND NOT a.attisdropped), '') || ')'
        WHEN 'r' THEN (SELECT format('RANGE (SUBTYPE = %s%s%s%s%s)', pg_catalog.format_type(r.rngsubtype, NULL),
                CASE WHEN oc.opcdefault THEN '' ELSE format(', SUBTYPE_OPCLASS = %I.%I', ocn.nspname, oc.opcname) END,
                CASE WHEN r.rngcollation <> st.typcollation THEN (SELECT format(', COLLATION = %I.%I', cn.nspname, co.collname) FROM pg_catalog.pg_collation co
                     JOIN pg_catalog.pg_namespace cn ON cn.oid = co.collnamespace WHERE co.oid = r.rngcollation) ELSE '' END,
                CASE WHEN r.rngcanonical = 0 THEN '' ELSE ', CANONICAL = ' || r.rngcanonical END,
                CASE WHEN r.rngsubdiff = 0 THEN '' ELSE ', SUBTYPE_DIFF = ' || r.rngsubdiff END)
            FROM pg_catalog.pg_range r JOIN pg_catalog.pg_type st ON st.oid = r.rngsubtype
            JOIN pg_catalog.pg_opclass oc ON oc.oid = r.rngsubopc JOIN pg_catalog.pg_namespace ocn ON ocn.oid = oc.opcnamespace WHERE r.rngtypid = t.oid)
        ELSE 'base type' END AS def) d
    UNION ALL
    SELECT 0, t.oid, -1, NULL, 'domain default', t.q, t.typdefault, ARRAY[format('ALTER DOMAIN %s SET DEFAULT %s', t.q, x.expr)], NULL,
           ARRAY[format('ALTER DOMAIN %s DROP DEFAULT', t.q)], 22, NULL
    FROM typ t JOIN pg_catalog.pg_type d ON d.oid = t.oid CROSS JOIN LATERAL (SELECT coalesce(pg_catalog.pg_get_expr(d.typdefaultbin, 0), quote_literal(t.typdefault)) AS expr) x
    WHERE t.typtype = 'd' AND t.typdefault IS NOT NULL
    UNION ALL
    SELECT 0, t.oid, -1, NULL, 'domain not null', t.q, 'NOT NULL', ARRAY[format('ALTER DOMAIN %s SET NOT NULL', t.q)], NULL,
           ARRAY[format('ALTER DOMAIN %s DROP NOT NULL', t.q)], 22, NULL FROM typ t WHERE t.typtype = 'd' AND t.typnotnull
    UNION ALL
    SELECT 'pg_catalog.pg_constraint'::regclass, k.oid, 0, format('CONSTRAINT %I ON DOMAIN %s', k.conname, t.q), 'domain check', format('%s.%I', t.q, k.conname), d.def,
           ARRAY[format('ALTER DOMAIN %s ADD CONSTRAINT %I %s', t.q, k.conname, d.def)], NULL, ARRAY[format('ALTER DOMAIN %s DROP CONSTRAINT %I', t.q, k.conname)], 23, NULL
    FROM typ t JOIN pg_catalog.pg_constraint k ON k.contypid = t.oid AND k.contype = 'c' CROSS JOIN LATERAL (SELECT pg_catalog.pg_get_constraintdef(k.oid) AS def) d
    UNION ALL
    SELECT 'pg_catalog.pg_proc'::regclass, f.oid, 0, f.word || ' ' || f.q, lower(f.word), f.q, d.def,
           d.mk, CASE WHEN f.prokind <> 'a' THEN d.mk END, ARRAY[format('DROP %s %s', f.word, f.q)],
           -- after the tables, or the views, that its arguments or its parsed body name
           (SELECT CASE WHEN bool_or(xc.relkind IN ('v', 'm')) THEN 102 WHEN bool_or(xc.relkind IN ('r', 'p', 'f')) THEN 99 ELSE 35 END
            FROM pg_catalog.pg_depend x LEFT JOIN pg_catalog.pg_type xt ON x.refclassid = 'pg_catalog.pg_type'::regclass AND xt.oid = x.refobjid
            LEFT JOIN pg_catalog.pg_type el ON el.oid = xt.typelem AND xt.typcategory = 'A'
            LEFT JOIN pg_catalog.pg_class xc ON xc.oid = CASE WHEN x.refclassid = 'pg_catalog.pg_class'::regclass THEN x.refobjid ELSE coalesce(nullif(el.typrelid, 0), xt.typrelid) END
            WHERE x.classid = 'pg_catalog.pg_proc'::regclass AND x.objid = f.oid), f.proowner
    FROM fun f CROSS JOIN LATERAL (SELECT t.def, CASE WHEN f.prokind = 'a' THEN ARRAY[t.def] ELSE ARRAY[
               -- A body is text, which may name what is made later.
               $$SELECT set_config('dbrollback.check_function_bodies', current_setting('check_function_bodies'), false), set_config('check_function_bodies', 'off', false)$$,
               t.def, $$SELECT set_config('check_function_bodies', current_setting('dbrollback.check_function_bodies'), false)$$] END AS mk FROM (
        SELECT CASE WHEN f.prokind <> 'a' THEN rtrim(pg_catalog.pg_get_functiondef(f.oid), E'\n') ELSE (
        SELECT format('CREATE AGGREGATE %s (%s)', f.q, concat_ws(', ', 'SFUNC = ' || a.aggtransfn::regproc, 'STYPE = ' || pg_catalog.format_type(a.aggtranstype, NULL),
            CASE WHEN a.aggtransspace <> 0 THEN 'SSPACE = ' || a.aggtransspace END,
            CASE WHEN a.aggfinalfn <> 0 THEN 'FINALFUNC = ' || a.aggfinalfn::regproc END, CASE WHEN a.aggfinalextra THEN 'FINALFUNC_EXTRA' END,
            CASE WHEN a.aggcombinefn <> 0 THEN 'COMBINEFUNC = ' || a.aggcombinefn::regproc END,
            CASE WHEN a.aggserialfn <> 0 THEN 'SERIALFUNC = ' || a.aggserialfn::regproc END, CASE WHEN a.aggdeserialfn <> 0 THEN 'DESERIALFUNC = ' || a.aggdeserialfn::regproc END,
            'INITCOND = ' || quote_literal(a.agginitval),
            CASE WHEN a.aggmtransfn <> 0 THEN format('MSFUNC = %s, MINVFUNC = %s, MSTYPE = %s', a.aggmtransfn::regproc, a.aggminvtransfn::regproc, pg_catalog.format_type(a.aggmtranstype, NULL)) END,
            CASE WHEN a.aggmfinalfn <> 0 THEN 'MFINALFUNC = ' || a.aggmfinalfn::regproc END, 'MINITCOND = ' || quote_literal(a.aggminitval),
            CASE WHEN a.aggsortop <> 0 THEN 'SORTOP = OPERATOR(' || (SELECT format('%I.%s', opn.nspname, op.oprname) FROM pg_catalog.pg_operator op JOIN pg_catalog.pg_namespace opn ON opn.oid = op.oprnamespace WHERE op.oid = a.aggsortop) || ')' END,
            CASE WHEN a.aggkind = 'h' THEN 'HYPOTHETICAL' END, CASE p.proparallel WHEN 's' THEN 'PARALLEL = SAFE' WHEN 'r' THEN 'PARALLEL = RESTRICTED' END))
        FROM pg_catalog.pg_aggregate a JOIN pg_catalog.pg_proc p ON p.oid = a.aggfnoid WHERE a.aggfnoid = f.oid) END AS def) t) d
    UNION ALL
    SELECT 'pg_catalog.pg_class'::regclass, s.oid, 0, 'SEQUENCE ' || s.q, 'sequence', s.q, s.unlogged || s.def,
           ARRAY[format('CREATE SEQUENCE %s %s', s.q, s.def)], ARRAY[format('ALTER SEQUENCE %s %s', s.q, s.def)], ARRAY['DROP SEQUENCE ' || s.q], 40, s.relowner
    FROM seq s
    UNION ALL
    SELECT 'pg_catalog.pg_collation'::regclass, co.oid, 0, format('COLLATION %I.%I', n.nspname, co.collname), 'collation', format('%I.%I', n.nspname, co.collname), d.def,
           ARRAY[format('CREATE COLLATION %I.%I (%s)', n.nspname, co.collname, d.def)], NULL, ARRAY[format('DROP COLLATION %I.%I', n.nspname, co.collname)], 18, co.collowner
    FROM nsp n JOIN pg_catalog.pg_collation co ON co.collnamespace = n.oid
    CROSS JOIN LATERAL (SELECT concat_ws(', ', 'PROVIDER = ' || CASE co.collprovider WHEN 'i' THEN 'icu' WHEN 'b' THEN 'builtin' ELSE 'libc' END,
        {{if ge .Version 170000}}CASE WHEN co.collprovider = 'c' THEN NULL ELSE 'LOCALE = ' || quote_literal(co.colllocale) END,
        {{else if ge .Version 150000}}CASE WHEN co.collprovider = 'i' THEN 'LOCALE = ' || quote_literal(co.colliculocale) END,
        {{else}}CASE WHEN co.collprovider = 'i' THEN 'LOCALE = ' || quote_literal(co.collcollate) END,{{end}}
        CASE WHEN co.collprovider = 'c' THEN format('LC_COLLATE = %L, LC_CTYPE = %L', co.collcollate, co.collctype) END,
        CASE WHEN NOT co.collisdeterministic THEN 'DETERMINISTIC = false' END) AS def) d
    WHERE (3456, co.oid) NOT IN (SELECT m.classid, m.objid FROM member m){{if .Own}} AND co.xmin = (SELECT x FROM me){{end}}{{if .Named}} AND co.collname IN (SELECT n FROM named){{end}}
    UNION ALL
    SELECT 'pg_catalog.pg_publication'::regclass, p.oid, 0, 'PUBLICATION ' || quote_ident(p.pubname), 'publication', quote_ident(p.pubname), d.def,
           ARRAY[format('CREATE PUBLICATION %I%s', p.pubname, d.def)], NULL, ARRAY['DROP PUBLICATION ' || quote_ident(p.pubname)], 112, p.pubowner
    FROM (SELECT b.xmin, b.* FROM pg_catalog.pg_publication b WHERE b.pubname NOT LIKE 'dbrollback\_%') p CROSS JOIN LATERAL (SELECT CASE WHEN p.puballtables THEN ' FOR ALL TABLES' ELSE '' END
        {{- if ge .Version 150000}}
        || coalesce((SELECT ' FOR TABLES IN SCHEMA ' || string_agg(quote_ident(n.nspname), ', ' ORDER BY n.nspname) FROM pg_catalog.pg_publication_namespace pn
                     JOIN pg_catalog.pg_namespace n ON n.oid = pn.pnnspid WHERE pn.pnpubid = p.oid), '')
        {{- end}}
        || format(' WITH (publish = %L, publish_via_partition_root = %L)', concat_ws(', ', CASE WHEN p.pubinsert THEN 'insert' END, CASE WHEN p.pubupdate THEN 'update' END,
               CASE WHEN p.pubdelete THEN 'delete' END, CASE WHEN p.pubtruncate THEN 'truncate' END), p.pubviaroot::text) AS def) d{{if .Own}} WHERE p.xmin = (SELECT x FROM me){{end}}{{if .Named}} WHERE p.pubname IN (SELECT n FROM named){{end}}
    UNION ALL
    SELECT 'pg_catalog.pg_event_trigger'::regclass, e.oid, 0, 'EVENT TRIGGER ' || quote_ident(e.evtname), 'event trigger', quote_ident(e.evtname), d.def || s.state,
           ARRAY[d.def] || CASE WHEN s.state <> '' THEN ARRAY[format('ALTER EVENT TRIGGER %I%s', e.evtname, s.state)] ELSE '{}' END, NULL,
           ARRAY['DROP EVENT TRIGGER ' || quote_ident(e.evtname)], 114, e.evtowner
    FROM pg_catalog.pg_event_trigger e
    CROSS JOIN LATERAL (SELECT format('CREATE EVENT TRIGGER %I ON %s%s EXECUTE FUNCTION %s()', e.evtname, e.evtevent,
        (SELECT ' WHEN TAG IN (' || string_agg(quote_literal(t), ', ' ORDER BY t) || ')' FROM unnest(e.evttags) t), e.evtfoid::regproc) AS def) d
    CROSS JOIN LATERAL (SELECT CASE e.evtenabled WHEN 'D' THEN ' DISABLE' WHEN 'R' THEN ' ENABLE REPLICA' WHEN 'A' THEN ' ENABLE ALWAYS' ELSE '' END AS state) s
    WHERE (3466, e.oid) NOT IN (SELECT m.classid, m.objid FROM member m){{if .Own}} AND e.xmin = (SELECT x FROM me){{end}}{{if .Named}} AND e.evtname IN (SELECT n FROM named){{end}}
    UNION ALL
    SELECT 'pg_catalog.pg_foreign_server'::regclass, s.oid, 0, 'SERVER ' || quote_ident(s.srvname), 'server', quote_ident(s.srvname), d.def,
           ARRAY[format('CREATE SERVER %I%s', s.srvname, d.def)], NULL, ARRAY['DROP SERVER ' || quote_ident(s.srvname)], 37, s.srvowner
    FROM pg_catalog.pg_foreign_server s JOIN pg_catalog.pg_foreign_data_wrapper w ON w.oid = s.srvfdw
    CROSS JOIN LATERAL (SELECT concat(' TYPE ' || quote_literal(s.srvtype), ' VERSION ' || quote_literal(s.srvversion), format(' FOREIGN DATA WRAPPER %I', w.fdwname),
        -- An option may be a secret: it shows that it changed, not what it is.
        ' OPTIONS (' || (SELECT string_agg(format('%I %L', o.option_name, CASE WHEN o.option_name ~* 'pass|secret|token|key' THEN 'md5:' || md5(o.option_value) ELSE o.option_value END), ', ' ORDER BY o.option_name)
                         FROM pg_catalog.pg_options_to_table(s.srvoptions) o) || ')') AS def) d{{if .Own}} WHERE s.xmin = (SELECT x FROM me){{end}}{{if .Named}} WHERE s.srvname IN (SELECT n FROM named){{end}}
    UNION ALL
    SELECT 'pg_catalog.pg_foreign_data_wrapper'::regclass, w.oid, 0, 'FOREIGN DATA WRAPPER ' || quote_ident(w.fdwname), 'foreign data wrapper', quote_ident(w.fdwname), d.def,
           ARRAY[format('CREATE FOREIGN DATA WRAPPER %I %s', w.fdwname, d.def)], NULL, ARRAY['DROP FOREIGN DATA WRAPPER ' || quote_ident(w.fdwname)], 36, w.fdwowner
    FROM pg_catalog.pg_foreign_data_wrapper w CROSS JOIN LATERAL (
        SELECT concat_ws(' ', CASE WHEN w.fdwhandler = 0 THEN 'NO HANDLER' ELSE 'HANDLER ' || w.fdwhandler::regproc END,
                              CASE WHEN w.fdwvalidator = 0 THEN 'NO VALIDATOR' ELSE 'VALIDATOR ' || w.fdwvalidator::regproc END,
                              'OPTIONS (' || (SELECT string_agg(format('%I %L', o.option_name, o.option_value), ', ' ORDER BY o.option_name)
                                              FROM pg_catalog.pg_options_to_table(w.fdwoptions) o) || ')') AS def) d
    WHERE (2328, w.oid) NOT IN (SELECT m.classid, m.objid FROM member m){{if .Own}} AND w.xmin = (SELECT x FROM me){{end}}{{if .Named}} AND w.fdwname IN (SELECT n FROM named){{end}}
    {{- if not .Part}}
    UNION ALL
    -- The rest by name only: that it is there, not what it looks like.
    SELECT 0, x.id, -1, NULL, x.kind, pg_catalog.pg_describe_object(x.class, x.id, 0), x.kind, NULL, NULL, NULL, 45, NULL
    FROM (SELECT 'pg_catalog.pg_cast'::regclass::oid AS class, c.oid AS id, 'cast' AS kind FROM pg_catalog.pg_cast c WHERE c.oid >= 16384
                AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend i WHERE i.classid = 'pg_catalog.pg_cast'::regclass AND i.objid = c.oid AND i.deptype = 'i')
          UNION ALL SELECT 'pg_catalog.pg_operator'::regclass, o.oid, 'operator' FROM pg_catalog.pg_operator o JOIN nsp n ON n.oid = o.oprnamespace
          UNION ALL SELECT 'pg_catalog.pg_opclass'::regclass, o.oid, 'operator class' FROM pg_catalog.pg_opclass o JOIN nsp n ON n.oid = o.opcnamespace
          UNION ALL SELECT 'pg_catalog.pg_ts_config'::regclass, o.oid, 'text search configuration' FROM pg_catalog.pg_ts_config o JOIN nsp n ON n.oid = o.cfgnamespace
          UNION ALL SELECT 'pg_catalog.pg_ts_dict'::regclass, o.oid, 'text search dictionary' FROM pg_catalog.pg_ts_dict o JOIN nsp n ON n.oid = o.dictnamespace
          UNION ALL SELECT 'pg_catalog.pg_language'::regclass, o.oid, 'language' FROM pg_catalog.pg_language o WHERE o.oid >= 16384) x
    WHERE (x.class, x.id) NOT IN (SELECT m.classid, m.objid FROM member m)
    UNION ALL
    SELECT 0, d.oid, -1, NULL, 'default privileges', concat_ws(' ', pg_catalog.pg_get_userbyid(d.defaclrole), n.nspname, d.defaclobjtype::text), d.defaclacl::text, NULL, NULL, NULL, 132, NULL
    FROM pg_catalog.pg_default_acl d LEFT JOIN pg_catalog.pg_namespace n ON n.oid = d.defaclnamespace
    {{- end}}
),
acl(target, part, name, sch, tab, acl, base, rank) AS (
    SELECT regexp_replace(o.ident, '^AGGREGATE', 'FUNCTION'), '', o.name, NULL::name, NULL::name, a.acl, a.base, 130
    FROM (SELECT 'pg_catalog.pg_namespace'::regclass::oid AS class, n.oid, n.nspacl AS acl, pg_catalog.acldefault('n', n.nspowner) AS base FROM nsp n WHERE n.nspacl IS NOT NULL
          UNION ALL SELECT 'pg_catalog.pg_type'::regclass, t.oid, t.typacl, pg_catalog.acldefault('T', t.typowner) FROM typ t WHERE t.typacl IS NOT NULL
          UNION ALL SELECT 'pg_catalog.pg_proc'::regclass, f.oid, f.proacl, pg_catalog.acldefault('f', f.proowner) FROM fun f WHERE f.proacl IS NOT NULL
          UNION ALL SELECT 'pg_catalog.pg_class'::regclass, s.oid, s.relacl, pg_catalog.acldefault('s', s.relowner) FROM seq s WHERE s.relacl IS NOT NULL) a
    JOIN obj o ON o.class = a.class AND o.id = a.oid AND o.sub = 0
),
{{template "grants"}},
doc AS MATERIALIZED (
    SELECT coalesce(json_agg(json_build_array(o.kind, o.name, NULL, NULL, o.def, o.mk, o.alt, o.rm, o.rank * 10000000000 + o.id::bigint, 0, false, NULL)), '[]') AS j
    FROM (SELECT o.id, o.kind, o.name, o.def, o.mk, o.alt, o.rm, o.rank FROM obj o
          UNION ALL SELECT g.id, g.kind, g.name, g.def, g.mk, g.alt, g.rm, g.rank FROM grants g
          UNION ALL SELECT o.id, 'owner', o.kind || ' ' || o.name, pg_catalog.pg_get_userbyid(o.owner),
                           ARRAY[format('ALTER %s OWNER TO %I', o.ident, pg_catalog.pg_get_userbyid(o.owner))], NULL, NULL, 119 FROM obj o WHERE o.owner IS NOT NULL
          UNION ALL SELECT o.id, 'comment', o.ident, d.description, ARRAY[format('COMMENT ON %s IS %L', o.ident, d.description)], NULL, ARRAY[format('COMMENT ON %s IS NULL', o.ident)], 120
          FROM obj o JOIN pg_catalog.pg_description d ON d.classoid = o.class AND d.objoid = o.id AND d.objsubid = o.sub WHERE o.ident IS NOT NULL) o
)
SELECT doc.j, set_config('search_path', path.old, true) FROM doc, path
