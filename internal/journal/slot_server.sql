SELECT current_setting('wal_level'),
    (SELECT setting FROM pg_catalog.pg_settings WHERE name = 'max_slot_wal_keep_size'),
    current_setting('max_replication_slots')::int,
    -- one that is ours already is not counted
    (SELECT count(*) FROM pg_catalog.pg_replication_slots WHERE slot_name <> (SELECT 'dbrollback_journal_' || oid FROM pg_catalog.pg_database WHERE datname = current_database())),
    current_setting('max_wal_senders')::int,
    -- hosted servers give the right by membership
    (SELECT r.rolsuper OR r.rolreplication OR EXISTS (SELECT FROM pg_catalog.pg_roles g WHERE g.rolname IN ('rds_replication', 'rds_superuser', 'cloudsqlsuperuser') AND pg_has_role(r.oid, g.oid, 'member'))
     FROM pg_catalog.pg_roles r WHERE r.rolname = current_user),
    pg_is_in_recovery(), current_user::text
