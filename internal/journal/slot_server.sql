SELECT current_setting('wal_level'),
    (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'max_slot_wal_keep_size'),
    current_setting('max_replication_slots')::int,
    -- one that is ours already is not counted
    (SELECT count(*) FROM pg_catalog.pg_replication_slots WHERE slot_name <> (SELECT 'dbrollback_journal_' || oid FROM pg_catalog.pg_database WHERE datname = current_database())),
    current_setting('max_wal_senders')::int,
    -- Who lacks the right to read the log: the one makes the slot, the other logs in to read it. Hosted servers give the right by membership.
    (SELECT coalesce(max(r.rolname::text), '') FROM pg_catalog.pg_roles r WHERE r.rolname IN (current_user, session_user) AND NOT (r.rolsuper OR r.rolreplication
        OR EXISTS (SELECT FROM pg_catalog.pg_roles g WHERE g.rolname IN ('rds_replication', 'rds_superuser', 'cloudsqlsuperuser') AND pg_has_role(r.oid, g.oid, 'member')))),
    pg_is_in_recovery()
