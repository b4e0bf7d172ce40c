-- +goose Up
UPDATEe notes set body = 1;

-- +goose Down
-- take back: UPDATEe notes set body = 1
SELECT 1;
