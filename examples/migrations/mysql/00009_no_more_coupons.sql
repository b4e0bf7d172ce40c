-- +goose Up
DROP TABLE coupons;

-- +goose Down
CREATE TABLE coupons (
    code       varchar(40) NOT NULL PRIMARY KEY,
    percent    smallint NOT NULL CHECK (percent BETWEEN 1 AND 90),
    valid_till date,
    used       integer NOT NULL DEFAULT 0,
    KEY coupons_valid_till (valid_till)
);
