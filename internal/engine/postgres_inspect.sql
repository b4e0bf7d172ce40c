SELECT json_build_object(
    'oid', c.oid::bigint, 'schema', n.nspname, 'name', c.relname,
    'relkind', c.relkind, 'persistence', c.relpersistence, 'partition', c.relispartition,
    'owner', pg_catalog.pg_get_userbyid(c.relowner),
    'row_security', c.relrowsecurity,
    'rows', CASE WHEN c.reltuples < 0 OR c.reltuples = 0 AND c.relpages = 0 THEN CASE WHEN size.main = 0 AND c.relkind IN ('r', 'm') THEN 0 ELSE -1 END
                 WHEN c.relpages > 0 AND size.main > 0
                 THEN (c.reltuples / c.relpages * (size.main / current_setting('block_size')::bigint))::bigint
                 ELSE c.reltuples::bigint END,
    'bytes', size.bytes,
    'columns', (
        SELECT json_agg(json_build_object(
            'name', a.attname, 'ordinal', a.attnum,
            'type', pg_catalog.format_type(a.atttypid, a.atttypmod),
            'not_null', a.attnotnull,
            'default', CASE WHEN a.attgenerated = '' THEN coalesce(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '') ELSE '' END,
            'generated', a.attgenerated <> '',
            'identity', CASE a.attidentity WHEN 'a' THEN 'always' WHEN 'd' THEN 'by default' ELSE '' END,
            -- Objects below 16384 were made by initdb: nobody can drop them.
            'portable', coalesce(e.oid, t.oid) < 16384 AND coalesce(e.typtype, t.typtype) NOT IN ('d', 'c'),
            'collation', coalesce((SELECT format('%I.%I', cn.nspname, co.collname)
                                   FROM pg_catalog.pg_collation co JOIN pg_catalog.pg_namespace cn ON cn.oid = co.collnamespace
                                   WHERE co.oid = a.attcollation AND a.attcollation <> t.typcollation), ''),
            'sequence', (SELECT json_build_object('schema', sn.nspname, 'name', s.relname)
                         FROM (SELECT dep.objid AS oid, 0 AS rank FROM pg_catalog.pg_depend dep
                               WHERE dep.refclassid = 'pg_catalog.pg_class'::regclass AND dep.refobjid = c.oid AND dep.refobjsubid = a.attnum
                                 AND dep.classid = 'pg_catalog.pg_class'::regclass AND dep.deptype IN ('a', 'i')
                               UNION ALL
                               SELECT dep.refobjid, 1 FROM pg_catalog.pg_depend dep
                               WHERE dep.classid = 'pg_catalog.pg_attrdef'::regclass AND dep.objid = d.oid
                                 AND dep.refclassid = 'pg_catalog.pg_class'::regclass) x
                         JOIN pg_catalog.pg_class s ON s.oid = x.oid AND s.relkind = 'S'
                         JOIN pg_catalog.pg_namespace sn ON sn.oid = s.relnamespace
                         ORDER BY x.rank LIMIT 1)
        ) ORDER BY a.attnum)
        FROM pg_catalog.pg_attribute a
        JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
        LEFT JOIN pg_catalog.pg_type e ON t.typcategory = 'A' AND e.oid = t.typelem
        LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
        WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
    'keys', (
        SELECT json_agg(json_build_object('name', ic.relname, 'primary', i.indisprimary, 'columns', k.columns, 'solid', k.solid)
                        ORDER BY i.indisprimary DESC, i.indnkeyatts, ic.relname)
        FROM pg_catalog.pg_index i
        JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid
        CROSS JOIN LATERAL (
            SELECT json_agg(a.attname ORDER BY x.i) AS columns,
                   bool_and(a.attnotnull AND NOT EXISTS (
                       SELECT FROM pg_catalog.pg_constraint nn
                       WHERE nn.conrelid = c.oid AND nn.contype = 'n' AND nn.conkey = ARRAY[a.attnum] AND NOT nn.convalidated)) AS solid
            FROM unnest(i.indkey::int2[]) WITH ORDINALITY x(num, i)
            LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.num
            WHERE x.i <= i.indnkeyatts) k
        WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate AND i.indisvalid AND i.indisready
          -- with one WITHOUT OVERLAPS, too, no two rows are equal in all columns
          AND (NOT i.indisexclusion OR EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.conindid = i.indexrelid AND k.contype IN ('p', 'u') AND k.conrelid = c.oid)) AND i.indpred IS NULL AND i.indexprs IS NULL),
    'foreign_keys', (
        SELECT json_agg(json_build_object(
            'name', f.conname,
            'table', json_build_object('schema', fn.nspname, 'name', fc.relname),
            'parent', json_build_object('schema', pn.nspname, 'name', pc.relname),
            'columns', (SELECT json_agg(a.attname ORDER BY x.i) FROM unnest(f.conkey) WITH ORDINALITY x(num, i)
                        JOIN pg_catalog.pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = x.num),
            'parent_columns', (SELECT json_agg(a.attname ORDER BY x.i) FROM unnest(f.confkey) WITH ORDINALITY x(num, i)
                               JOIN pg_catalog.pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = x.num),
            'on_delete', f.confdeltype, 'on_update', f.confupdtype,
            'deferrable', f.condeferrable, 'deferred', f.condeferred, 'validated', f.convalidated,
            'period', pg_catalog.pg_get_constraintdef(f.oid) LIKE 'FOREIGN KEY (% PERIOD %',
            'from', f.conrelid = c.oid, 'to', f.confrelid = c.oid
        ) ORDER BY fn.nspname, fc.relname, f.conname)
        FROM pg_catalog.pg_constraint f
        JOIN pg_catalog.pg_class fc ON fc.oid = f.conrelid JOIN pg_catalog.pg_namespace fn ON fn.oid = fc.relnamespace
        JOIN pg_catalog.pg_class pc ON pc.oid = f.confrelid JOIN pg_catalog.pg_namespace pn ON pn.oid = pc.relnamespace
        WHERE f.contype = 'f' AND (f.conrelid = c.oid OR f.confrelid = c.oid)),
    'triggers', (
        SELECT json_agg(json_build_object('name', g.tgname, 'enabled', g.tgenabled, 'type', g.tgtype,
                                          'sql', pg_catalog.pg_get_triggerdef(g.oid)) ORDER BY g.tgname)
        FROM pg_catalog.pg_trigger g
        WHERE g.tgrelid = c.oid AND NOT g.tgisinternal AND g.tgname NOT LIKE 'dbrollback\_%'),
    'rules', EXISTS (SELECT FROM pg_catalog.pg_rewrite r WHERE r.ev_class = c.oid AND r.rulename <> '_RETURN'),
    'calls', coalesce((
        SELECT min(p.proname)
        FROM (SELECT 'pg_catalog.pg_attrdef'::pg_catalog.regclass AS class, a.oid FROM pg_catalog.pg_attrdef a WHERE a.adrelid = c.oid
            UNION ALL SELECT 'pg_catalog.pg_constraint'::pg_catalog.regclass, k.oid FROM pg_catalog.pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c') x
        JOIN pg_catalog.pg_depend d ON d.classid = x.class AND d.objid = x.oid AND d.refclassid = 'pg_catalog.pg_proc'::pg_catalog.regclass
        JOIN pg_catalog.pg_proc p ON p.oid = d.refobjid AND p.provolatile = 'v'
        JOIN pg_catalog.pg_language l ON l.oid = p.prolang AND l.lanname NOT IN ('internal', 'c')
        WHERE NOT EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = d.refclassid AND e.objid = p.oid AND e.deptype = 'e')), ''),
    'children', (
        SELECT json_agg(json_build_object('schema', cn.nspname, 'name', cc.relname) ORDER BY cn.nspname, cc.relname)
        FROM pg_catalog.pg_inherits i
        JOIN pg_catalog.pg_class cc ON cc.oid = i.inhrelid JOIN pg_catalog.pg_namespace cn ON cn.oid = cc.relnamespace
        WHERE i.inhparent = c.oid AND cc.relkind IN ('r', 'p', 'f')),
    'parent', (
        SELECT json_build_object('schema', pn.nspname, 'name', pc.relname)
        FROM pg_catalog.pg_inherits i
        JOIN pg_catalog.pg_class pc ON pc.oid = i.inhparent JOIN pg_catalog.pg_namespace pn ON pn.oid = pc.relnamespace
        WHERE i.inhrelid = c.oid AND c.relispartition),
    'heir', NOT c.relispartition AND EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid))
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
CROSS JOIN LATERAL (SELECT CASE WHEN c.relkind IN ('r', 'm') THEN pg_catalog.pg_relation_size(c.oid) ELSE 0 END AS main,
                           CASE WHEN c.relkind IN ('r', 'm') THEN pg_catalog.pg_table_size(c.oid) ELSE 0 END AS bytes) size
WHERE c.oid = to_regclass($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
