package engine

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
)

// mysqlMoving are session variables that change by themselves.
var mysqlMoving = []string{
	"timestamp", "last_insert_id", "insert_id", "identity", "rand_seed1", "rand_seed2", "warning_count", "error_count", "pseudo_thread_id",
	"in_transaction", "last_gtid", "statement_id",
}

var mysqlNumber = regexp.MustCompile(`^-?\d+(\.\d+)?$`)

// Remember notes the settings of the session and gives a function that sets those back which have changed since: what a
// migration sets for itself must not reach the next one. Where SET ends with its transaction, or sessions have no settings,
// it does nothing.
func (s *Session) Remember(ctx context.Context) (restore func(context.Context) error, err error) {
	if s.db.Kind != MySQL && s.db.Kind != MariaDB {
		return func(context.Context) error { return nil }, nil
	}
	before, err := s.variables(ctx)
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		now, err := s.variables(ctx)
		if err != nil {
			return err
		}
		for name, value := range before {
			if now[name] == value || slices.Contains(mysqlMoving, name) {
				continue
			}
			if err := s.set(ctx, name, value); err != nil {
				return fmt.Errorf("set %s back: %w", name, err)
			}
		}
		return nil
	}, nil
}

func (s *Session) variables(ctx context.Context) (map[string]string, error) {
	rows, err := s.QueryContext(ctx, "SHOW SESSION VARIABLES")
	if err != nil {
		return nil, fmt.Errorf("read session settings: %w", err)
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, fmt.Errorf("read session settings: %w", err)
		}
		out[strings.ToLower(name)] = value
	}
	return out, rows.Err()
}

func (s *Session) set(ctx context.Context, name, value string) error {
	query, args := "SET SESSION "+name+" = ?", []any{value}
	switch {
	case mysqlNumber.MatchString(value):
		query, args = "SET SESSION "+name+" = "+value, nil
	case value == "" && strings.HasPrefix(name, "character_set_"):
		query, args = "SET SESSION "+name+" = NULL", nil
	}
	_, err := s.ExecContext(ctx, query, args...)
	var answer *mysql.MySQLError
	if errors.As(err, &answer) {
		switch answer.Number {
		case 1193, 1229, 1238, 1621: // the whole server's, or nobody's to set
			return nil
		}
	}
	return err
}
