-- Whether columns of a table can be filled by a rewrite that leaves everything else about the table and them as it is, and nobody who
-- follows the rows one by one would miss them. $1: the table; $2: the numbers of the columns; $3: whether these were there all along, and something
-- may hang on them that the rewrite would make anew.
SELECT pg_catalog.pg_relation_size(r.oid)
FROM pg_catalog.pg_class r
WHERE r.oid = $1::bigint::oid AND r.relkind = 'r' AND NOT r.relispartition
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_inherits i WHERE r.oid IN (i.inhrelid, i.inhparent))
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_trigger g WHERE g.tgrelid = r.oid AND NOT g.tgisinternal AND g.tgname LIKE 'dbrollback%')
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_replication_slots s WHERE s.slot_type = 'logical' AND s.database = pg_catalog.current_database())
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_event_trigger e WHERE e.evtevent = 'table_rewrite' AND e.evtenabled <> 'D')
  AND NOT EXISTS (
    SELECT 1 FROM pg_catalog.pg_attribute a JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
    WHERE a.attrelid = r.oid AND a.attnum = ANY (string_to_array($2::text, ',')::smallint[])
      AND (a.attidentity <> '' OR a.attgenerated <> '' OR a.attstorage <> t.typstorage OR coalesce(pg_catalog.to_jsonb(a) ->> 'attcompression', '') <> ''
        OR a.attoptions IS NOT NULL OR a.attfdwoptions IS NOT NULL OR coalesce(a.attstattarget, -1) <> -1))
  AND NOT ($3::boolean AND EXISTS (
    SELECT 1 FROM pg_catalog.pg_depend d
    WHERE d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.refobjid = r.oid AND d.refobjsubid = ANY (string_to_array($2::text, ',')::smallint[])
      AND d.classid <> 'pg_catalog.pg_attrdef'::pg_catalog.regclass
      AND NOT (d.classid = 'pg_catalog.pg_constraint'::pg_catalog.regclass AND EXISTS (SELECT 1 FROM pg_catalog.pg_constraint n WHERE n.oid = d.objid AND n.contype = 'n'))))
