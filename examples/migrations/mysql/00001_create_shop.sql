-- +goose Up
CREATE TABLE customers (
    id         bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    email      varchar(190) NOT NULL UNIQUE,
    first_name varchar(100) NOT NULL,
    last_name  varchar(100) NOT NULL,
    phone      varchar(30),
    loyalty    integer NOT NULL DEFAULT 0 COMMENT 'points, one per euro spent' CHECK (loyalty >= 0),
    created_at timestamp(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6)
);

CREATE TABLE products (
    id     bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    sku    varchar(40) NOT NULL UNIQUE,
    name   varchar(200) NOT NULL,
    price  decimal(10, 2) NOT NULL CHECK (price >= 0),
    traits json NOT NULL
);

CREATE TABLE orders (
    id          bigint NOT NULL AUTO_INCREMENT PRIMARY KEY,
    customer_id bigint NOT NULL,
    status      enum('new', 'paid', 'shipped', 'cancelled') NOT NULL DEFAULT 'new',
    placed_at   datetime NOT NULL DEFAULT CURRENT_TIMESTAMP,
    KEY orders_customer_id (customer_id),
    CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers (id) ON DELETE CASCADE
);

CREATE TABLE order_items (
    order_id   bigint NOT NULL,
    product_id bigint NOT NULL,
    quantity   integer NOT NULL CHECK (quantity > 0),
    unit_price decimal(10, 2) NOT NULL,
    PRIMARY KEY (order_id, product_id),
    KEY order_items_product_id (product_id),
    CONSTRAINT order_items_order FOREIGN KEY (order_id) REFERENCES orders (id) ON DELETE CASCADE,
    CONSTRAINT order_items_product FOREIGN KEY (product_id) REFERENCES products (id)
);

-- +goose Down
DROP TABLE order_items;
DROP TABLE orders;
DROP TABLE products;
DROP TABLE customers;
