-- +goose Up
TRUNCATE TABLE visits;
ALTER TABLE visits ADD COLUMN referrer varchar(200);

-- +goose Down
ALTER TABLE visits DROP COLUMN referrer;
