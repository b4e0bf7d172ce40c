-- +goose Up
CREATE TABLE customers (
    id     INTEGER PRIMARY KEY,
    name   TEXT NOT NULL,
    phone  TEXT,
    points INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE orders (
    id          INTEGER PRIMARY KEY,
    customer_id INTEGER NOT NULL REFERENCES customers (id),
    cents       INTEGER NOT NULL
);
CREATE INDEX orders_customer_id ON orders (customer_id);

CREATE TABLE coupons (
    code    TEXT PRIMARY KEY,
    percent INTEGER NOT NULL
);

-- +goose Down
DROP TABLE coupons;
DROP TABLE orders;
DROP TABLE customers;
