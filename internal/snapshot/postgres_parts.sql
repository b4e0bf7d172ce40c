-- What of a table has a name of its own in its schema, and the columns whose default leans on something else.
SELECT 'INDEX', ic.relname FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class ic ON ic.oid = i.indexrelid WHERE i.indrelid = $1::bigint::oid
UNION ALL
SELECT 'SEQUENCE', s.relname FROM pg_catalog.pg_depend d JOIN pg_catalog.pg_class s ON s.oid = d.objid AND s.relkind = 'S'
WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.refclassid = 'pg_catalog.pg_class'::regclass AND d.refobjid = $1::bigint::oid AND d.deptype IN ('a', 'i')
UNION ALL
SELECT DISTINCT 'DEFAULT', a.attname FROM pg_catalog.pg_attrdef ad
JOIN pg_catalog.pg_attribute a ON a.attrelid = ad.adrelid AND a.attnum = ad.adnum AND a.attgenerated = ''
JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = ad.oid AND d.refobjid >= 16384 AND d.refobjid <> ad.adrelid
WHERE ad.adrelid = $1::bigint::oid
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend o WHERE o.classid = d.refclassid AND o.objid = d.refobjid AND o.refclassid = 'pg_catalog.pg_class'::regclass
                  AND o.refobjid = ad.adrelid AND o.deptype IN ('a', 'i'))
ORDER BY 1, 2
