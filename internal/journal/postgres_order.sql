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
    