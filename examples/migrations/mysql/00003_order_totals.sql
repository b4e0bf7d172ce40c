-- +goose Up
CREATE VIEW order_totals AS
SELECT o.id AS order_id, o.customer_id, sum(i.quantity * i.unit_price) AS total
FROM orders o
JOIN order_items i ON i.order_id = o.id
GROUP BY o.id, o.customer_id;

-- +goose StatementBegin
CREATE FUNCTION customer_total(customer bigint) RETURNS decimal(20, 2)
READS SQL DATA
BEGIN
    RETURN (SELECT coalesce(sum(total), 0) FROM order_totals WHERE customer_id = customer);
END;
-- +goose StatementEnd

-- +goose Down
DROP FUNCTION customer_total;
DROP VIEW order_totals;
