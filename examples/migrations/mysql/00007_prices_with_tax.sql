-- +goose Up
-- Every row is rewritten; going back by division would be off by a cent here and there.
UPDATE products SET price = round(price * 1.19, 2);

-- +goose Down
UPDATE products SET price = round(price / 1.19, 2);
