package engine

import (
	"context"
	_ "embed"
	"fmt"
	"time"
)

//go:embed behind_postgres.sql
var behindPostgres string

// Behind is how far the farthest of the replicas that a server streams to is behind it.
type Behind struct {
	Bytes int64         // of the log, not applied there
	Lag   time.Duration // of what was applied last; zero also where nothing is to apply
}

// A replica further behind than this is given time: it is more than some batches of a restore write, and a reader of it sees.
const (
	nearBytes = 16 << 20
	nearLag   = time.Second
)

// Far tells whether whoever writes much should wait.
func (b Behind) Far() bool { return b.Bytes > nearBytes || b.Bytes > 0 && b.Lag > nearLag }

func (b Behind) String() string {
	return fmt.Sprintf("%d MB and %s behind", b.Bytes>>20, b.Lag.Round(100*time.Millisecond))
}

// Replicas asks how far they are behind. known is false where the server does not know: on MySQL and MariaDB only a replica
// itself does, and a file has none. On PostgreSQL an account without the rights of pg_monitor sees no replica.
func (db *DB) Replicas(ctx context.Context, q Querier) (b Behind, known bool, err error) {
	if db.Kind != Postgres {
		return Behind{}, false, nil
	}
	var seconds float64
	if err := q.QueryRowContext(ctx, behindPostgres).Scan(&b.Bytes, &seconds); err != nil {
		return Behind{}, false, fmt.Errorf("ask how far replicas are behind: %w", err)
	}
	b.Lag = time.Duration(seconds * float64(time.Second))
	return b, true, nil
}
