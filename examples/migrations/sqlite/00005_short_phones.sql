-- +goose Up
-- Blanks, brackets and strokes are lost.
UPDATE customers SET phone = replace(replace(replace(replace(phone, ' ', ''), '(', ''), ')', ''), '/', '');

-- +goose Down
-- The captured values come back by themselves.
SELECT 1;
