-- +goose Up
-- Two columns become one: which part was which is lost.
ALTER TABLE customers ADD COLUMN full_name TEXT NOT NULL DEFAULT '';
UPDATE customers SET full_name = first_name || ' ' || last_name;
ALTER TABLE customers DROP COLUMN first_name;
ALTER TABLE customers DROP COLUMN last_name;

-- +goose Down
ALTER TABLE customers ADD COLUMN first_name TEXT NOT NULL DEFAULT '';
ALTER TABLE customers ADD COLUMN last_name TEXT NOT NULL DEFAULT '';
UPDATE customers
SET first_name = substr(full_name, 1, instr(full_name || ' ', ' ') - 1),
    last_name  = substr(full_name, instr(full_name || ' ', ' ') + 1);
ALTER TABLE customers DROP COLUMN full_name;
