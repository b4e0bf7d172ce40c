package migrate_test

import (
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestAbortWhileRowsSwapKeys: rows exchange their keys, one statement after the other. Cut off before, within and behind each of them, recover --abort gives every row its own key again.
func TestAbortWhileRowsSwapKeys(t *testing.T) {
	t.Parallel()
	const there, back = "UPDATE pairs SET id = id + 100 WHERE id IN (1, 2);\n", "UPDATE pairs SET id = 2 WHERE id = 101;\nALTER TABLE pairs ADD COLUMN %s varchar(9);\nUPDATE pairs SET id = 1 WHERE id = 102;\n"
	for name, x := range map[string]struct{ up, down string }{
		"one after the other": {
			there + "UPDATE pairs SET name = upper(name), n = n + 1;\n" + strings.Replace(back, "%s", "note", 1) + "DELETE FROM pairs WHERE id = 3;\nUPDATE pairs SET id = 3 WHERE id = 4;",
			"UPDATE pairs SET id = 4 WHERE id = 3;\n" + there + strings.Replace(back, "ADD COLUMN %s varchar(9)", "DROP COLUMN note", 1),
		},
		"Down says nothing of it": {there + strings.Replace(back, "%s", "note", 1) + "UPDATE pairs SET n = 7 WHERE id = 1;", "ALTER TABLE pairs DROP COLUMN note;"},
		"all at once": {
			"UPDATE pairs SET id = -id;\nUPDATE pairs SET id = 5 + id ORDER BY id;\nALTER TABLE pairs ADD COLUMN note varchar(9);\nUPDATE pairs SET note = name WHERE id > 2;",
			"UPDATE pairs SET id = -id;\nALTER TABLE pairs DROP COLUMN note;\nUPDATE pairs SET id = 5 + id ORDER BY id;",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				text := migration(x.up, x.down)
				c := newCutter(t, dsn, text)
				testdb.Exec(t, dsn, "CREATE TABLE pairs (id integer PRIMARY KEY, name varchar(9), n integer UNIQUE)", "INSERT INTO pairs VALUES (1, 'one', 10), (2, 'two', 20), (3, 'three', 30), (4, 'four', 40)",
					"CREATE TABLE hangs (id integer PRIMARY KEY, pair integer, CONSTRAINT on_pair FOREIGN KEY (pair) REFERENCES pairs (id) ON UPDATE CASCADE ON DELETE SET NULL)",
					"INSERT INTO hangs VALUES (1, 1), (2, 2), (3, 3), (4, 4), (5, NULL)")
				c.atEvery(func(commands []string) (out []cutting) {
					for n, q := range commands {
						if len(q) > 12 && strings.Contains(text, strings.TrimSpace(q)) {
							how := beforeIt
							if !c.mine(len(out)) {
								how = []cut{afterSending, afterAnswer}[len(out)/2%2]
							}
							out = append(out, cutting{n, how, true})
						}
					}
					return out
				})
			}, family...)
		})
	}
}
