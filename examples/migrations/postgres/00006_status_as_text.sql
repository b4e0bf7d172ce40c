-- +goose Up
ALTER TABLE orders ALTER COLUMN status DROP DEFAULT;
ALTER TABLE orders ALTER COLUMN status TYPE text USING status::text;
ALTER TABLE orders ALTER COLUMN status SET DEFAULT 'new';
UPDATE orders SET status = 'closed' WHERE status IN ('shipped', 'cancelled');
ALTER TABLE orders ADD CONSTRAINT orders_status_known CHECK (status IN ('new', 'paid', 'closed'));
DROP TYPE order_status;

-- +goose Down
CREATE TYPE order_status AS ENUM ('new', 'paid', 'shipped', 'cancelled');
ALTER TABLE orders DROP CONSTRAINT orders_status_known;
ALTER TABLE orders ALTER COLUMN status DROP DEFAULT;
-- Nobody can know which of the two a closed order was; the captured rows do.
ALTER TABLE orders ALTER COLUMN status TYPE order_status
    USING (CASE status WHEN 'closed' THEN 'shipped' ELSE status END)::order_status;
ALTER TABLE orders ALTER COLUMN status SET DEFAULT 'new';
