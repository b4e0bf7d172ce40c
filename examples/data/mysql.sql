-- A shop's data, to be loaded after migration 3 of examples/migrations/mysql; for MySQL and MariaDB.
INSERT INTO customers (id, email, first_name, last_name, phone, loyalty, created_at)
WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < 200)
SELECT n, concat('customer', n, '@example.com'),
       elt(1 + n % 5, 'Ada', 'Grace', 'Alan', 'Barbara', 'Edsger Wybe'),
       elt(1 + n % 6, 'Lovelace', 'Hopper', 'Turing', 'Liskov', 'de Jong', 'Óg'),
       CASE WHEN n % 4 = 0 THEN NULL ELSE concat('+49 (0)', 30 + n, '/ 555 ', n) END,
       n % 97, timestamp('2023-06-01 12:00:00') + interval n * 4 day
FROM s;

INSERT INTO products (id, sku, name, price, traits)
WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < 50)
SELECT n, concat('SKU-', n), concat('Product ', n), round(0.99 + n * 1.37, 2),
       json_object('colour', elt(1 + n % 3, 'red', 'green', 'blue'), 'weight', n * 10)
FROM s;

INSERT INTO orders (id, customer_id, status, placed_at)
WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < 400)
SELECT n, 1 + n % 200, 1 + n % 4, timestamp('2023-06-02 08:30:00') + interval n * 30 hour
FROM s;

INSERT INTO order_items (order_id, product_id, quantity, unit_price)
WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < 400), p AS (SELECT 1 AS i UNION ALL SELECT 2 UNION ALL SELECT 3)
SELECT n, 1 + (n * 7 + i) % 50, i, round(0.99 + n * 0.11, 2)
FROM s, p;

INSERT INTO coupons (code, percent, valid_till, used)
WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < 30)
SELECT concat('SAVE', n), 5 + n % 20, CASE WHEN n % 3 = 0 THEN NULL ELSE date('2026-01-01') + interval n day END, n
FROM s;

INSERT INTO visits (at, page, ip)
WITH RECURSIVE s AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM s WHERE n < 500)
SELECT timestamp('2026-01-01 00:00:00') + interval n * 11 minute, concat('/product/', n % 50), inet6_aton(concat('192.0.2.', 1 + n % 200))
FROM s;
