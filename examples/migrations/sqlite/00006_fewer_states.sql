-- +goose Up
UPDATE orders SET status = 'closed' WHERE status IN ('shipped', 'cancelled');
ALTER TABLE orders RENAME COLUMN status TO state;

-- +goose Down
ALTER TABLE orders RENAME COLUMN state TO status;
-- Nobody can know which of the two it was; the captured rows do.
UPDATE orders SET status = 'shipped' WHERE status = 'closed';
