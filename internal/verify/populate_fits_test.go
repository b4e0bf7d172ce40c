package verify

import (
	"context"
	"database/sql"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// counted counts what is sent.
type counted struct {
	engine.Querier
	n int
}

func (c *counted) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	c.n++
	return c.Querier.ExecContext(ctx, query, args...)
}

// Rows that were found once are the same the second time, with a fraction of the statements; what no longer fits is looked for anew.
func TestPopulateFits(t *testing.T) {
	t.Parallel()
	dsn := testdb.OnPostgres.New(t)
	testdb.Exec(t, dsn, strings.ReplaceAll(nasty["postgres"], "DEFAULT now()", "")) // it is another one each time
	db, err := engine.Open(t.Context(), dsn, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	fits := &Fits{}
	fill := func(change string) (statements int, rows map[string]string, notes int) {
		t.Helper()
		tx, err := db.BeginTx(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = tx.Rollback() }()
		if _, err := tx.ExecContext(t.Context(), change); err != nil {
			t.Fatal(err)
		}
		q := &counted{Querier: tx}
		out, err := Populate(t.Context(), db, q, PopulateOptions{Rows: 48, Fits: fits})
		if err != nil {
			t.Fatal(err)
		}
		rows = map[string]string{}
		for n := range out.Rows {
			var all string
			if err := tx.QueryRowContext(t.Context(), "SELECT coalesce(string_agg(t::text, chr(10) ORDER BY t::text), '') FROM "+db.Quote(n)+" t").Scan(&all); err != nil {
				t.Fatal(err)
			}
			rows[n.Name] = all
		}
		return q.n, rows, len(out.Notes)
	}
	first, want, notes := fill("SELECT 1")
	second, got, again := fill("SELECT 1")
	if second > first/3 || again != notes {
		t.Errorf("%d statements and %d notes, after %d and %d", second, again, first, notes)
	}
	for name, rows := range want {
		if got[name] != rows {
			t.Errorf("%s has other rows the second time:\n%s\nfirst:\n%s", name, got[name], rows)
		}
	}
	_, got, _ = fill("ALTER TABLE either DROP CONSTRAINT either_check; ALTER TABLE either ADD CHECK (num_nonnulls(a, b) = 2)")
	if got["either"] == want["either"] || got["either"] == "" {
		t.Errorf("under another check either has %q", got["either"])
	}
	_, got, _ = fill("ALTER TABLE colours ADD COLUMN more int NOT NULL CHECK (more = 4)")
	if got["colours"] == "" {
		t.Error("colours has no rows with one more column")
	}
}
