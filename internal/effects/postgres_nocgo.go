//go:build !cgo

package effects

import (
	"errors"

	pg "github.com/pganalyze/pg_query_go/v6"
	pgquery "github.com/wasilibs/go-pgquery"
	"github.com/wasilibs/go-pgquery/parser"
)

// pgParse runs the server's grammar, compiled to WebAssembly.
func pgParse(sql string) (*pg.ParseResult, *pgError) {
	tree, err := pgquery.Parse(sql)
	if err == nil {
		return tree, nil
	}
	var e *parser.Error
	if errors.As(err, &e) {
		return nil, &pgError{message: e.Message, position: e.Cursorpos}
	}
	return nil, &pgError{message: err.Error()}
}
