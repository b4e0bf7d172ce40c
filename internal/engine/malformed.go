package engine

import (
	"context"
	"database/sql/driver"
	"errors"
	"regexp"
	"slices"
	"strings"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
)

// Malformed asks the server whether it can read a statement, without running it or looking at what it names, and gives what it says against the text. It is nil
// when there is nothing wrong with the text, and also when the server does not tell. On PostgreSQL a transaction must be open.
func (db *DB) Malformed(ctx context.Context, q Querier, text string) (*Error, error) {
	var said error
	switch db.Kind {
	case Postgres:
		return postgresMalformed(ctx, q, text)
	case MySQL, MariaDB:
		if _, err := q.ExecContext(ctx, "SET @dbrollback_text = ?", text); err != nil {
			return nil, err
		}
		if _, said = q.ExecContext(ctx, "PREPARE dbrollback_text FROM @dbrollback_text"); said == nil {
			_, err := q.ExecContext(ctx, "DEALLOCATE PREPARE dbrollback_text")
			return nil, err
		}
		var e *mysql.MySQLError
		if !errors.As(said, &e) || !slices.Contains([]uint16{1064, 1149}, e.Number) {
			return nil, lost(said)
		}
	case SQLite:
		_, said = q.ExecContext(ctx, "EXPLAIN "+text)
		var e *sqlite.Error
		// One code stands for this and for names that are not there yet; the engine is a part of this program, so that its words are known.
		if !errors.As(said, &e) || !sqliteUnread.MatchString(e.Error()) {
			return nil, lost(said)
		}
	}
	e, _ := AsError(said)
	return e, nil
}

var sqliteUnread = regexp.MustCompile(`near ".*": syntax error|incomplete input|unrecognized token: `)

// lost gives an error that is no answer.
func lost(err error) error {
	if e, ok := AsError(err); ok && (e.Class == ConnectionLost || e.Class == Cancelled) || errors.Is(err, driver.ErrBadConn) {
		return err
	}
	return nil
}

// proseWords begin statements of PL/pgSQL, which would be read as those.
var proseWords = strings.Fields(`ASSERT BEGIN CALL CASE CLOSE COMMIT CONTINUE DECLARE DO ELSE END EXCEPTION EXECUTE EXIT FETCH FOR FOREACH GET IF LOOP MOVE NULL OPEN PERFORM
	RAISE RETURN ROLLBACK WHEN WHILE`)

var (
	firstWord = regexp.MustCompile(`^(?:\s|--[^\n]*\n|/\*(?s:.*?)\*/)*([A-Za-z_]+)`)
	hasInto   = regexp.MustCompile(`(?i)\bINTO\b`)
)

// postgresMalformed has the server compile a block that returns ahead of the statement: it reads the text by its own grammar, and no more.
func postgresMalformed(ctx context.Context, q Querier, text string) (*Error, error) {
	word := firstWord.FindStringSubmatch(text)
	if word == nil || slices.Contains(proseWords, strings.ToUpper(word[1])) ||
		hasInto.MatchString(text) && !strings.EqualFold(word[1], "INSERT") && !strings.EqualFold(word[1], "MERGE") {
		return nil, nil
	}
	tag := "$dbrollback$"
	for strings.Contains(text, tag) {
		tag = tag[:len(tag)-1] + "_$"
	}
	if _, err := q.ExecContext(ctx, "SAVEPOINT dbrollback_text"); err != nil {
		return nil, err
	}
	_, said := q.ExecContext(ctx, "DO LANGUAGE plpgsql "+tag+"BEGIN RETURN; "+text+"\n; END"+tag)
	if _, err := q.ExecContext(context.WithoutCancel(ctx), "ROLLBACK TO SAVEPOINT dbrollback_text"); err != nil {
		return nil, err
	}
	var e *pgconn.PgError
	if !errors.As(said, &e) || e.Code != "42601" {
		return nil, lost(said)
	}
	return &Error{Class: Syntax, Message: e.Message, Err: said}, nil
}
