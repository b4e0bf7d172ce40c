CREATE FUNCTION @function() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp@settings AS @tag
DECLARE
    dbrollback_x bigint := pg_current_xact_id()::text::bigint;
    dbrollback_name text := 'dbrollback.' || TG_OP || TG_RELID;
    dbrollback_stack text;
    dbrollback_s bigint;
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        IF current_setting('transaction_isolation') <> 'read committed' THEN
            RAISE EXCEPTION 'TRUNCATE of % is journalled, and that wants READ COMMITTED', TG_RELID::regclass
                USING HINT = 'a transaction at a higher level does not see all rows that it would take away; DELETE is journalled at every level';
        END IF;
        dbrollback_s := ('0' || coalesce(current_setting('dbrollback.number', true), ''))::bigint + 1;
        PERFORM set_config('dbrollback.number', dbrollback_s::text, true);
        @truncate;
        GET DIAGNOSTICS dbrollback_s = ROW_COUNT;
    ELSE
        dbrollback_stack := coalesce(current_setting(dbrollback_name, true), '');
        dbrollback_s := ('0' || split_part(dbrollback_stack, ' ', 1))::bigint;
        PERFORM set_config(dbrollback_name, substr(dbrollback_stack, strpos(dbrollback_stack, ' ') + 1), true);
        IF TG_OP = 'UPDATE' THEN
            IF (SELECT count(*) FROM (SELECT FROM dbrollback_old LIMIT 2) one) = 1 THEN
                @one;
            ELSE
                @update;
            END IF;
            GET DIAGNOSTICS dbrollback_s = ROW_COUNT;
        ELSIF TG_OP = 'INSERT' THEN
            @insert;
            GET DIAGNOSTICS dbrollback_s = ROW_COUNT;
        ELSE
            @delete;
            GET DIAGNOSTICS dbrollback_s = ROW_COUNT;
        END IF;
    END IF;
    IF dbrollback_s > 0 AND current_setting('dbrollback.journal', true) IS DISTINCT FROM dbrollback_x::text THEN
        INSERT INTO dbrollback.dbrollback_journal_open (x, at) VALUES (dbrollback_x, clock_timestamp());
        PERFORM set_config('dbrollback.journal', dbrollback_x::text, true);
    END IF;
    RETURN NULL;
END @tag
