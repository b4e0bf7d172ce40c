-- The standbys; who only decodes the log, as this program's own reader, applies nothing.
SELECT coalesce(max(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), r.replay_lsn)), 0)::bigint,
	coalesce(max(extract(epoch FROM r.replay_lag)), 0)::float8
FROM pg_catalog.pg_stat_replication r
WHERE r.state IN ('streaming', 'catchup') AND r.replay_lsn IS NOT NULL
	AND NOT EXISTS (SELECT 1 FROM pg_catalog.pg_replication_slots s WHERE s.active_pid = r.pid AND s.slot_type = 'logical')
