-- +goose Up
ALTER TABLE orders MODIFY status varchar(20) NOT NULL DEFAULT 'new';
UPDATE orders SET status = 'closed' WHERE status IN ('shipped', 'cancelled');
ALTER TABLE orders ADD CONSTRAINT orders_status_known CHECK (status IN ('new', 'paid', 'closed'));

-- +goose Down
ALTER TABLE orders DROP CONSTRAINT orders_status_known;
-- Nobody can know which of the two a closed order was; the captured rows do.
UPDATE orders SET status = 'shipped' WHERE status = 'closed';
ALTER TABLE orders MODIFY status enum('new', 'paid', 'shipped', 'cancelled') NOT NULL DEFAULT 'new';
