package migrate_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// cutWhen runs a verb and cuts it off at the first command that match is true of. It says whether there was one.
func (c *cutter) cutWhen(verb string, how cut, match func(query string) bool) bool {
	c.Helper()
	n := -1
	var sent []string
	w, dsn := newWire(c.T, c.dsn, func(query string) cut {
		sent = append(sent, query)
		if n < 0 && match(query) {
			n = len(sent)
			return how
		}
		return goOn
	})
	defer w.close()
	if err := run(c.open(dsn), verb); err == nil && n >= 0 {
		c.Fatalf("%s went well, though it was cut off at %.80q", verb, sent[n-1])
	}
	return n >= 0
}

// TestCutOffWhileAKeptTableIsCopied: a kept table whose place is taken is copied, into a table that is there at once, while the
// transaction that fills it is not. A run that is cut off in between leaves that table, and recover must not stumble over it.
func TestCutOffWhileAKeptTableIsCopied(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, "-- +goose Up\nDROP TABLE visits;\nCREATE TABLE visits (id integer PRIMARY KEY, page varchar(40), at datetime);\nINSERT INTO visits (id) VALUES (7);\n"+
			"-- +goose Down\nDROP TABLE visits;\nCREATE TABLE visits (id integer PRIMARY KEY, page varchar(40));\n")
		before := state(t, dsn)
		made := func(query string) bool { return strings.HasPrefix(query, "CREATE TABLE `dbrollback_data_") }
		for _, how := range []cut{afterSending, afterAnswer} {
			if !c.cutWhen("up", how, made) {
				t.Fatal("up copies nothing")
			}
			c.must("recover")
			c.free("up was cut off")
			c.must("rollback")
			if got := state(t, dsn); got != before {
				t.Fatalf("not as before:\n%s", testdb.Diff(before, got))
			}
		}
	}, family...)
}
