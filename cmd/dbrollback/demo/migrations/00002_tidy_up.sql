-- +goose Up
-- It looked harmless in the review.
ALTER TABLE customers DROP COLUMN points;
UPDATE customers SET phone = replace(replace(phone, ' ', ''), '-', '');
DELETE FROM orders WHERE cents < 1000;
DROP TABLE coupons;

-- +goose Down
CREATE TABLE coupons (
    code    TEXT PRIMARY KEY,
    percent INTEGER NOT NULL
);
ALTER TABLE customers ADD COLUMN points INTEGER NOT NULL DEFAULT 0;
