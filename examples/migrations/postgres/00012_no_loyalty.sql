-- +goose Up
ALTER TABLE customers DROP COLUMN loyalty;

-- +goose Down
ALTER TABLE customers ADD COLUMN loyalty integer NOT NULL DEFAULT 0 CHECK (loyalty >= 0);
COMMENT ON COLUMN customers.loyalty IS 'points, one per euro spent';
