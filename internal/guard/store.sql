CREATE TABLE {watches} (
  id           varchar(40) PRIMARY KEY,
  started_at   varchar(27) NOT NULL,
  state        varchar(20) NOT NULL,
  from_version bigint NOT NULL,
  to_version   bigint NOT NULL,
  work         varchar(64) NOT NULL,
  policy       {text} NOT NULL,
  seen         {text} NOT NULL,
  reason       {text} NOT NULL,
  updated_at   varchar(27) NOT NULL
)
