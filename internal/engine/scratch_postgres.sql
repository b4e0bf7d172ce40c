-- Columns that only newer servers have are read through the row's JSON.
SELECT pg_catalog.pg_encoding_to_char(d.encoding), d.datcollate, d.datctype,
       coalesce(j ->> 'datlocprovider', 'c'), coalesce(j ->> 'datlocale', j ->> 'daticulocale', ''),
       r.rolname::text, r.rolcreatedb OR r.rolsuper
FROM pg_catalog.pg_database d
CROSS JOIN LATERAL to_jsonb(d) AS j
JOIN pg_catalog.pg_roles r ON r.rolname = current_user
WHERE d.datname = current_database()
