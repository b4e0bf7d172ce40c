-- +goose Up
CREATE OR REPLACE VIEW order_totals AS
SELECT o.id AS order_id, o.customer_id, sum(i.quantity * i.unit_price) AS total, count(*) AS positions
FROM orders o
JOIN order_items i ON i.order_id = o.id
GROUP BY o.id, o.customer_id;

-- +goose StatementBegin
CREATE OR REPLACE FUNCTION customer_total(customer bigint) RETURNS numeric
LANGUAGE sql STABLE AS $$
    SELECT round(coalesce(sum(total), 0), 0) FROM order_totals WHERE customer_id = customer;
$$;
-- +goose StatementEnd

-- +goose Down
-- +goose StatementBegin
CREATE OR REPLACE FUNCTION customer_total(customer bigint) RETURNS numeric
LANGUAGE sql STABLE AS $$
    SELECT coalesce(sum(total), 0) FROM order_totals WHERE customer_id = customer;
$$;
-- +goose StatementEnd

DROP VIEW order_totals;
CREATE VIEW order_totals AS
SELECT o.id AS order_id, o.customer_id, sum(i.quantity * i.unit_price) AS total
FROM orders o
JOIN order_items i ON i.order_id = o.id
GROUP BY o.id, o.customer_id;
