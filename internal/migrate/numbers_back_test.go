package migrate_test

import (
	"maps"
	"strconv"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

const eventSetup = "CREATE TABLE event (a integer, b varchar(9));\nINSERT INTO event VALUES (1, 'x'), (2, 'y'), (3, 'z'), (5, 'v');\n"

// eventRows gives the rows of event by their first column: the others, in the order in which they are asked for.
func eventRows(t *testing.T, dsn, columns string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, row := range testdb.Query(t, dsn, "SELECT a, "+columns+" FROM event") {
		a, rest, _ := strings.Cut(row, "|")
		if _, twice := out[a]; twice {
			t.Fatalf("%s is there twice", a)
		}
		out[a] = rest
	}
	return out
}

// TestNumbersBackBesideOthers: a table without a key gets one, and a column that the migration fills; Down writes rows of it. Between the rollback and the next up somebody writes
// to the table, and the server gives its rows numbers that are others': every row that nobody has written gets its number and all its values back, what was written stays as it is,
// whatever its number, and so does all of it at the next rollback.
func TestNumbersBackBesideOthers(t *testing.T) {
	t.Parallel()
	const off = "ALTER TABLE event DROP COLUMN x;\nALTER TABLE event DROP COLUMN id;"
	const more = "INSERT INTO event VALUES (8, 'n');\n"
	for name, down := range map[string]string{
		"written ahead":  "UPDATE event SET b = concat(b, '+');\n" + off,
		"written behind": off + "\nUPDATE event SET b = concat(b, '+');",
		"deleted ahead":  "DELETE FROM event WHERE a < 9;\n" + off,
		"in between":     "ALTER TABLE event DROP COLUMN x;\nUPDATE event SET b = concat(b, '+') WHERE a > 1;\nALTER TABLE event DROP COLUMN id;",
	} {
		for what, write := range map[string]struct {
			sql     string
			written map[string]string // b and x of the rows that it writes; "" of those that it deletes
		}{
			"one more":                {more, map[string]string{"8": "n|16"}},
			"less, more, and changed": {"DELETE FROM event WHERE a = 1;\n" + more + "UPDATE event SET b = 'c' WHERE a = 3;\n", map[string]string{"1": "", "8": "n|16", "3": "c|6"}},
		} {
			t.Run(name+", "+what, func(t *testing.T) {
				t.Parallel()
				testdb.Each(t, func(t *testing.T, dsn string) {
					f := newFixture(t, dsn, eventSetup, map[string]string{"00001_x.sql": filledBehindAKey(dsn, down)})
					f.up()
					f.exec("INSERT INTO event (a, b, x) VALUES (4, 'w', 80);\nUPDATE event SET x = 99 WHERE a = 2;\n")
					used := eventRows(t, dsn, "b, x, id")
					f.rollback(migrate.RollbackRequest{Steps: 1})
					f.exec(write.sql)
					for i := range 2 {
						before := eventRows(t, dsn, "b")
						f.up()
						got := eventRows(t, dsn, "b, x, id")
						for a, row := range used {
							want, theirs := write.written[a]
							switch is := got[a]; {
							case theirs && !strings.HasPrefix(is, want) || theirs && (want == "") != (is == ""):
								t.Errorf("up %d: row %s: %s, want %s", i+1, a, is, want)
							case !theirs && is != row:
								t.Errorf("up %d: row %s: %s, want %s", i+1, a, is, row)
							}
						}
						if is := got["8"]; !strings.HasPrefix(is, write.written["8"]+"|") {
							t.Errorf("up %d: row 8: %s, want %s", i+1, is, write.written["8"])
						}
						f.rollback(migrate.RollbackRequest{Steps: 1})
						if after := eventRows(t, dsn, "b"); !maps.Equal(after, before) {
							t.Errorf("rollback %d: %v, want %v", i+1, after, before)
						}
					}
				}, append(family, testdb.OnPostgres)...)
			})
		}
	}
}

// TestCutOffWhileNumbersComeBack: the same, cut off each way.
func TestCutOffWhileNumbersComeBack(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, filledBehindAKey(dsn, "UPDATE event SET b = concat(b, '+');\nALTER TABLE event DROP COLUMN x;\nALTER TABLE event DROP COLUMN id;"))
		c.exec(strings.TrimSpace(eventSetup))
		c.must("up")
		c.must("rollback")
		c.exec("DELETE FROM event WHERE a = 1;\nINSERT INTO event VALUES (8, 'n');")
		c.cutsThereAndBack(func() string { return testdb.DumpAnyOrder(t, dsn) })
	}, family...)
}

// TestKeyTakenAwayBesideOthers: a migration writes rows, and takes their table its key, a number of the server's, which Down only adds again; somebody writes to the table in between.
// The same holds of the rollback.
func TestKeyTakenAwayBesideOthers(t *testing.T) {
	t.Parallel()
	for name, up := range map[string]string{
		"deleted and changed": "DELETE FROM event WHERE a = 1;\nUPDATE event SET b = concat(b, '+');\n",
		"changed":             "UPDATE event SET b = concat(b, '+') WHERE a < 4;\n",
		"all deleted":         "DELETE FROM event WHERE a < 9;\n",
	} {
		for what, write := range map[string]struct {
			sql    string
			stay   []string // rows that it takes away, where Up has left them
			behind string
		}{
			"one more":               {"INSERT INTO event (a, b) VALUES (8, 'n');\n", nil, "n"},
			"one less, and one more": {"DELETE FROM event WHERE a = 2;\nINSERT INTO event (a, b) VALUES (8, 'n');\n", []string{"2"}, "n"},
		} {
			t.Run(name+", "+what, func(t *testing.T) {
				t.Parallel()
				testdb.Each(t, func(t *testing.T, dsn string) {
					f := newFixture(t, dsn, numberedEvents(dsn), map[string]string{"00001_x.sql": migration(up+"ALTER TABLE event DROP COLUMN id;", "ALTER TABLE event ADD COLUMN id "+numberKey(dsn)+";")})
					want := eventRows(t, dsn, "id, b")
					f.up()
					stood := eventRows(t, dsn, "b")
					f.exec(write.sql)
					f.rollback(migrate.RollbackRequest{Steps: 1})
					got := eventRows(t, dsn, "id, b")
					for _, a := range write.stay {
						if _, there := stood[a]; there {
							delete(want, a)
						}
					}
					if !strings.HasSuffix(got["8"], "|"+write.behind) {
						t.Errorf("row 8: %q", got["8"])
					}
					delete(got, "8")
					if !maps.Equal(got, want) {
						t.Errorf("rows %v, want %v", got, want)
					}
				}, append(family, testdb.OnPostgres)...)
			})
		}
	}
}

// TestCutOffWhileATakenKeyComesBack: such a rollback, cut off at ten of its commands, each time behind another write of somebody else.
func TestCutOffWhileATakenKeyComesBack(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := newCutter(t, dsn, migration("DELETE FROM event WHERE a < 4;\nALTER TABLE event DROP COLUMN id;", "ALTER TABLE event ADD COLUMN id "+numberKey(dsn)+";"))
		c.exec(strings.TrimSpace(numberedEvents(dsn)))
		want := eventRows(t, dsn, "id, b")
		c.must("up")
		n := len(c.commands("rollback"))
		for i := range 10 {
			c.must("up")
			more := strconv.Itoa(20 + i)
			c.exec("INSERT INTO event (a, b) VALUES (" + more + ", 'n');")
			at, err := c.cutAt("rollback", n*(2*i+1)/20, []cut{afterAnswer, beforeIt, afterSending}[i%3])
			if _, merr := c.mend("recover"); merr != nil {
				t.Fatalf("rollback cut off at %.80q (%v): recover: %v", at, err, merr)
			}
			got := eventRows(t, dsn, "b")
			if _, not := got["1"]; !not {
				c.must("rollback")
			}
			got = eventRows(t, dsn, "id, b")
			for a, row := range want {
				if got[a] != row {
					t.Fatalf("rollback cut off at %.80q (%v): row %s: %q, want %q", at, err, a, got[a], row)
				}
			}
			if !strings.HasSuffix(got[more], "|n") || len(got) != len(want)+1 {
				t.Fatalf("rollback cut off at %.80q (%v): rows %v", at, err, got)
			}
			c.exec("DELETE FROM event WHERE a = " + more + ";")
		}
	}, family...)
}

func numberKey(dsn string) string {
	if strings.HasPrefix(dsn, "postgres") {
		return "bigserial PRIMARY KEY"
	}
	return "bigint AUTO_INCREMENT PRIMARY KEY"
}

// numberedEvents is the table with its key, and what it holds.
func numberedEvents(dsn string) string {
	return "CREATE TABLE event (id " + numberKey(dsn) + ", a integer, b varchar(9));\nINSERT INTO event (a, b) VALUES (1, 'x'), (2, 'y'), (3, 'z'), (5, 'v');\n"
}
