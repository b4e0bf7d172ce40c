CREATE TABLE {drills} (
  id      varchar(40) PRIMARY KEY,
  at      varchar(27) NOT NULL,
  ok      integer NOT NULL,
  report  {text} NOT NULL
)
