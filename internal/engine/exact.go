package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
)

// exactSettings are the settings on which the text of values, or what is stored for them, depends, with those
// that lose nothing. Time zones: a time zone with summer time has an hour that is two.
var exactSettings = map[Kind][][2]string{
	Postgres: {
		{"TimeZone", "UTC"}, {"DateStyle", "ISO, YMD"}, {"IntervalStyle", "postgres"}, {"extra_float_digits", "1"}, {"bytea_output", "hex"},
		{"xmloption", "content"}, {"lc_monetary", "C"},
	},
	MySQL:   {{"time_zone", "+00:00"}, {"sql_mode", "NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES"}},
	MariaDB: {{"time_zone", "+00:00"}, {"sql_mode", "NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES"}},
}

// Exact runs f with session settings under which values keep every bit on their way through SQL: floats and
// times as text on PostgreSQL; zero dates, id 0 and TIMESTAMP on MySQL and MariaDB. They are what they were
// when f has returned; q must be one connection, and on PostgreSQL in a transaction. SQLite has none.
func (db *DB) Exact(ctx context.Context, q Querier, f func() error) (err error) {
	settings := exactSettings[db.Kind]
	if len(settings) == 0 {
		return f()
	}
	before, err := db.settings(ctx, q, settings)
	if err != nil {
		return fmt.Errorf("read session settings: %w", err)
	}
	if err := db.set(ctx, q, settings); err != nil {
		return fmt.Errorf("set session settings: %w", err)
	}
	defer func() {
		// In a transaction that failed this fails, too; its rollback takes the settings back.
		if restore := db.set(context.WithoutCancel(ctx), q, before); restore != nil && err == nil {
			err = fmt.Errorf("set session settings back: %w", restore)
		}
	}()
	return f()
}

func (db *DB) settings(ctx context.Context, q Querier, of [][2]string) ([][2]string, error) {
	read := make([]string, len(of))
	values := make([]string, len(of))
	into := make([]any, len(of))
	for i, s := range of {
		read[i] = "@@session." + s[0]
		if db.Kind == Postgres {
			read[i] = "current_setting('" + s[0] + "')"
		}
		into[i] = &values[i]
	}
	if err := q.QueryRowContext(ctx, "SELECT "+strings.Join(read, ", ")).Scan(into...); err != nil {
		return nil, err
	}
	out := slices.Clone(of)
	for i := range out {
		out[i][1] = values[i]
	}
	return out, nil
}

func (db *DB) set(ctx context.Context, q Querier, settings [][2]string) error {
	parts := make([]string, len(settings))
	values := make([]any, len(settings))
	for i, s := range settings {
		values[i] = s[1]
		parts[i] = s[0] + " = ?"
		if db.Kind == Postgres {
			parts[i] = fmt.Sprintf("set_config('%s', $%d, true)", s[0], i+1)
		}
	}
	verb := "SET SESSION "
	if db.Kind == Postgres {
		verb = "SELECT "
	}
	_, err := q.ExecContext(ctx, verb+strings.Join(parts, ", "), values...)
	return err
}
