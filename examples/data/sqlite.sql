-- A shop's data, to be loaded after migration 3 of examples/migrations/sqlite.
INSERT INTO customers (id, email, first_name, last_name, phone, loyalty, created_at)
WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 200)
SELECT n, 'customer' || n || '@example.com',
       CASE n % 5 WHEN 0 THEN 'Ada' WHEN 1 THEN 'Grace' WHEN 2 THEN 'Alan' WHEN 3 THEN 'Barbara' ELSE 'Edsger Wybe' END,
       CASE n % 4 WHEN 0 THEN 'Lovelace' WHEN 1 THEN 'Hopper' WHEN 2 THEN 'de Jong' ELSE 'Óg' END,
       CASE WHEN n % 4 = 0 THEN NULL ELSE '+49 (0)' || (30 + n) || '/ 555 ' || n END,
       n % 97, datetime('2023-06-01 12:00:00', '+' || (n * 4) || ' days')
FROM s;

INSERT INTO products (id, sku, name, price)
WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 50)
SELECT n, 'SKU-' || n, 'Product ' || n, round(0.99 + n * 1.37, 2) FROM s;

INSERT INTO orders (id, customer_id, status, placed_at)
WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 400)
SELECT n, 1 + n % 200, CASE n % 4 WHEN 0 THEN 'new' WHEN 1 THEN 'paid' WHEN 2 THEN 'shipped' ELSE 'cancelled' END,
       datetime('2023-06-02 08:30:00', '+' || (n * 30) || ' hours')
FROM s;

INSERT INTO order_items (order_id, product_id, quantity, unit_price)
WITH RECURSIVE o (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM o WHERE n < 400), i (m) AS (VALUES (1), (2), (3))
SELECT n, 1 + (n * 7 + m) % 50, m, round(0.99 + n * 0.11, 2) FROM o, i;

INSERT INTO coupons (code, percent, valid_till, used)
WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 30)
SELECT 'SAVE' || n, 5 + n % 20, CASE WHEN n % 3 = 0 THEN NULL ELSE date('2026-01-01', '+' || n || ' days') END, n FROM s;

INSERT INTO visits (at, page)
WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 500)
SELECT datetime('2026-01-01', '+' || (n * 11) || ' minutes'), '/product/' || n % 50 FROM s;
