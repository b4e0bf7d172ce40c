-- +goose Up
TRUNCATE visits;
ALTER TABLE visits ADD COLUMN referrer text;

-- +goose Down
ALTER TABLE visits DROP COLUMN referrer;
