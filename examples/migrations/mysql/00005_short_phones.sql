-- +goose Up
-- A narrower type: blanks, brackets and whatever does not fit are lost.
UPDATE customers SET phone = left(regexp_replace(phone, '[^0-9+]', ''), 15);
ALTER TABLE customers MODIFY phone varchar(15);

-- +goose Down
ALTER TABLE customers MODIFY phone varchar(30);
