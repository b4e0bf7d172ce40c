CREATE TABLE IF NOT EXISTS dbrollback.dbrollback_journal_open (x bigint NOT NULL, at timestamptz NOT NULL)

CREATE TABLE IF NOT EXISTS dbrollback.dbrollback_journal_commits (x bigint NOT NULL, began timestamptz NOT NULL, at timestamptz NOT NULL, who text NOT NULL, program text NOT NULL)

CREATE INDEX IF NOT EXISTS dbrollback_journal_commits_at ON dbrollback.dbrollback_journal_commits (at)

CREATE OR REPLACE FUNCTION dbrollback.dbrollback_journal_begin() RETURNS trigger LANGUAGE plpgsql AS $dbrollback$
DECLARE
    name pg_catalog.text := pg_catalog.concat('dbrollback.', TG_OP, TG_RELID);
    number pg_catalog.int8 := pg_catalog.int8pl(pg_catalog.concat('0', pg_catalog.current_setting('dbrollback.number', true))::pg_catalog.int8, 1);
BEGIN
    -- It runs with the rights of whoever writes, and reads nothing: that is cheaper than a search_path of its own. The names are a
    -- stack: what a statement's triggers and functions write to the same table ends before it.
    PERFORM pg_catalog.set_config('dbrollback.number', pg_catalog.concat(number), true),
            pg_catalog.set_config(name, pg_catalog.concat(number, ' ', pg_catalog.current_setting(name, true)), true);
    RETURN NULL;
END $dbrollback$

CREATE OR REPLACE FUNCTION dbrollback.dbrollback_journal_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $dbrollback$
BEGIN
    INSERT INTO dbrollback.dbrollback_journal_commits (x, began, at, who, program)
    VALUES (NEW.x, transaction_timestamp(), clock_timestamp(),
            session_user || CASE WHEN current_setting('role') IN ('none', session_user) THEN '' ELSE ' as ' || current_setting('role') END,
            coalesce(current_setting('application_name', true), ''));
    RETURN NULL;
END $dbrollback$

REVOKE ALL ON FUNCTION dbrollback.dbrollback_journal_end() FROM PUBLIC

DO $dbrollback$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = 'dbrollback.dbrollback_journal_open'::regclass AND tgname = 'dbrollback_journal_end') THEN
        CREATE CONSTRAINT TRIGGER dbrollback_journal_end AFTER INSERT ON dbrollback.dbrollback_journal_open
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dbrollback.dbrollback_journal_end();
        ALTER TABLE dbrollback.dbrollback_journal_open ENABLE ALWAYS TRIGGER dbrollback_journal_end;
    END IF;
END $dbrollback$
