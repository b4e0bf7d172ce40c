CREATE FUNCTION dbrollback.dbrollback_guard() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $guard$
BEGIN
    RAISE EXCEPTION 'table % is kept for a rollback and takes no writes', TG_RELID::regclass USING HINT = 'dbrollback snapshot list says of which migration it is';
END $guard$
