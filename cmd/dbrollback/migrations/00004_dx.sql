-- +goose Up
ALTER TABLE notes DROP COLUMN body;

-- +goose Down
-- +goose StatementBegin
-- add body to notes again, with its type, default and constraints; its values come back by themselves;
-- +goose StatementEnd
SELECT 1;
