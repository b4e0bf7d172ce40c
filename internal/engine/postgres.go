package engine

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"
	"github.com/jackc/pgx/v5/stdlib"
)

// postgres is the dialect of PostgreSQL 13 and later.
type postgres struct{}

// cached makes pgx prepare a statement once per connection. Reading the catalog costs more to plan than
// to run; the catalog's own tables never change shape, so that the plan cannot go stale.
const cached = pgx.QueryExecModeCacheStatement

// openPostgres opens the pool. Settings go to each connection after it is made, not into its start-up
// packet, where poolers reject them.
func openPostgres(d dsn, db *DB) error {
	c := d.pgx
	c.RuntimeParams["application_name"] = db.options.ApplicationName
	c.DefaultQueryExecMode = pgx.QueryExecModeExec
	c.BuildContextWatcherHandler = func(conn *pgconn.PgConn) ctxwatch.Handler {
		// Cancel on the server instead of dropping the connection, so that a run ends with a rollback of its own.
		return &pgconn.CancelRequestContextWatcherHandler{Conn: conn, DeadlineDelay: 5 * time.Second}
	}
	db.Caps = Caps{TransactionalDDL: true, InlineKeys: true, LongText: "text", Schemas: true, Counters: postgresCounters, HeldLocks: heldPostgres, LockWait: "SET lock_timeout = "}
	db.dialect, db.pgx = postgres{}, c.Copy()
	db.level = sql.LevelReadCommitted
	db.DB = stdlib.OpenDB(*c, stdlib.OptionAfterConnect(func(ctx context.Context, c *pgx.Conn) error {
		// row_security off: a policy that would hide rows is an error, not a smaller result.
		const settings = "SELECT set_config('row_security', 'off', false), " +
			"set_config('lock_timeout', coalesce(nullif($1, ''), current_setting('lock_timeout')), false)"
		lock := ""
		if db.options.LockTimeout > 0 {
			lock = milliseconds(db.options.LockTimeout)
		}
		_, err := c.Exec(ctx, settings, lock)
		return err
	}))
	return nil
}

// begin finds a pooler in transaction mode. A pooler makes up the process id that it announces, so that
// it differs from the server's; whether it keeps one server per client shows with a second client.
func (postgres) begin(ctx context.Context, db *DB, c *sql.Conn) error {
	announced := func(c *sql.Conn) (pid uint32, err error) {
		err = c.Raw(func(d any) error {
			p, ok := d.(*stdlib.Conn)
			if ok {
				pid = p.Conn().PgConn().PID()
			}
			return nil
		})
		return pid, err
	}
	pid := func(q Querier) (pid uint32, err error) {
		err = q.QueryRowContext(ctx, "SELECT pg_backend_pid()").Scan(&pid)
		return pid, err
	}
	said, err := announced(c)
	if err != nil {
		return err
	}
	first, err := pid(c)
	if err != nil || said == 0 || said == first {
		return err
	}
	second, err := db.Conn(ctx)
	if err != nil {
		return err
	}
	defer second.Close()
	tx, err := second.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer func() { _ = tx.Rollback() }()
	other, err := pid(tx)
	if err != nil {
		return err
	}
	again, err := pid(c)
	if err != nil {
		return err
	}
	if other == first || again != first {
		return &Error{
			Class:   Pooled,
			Message: "the server is reached through a pooler in transaction mode: locks and settings of a session do not hold there",
			Hint:    "connect to PostgreSQL itself, or to the pooler's session mode",
		}
	}
	return nil
}

// runLock is the advisory lock that a run holds; advisory locks are per database.
const runLock int64 = 0x6462726f6c6c6261 // "dbrollba"

//go:embed postgres_lock.sql
var postgresLock string

func (p postgres) lock(ctx context.Context, s *Session, wait time.Duration) (func(), error) {
	deadline := time.Now().Add(wait)
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		var got, recovery, readOnly bool
		var holder string
		err := s.QueryRowContext(ctx, postgresLock, runLock).Scan(&got, &recovery, &readOnly, &holder)
		switch {
		case err != nil:
			return nil, fmt.Errorf("take the run lock: %w", err)
		case recovery:
			return nil, &Error{Class: ReadOnly, Message: "the server is a read-only replica", Hint: "connect to the primary"}
		case readOnly:
			return nil, &Error{Class: ReadOnly, Message: "the session is read-only (default_transaction_read_only is on)",
				Hint: "connect to a writable server, or switch the setting off for this user or database"}
		case got:
			return func() {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
				defer cancel()
				// Should it fail the connection is gone, and the lock with it.
				_, _ = s.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", runLock)
			}, nil
		}
		left := time.Until(deadline)
		if left <= 0 {
			e := &Error{Class: LockTimeout, Message: "another run is working on this database",
				Hint: "wait for it to end, or raise --lock-timeout"}
			if holder != "" {
				e.Message += " (" + holder + ")"
			}
			return nil, e
		}
		timer := time.NewTimer(min(pause, left))
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		case <-timer.C:
		}
	}
}

// commit notes the transaction's id before it commits. When the answer is lost, the server tells later,
// to anybody, what became of that id.
func (p postgres) commit(ctx context.Context, s *Session, tx *sql.Tx) error {
	xid := sql.NullString{String: s.xid, Valid: s.xid != ""}
	if !xid.Valid {
		if err := tx.QueryRowContext(ctx, postgresXID, cached).Scan(&xid); err != nil {
			_ = tx.Rollback()
			return fmt.Errorf("commit: %w", err)
		}
	}
	err := tx.Commit()
	if err == nil {
		return nil
	}
	var answered *pgconn.PgError
	if errors.Is(err, pgx.ErrTxCommitRollback) || errors.As(err, &answered) && !gone(answered.Code) {
		return fmt.Errorf("commit: %w", err) // the server said no
	}
	if !xid.Valid {
		return fmt.Errorf("commit: %w", err) // nothing had been written
	}
	return p.settle(ctx, s.db, xid.String, err)
}

// settleFor is how long settle looks for the outcome of a commit: long enough for a server to restart.
const settleFor = time.Minute

// settle finds out whether transaction xid committed, over new connections.
func (postgres) settle(ctx context.Context, db *DB, xid string, cause error) error {
	ctx, cancel := context.WithTimeout(ctx, settleFor)
	defer cancel()
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		var status sql.NullString
		err := db.QueryRowContext(ctx, "SELECT pg_xact_status($1::text::xid8)", xid).Scan(&status)
		var pg *pgconn.PgError
		switch {
		case err == nil && status.String == "committed":
			return nil
		case err == nil && status.String == "aborted",
			// A server that restarted does not know the id: it never became durable.
			errors.As(err, &pg) && pg.Code == "22023":
			return fmt.Errorf("commit: %w", &Error{Class: ConnectionLost,
				Message: "the connection was lost during commit, and the transaction was rolled back", Err: cause})
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return fmt.Errorf("commit: %w", &Error{Class: Unknown,
				Message: "the connection was lost during commit, and whether it took effect could not be found out",
				Hint:    fmt.Sprintf("when the server answers again: SELECT pg_xact_status('%s')", xid), Err: cause})
		case <-timer.C:
		}
	}
}

// gone tells whether an error code means that the connection ended, and not that the statement failed.
func gone(code string) bool {
	return strings.HasPrefix(code, "08") || code == "57P01" || code == "57P02" || code == "57P03" || code == "57P05"
}

func (postgres) home(ctx context.Context, q Querier) error {
	var exists, usable, create, untouched bool
	var role, database string
	err := q.QueryRowContext(ctx, `SELECT n.oid IS NOT NULL, coalesce(has_schema_privilege(n.oid, 'USAGE, CREATE'), false),
		has_database_privilege(current_database(), 'CREATE'), current_user::text, current_database()::text,
		coalesce(pg_get_userbyid(n.nspowner) = current_user AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid), false)
		FROM (VALUES (1)) one LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = $1`, home).
		Scan(&exists, &usable, &create, &role, &database, &untouched)
	if err != nil {
		return fmt.Errorf("look for schema %s: %w", home, err)
	}
	ident := (&DB{Kind: Postgres}).Ident
	switch {
	case exists && !usable:
		return &Error{Class: Privilege, Message: fmt.Sprintf("role %s may not use schema %s", role, home),
			Hint: fmt.Sprintf("GRANT USAGE, CREATE ON SCHEMA %s TO %s;", home, ident(role))}
	case untouched: // an administrator made it for us just now
		return closeHome(ctx, q)
	case exists:
		return nil
	case !create:
		return &Error{Class: Privilege, Message: fmt.Sprintf("role %s may not create schema %s in database %s", role, home, database),
			Hint: fmt.Sprintf("GRANT CREATE ON DATABASE %s TO %s; or, as an administrator: CREATE SCHEMA %s AUTHORIZATION %s;",
				ident(database), ident(role), home, ident(role))}
	}
	_, err = q.ExecContext(ctx, "CREATE SCHEMA IF NOT EXISTS "+home)
	if err != nil {
		return fmt.Errorf("create schema %s: %w", home, err)
	}
	return closeHome(ctx, q)
}

// closeHome takes from everybody but the owner what ALTER DEFAULT PRIVILEGES gave them when our schema was made: the same
// privileges let them read each table in it, and what is out of reach is not read.
func closeHome(ctx context.Context, q Querier) error {
	var revoke string
	err := q.QueryRowContext(ctx, `SELECT coalesce(string_agg('REVOKE ALL ON SCHEMA '||quote_ident(n.nspname)||' FROM '||
			CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(a.grantee)) END||' CASCADE', '; '), '')
		FROM pg_catalog.pg_namespace n, LATERAL (SELECT DISTINCT grantee FROM aclexplode(n.nspacl)) a
		WHERE n.nspname = $1 AND a.grantee <> n.nspowner`, home).Scan(&revoke)
	if err == nil && revoke != "" {
		_, err = q.ExecContext(ctx, revoke)
	}
	if err != nil {
		return fmt.Errorf("keep others out of schema %s: %w", home, err)
	}
	return nil
}

//go:embed postgres_tables.sql
var postgresTables string

func (postgres) tables(ctx context.Context, q Querier) ([]Name, error) {
	rows, err := q.QueryContext(ctx, postgresTables, cached)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []Name
	for rows.Next() {
		var n Name
		if err := rows.Scan(&n.Schema, &n.Name); err != nil {
			return nil, err
		}
		names = append(names, n)
	}
	return names, rows.Err()
}

//go:embed postgres_inspect.sql
var postgresInspect string

const postgresResolve = `SELECT json_build_object('oid', c.oid::bigint, 'schema', n.nspname, 'name', c.relname,
	'relkind', c.relkind, 'persistence', c.relpersistence, 'partition', c.relispartition)
	FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = to_regclass($1) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')`

func (postgres) inspect(ctx context.Context, q Querier, n Name, shallow bool) (*Table, error) {
	query := postgresInspect
	if shallow {
		query = postgresResolve
	}
	var text []byte
	err := q.QueryRowContext(ctx, query, cached, (&DB{Kind: Postgres}).Quote(n)).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNoTable
	}
	if err != nil {
		return nil, err
	}
	var r postgresTable
	if err := json.Unmarshal(text, &r); err != nil {
		return nil, fmt.Errorf("read the catalog's answer: %w", err)
	}
	return r.table(), nil
}

// Ourselves makes the session act as the role that it had at login, whatever role it took on since.
func (db *DB) Ourselves(ctx context.Context, q Querier) error {
	if db.Kind != Postgres {
		return nil
	}
	if _, err := q.ExecContext(ctx, "SET role TO DEFAULT"); err != nil {
		return fmt.Errorf("take on our own role: %w", err)
	}
	return nil
}

// Role gives the role that the session acts as, for Act to take on again; "" where sessions have none.
func (db *DB) Role(ctx context.Context, q Querier) (role string, err error) {
	if db.Kind != Postgres {
		return "", nil
	}
	if err := q.QueryRowContext(ctx, "SELECT current_setting('role')").Scan(&role); err != nil {
		return "", fmt.Errorf("read the role: %w", err)
	}
	return role, nil
}

// Act makes the session act as a role that Role gave.
func (db *DB) Act(ctx context.Context, q Querier, role string) error {
	if _, err := q.ExecContext(ctx, "SELECT set_config('role', $1::text, false)", role); err != nil {
		return fmt.Errorf("take on the migration's role: %w", err)
	}
	return nil
}

// denied is what the server says of a missing right, in English; in other languages there is no hint.
var denied = regexp.MustCompile(`^permission denied for (schema|table|sequence|function|database|tablespace|language|view|type) (.+)$`)

// lacking says what to do about a missing right, by the server's message.
func lacking(message string) string {
	if m := denied.FindStringSubmatch(message); m != nil {
		kind, right := strings.ToUpper(m[1]), "ALL"
		switch kind {
		case "SCHEMA":
			right = "USAGE, CREATE"
		case "TABLESPACE", "DATABASE":
			right = "CREATE"
		case "VIEW":
			kind = "TABLE"
		}
		return fmt.Sprintf("as its owner or an administrator: GRANT %s ON %s %s TO the role that this ran as", right, kind, (&DB{Kind: Postgres}).Ident(m[2]))
	}
	if strings.HasPrefix(message, "must be owner of ") {
		return "run migrations as the owner, or GRANT the owner's role to the one of the URL"
	}
	return ""
}

// postgresError classifies a server's answer by its SQLSTATE.
func postgresError(pg *pgconn.PgError, err error) *Error {
	e := &Error{Class: Unknown, Message: pg.Message, Hint: pg.Hint, Position: int(pg.Position), Err: err}
	if pg.Detail != "" {
		e.Message += ": " + pg.Detail
	}
	switch code := pg.Code; {
	case code == "55P03":
		e.Class = LockTimeout
	case code == "40P01":
		e.Class = LockTimeout
		e.Hint = "two sessions waited for each other; run it again"
	case code == "57014":
		e.Class = StatementTimeout
		if pg.Hint == "" {
			e.Hint = "the server stopped the statement: statement_timeout, or somebody cancelled it"
		}
	case code == "42501":
		e.Class = Privilege
		if e.Hint == "" {
			e.Hint = lacking(pg.Message)
		}
	case code == "25006":
		e.Class = ReadOnly
		e.Hint = "connect to a writable server (the primary)"
	case code == "3D000":
		e.Class = Unreachable
		e.Hint = "create the database first, or correct the URL"
	case strings.HasPrefix(code, "28"):
		e.Class = Auth
		e.Hint = "check user and password of the URL, and the server's pg_hba.conf"
	case code == "53100" || code == "53400" || code == "XX000" && slices.Contains([]string{"mdextend", "mdzeroextend", "BufFileDumpBuffer"}, pg.Routine):
		// The last of them is a limit on the size of the server's files, for which there is no code.
		e.Class = DiskFull
		if e.Hint == "" {
			e.Hint = "make room on the server's disk, or raise its limit, then run the same command again"
		}
	case code == "53300" || code == "57P03":
		e.Class = Unreachable
	case gone(code):
		e.Class = ConnectionLost
	case strings.HasPrefix(code, "23"):
		e.Class = Constraint
		e.Taken = code == "23505" || code == "23P01"
	case strings.HasPrefix(code, "42"):
		e.Class = Syntax
		e.Missing = slices.Contains([]string{"42P01", "42703", "42704", "42883"}, code)
	}
	e.Message = Redact(e.Message)
	return e
}

// Prepared is what to put before the arguments of a statement over the catalog that is worth preparing,
// because it runs often and costs more to plan than to run. It must not read tables whose shape
// changes: those plans go stale. Empty where the driver has no such choice.
func Prepared(db *DB) []any {
	if db.Kind == Postgres {
		return []any{cached}
	}
	return nil
}
