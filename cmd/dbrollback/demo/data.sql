INSERT INTO customers (id, name, phone, points)
WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 2000)
SELECT n, 'Customer ' || n, '030 555-' || printf('%04d', n), n * 37 % 5000 FROM s;

INSERT INTO orders (id, customer_id, cents)
WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 5000)
SELECT n, 1 + n * 7 % 2000, 100 + n * 61 % 9000 FROM s;

INSERT INTO coupons (code, percent)
WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 100)
SELECT 'SAVE' || n, 1 + n % 30 FROM s;
