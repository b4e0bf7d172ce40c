CREATE TABLE {checkpoints} (
  id          varchar(40) PRIMARY KEY,
  taken_at    varchar(27) NOT NULL,
  migration   bigint NOT NULL,
  hash        varchar(64) NOT NULL,
  before_id   varchar(40) NOT NULL,
  state       varchar(20) NOT NULL,
  progress    {text} NOT NULL,
  manifest    {text} NOT NULL
)
