package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// collatable are the types whose columns have a collation.
var collatable = []string{"text", "character varying", "character", "bpchar"}

// copied copies by CREATE TABLE AS: the server writes its rows in bulk, where an INSERT looks for room row by row and asks a sequence
// for each number. Columns get the types that room would give them, and no collation of the user's, which would hold our table to it. The numbers are those that a sequence would have given, and the
// column is made one that has such a sequence, so that a row without a number cannot get in.
func (d postgresDialect) copied(ctx context.Context, q engine.Querier, x *capture) (int64, error) {
	s := d.s
	names, decls := x.columns()
	columns := []string{"pg_catalog.row_number() OVER () AS n"}
	for i, value := range s.read(x) {
		value = "(" + value + ")::" + decls[i]
		if slices.Contains(collatable, strings.TrimSuffix(bare(decls[i]), "[]")) {
			value += ` COLLATE pg_catalog."default"`
		}
		columns = append(columns, value+" AS "+names[i])
	}
	what, table := "capture "+x.At.String(), s.own(x.data())
	rows, err := exec(ctx, q, what, "CREATE TABLE "+table+" AS SELECT "+list(columns)+" FROM "+s.live(x, x.live))
	if err != nil {
		return 0, err
	}
	_, err = exec(ctx, q, what, fmt.Sprintf("ALTER TABLE %s ALTER COLUMN n SET NOT NULL, ALTER COLUMN n ADD GENERATED ALWAYS AS IDENTITY (START WITH %d)", table, rows+1))
	return rows, err
}
