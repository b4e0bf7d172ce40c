CREATE TABLE IF NOT EXISTS {operations} (
  run        varchar(40) NOT NULL,
  version    bigint NOT NULL,
  direction  varchar(4) NOT NULL,
  statement  integer NOT NULL,
  statements integer NOT NULL,
  state      varchar(10) NOT NULL,
  snapshot   varchar(40) NOT NULL,
  fingerprint {text},
  at         varchar(27) NOT NULL,
  PRIMARY KEY (run, version, statement)
){options};
CREATE TABLE IF NOT EXISTS {releases} (
  name      varchar(200) PRIMARY KEY,
  version   bigint NOT NULL,
  tagged_at varchar(27) NOT NULL
){options};
CREATE TABLE IF NOT EXISTS {migrations} (
  version      bigint PRIMARY KEY,
  file         {text} NOT NULL,
  source       {text} NOT NULL,
  applied_at   varchar(27) NOT NULL,
  run          varchar(40) NOT NULL,
  up_changes   {text},
  down_changes {text},
  undone_at    varchar(27)
){options};
