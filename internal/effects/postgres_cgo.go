//go:build cgo

package effects

import (
	"errors"

	pg "github.com/pganalyze/pg_query_go/v6"
	"github.com/pganalyze/pg_query_go/v6/parser"
)

// pgParse runs the server's grammar, compiled from C.
func pgParse(sql string) (*pg.ParseResult, *pgError) {
	tree, err := pg.Parse(sql)
	if err == nil {
		return tree, nil
	}
	var e *parser.Error
	if errors.As(err, &e) {
		return nil, &pgError{message: e.Message, position: e.Cursorpos}
	}
	return nil, &pgError{message: err.Error()}
}
