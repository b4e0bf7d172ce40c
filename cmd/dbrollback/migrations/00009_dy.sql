-- +goose Up
DROP TABLE unknown;

-- +goose Down
-- +goose StatementBegin
-- create unknown again as it was; its rows come back by themselves;
-- +goose StatementEnd
SELECT 1;
