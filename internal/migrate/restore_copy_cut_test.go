package migrate_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// copier makes copies of people as it was captured, side by side.
type copier struct {
	*cutter
	ask      migrate.RestoreRequest
	was, now []string
}

func (c *copier) copy(dsn string) error {
	db, err := engine.Open(c.Context(), dsn, engine.Options{LockTimeout: 20 * time.Second})
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	m, err := migrate.Open(c.Context(), migrate.Options{DB: db, Files: c.files, Dir: "migrations", LockWait: 20 * time.Second})
	if err == nil {
		_, err = m.Restore(c.Context(), c.ask)
	}
	return err
}

// named lists the tables whose names are like that.
func (c *copier) named(like string) []string {
	return testdb.Query(c.T, c.dsn, "SELECT table_name FROM information_schema.tables WHERE table_schema = database() AND table_name LIKE '"+like+"'")
}

// whole makes sure that the copy is what was captured, and drops it.
func (c *copier) whole(when string) {
	c.Helper()
	if got := testdb.Query(c.T, c.dsn, "SELECT * FROM beside ORDER BY id"); !slices.Equal(got, c.was) {
		c.Fatalf("%s: %d rows beside are not the %d that were captured", when, len(got), len(c.was))
	}
	if got := testdb.Query(c.T, c.dsn, "SELECT * FROM people ORDER BY id"); !slices.Equal(got, c.now) {
		c.Fatalf("%s: the table itself was written to", when)
	}
	testdb.Exec(c.T, c.dsn, "DROP TABLE beside")
}

// cutOff makes a copy and cuts it off around its n-th command; at is "" when there were not so many.
func (c *copier) cutOff(n int, how cut) (at string, err error) {
	w, dsn := newWire(c.T, c.dsn, func(query string) cut {
		if n--; n == -1 {
			at = query
			return how
		}
		return goOn
	})
	defer w.close()
	return at, c.copy(dsn)
}

// prune drops what belongs to no capture.
func (c *copier) prune() error {
	db, err := engine.Open(c.Context(), c.dsn, engine.Options{})
	if err != nil {
		return err
	}
	_, err = snapshot.New(db, "").Prune(c.Context(), db, snapshot.PruneOptions{})
	return errors.Join(err, db.Close())
}

// again makes the copy after it was cut off. What the server had been told it may have carried out meanwhile.
func (c *copier) again(when string) {
	c.Helper()
	err := c.copy(c.dsn)
	var unsafe *snapshot.UnsafeError
	if errors.As(err, &unsafe) {
		c.whole(when)
		err = c.copy(c.dsn)
	}
	if err != nil {
		c.Fatalf("%s, and again: %v", when, err)
	}
	c.whole(when + ", and again")
}

// TestCopyCutOff: a copy side by side is cut off around each of its commands, where a table that was made stays. Under the name asked for there is
// nothing, or the whole of it; the same command again makes it, and pruning takes away what was begun.
func TestCopyCutOff(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		c := &copier{cutter: newCutter(t, dsn, mixed)}
		sn, err := c.open(dsn).CreateSnapshot(t.Context(), migrate.SnapshotRequest{Tables: tables("people")})
		if err != nil {
			t.Fatal(err)
		}
		c.ask = migrate.RestoreRequest{Write: true, Ask: snapshot.Ask{Snapshot: sn.ID, Tables: tables("people"), Mode: snapshot.Copy, Into: engine.Name{Name: "beside"}}}
		c.was = testdb.Query(t, dsn, "SELECT * FROM people ORDER BY id")
		testdb.Exec(t, dsn, "DELETE FROM people WHERE id % 2 = 0")
		c.now = testdb.Query(t, dsn, "SELECT * FROM people ORDER BY id")
		begun := 0
		for n := 0; ; n++ {
			at, err := c.cutOff(n, beforeIt)
			if at == "" {
				if err != nil {
					t.Fatal(err)
				}
				c.whole("not cut off")
				break
			}
			c.again("cut off before " + at)
			if !strings.Contains(at, "~dbrollback_copy_") {
				continue
			}
			for _, how := range []cut{afterSending, afterAnswer} {
				if at, err = c.cutOff(n, how); err == nil {
					t.Fatal("it went well, though it was cut off at " + at)
				}
				left := len(c.named("~dbrollback\\_copy\\_%"))
				begun += left
				if left > 0 && how == afterAnswer {
					if err := c.prune(); err != nil {
						t.Fatal(err)
					}
					if got := c.named("~%"); len(got) > 0 {
						t.Errorf("cut off after %s: pruning leaves %v", at, got)
					}
				}
				c.again("cut off after " + at)
			}
		}
		if got := c.named("~%"); len(got) > 0 || begun == 0 {
			t.Errorf("in the end there is %v; %d copies were cut off when they were begun", got, begun)
		}
	}, family...)
}
