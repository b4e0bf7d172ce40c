CREATE FUNCTION @function() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER@settings AS @tag
-- It runs with other rights than whoever writes, under that one's search_path: all names are written out. A search_path of its own would
-- cost more than what it does.
DECLARE
    dbrollback_x pg_catalog.int8 := pg_catalog.txid_current();
    dbrollback_s pg_catalog.int8;
BEGIN
    IF TG_OP OPERATOR(pg_catalog.=) 'INSERT' THEN
        @insert;
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
    ELSIF TG_OP OPERATOR(pg_catalog.=) 'TRUNCATE' THEN
        IF pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed' THEN
            RAISE EXCEPTION 'TRUNCATE of % is journalled, and that wants READ COMMITTED', TG_RELID::pg_catalog.regclass
                USING HINT = 'a transaction at a higher level does not see all rows that it would take away; DELETE is journalled at every level';
        END IF;
        @truncate;
        IF NOT FOUND THEN
            RETURN NULL;
        END IF;
    ELSE
        -- Whether this transaction had written the row before: how much younger than the transaction is the one that made the row? None is one
        -- that is older, or a subtransaction of this one: those have numbers after it, and so have others that began later and ended already.
        dbrollback_s := (OLD.xmin::pg_catalog.text::pg_catalog.int8 OPERATOR(pg_catalog.-) dbrollback_x) OPERATOR(pg_catalog.&) 4294967295;
        IF dbrollback_s OPERATOR(pg_catalog.>) 2147483647 THEN
            dbrollback_s := 0;
        ELSIF dbrollback_s OPERATOR(pg_catalog.=) 0 THEN
            dbrollback_s := 1;
        ELSE
            BEGIN
                dbrollback_s := CASE WHEN pg_catalog.pg_xact_status((dbrollback_x OPERATOR(pg_catalog.+) dbrollback_s)::pg_catalog.text::pg_catalog.xid8) OPERATOR(pg_catalog.=) 'in progress' THEN 1 ELSE 0 END;
            EXCEPTION WHEN invalid_parameter_value THEN
                dbrollback_s := 0; -- a number yet to come: the row is frozen, and more than half of all numbers old
            END;
        END IF;
        IF TG_OP OPERATOR(pg_catalog.=) 'UPDATE' THEN
            @update;
        ELSE
            @delete;
        END IF;
    END IF;
    IF pg_catalog.current_setting('dbrollback.journal', true) IS DISTINCT FROM dbrollback_x::pg_catalog.text THEN
        INSERT INTO dbrollback.dbrollback_journal_open (x, at) VALUES (dbrollback_x, pg_catalog.clock_timestamp());
        PERFORM pg_catalog.set_config('dbrollback.journal', dbrollback_x::pg_catalog.text, true);
    END IF;
    RETURN NULL;
END @tag
