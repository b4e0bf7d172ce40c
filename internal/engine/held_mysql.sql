SELECT '', object_name, replace(lock_type, '_', ' ')
FROM performance_schema.metadata_locks
WHERE object_type = 'TABLE' AND object_schema = database() AND lock_status = 'GRANTED'
  AND lock_type NOT IN ('SHARED', 'SHARED_HIGH_PRIO', 'SHARED_READ')
  AND owner_thread_id <> (SELECT thread_id FROM performance_schema.threads WHERE processlist_id = connection_id())
