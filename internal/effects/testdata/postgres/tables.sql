-- Tables and their columns, as a shop would write them.
CREATE TYPE order_state AS ENUM ('new', 'paid', 'sent');
CREATE TABLE customers (
    id bigserial PRIMARY KEY,
    email varchar(320) NOT NULL UNIQUE,
    "Full Name" text COLLATE "de_DE" DEFAULT 'n; n', -- a comment; with a semicolon
    born date CHECK (born > '1900-01-01'),
    balance decimal(12, 2) DEFAULT 0 NOT NULL,
    tags text[] NOT NULL DEFAULT '{}',
    seen timestamptz DEFAULT now(),
    span interval hour to second(3),
    flags bit varying(8), code char(3), code1 char, raw "char", u uuid DEFAULT gen_random_uuid(),
    pos geometry(Point, 4326), t time(3) without time zone, f float, r float4, n numeric(5,-2), s smallserial
);
CREATE TABLE IF NOT EXISTS shop.orders (
    id int GENERATED ALWAYS AS IDENTITY,
    customer_id bigint NOT NULL CONSTRAINT fk_customer REFERENCES customers (id) ON DELETE CASCADE ON UPDATE SET NULL DEFERRABLE INITIALLY DEFERRED,
    state order_state NOT NULL DEFAULT 'new'::order_state,
    net numeric NOT NULL, vat numeric NOT NULL,
    gross numeric GENERATED ALWAYS AS (net + vat) STORED,
    PRIMARY KEY (id, customer_id),
    CONSTRAINT positive CHECK (net >= 0 AND (vat >= 0)) NOT VALID,
    FOREIGN KEY (customer_id, state) REFERENCES x.y (a, b) MATCH FULL ON DELETE SET DEFAULT,
    EXCLUDE USING gist (span WITH &&),
    UNIQUE NULLS NOT DISTINCT (net, vat) INCLUDE (gross)
) PARTITION BY RANGE (id);
CREATE TABLE orders_1 PARTITION OF shop.orders FOR VALUES FROM (1) TO (100);
CREATE TEMP TABLE scratch (LIKE customers INCLUDING ALL, extra int) ON COMMIT DROP;
CREATE UNLOGGED TABLE child () INHERITS (parent, s.other);
CREATE TABLE copy AS SELECT id, upper(email) FROM customers LIMIT 3;
CREATE TABLE IF NOT EXISTS copy2 (a, b) AS SELECT nextval('seq'), f() WITH NO DATA;
SELECT * INTO TEMP copy3 FROM customers;
CREATE FOREIGN TABLE remote (id int) SERVER elsewhere;
DROP TABLE customers, shop.orders CASCADE;
DROP TABLE IF EXISTS "Odd "";Name";
DROP FOREIGN TABLE remote;
TRUNCATE customers, ONLY shop.orders RESTART IDENTITY CASCADE;
TRUNCATE TABLE a;
CREATE SCHEMA s2 CREATE TABLE inner_t (id int) CREATE VIEW inner_v AS SELECT 1 CREATE INDEX inner_i ON inner_t (id);
CREATE SCHEMA IF NOT EXISTS s3 AUTHORIZATION bob;
DROP SCHEMA s2, s3 CASCADE;
CREATE DATABASE d;
DROP DATABASE IF EXISTS d;
