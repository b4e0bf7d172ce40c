-- +goose Up
-- Two columns become one: which part was which is lost.
ALTER TABLE customers ADD COLUMN full_name varchar(201);
UPDATE customers SET full_name = concat(first_name, ' ', last_name);
ALTER TABLE customers MODIFY full_name varchar(201) NOT NULL, DROP COLUMN first_name, DROP COLUMN last_name;

-- +goose Down
ALTER TABLE customers ADD COLUMN first_name varchar(100) AFTER email, ADD COLUMN last_name varchar(100) AFTER first_name;
UPDATE customers
SET first_name = substring_index(full_name, ' ', 1),
    last_name  = substr(full_name, char_length(substring_index(full_name, ' ', 1)) + 2);
ALTER TABLE customers MODIFY first_name varchar(100) NOT NULL, MODIFY last_name varchar(100) NOT NULL, DROP COLUMN full_name;
