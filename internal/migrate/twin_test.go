package migrate_test

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

const dropsWords = "-- +goose Up\nALTER TABLE wide DROP COLUMN words;\n-- +goose Down\nALTER TABLE wide ADD COLUMN words varchar(40) COLLATE utf8mb4_bin AFTER id;\n"

// wideTable makes a table that is large enough for a twin, with all that a twin has to be like, and gives the migration that drops a column of it.
func wideTable(t *testing.T, dsn string) *cutter {
	t.Helper()
	const ten = "(SELECT 0 n UNION ALL SELECT 1 UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4 UNION ALL SELECT 5 UNION ALL SELECT 6 UNION ALL SELECT 7 UNION ALL SELECT 8 UNION ALL SELECT 9)"
	db := testdb.Open(t, dsn)
	db.SetMaxOpenConns(1)
	for _, q := range []string{
		`CREATE TABLE wide (id bigint unsigned NOT NULL AUTO_INCREMENT, words varchar(40) COLLATE utf8mb4_bin, score integer NOT NULL DEFAULT 7 COMMENT 'it''s AUTO_INCREMENT=5 here',
			at timestamp NULL, day date, f float, d double, n decimal(20,6), bits bit(9), raw varbinary(20), j json, e enum('a','b'), c char(5),
			stamped timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP, hidden integer INVISIBLE,
			PRIMARY KEY (id), KEY by_score (score, day DESC), UNIQUE KEY once (c, id), KEY by_word (raw(4)) COMMENT 'of, (four)') ENGINE=InnoDB ROW_FORMAT=COMPRESSED COMMENT='a table'`,
		"SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO', SESSION time_zone = '+00:00'",
		"INSERT INTO wide (id, words, score, at, day, f, d, n, bits, raw, j, e, c, stamped, hidden) " +
			"SELECT g, nullif(concat('wörd ', g, ' '), 'wörd 7 '), g, from_unixtime(1679792400 + g), if(g % 50 = 0, '0000-00-00', '2024-02-29'), g / 3, g / 7, g / 11, g % 512, unhex(hex(g)), json_object('a', g), if(g % 2, 'a', 'b'), left(g, 5), '2020-01-01', g " +
			"FROM (SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n AS g FROM " + ten + " a, " + ten + " b, " + ten + " c, " + ten + " d) s WHERE g < 5600",
		"ALTER TABLE wide AUTO_INCREMENT = 9000", "ANALYZE TABLE wide",
	} {
		if _, err := db.Exec(q); err != nil {
			t.Fatalf("%.200s: %v", q, err)
		}
	}
	return &cutter{T: t, dsn: dsn, files: fstest.MapFS{"00001_words.sql": {Data: []byte(dropsWords)}}}
}

const takesItsName = "RENAME TABLE `wide` TO `~dbrollback_gone_"

// exchanged tells whether a run has given a table's name to a twin.
func exchanged(commands []string) bool {
	return slices.ContainsFunc(commands, func(q string) bool { return strings.HasPrefix(q, takesItsName) })
}

// TestColumnBackByTwin: the column of a large table comes back with a table built anew, which is the old one in every row and every word of its
// definition; cut off at each step of that, recover leads to the same.
func TestColumnBackByTwin(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := wideTable(t, dsn)
		before := state(t, dsn)
		c.must("up")
		after := state(t, dsn)
		plan, err := c.open(dsn).Plan(t.Context(), migrate.PlanRequest{Direction: migrate.Down, To: -1, Steps: 1})
		if err != nil {
			t.Fatal(err)
		}
		commands := c.commands("rollback")
		if !exchanged(commands) {
			t.Fatalf("no twin took the place of the table:\n%s", strings.Join(commands, "\n"))
		}
		back := plan.Migrations[0].Back
		if len(back) != 1 || back[0].Way.Way != "rewrite" || !slices.ContainsFunc(commands, func(q string) bool { return q == "CREATE TABLE `"+back[0].Twin+"` LIKE `wide`" }) {
			t.Errorf("the plan does not name the table that was built: %+v", back)
		}
		if got := state(t, dsn); got != before {
			t.Fatalf("not as before:\n%s", testdb.Diff(before, got))
		}
		if got := strings.Join(testdb.Query(t, dsn, "SHOW CREATE TABLE wide"), "\n"); !strings.Contains(got, " AUTO_INCREMENT=9000 ") {
			t.Errorf("it gives out other numbers: %s", got)
		}
		for i, x := range []struct {
			behind, at string // the first such command after the first of the others
			how        cut
		}{
			{"", "CREATE TABLE `~dbrollback_twin_", beforeIt},
			{"", "CREATE TABLE `~dbrollback_gone_", afterAnswer},
			{"CREATE TABLE `~dbrollback_gone_", "LOCK TABLES", afterSending},
			{"CREATE TABLE `~dbrollback_gone_", "DROP INDEX", afterAnswer},
			{"CREATE TABLE `~dbrollback_gone_", "INSERT INTO `~dbrollback_twin_", afterSending},
			{"INSERT INTO `~dbrollback_twin_", "ADD KEY", afterAnswer},
			{"INSERT INTO `~dbrollback_twin_", "SHOW CREATE TABLE", beforeIt},
			{"", takesItsName, beforeIt},
			{"", takesItsName, afterSending},
			{"", takesItsName, afterAnswer},
			{"INSERT INTO `~dbrollback_twin_", "DROP TABLE `~dbrollback_gone_", beforeIt},
			{"INSERT INTO `~dbrollback_twin_", "DROP TABLE `~dbrollback_gone_", afterAnswer},
			{"INSERT INTO `~dbrollback_twin_", "UNLOCK TABLES", beforeIt},
			{"INSERT INTO `~dbrollback_twin_", "UNLOCK TABLES", afterSending},
			{takesItsName, "DROP TABLE IF EXISTS `~dbrollback_twin_", beforeIt},
			{takesItsName, "DROP TABLE IF EXISTS `~dbrollback_twin_", afterAnswer},
			{takesItsName, "START TRANSACTION", beforeIt},
			{takesItsName, "COMMIT", beforeIt},
		} {
			if os.Getenv("CUTS") != "all" && x.at != takesItsName && (i%2 == 0) == strings.HasPrefix(dsn, "mysql") {
				continue // the other server's
			}
			if now := state(t, dsn); now != after {
				c.must("up")
			}
			seen := x.behind == ""
			at, err := c.cutWhere("rollback", x.how, func(q string) bool {
				hit := seen && strings.Contains(q, x.at)
				seen = seen || strings.Contains(q, x.behind)
				return hit
			})
			if at == "" {
				t.Fatalf("no %s behind %s", x.at, x.behind)
			}
			verb, want := "recover", before
			if i%3 == 2 {
				verb, want = "recover --abort", after
			}
			was, merr := c.mend(verb)
			if errors.As(merr, new(*migrate.RefusedError)) {
				c.must("recover")
				want, merr = before, nil
			}
			if now := state(t, dsn); merr != nil || !was || now != want {
				t.Fatalf("cut off (%d) at %.80q, %s: %v, %v (the run: %v)\n%s", x.how, at, verb, was, merr, err, testdb.Diff(want, now))
			}
			if left := testdb.Query(t, dsn, "SELECT count(*) FROM dbrollback_operations"); left[0] != "0" {
				t.Fatalf("cut off (%d) at %.80q: %s rows are left in the journal", x.how, at, left[0])
			}
		}
	}, family...)
}

// TestTwinUnderWriters: what others write while a twin is built and takes the table's name is there after.
func TestTwinUnderWriters(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := wideTable(t, dsn)
		c.must("up")
		stop, begun := make(chan struct{}), make(chan struct{}, 4)
		var writers sync.WaitGroup
		wrote := make([]map[string]string, 4) // score by id, of each writer's own rows
		for w := range wrote {
			wrote[w] = map[string]string{}
			db := testdb.Open(t, dsn)
			writers.Go(func() {
				for i := 0; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					born, old, score := 20_000+w*100_000+i, w*1000+i%1000, fmt.Sprint(-i-1)
					for id, q := range map[int]string{born: "INSERT INTO wide (score, id) VALUES (%s, %d)", old: "UPDATE wide SET score = %s WHERE id = %d"} {
						if _, err := db.Exec(fmt.Sprintf(q, score, id)); err != nil {
							t.Errorf("a writer: %v", err)
							return
						}
						wrote[w][fmt.Sprint(id)] = score
					}
					if i == 5 {
						begun <- struct{}{}
					}
				}
			})
		}
		for range wrote {
			<-begun
		}
		commands := c.commands("rollback")
		close(stop)
		writers.Wait()
		if !exchanged(commands) {
			t.Error("no twin took the place of the table")
		}
		there := map[string]bool{}
		for _, row := range testdb.Query(t, dsn, "SELECT concat(id, ':', score) FROM wide") {
			there[row] = true
		}
		n := 0
		for _, rows := range wrote {
			for id, score := range rows {
				if n++; !there[id+":"+score] {
					t.Errorf("lost: %s, %s", id, score)
				}
			}
		}
		if got := testdb.Query(t, dsn, "SELECT count(*) FROM wide WHERE id < 5600 AND NOT words <=> nullif(concat('wörd ', id, ' '), 'wörd 7 ')")[0]; got != "0" {
			t.Errorf("%s rows have not got their value back; %d were written", got, n)
		}
	}, family...)
}

// TestNoTwin: a table on which something hangs that would not go along stays the one that it is, and its values come back all the same.
func TestNoTwin(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := wideTable(t, dsn)
		for _, x := range [][2]string{
			{"CREATE TRIGGER theirs BEFORE INSERT ON wide FOR EACH ROW SET NEW.score = 1", "DROP TRIGGER theirs"},
			{"CREATE TABLE small (w bigint unsigned, CONSTRAINT small_w FOREIGN KEY (w) REFERENCES wide (id))", "DROP TABLE small"},
			{"ALTER TABLE wide ADD COLUMN made integer GENERATED ALWAYS AS (score + 1) VIRTUAL", "ALTER TABLE wide DROP COLUMN made"},
		} {
			testdb.Exec(t, dsn, x[0])
			before := state(t, dsn)
			c.must("up")
			if commands := c.commands("rollback"); exchanged(commands) {
				t.Errorf("a twin took the place of the table: %s", x[0])
			}
			if got := state(t, dsn); got != before {
				t.Fatalf("%s: not as before:\n%s", x[0], testdb.Diff(before, got))
			}
			testdb.Exec(t, dsn, x[1])
		}
	}, family...)
}
