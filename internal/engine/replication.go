package engine

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
)

// exactText are the settings under which PostgreSQL writes values as texts that it reads back to the same values.
var exactText = map[string]string{
	"DateStyle": "ISO, MDY", "IntervalStyle": "postgres", "TimeZone": "UTC", "extra_float_digits": "3", "bytea_output": "hex", "lc_monetary": "C", "xmloption": "content",
	"search_path": "pg_catalog", "client_encoding": "UTF8",
}

// ExactText gives the same settings for a transaction of a session that reads such texts.
func ExactText() []string {
	var out []string
	for _, name := range []string{"DateStyle", "IntervalStyle", "TimeZone", "extra_float_digits", "bytea_output", "lc_monetary", "xmloption", "search_path"} {
		out = append(out, "SET LOCAL "+name+" = '"+exactText[name]+"'")
	}
	out[0] = "SET LOCAL DateStyle = 'ISO', 'MDY'"
	return out
}

// Replication opens a connection that speaks PostgreSQL's protocol of logical replication. The caller closes it.
func (db *DB) Replication(ctx context.Context) (*pgconn.PgConn, error) {
	if db.pgx == nil {
		return nil, &Error{Class: Unsupported, Message: fmt.Sprintf("%s has no logical replication", db.Kind)}
	}
	c := db.pgx.Config.Copy()
	c.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler { // a wait that is given up leaves the connection whole
		return &pgconn.DeadlineContextWatcherHandler{Conn: conn.Conn()}
	}
	c.OnNotice = nil
	c.RuntimeParams["replication"] = "database"
	for name, value := range exactText {
		c.RuntimeParams[name] = value
	}
	conn, err := pgconn.ConnectConfig(ctx, c)
	var answered *pgconn.PgError
	if errors.As(err, &answered) && answered.Code == "42501" {
		return nil, &Error{Class: Privilege, Message: "the role " + db.Target.User + " may not read the server's log", Hint: "ALTER ROLE " + db.Ident(db.Target.User) + " REPLICATION", Err: err}
	}
	if err != nil {
		return nil, connectError(err, db.Target)
	}
	return conn, nil
}
