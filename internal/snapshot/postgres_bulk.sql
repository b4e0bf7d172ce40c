-- Whether a table may be emptied and filled again so that nobody sees a difference but in its rows: nothing points to it or follows its rows one by one, and
-- nothing answers to a row that comes. $1: the table; $2: how many of its rows are to change: at least half, as counted last, whatever its size is by now.
SELECT pg_catalog.pg_relation_size(r.oid)
FROM pg_catalog.pg_class r
WHERE r.oid = $1::bigint::oid AND r.relkind = 'r' AND NOT r.relispartition AND NOT r.relrowsecurity AND $2::bigint * 2 >= r.reltuples
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_inherits i WHERE r.oid IN (i.inhrelid, i.inhparent))
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_constraint c WHERE c.contype = 'f' AND r.oid IN (c.conrelid, c.confrelid))
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_trigger g WHERE g.tgrelid = r.oid AND NOT g.tgisinternal AND g.tgname LIKE 'dbrollback%')
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_replication_slots s WHERE s.slot_type = 'logical' AND s.database = pg_catalog.current_database())
  AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_publication p WHERE p.puballtables OR EXISTS (SELECT 1 FROM pg_catalog.pg_publication_tables t
      JOIN pg_catalog.pg_namespace n ON n.nspname = t.schemaname WHERE t.pubname = p.pubname AND t.tablename = r.relname AND n.oid = r.relnamespace))
  AND pg_catalog.has_table_privilege(r.oid, 'TRUNCATE, INSERT')
