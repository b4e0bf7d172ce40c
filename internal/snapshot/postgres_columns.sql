-- Whether columns of a table can lie aside in it: an ordinary table that nobody inherits from, whose changes no trigger of ours follows. What leans
-- on the columns the server itself shows, in a savepoint.
SELECT CASE WHEN c.relkind = 'r' AND c.relpersistence = 'p' AND NOT c.relispartition AND c.reloftype = 0
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid OR i.inhparent = c.oid)
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE g.tgrelid = c.oid AND g.tgname LIKE 'dbrollback\_%')
    -- room for two more columns, and two again on the way back
    AND (SELECT max(a.attnum) FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid) < 1500
    THEN 1 ELSE 0 END
FROM pg_catalog.pg_class c WHERE c.oid = $1::bigint::oid
