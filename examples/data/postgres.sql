-- A shop's data, to be loaded after migration 3 of examples/migrations/postgres.
INSERT INTO customers (id, email, first_name, last_name, phone, loyalty, created_at)
SELECT n, 'customer' || n || '@example.com',
       (ARRAY['Ada', 'Grace', 'Alan', 'Barbara', 'Edsger Wybe'])[1 + n % 5],
       (ARRAY['Lovelace', 'Hopper', 'Turing', 'Liskov', 'de Jong', 'Óg'])[1 + n % 6],
       CASE WHEN n % 4 = 0 THEN NULL ELSE '+49 (0)' || 30 + n || '/ 555 ' || n END,
       n % 97, timestamptz '2023-06-01 12:00:00+00' + n * interval '4 days'
FROM generate_series(1, 200) AS n;

INSERT INTO products (id, sku, name, price, traits)
SELECT n, 'SKU-' || n, 'Product ' || n, round((0.99 + n * 1.37)::numeric, 2),
       jsonb_build_object('colour', (ARRAY['red', 'green', 'blue'])[1 + n % 3], 'weight', n * 10)
FROM generate_series(1, 50) AS n;

INSERT INTO orders (id, customer_id, status, placed_at)
SELECT n, 1 + n % 200, (ARRAY['new', 'paid', 'shipped', 'cancelled']::order_status[])[1 + n % 4],
       timestamptz '2023-06-02 08:30:00+00' + n * interval '30 hours'
FROM generate_series(1, 400) AS n;

INSERT INTO order_items (order_id, product_id, quantity, unit_price)
SELECT o, 1 + (o * 7 + i) % 50, i, round((0.99 + o * 0.11)::numeric, 2)
FROM generate_series(1, 400) AS o, generate_series(1, 3) AS i;

INSERT INTO coupons (code, percent, valid_till, used)
SELECT 'SAVE' || n, 5 + n % 20, CASE WHEN n % 3 = 0 THEN NULL ELSE date '2026-01-01' + n END, n
FROM generate_series(1, 30) AS n;

INSERT INTO visits (at, page, ip)
SELECT timestamptz '2026-01-01 00:00:00+00' + n * interval '11 minutes', '/product/' || n % 50, '192.0.2.1'::inet + n % 200
FROM generate_series(1, 500) AS n;

SELECT setval(pg_get_serial_sequence('customers', 'id'), 200), setval(pg_get_serial_sequence('products', 'id'), 50),
       setval(pg_get_serial_sequence('orders', 'id'), 400);
