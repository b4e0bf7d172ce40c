package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// Ask runs a query of somebody else's that gives one value, and returns it as text; NULL is "NULL". The connection is one on
// which nothing can be written, and is thrown away afterwards.
func (db *DB) Ask(ctx context.Context, query string) (value string, err error) {
	s, err := db.Session(ctx)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	readOnly := "SET SESSION TRANSACTION READ ONLY"
	switch db.Kind {
	case Postgres:
		readOnly = "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY"
	case SQLite:
		readOnly = "PRAGMA query_only = 1"
	}
	if _, err := s.ExecContext(ctx, readOnly); err != nil {
		return "", fmt.Errorf("make the session read-only: %w", err)
	}
	rows, err := s.QueryContext(ctx, query)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	if len(columns) != 1 {
		return "", fmt.Errorf("the query gives %d columns; one is wanted", len(columns))
	}
	n := 0
	for ; rows.Next(); n++ {
		var v sql.NullString
		if err := rows.Scan(&v); err != nil {
			return "", err
		}
		if value = "NULL"; v.Valid {
			value = v.String
		}
	}
	if err := rows.Err(); err != nil {
		return "", err
	}
	if n != 1 {
		return "", fmt.Errorf("the query gives %d rows; one is wanted", n)
	}
	return value, nil
}

// Answers finds out whether the database can be reached now, over a connection of its own.
func Answers(ctx context.Context, dsn string) error {
	db, err := Open(ctx, dsn, Options{ApplicationName: "dbrollback guard", MustExist: true})
	if err != nil {
		return err
	}
	var one int
	err = db.QueryRowContext(ctx, "SELECT 1").Scan(&one)
	return errors.Join(err, db.Close())
}
