CREATE FUNCTION @function() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER@settings AS @tag
-- The log has no rows of a TRUNCATE: they are put by here, under a number of their own, and a message in the log says where they belong.
DECLARE
    dbrollback_x pg_catalog.int8 := pg_catalog.nextval('@numbers'::pg_catalog.regclass);
BEGIN
    @truncate
    PERFORM pg_catalog.pg_logical_emit_message(true, 'dbrollback_journal', pg_catalog.concat_ws(' ', token, 'truncate', TG_RELID::pg_catalog.int8, '@segment', dbrollback_x))
        FROM dbrollback.dbrollback_journal_slot;
    RETURN NULL;
END @tag
