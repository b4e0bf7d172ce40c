package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// mysqlDialect is the dialect of MySQL 8.0+ and of MariaDB 10.6+. A table of the target database has no schema
// in its Name; one of another database has that database.
//
// The session's time zone and sql_mode are left as the user has them, because NOW() and the literals of a
// migration depend on them; see DB.Exact for our own statements.
type mysqlDialect struct{ maria bool }

func openMySQL(ctx context.Context, d dsn, db *DB) error {
	config, err := mysql.ParseDSN("/?" + d.query)
	if err != nil {
		return &Error{Class: Usage, Message: "the parameters of the " + string(d.target.Kind) + ":// URL cannot be read",
			Hint: "they are those of the Go MySQL driver, and system variables"}
	}
	config.User, config.Passwd, config.DBName = d.target.User, d.pass, d.target.Database
	config.Net, config.Addr = "tcp", d.target.Host
	if strings.HasPrefix(d.target.Host, "/") {
		config.Net = "unix"
	}
	if config.Params == nil {
		config.Params = map[string]string{}
	}
	delete(config.Params, "socket")
	config.InterpolateParams = true // one round trip
	config.ParseTime = true         // the version table's times are read by goose, which wants them so
	config.Logger = &mysql.NopLogger{}
	if wait := db.options.LockTimeout; wait > 0 {
		seconds := strconv.Itoa(max(1, int(math.Ceil(wait.Seconds())))) // whole seconds are all that it knows
		config.Params["lock_wait_timeout"] = seconds
		config.Params["innodb_lock_wait_timeout"] = seconds
	} else if _, said := config.Params["lock_wait_timeout"]; !said {
		config.Params["lock_wait_timeout"] = "50" // as for rows; the server's own wait for a table is a day, or a year
	}
	db.link = mysqlLink(d.target, d.pass, config.TLS)
	config.TLS = db.link.TLS // the driver took it for the host that it would have connected to without one
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return &Error{Class: Usage, Message: "the parameters of the " + string(d.target.Kind) + ":// URL do not go together"}
	}
	db.DB = sql.OpenDB(mysqlConnector{connector})
	db.Caps = Caps{LongText: "longtext", HeldLocks: heldMySQL,
		HeldLocksIf:  "SELECT coalesce((SELECT enabled = 'YES' FROM performance_schema.setup_instruments WHERE name = 'wait/lock/metadata/sql/mdl'), 0)",
		TableOptions: " ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE=utf8mb4_bin"}
	db.level = sql.LevelReadCommitted
	variables, err := mysqlVariables(ctx, db.DB, "version", "log_bin", "binlog_format")
	if err != nil {
		_ = db.Close()
		return connectError(err, d.target)
	}
	db.Kind = MySQL
	if strings.Contains(strings.ToLower(variables["version"]), "mariadb") {
		db.Kind = MariaDB
	}
	major, _, _ := strings.Cut(variables["version"], ".")
	release, _ := strconv.Atoi(major)
	db.Caps.InlineKeys = db.Kind == MariaDB || release >= 9
	db.Target.Kind = db.Kind // what it is, whatever the URL calls it
	if variables["log_bin"] == "ON" && variables["binlog_format"] == "STATEMENT" {
		// InnoDB refuses writes at READ COMMITTED there, and a replica would run captures for itself, on rows of its own: our sessions
		// log rows. An account that may not say so can look, see lock.
		config.Params["binlog_format"] = "'ROW'"
		if connector, err = mysql.NewConnector(config); err != nil {
			return &Error{Class: Usage, Message: "the parameters of the " + string(d.target.Kind) + ":// URL do not go together"}
		}
		rows := sql.OpenDB(mysqlConnector{connector})
		if err := rows.PingContext(ctx); err != nil {
			_ = rows.Close()
			db.level = sql.LevelRepeatableRead
		} else {
			_ = db.Close()
			db.DB = rows
		}
	}
	db.dialect = mysqlDialect{maria: db.Kind == MariaDB}
	return nil
}

// mysqlVariables reads system variables as text; one that the server does not have is missing.
func mysqlVariables(ctx context.Context, q Querier, names ...string) (map[string]string, error) {
	rows, err := q.QueryContext(ctx, "SHOW VARIABLES WHERE Variable_name IN ('"+strings.Join(names, "', '")+"')")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, err
		}
		out[strings.ToLower(name)] = value
	}
	return out, rows.Err()
}

func (mysqlDialect) begin(context.Context, *DB, *sql.Conn) error { return nil }

// lock holds a lock by name on the session's connection, which the server releases when the client dies.
// Names are the server's, not the database's, so that the database is part of it.
func (d mysqlDialect) lock(ctx context.Context, s *Session, wait time.Duration) (func(), error) {
	variables, err := mysqlVariables(ctx, s, "read_only", "super_read_only", "innodb_read_only", "log_bin", "binlog_format")
	if err != nil {
		return nil, fmt.Errorf("take the run lock: %w", err)
	}
	if variables["log_bin"] == "ON" && variables["binlog_format"] == "STATEMENT" {
		return nil, &Error{Class: Unsupported, Message: "the server logs statements (binlog_format is STATEMENT), with which neither a capture nor a replica of it would be exact, and this account may not have its own sessions log rows; nothing was done",
			Hint: "SET GLOBAL binlog_format = ROW (or MIXED), or GRANT " + map[bool]string{true: "BINLOG ADMIN", false: "SYSTEM_VARIABLES_ADMIN"}[d.maria] + " ON *.* TO it"}
	}
	delete(variables, "log_bin")
	delete(variables, "binlog_format")
	for name, value := range variables {
		if value != "OFF" && value != "0" && !strings.EqualFold(value, "NO") {
			return nil, &Error{Class: ReadOnly, Message: "the server is read-only (" + name + " is " + value + ")",
				Hint: "connect to the primary server, or switch the setting off"}
		}
	}
	if err := d.rights(ctx, s); err != nil {
		return nil, fmt.Errorf("take the run lock: %w", err)
	}
	const name = "concat('dbrollback ', left(sha2(lower(database()), 256), 40))" // 64 characters at most
	deadline := time.Now().Add(wait)
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, 500*time.Millisecond) {
		var got sql.NullBool
		var holder sql.NullInt64
		err := s.QueryRowContext(ctx, "SELECT get_lock("+name+", 0), is_used_lock("+name+")").Scan(&got, &holder)
		if err != nil {
			return nil, fmt.Errorf("take the run lock: %w", err)
		}
		if got.Bool {
			return func() {
				ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
				defer cancel()
				// Should it fail the connection is gone, and the lock with it.
				_, _ = s.ExecContext(ctx, "DO release_lock("+name+")")
			}, nil
		}
		left := time.Until(deadline)
		if left <= 0 {
			e := &Error{Class: LockTimeout, Message: "another run is working on this database",
				Hint: "wait for it to end, or raise --lock-timeout"}
			if holder.Valid {
				e.Message += " (" + mysqlHolder(ctx, s, holder.Int64) + ")"
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

// Unlistable tells whether MySQL could not list its sessions because one of them is at a statement with characters that the list cannot hold
// (error 3854: four bytes of UTF-8 in a column of three): look again when that is over.
func Unlistable(err error) bool {
	var e *mysql.MySQLError
	return errors.As(err, &e) && e.Number == 3854
}

// mysqlHolder describes the connection that holds the run lock. It may be that of a program that is dead: what it sent last,
// an ALTER of a large table, goes on in the server, which lets go of the lock when that has ended.
func mysqlHolder(ctx context.Context, s *Session, id int64) string {
	who := fmt.Sprintf("connection %d", id)
	var seconds int64
	var info sql.NullString
	err := s.QueryRowContext(ctx, "SELECT coalesce(time, 0), info FROM information_schema.processlist WHERE id = ?", id).Scan(&seconds, &info)
	words := strings.Fields(info.String)
	if err != nil || len(words) == 0 {
		return who
	}
	// Two words: what follows may hold a secret.
	return fmt.Sprintf("%s, which has been at its %s for %ds", who, strings.ToUpper(strings.Join(words[:min(2, len(words))], " ")), seconds)
}

// commit cannot ask what became of a transaction whose answer was lost: the server keeps no such record. The
// rows that a run writes about itself in the transaction tell.
func (mysqlDialect) commit(_ context.Context, _ *Session, tx *sql.Tx) error {
	err := tx.Commit()
	var answered *mysql.MySQLError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &answered):
		return fmt.Errorf("commit: %w", err)
	}
	return fmt.Errorf("commit: %w", &Error{Class: Unknown, Err: err,
		Message: "the connection was lost during commit, and the server does not tell whether it took effect",
		Hint:    "run dbrollback recover: what the run recorded about itself decides"})
}

func (mysqlDialect) home(context.Context, Querier) error { return nil }

func (mysqlDialect) tables(ctx context.Context, q Querier) ([]Name, error) {
	rows, err := q.QueryContext(ctx, `SELECT table_name FROM information_schema.tables
		WHERE table_schema = database() AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY table_name`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var names []Name
	for rows.Next() {
		var n Name
		if err := rows.Scan(&n.Name); err != nil {
			return nil, err
		}
		names = append(names, n)
	}
	return names, rows.Err()
}
