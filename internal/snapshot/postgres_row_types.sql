SELECT count(*)
FROM pg_depend d
JOIN pg_type y ON d.refclassid = 'pg_type'::regclass AND y.oid = d.refobjid
LEFT JOIN pg_type el ON el.oid = y.typelem
JOIN pg_class c ON c.oid = coalesce(nullif(y.typrelid, 0), el.typrelid)
WHERE d.deptype = 'n' AND d.classid IN ('pg_class'::regclass, 'pg_type'::regclass) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
