CREATE FUNCTION @function() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER@settings AS @tag
-- It runs with other rights than whoever writes, under that one's search_path: every name is written out, and so is every operator, where it is
-- written as one. What looks an operator up by itself (IS DISTINCT FROM, IN, BETWEEN, NULLIF, CASE x WHEN) would find the writer's.
DECLARE
    dbrollback_x pg_catalog.int8 := pg_catalog.txid_current();
    dbrollback_s pg_catalog.int8;
BEGIN
    @record
    IF COALESCE(pg_catalog.current_setting('dbrollback.journal', true), '') OPERATOR(pg_catalog.<>) dbrollback_x::pg_catalog.text THEN
        INSERT INTO dbrollback.dbrollback_journal_open (x, at) VALUES (dbrollback_x, pg_catalog.clock_timestamp());
        PERFORM pg_catalog.set_config('dbrollback.journal', dbrollback_x::pg_catalog.text, true);
    END IF;
    RETURN NULL;
END @tag
