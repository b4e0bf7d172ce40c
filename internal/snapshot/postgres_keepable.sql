-- Whether a table can lie aside: an ordinary one in a schema where one may make tables, on which nothing leans that has to go with
-- it ($2: CASCADE, then views and foreign keys may, because they can be dropped by name), and which leans on nothing of the
-- user's that would be held back, or would take a part of it along when it is dropped (a type, a collation, a
-- function of a check or an index). What is taken off the table first may lean on anything. A partition is detached first: then it
-- leans on nothing of its parent's any more.
WITH RECURSIVE own(classid, objid) AS (
    SELECT 'pg_catalog.pg_class'::regclass::oid, $1::bigint::oid
    UNION
    SELECT d.classid, d.objid FROM own o
    JOIN pg_catalog.pg_depend d ON d.refclassid = o.classid AND d.refobjid = o.objid AND d.deptype IN ('a', 'i')
),
up(classid, objid) AS (
    SELECT 'pg_catalog.pg_class'::regclass::oid, i.inhparent FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
    WHERE i.inhrelid = $1::bigint::oid AND c.relispartition
    UNION
    SELECT d.classid, d.objid FROM up o
    JOIN pg_catalog.pg_depend d ON d.refclassid = o.classid AND d.refobjid = o.objid AND d.deptype IN ('a', 'i')
),
leans AS (
    SELECT d.classid, d.objid FROM own o JOIN pg_catalog.pg_depend d ON d.classid = o.classid AND d.objid = o.objid
    WHERE d.refobjid >= 16384 AND d.deptype IN ('n', 'a', 'i', 'x', 'e')
      AND d.refclassid NOT IN ('pg_catalog.pg_namespace'::regclass, 'pg_catalog.pg_publication'::regclass)
      AND NOT EXISTS (SELECT FROM own p WHERE p.classid = d.refclassid AND p.objid = d.refobjid)
      AND NOT EXISTS (SELECT FROM up u WHERE u.classid = d.refclassid AND u.objid = d.refobjid)
      AND d.classid NOT IN ('pg_catalog.pg_trigger'::regclass, 'pg_catalog.pg_policy'::regclass, 'pg_catalog.pg_rewrite'::regclass,
                            'pg_catalog.pg_statistic_ext'::regclass, 'pg_catalog.pg_publication_rel'::regclass)
      AND NOT (d.classid = 'pg_catalog.pg_constraint'::regclass AND EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.oid = d.objid AND k.contype = 'f'))
      AND NOT (d.classid = 'pg_catalog.pg_attrdef'::regclass AND EXISTS (
          SELECT FROM pg_catalog.pg_attrdef ad JOIN pg_catalog.pg_attribute a ON a.attrelid = ad.adrelid AND a.attnum = ad.adnum
          WHERE ad.oid = d.objid AND a.attgenerated = ''))
),
leaned AS (
    SELECT d.classid, d.objid FROM own o JOIN pg_catalog.pg_depend d ON d.refclassid = o.classid AND d.refobjid = o.objid AND d.deptype IN ('n', 'x')
    WHERE NOT EXISTS (SELECT FROM own p WHERE p.classid = d.classid AND p.objid = d.objid)
      AND NOT (d.classid = 'pg_catalog.pg_constraint'::regclass AND EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.oid = d.objid AND k.contype = 'f'))
      AND NOT (d.classid = 'pg_catalog.pg_rewrite'::regclass AND EXISTS (
          SELECT FROM pg_catalog.pg_rewrite w JOIN pg_catalog.pg_class v ON v.oid = w.ev_class WHERE w.oid = d.objid AND v.relkind IN ('v', 'm')))
)
SELECT c.relkind = 'r' AND c.relpersistence = 'p' AND NOT c.relhassubclass AND c.reloftype = 0
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid AND NOT c.relispartition OR i.inhparent = c.oid)
   AND (NOT c.relispartition OR NOT $2::boolean
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attidentity <> '')
        AND NOT EXISTS (SELECT FROM pg_catalog.pg_constraint k WHERE k.contype = 'f' AND k.confrelid = c.oid)
        AND EXISTS (SELECT FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class u ON u.oid = i.inhparent
                    WHERE i.inhrelid = c.oid AND NOT i.inhdetachpending AND pg_catalog.pg_has_role(u.relowner, 'USAGE')))
   AND pg_catalog.has_schema_privilege(c.relnamespace, 'CREATE')
   AND NOT EXISTS (SELECT FROM leans)
   AND NOT ($2::boolean AND EXISTS (SELECT FROM leaned))
   -- of a publication that is not ours to change it could not be taken out
   AND NOT EXISTS (SELECT FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_publication b ON b.oid = r.prpubid
                   WHERE r.prrelid = c.oid AND NOT pg_catalog.pg_has_role(b.pubowner, 'USAGE'))
FROM pg_catalog.pg_class c WHERE c.oid = $1::bigint::oid
