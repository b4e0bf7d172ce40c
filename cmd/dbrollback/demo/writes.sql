INSERT INTO customers (id, name, phone) VALUES (2001, 'Grace, who came after the release', '0305559999');
INSERT INTO orders (id, customer_id, cents) VALUES (5001, 2001, 4200);
UPDATE customers SET name = 'Customer 10, married since' WHERE id = 10;
UPDATE customers SET phone = '040 777' WHERE id = 7;
