-- One object per grantee whose rights differ from what the object's kind gives by default. Making it sets the
-- grantee's rights to what they were, removing it goes back to the default.
grants(class, id, sub, ident, kind, name, sch, tab, def, mk, alt, rm, rank, pos, gen, needs) AS (
    SELECT 0::oid, 0::oid, -1, NULL::text, 'grant', a.name || ' to ' || w.who, a.sch, a.tab, coalesce(g.privs, 'none'),
           ARRAY[format('REVOKE ALL%s ON %s FROM %s', a.part, a.target, w.who)] || coalesce(g.give, '{}'), NULL::text[],
           ARRAY[format('REVOKE ALL%s ON %s FROM %s', a.part, a.target, w.who)] || coalesce(b.give, '{}'), a.rank, 0, false, NULL::text[]
    FROM acl a CROSS JOIN LATERAL (
        SELECT x.grantee FROM pg_catalog.aclexplode(a.acl) x UNION SELECT x.grantee FROM pg_catalog.aclexplode(a.base) x) e
    CROSS JOIN LATERAL (SELECT CASE e.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_catalog.pg_get_userbyid(e.grantee)) END AS who) w
    LEFT JOIN LATERAL (
        SELECT string_agg(x.priv, ', ' ORDER BY x.priv) AS privs,
               array_agg(format('GRANT %s%s ON %s TO %s%s', x.type, a.part, a.target, w.who, x.opt) ORDER BY x.priv) AS give
        FROM (SELECT DISTINCT y.privilege_type AS type, CASE WHEN y.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS opt,
                     y.privilege_type || CASE WHEN y.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS priv
              FROM pg_catalog.aclexplode(a.acl) y WHERE y.grantee = e.grantee) x) g ON true
    LEFT JOIN LATERAL (
        SELECT string_agg(x.priv, ', ' ORDER BY x.priv) AS privs,
               array_agg(format('GRANT %s%s ON %s TO %s%s', x.type, a.part, a.target, w.who, x.opt) ORDER BY x.priv) AS give
        FROM (SELECT DISTINCT y.privilege_type AS type, CASE WHEN y.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS opt,
                     y.privilege_type || CASE WHEN y.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS priv
              FROM pg_catalog.aclexplode(a.base) y WHERE y.grantee = e.grantee) x) b ON true
    WHERE g.privs IS DISTINCT FROM b.privs
)
