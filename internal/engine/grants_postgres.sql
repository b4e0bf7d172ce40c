-- $1 is our schema, $2 the account. A row per owner of the user's tables and of our schema: name, whether it runs migrations, whether it is
-- a superuser, whether the one that runs migrations can act as it already, whether the account exists, the database.
WITH runner AS (
  SELECT coalesce((SELECT nspowner FROM pg_catalog.pg_namespace WHERE nspname = $1),
                  (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = current_user)) AS oid
), owners AS (
  SELECT oid FROM runner
  UNION
  SELECT c.relowner FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'S', 'f') AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\_%'
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
)
SELECT a.rolname::text, a.oid = r.oid, a.rolsuper, pg_catalog.pg_has_role(r.oid, a.oid, 'MEMBER'),
  EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = $2), pg_catalog.current_database()::text
FROM owners o JOIN pg_catalog.pg_roles a ON a.oid = o.oid CROSS JOIN runner r
ORDER BY a.oid = r.oid DESC, a.rolname
