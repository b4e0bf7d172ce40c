SELECT n.nspname, c.relname, upper(regexp_replace(replace(l.mode, 'Lock', ''), '([a-z])([A-Z])', '\1 \2', 'g'))
FROM pg_catalog.pg_locks l
JOIN pg_catalog.pg_class c ON c.oid = l.relation AND c.relkind IN ('r', 'p', 'm', 'f')
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid AND a.application_name = current_setting('application_name')
WHERE l.locktype = 'relation' AND l.granted AND l.mode <> 'AccessShareLock' AND l.pid <> pg_backend_pid()
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
