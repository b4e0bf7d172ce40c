SELECT f.oid::bigint, f.conrelid::bigint, f.confrelid::bigint, n.nspname, c.relname, f.conname,
       pg_catalog.pg_get_constraintdef(f.oid), f.condeferrable, f.convalidated
FROM pg_catalog.pg_constraint f
JOIN pg_catalog.pg_class c ON c.oid = f.conrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE f.contype = 'f' AND f.conparentid = 0 AND (f.conrelid = $1::bigint::oid OR f.confrelid = $1::bigint::oid)
ORDER BY f.oid
