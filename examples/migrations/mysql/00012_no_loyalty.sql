-- +goose Up
ALTER TABLE customers DROP COLUMN loyalty;

-- +goose Down
ALTER TABLE customers ADD COLUMN loyalty integer NOT NULL DEFAULT 0 COMMENT 'points, one per euro spent' CHECK (loyalty >= 0);
