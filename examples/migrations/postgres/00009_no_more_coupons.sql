-- +goose Up
DROP TABLE coupons;

-- +goose Down
CREATE TABLE coupons (
    code       text PRIMARY KEY,
    percent    smallint NOT NULL CHECK (percent BETWEEN 1 AND 90),
    valid_till date,
    used       integer NOT NULL DEFAULT 0
);
CREATE INDEX coupons_valid_till ON coupons (valid_till) WHERE valid_till IS NOT NULL;
