-- +goose Up
ALTER TABLE customers DROP COLUMN loyalty;

-- +goose Down
ALTER TABLE customers ADD COLUMN loyalty INTEGER NOT NULL DEFAULT 0;
