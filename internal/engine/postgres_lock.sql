WITH lock AS MATERIALIZED (SELECT pg_catalog.pg_try_advisory_lock($1::bigint) AS got)
SELECT lock.got,
       pg_catalog.pg_is_in_recovery(),
       current_setting('transaction_read_only')::boolean,
       coalesce((SELECT format('%s, process %s, since %s', a.application_name, l.pid, to_char(a.backend_start AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'))
                 FROM pg_catalog.pg_locks l
                 JOIN pg_catalog.pg_database d ON d.oid = l.database AND d.datname = current_database()
                 LEFT JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
                 WHERE NOT lock.got AND l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
                   AND l.classid = ($1::bigint >> 32)::oid AND l.objid = ($1::bigint & 4294967295)::oid
                 LIMIT 1), '')
FROM lock
