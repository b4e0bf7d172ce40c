CREATE UNLOGGED TABLE IF NOT EXISTS dbrollback.dbrollback_journal_open (x bigint NOT NULL, at timestamptz NOT NULL)

CREATE TABLE IF NOT EXISTS dbrollback.dbrollback_journal_commits (x bigint NOT NULL, began timestamptz NOT NULL, at timestamptz NOT NULL, who text NOT NULL, program text NOT NULL)

CREATE INDEX IF NOT EXISTS dbrollback_journal_commits_at ON dbrollback.dbrollback_journal_commits USING brin (at) WITH (pages_per_range = 16, autosummarize = on)

CREATE OR REPLACE FUNCTION dbrollback.dbrollback_journal_end() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $dbrollback$
-- All names and operators are written out, because it runs under the search_path of whoever writes.
DECLARE
    role pg_catalog.text := pg_catalog.current_setting('role');
BEGIN
    -- SET CONSTRAINTS ALL IMMEDIATE has it called before the transaction ends, and from then on at each first write: it is put off again. Of a
    -- statement that does not look like the end that is not known; where it is the end, it is called again in the same statement.
    IF pg_catalog.pg_trigger_depth() OPERATOR(pg_catalog.>) 1
        OR pg_catalog.statement_timestamp() OPERATOR(pg_catalog.<>) pg_catalog.transaction_timestamp() AND pg_catalog.statement_timestamp() OPERATOR(pg_catalog.<>) NEW.at
            AND pg_catalog."left"(pg_catalog.current_query(), 40) OPERATOR(pg_catalog.!~*) '^\s*(commit|end|prepare)\y' THEN
        SET CONSTRAINTS dbrollback.dbrollback_journal_end DEFERRED;
        INSERT INTO dbrollback.dbrollback_journal_open (x, at) VALUES (NEW.x, pg_catalog.statement_timestamp());
        RETURN NULL;
    END IF;
    INSERT INTO dbrollback.dbrollback_journal_commits (x, began, at, who, program)
    VALUES (NEW.x, pg_catalog.transaction_timestamp(), pg_catalog.clock_timestamp(),
            CASE WHEN role OPERATOR(pg_catalog.=) 'none' OR role OPERATOR(pg_catalog.=) session_user THEN session_user::pg_catalog.text ELSE pg_catalog.concat(session_user, ' as ', role) END,
            COALESCE(pg_catalog.current_setting('application_name', true), ''));
    PERFORM pg_catalog.set_config('dbrollback.journal', '', true); -- should more be written, it is called again
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
