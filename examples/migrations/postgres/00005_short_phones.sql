-- +goose Up
-- A narrower type: blanks, brackets and whatever does not fit are lost.
ALTER TABLE customers
    ALTER COLUMN phone TYPE varchar(15) USING left(regexp_replace(phone, '[^0-9+]', '', 'g'), 15);

-- +goose Down
ALTER TABLE customers ALTER COLUMN phone TYPE varchar(30);
