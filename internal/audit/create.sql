CREATE TABLE IF NOT EXISTS %s (
    number   bigint NOT NULL PRIMARY KEY,
    id       text NOT NULL,
    run      text NOT NULL,
    at       text NOT NULL,
    username text NOT NULL,
    action   text NOT NULL,
    outcome  text NOT NULL,
    entry    {text} NOT NULL,
    prev     varchar(64) NOT NULL UNIQUE,
    hash     varchar(64) NOT NULL
){options}
