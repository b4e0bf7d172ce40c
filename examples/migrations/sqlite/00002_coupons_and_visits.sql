-- +goose Up
CREATE TABLE coupons (
    code       TEXT PRIMARY KEY,
    percent    INTEGER NOT NULL CHECK (percent BETWEEN 1 AND 90),
    valid_till TEXT,
    used       INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX coupons_valid_till ON coupons (valid_till) WHERE valid_till IS NOT NULL;

CREATE TABLE visits (
    at   TEXT NOT NULL DEFAULT CURRENT_TIMESTAMP,
    page TEXT NOT NULL
);

-- +goose Down
DROP TABLE visits;
DROP TABLE coupons;
