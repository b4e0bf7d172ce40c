IF pg_catalog.current_setting('transaction_isolation') OPERATOR(pg_catalog.<>) 'read committed' THEN
        RAISE EXCEPTION 'TRUNCATE of % is journalled, and that wants READ COMMITTED', TG_RELID::pg_catalog.regclass
            USING HINT = 'a transaction at a higher level does not see all rows that it would take away; DELETE is journalled at every level';
    END IF;
    