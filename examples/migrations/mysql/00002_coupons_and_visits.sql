-- +goose Up
CREATE TABLE coupons (
    code       varchar(40) NOT NULL PRIMARY KEY,
    percent    smallint NOT NULL CHECK (percent BETWEEN 1 AND 90),
    valid_till date,
    used       integer NOT NULL DEFAULT 0,
    KEY coupons_valid_till (valid_till)
);

CREATE TABLE visits (
    at   datetime(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3),
    page varchar(200) NOT NULL,
    ip   varbinary(16)
);

-- +goose Down
DROP TABLE visits;
DROP TABLE coupons;
