package snapshot

import (
	"context"
	"fmt"
	"strconv"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// comparer is an engine that makes the table of differences and fills it in one statement, faster than in two.
type comparer interface {
	// compared makes a table of the columns that a query gives, under the names that they have there.
	compared(ctx context.Context, q engine.Querier, what, table, query string) error
	// found is where a row of a table stands, by which it is found again until it is written; "" where that cannot be said.
	found(t *engine.Table, ref string) string
}

// enough is the memory, in kB, that each step of a comparison may use: with the server's own 4 MB the join of two tables goes through files many
// times. Below it nothing is changed for the worse where somebody has set more.
const enough = 32 << 10

// compared makes it by CREATE TABLE AS, whose query, other than that of an INSERT, the server may give to several processes.
func (d postgresDialect) compared(ctx context.Context, q engine.Querier, what, table, query string) error {
	var memory string
	if err := q.QueryRowContext(ctx, "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'work_mem'").Scan(&memory); err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	queries := []string{"CREATE TABLE " + table + " AS " + query}
	if n, err := strconv.Atoi(memory); err == nil && n < enough {
		queries = []string{fmt.Sprintf("SET LOCAL work_mem = %d", enough), queries[0], "SET LOCAL work_mem = " + memory}
	}
	for _, query := range queries {
		if _, err := exec(ctx, q, what, query); err != nil {
			return err
		}
	}
	return nil
}

func (d postgresDialect) found(t *engine.Table, ref string) string {
	if t.Kind == "partitioned" { // places are numbered in each partition
		return ""
	}
	return ref + ".ctid"
}
