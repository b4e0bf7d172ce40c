-- From PostgreSQL 18 on NOT NULL is a constraint: it may have a name of the user's, and need not hold for all rows or for heirs.
    LEFT JOIN LATERAL (
        SELECT k.conname, CASE WHEN k.conname !~ '_not_null\d*$' THEN format('CONSTRAINT %I ', k.conname) ELSE '' END AS named,
               CASE WHEN k.connoinherit THEN ' NO INHERIT' ELSE '' END || CASE WHEN k.convalidated THEN '' ELSE ' NOT VALID' END AS rest
        FROM pg_catalog.pg_constraint k WHERE k.conrelid = nb.oid AND k.contype = 'n' AND k.conkey = ARRAY[nb.num]) nk ON true
    CROSS JOIN LATERAL (
        SELECT coalesce(nk.named, '') || 'NOT NULL' || coalesce(nk.rest, '') AS def,
               ARRAY[CASE WHEN coalesce(nk.named || nk.rest, '') = '' THEN format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', nb.q, nb.name)
                          ELSE format('ALTER TABLE %s ADD %sNOT NULL %I%s', nb.q, nk.named, nb.name, nk.rest) END] AS mk,
               -- A key may need it, so that it cannot go and come: it gets its name.
               CASE WHEN nk.rest = '' THEN ARRAY[format('ALTER TABLE %s ALTER COLUMN %I SET NOT NULL', nb.q, nb.name), format('DO %L', format(
                   'DECLARE n text; BEGIN FOR n IN SELECT k.conname FROM pg_catalog.pg_constraint k JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND k.conkey = ARRAY[a.attnum] '
                   'WHERE k.conrelid = %1$L::pg_catalog.regclass AND k.contype = ''n'' AND a.attname = %2$L AND k.conname <> %3$L '
                   'LOOP EXECUTE pg_catalog.format(''ALTER TABLE %%s RENAME CONSTRAINT %%I TO %%I'', %1$L, n, %3$L); END LOOP; END', nb.q, nb.name, nk.conname))] END AS alt) nn
