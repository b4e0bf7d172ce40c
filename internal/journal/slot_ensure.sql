CREATE TABLE IF NOT EXISTS dbrollback.dbrollback_journal_slot (
    slot text NOT NULL PRIMARY KEY,
    token text NOT NULL,     -- messages of the log that lack it are somebody else's
    lsn pg_lsn,              -- what was committed before is in the journals; NULL while the slot is being made
    committed timestamptz,   -- the latest moment of a commit so far
    read_at timestamptz,     -- when that was written
    reads text NOT NULL      -- the segments that the tables' rows go to at that place of the log, by the tables' numbers
)

REVOKE ALL ON dbrollback.dbrollback_journal_slot FROM PUBLIC

DO $dbrollback$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = 'dbrollback_journal') THEN
        CREATE PUBLICATION dbrollback_journal WITH (publish = 'insert, update, delete, truncate', publish_via_partition_root = false);
    END IF;
END $dbrollback$
