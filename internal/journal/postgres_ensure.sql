CREATE TABLE IF NOT EXISTS dbrollback.dbrollback_journal_open (x bigint NOT NULL, at timestamptz NOT NULL)

CREATE TABLE IF NOT EXISTS dbrollback.dbrollback_journal_commits (x bigint NOT NULL, began timestamptz NOT NULL, at timestamptz NOT NULL, who text NOT NULL, program text NOT NULL)

CREATE INDEX IF NOT EXISTS dbrollback_journal_commits_at ON dbrollback.dbrollback_journal_commits (at)

CREATE SEQUENCE IF NOT EXISTS dbrollback.dbrollback_journal_number

CREATE OR REPLACE FUNCTION dbrollback.dbrollback_journal_begin() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $dbrollback$
DECLARE
    name text := 'dbrollback.' || TG_OP || TG_RELID;
BEGIN
    -- A stack: what a statement's triggers and functions write to the same table ends before it.
    PERFORM set_config(name, nextval('dbrollback.dbrollback_journal_number') || ' ' || coalesce(current_setting(name, true), ''), true);
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

REVOKE ALL ON FUNCTION dbrollback.dbrollback_journal_begin(), dbrollback.dbrollback_journal_end() FROM PUBLIC

DO $dbrollback$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = 'dbrollback.dbrollback_journal_open'::regclass AND tgname = 'dbrollback_journal_end') THEN
        CREATE CONSTRAINT TRIGGER dbrollback_journal_end AFTER INSERT ON dbrollback.dbrollback_journal_open
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION dbrollback.dbrollback_journal_end();
        ALTER TABLE dbrollback.dbrollback_journal_open ENABLE ALWAYS TRIGGER dbrollback_journal_end;
    END IF;
END $dbrollback$
