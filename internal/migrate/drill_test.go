package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// drill practises on a copy, as the command does, and makes sure that the target itself stayed as it was.
func (f *fixture) drill(o migrate.DrillOptions) (*migrate.DrillReport, error) {
	f.t.Helper()
	before := f.dump()
	scratch, err := engine.NewScratchBeside(f.t.Context(), f.dsn, nil)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() {
		if err := scratch.Close(); err != nil {
			f.t.Error(err)
		}
		f.same(before, f.dump(), "the target after a drill on a copy")
	}()
	name, how, original, err := migrate.CopyForDrill(f.t.Context(), scratch, f.dsn, func(string) {})
	if err != nil {
		f.t.Fatal(err)
	}
	db, err := scratch.Open(f.t.Context(), name)
	if err != nil {
		f.t.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	m, err := migrate.Open(f.t.Context(), migrate.Options{DB: db, Files: f.files, Dir: "migrations"})
	if err != nil {
		f.t.Fatal(err)
	}
	o.Place, o.Original = how, original
	return m.Drill(f.t.Context(), o)
}

func phases(r *migrate.DrillReport) string {
	var out []string
	for _, p := range r.Phases {
		name := p.Name
		if p.Error != "" {
			name += "!"
		}
		out = append(out, name)
	}
	return strings.Join(out, ", ")
}

var drillFiles = map[string]string{
	"00001_a.sql": migration("CREATE TABLE a (id integer PRIMARY KEY);", "DROP TABLE a;"),
	"00002_b.sql": migration("ALTER TABLE people DROP COLUMN note;\nUPDATE people SET score = 0;", "ALTER TABLE people ADD COLUMN note varchar(200) DEFAULT 'none';"),
}

func TestDrill(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, drillFiles)
		r, err := f.drill(migrate.DrillOptions{Production: map[string]int64{"people": 4000}})
		if err != nil || !r.OK {
			t.Fatalf("%v, %+v", err, r)
		}
		if got := phases(r); got != "look, up, rollback, verify" {
			t.Errorf("phases: %s", got)
		}
		if r.From != 0 || r.Applied != 2 || r.To != 0 || len(r.Migrations) != 2 {
			t.Errorf("%+v", r)
		}
		for _, x := range r.Tables {
			if want := map[string]string{"people": "4 4 4", "orders": "4 4 4", "a": "-1 0 -1"}[strings.TrimPrefix(x.Table, "public.")]; fmt.Sprint(x.Before, x.Applied, x.After) != want || !x.Equal {
				t.Errorf("%+v, want %s", x, want)
			}
		}
		if c := r.Recovery; c == nil || c.Measured <= 0 || len(c.Tables) != 1 || c.Tables[0].Factor != 1000 || c.Expected < 500*r.Migrations[0].RollbackSeconds {
			t.Errorf("recovery: %+v of %+v", c, r.Migrations)
		}
		// With everything applied it goes back over the newest migration, or as far as is said, and comes up again.
		f.upRelease("v2")
		if _, err := f.open().Tag(t.Context(), "v1", 1, false); err != nil {
			t.Fatal(err)
		}
		f.exec("INSERT INTO people (id, name, score) VALUES (9, 'Zoe', 1)")
		for _, o := range []migrate.DrillOptions{{}, {Release: "v1"}, {Snapshot: "latest"}} {
			r, err := f.drill(o)
			if err != nil || !r.OK || r.To != 1 || r.From != 2 || !strings.HasSuffix(phases(r), "look, rollback, up again, back again, verify") {
				t.Errorf("%+v: %v, %+v", o, err, r)
			}
		}
	}, testdb.Everywhere()...)
}

// What a drill is for: it finds what would not come back, before it matters.
func TestDrillFinds(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file  string
		o     migrate.DrillOptions
		phase string
		says  string
	}{
		"a broken Down": {file: migration("DROP INDEX people_score;", "CREATE INDEX people_score ON people (scoer);"), phase: "rollback", says: "scoer"},
		"a Down that leaves another schema": {
			file:  migration("CREATE TABLE x (id integer PRIMARY KEY);\nDROP INDEX people_score;", "DROP TABLE x;\nCREATE INDEX people_score ON people (score);\nCREATE TABLE left_over (id integer PRIMARY KEY);"),
			phase: "rollback", says: "left_over",
		},
		"a lossy Down with captures off": {
			file:  "-- +goose Up\n-- +dbrollback no-capture: nobody reads it\nALTER TABLE people DROP COLUMN note;\n-- +goose Down\nALTER TABLE people ADD COLUMN note varchar(200) DEFAULT 'none';\n",
			phase: "verify", says: "people differ: note",
		},
		"rows that were not captured": {
			file:  "-- +goose Up\n-- +dbrollback no-capture: nobody reads it\nDELETE FROM orders WHERE id > 11;\n-- +goose Down\nSELECT 1;\n",
			phase: "verify", says: "orders has 2 rows instead of 4",
		},
		"a slow one":            {file: migration("UPDATE people SET score = 1;", "SELECT 1;"), o: migrate.DrillOptions{Production: map[string]int64{"people": 1 << 50}, MaxRecovery: time.Hour}, phase: "recovery time", says: "more than 1h0m0s"},
		"a slow Down, measured": {file: migration("CREATE TABLE x (id integer PRIMARY KEY);", "DROP TABLE x;"), o: migrate.DrillOptions{MaxRecovery: time.Nanosecond}, phase: "recovery time", says: "more than 1ns"},
		"a broken Up":           {file: migration("ALTER TABLE nobody ADD COLUMN x integer;", "SELECT 1;"), phase: "up", says: "nobody"},
		"a sick service":        {file: migration("CREATE TABLE x (id integer PRIMARY KEY);", "DROP TABLE x;"), phase: "probe", says: "it is sick"},
	} {
		t.Run(name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				file := strings.ReplaceAll(c.file, "DROP INDEX people_score;", dropIndex(dsn))
				f := newFixture(t, dsn, people, map[string]string{"00001_x.sql": file})
				o := c.o
				if c.phase == "probe" {
					o.Probe = func(ctx context.Context) error { return errors.New("it is sick") }
				}
				r, err := f.drill(o)
				if err != nil {
					t.Fatal(err)
				}
				if r.OK || r.Failed() == nil || r.Failed().Name != c.phase || !strings.Contains(r.Failed().Error, c.says) {
					t.Errorf("%s, %+v", phases(r), r.Failed())
				}
			}, testdb.Everywhere()...)
		})
	}
}

// The locks that are held while it runs are seen, where the server tells; where it does not, the report says so.
func TestDrillSeesLocks(t *testing.T) {
	up := func(t *testing.T, dsn, slow string) migrate.DrillPhase {
		t.Helper()
		f := newFixture(t, dsn, people, map[string]string{"00001_x.sql": migration(slow, "SELECT 1;")})
		r, err := f.drill(migrate.DrillOptions{})
		if err != nil || !r.OK {
			t.Fatalf("%v, %+v", err, r)
		}
		return r.Phases[slices.IndexFunc(r.Phases, func(p migrate.DrillPhase) bool { return p.Name == "up" })]
	}
	seen := func(t *testing.T, p migrate.DrillPhase, mode string) {
		t.Helper()
		if !slices.ContainsFunc(p.Locks, func(l migrate.DrillLock) bool {
			return strings.TrimPrefix(l.Table, "public.") == "people" && l.Mode == mode && l.Seen > 1 && l.Seconds > 0
		}) {
			t.Errorf("%+v", p)
		}
	}
	const slow = "UPDATE people SET score = 0 WHERE SLEEP(0.2) = 0;"
	t.Run("postgres", func(t *testing.T) {
		t.Parallel()
		seen(t, up(t, testdb.Postgres(t), "UPDATE people SET score = 0;\nSELECT pg_sleep(0.5);"), "SHARE ROW EXCLUSIVE")
	})
	t.Run("mysql", func(t *testing.T) {
		t.Parallel()
		seen(t, up(t, testdb.PrivateMySQL(t, "performance_schema=ON").DSN, slow), "SHARED WRITE")
	})
	t.Run("mariadb, which does not tell", func(t *testing.T) {
		t.Parallel()
		if p := up(t, testdb.MariaDB(t), slow); !strings.Contains(p.LocksUnknown, "the server does not record locks") {
			t.Errorf("%+v", p)
		}
	})
}

// In place the target ends where it began, also when the drill fails.
func TestDrillInPlace(t *testing.T) {
	t.Parallel()
	for name, sick := range map[string]bool{"well": false, "sick": true} {
		t.Run(name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, people, drillFiles)
				before := f.dump()
				o := migrate.DrillOptions{Place: migrate.InPlace}
				if sick {
					f.files["00003_c.sql"] = &fstest.MapFile{Data: []byte(migration("ALTER TABLE nobody ADD COLUMN x integer;", "SELECT 1;"))}
				}
				r, err := f.open().Drill(t.Context(), o)
				if err != nil || r.OK == sick {
					t.Fatalf("%v, %+v", err, r)
				}
				if want := "look, up!, back to the start"; sick && phases(r) != want {
					t.Errorf("phases: %s, want %s", phases(r), want)
				}
				f.same(before, f.dump(), "after the drill")
			}, testdb.OnPostgres, testdb.OnSQLite, testdb.OnMariaDB, testdb.OnMySQL)
		})
	}
}

func TestDrillRefuses(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, map[string]string{})
		if _, err := f.open().Drill(t.Context(), migrate.DrillOptions{}); !errors.Is(err, migrate.ErrNothingToDrill) {
			t.Errorf("without migrations: %v", err)
		}
		f.files["00001_x.sql"] = &fstest.MapFile{Data: []byte(migration("UPDATE people SET score = 1;", "SELECT 1;"))}
		f.upRelease("v1")
		for _, c := range []struct {
			o    migrate.DrillOptions
			want string
		}{
			{migrate.DrillOptions{Release: "v9"}, `release "v9" is not recorded`}, {migrate.DrillOptions{Release: "v1"}, "the database is at release v1 already"},
			{migrate.DrillOptions{Snapshot: "nope"}, "there is no snapshot nope"}, {migrate.DrillOptions{Place: migrate.InPlace}, "in place only pending migrations"},
		} {
			_, err := f.open().Drill(t.Context(), c.o)
			if got := refusal(t, err); !strings.Contains(got, c.want) {
				t.Errorf("%+v: %s, want %s", c.o, got, c.want)
			}
		}
	})
}

// A capture that was damaged is found by the drill that goes back to before it.
func TestDrillFindsADamagedCapture(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, map[string]string{"00001_x.sql": migration("UPDATE people SET score = 1;", "SELECT 1;")})
		f.up()
		var location string
		if err := f.db.QueryRow("SELECT location FROM " + f.db.Quote(f.db.Own("state_snapshots")) + " WHERE row_count > 0").Scan(&location); err != nil {
			t.Fatal(err)
		}
		f.exec("DELETE FROM " + location + " WHERE n = 1")
		r, err := f.drill(migrate.DrillOptions{Snapshot: "latest"})
		if err != nil || r.OK || r.Failed().Name != "snapshot" || !strings.Contains(r.Failed().Error, "instead of") {
			t.Errorf("%v, %+v", err, r)
		}
	})
}

// A success is remembered, for the very text that was drilled, and not for ever.
func TestDemandDrill(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := newFixture(t, dsn, people, drillFiles)
		demand := func(within time.Duration, now time.Time) string {
			t.Helper()
			m := f.open()
			want, err := m.Pending(t.Context(), -1)
			if err != nil {
				t.Fatal(err)
			}
			if err = m.DemandDrill(t.Context(), want, within, now); err == nil {
				return ""
			}
			return refusal(t, err)
		}
		week, now := 7*24*time.Hour, time.Now()
		if got := demand(week, now); !strings.Contains(got, "no drill has practised the rollback of migration 1") || !strings.Contains(got, "migration 2") {
			t.Errorf("before: %s", got)
		}
		r, err := f.drill(migrate.DrillOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := f.open().RecordDrill(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		if got := demand(week, now); got != "" {
			t.Errorf("after: %s", got)
		}
		if got := demand(week, now.Add(8*24*time.Hour)); !strings.Contains(got, "longer ago than 168h0m0s") {
			t.Errorf("a week later: %s", got)
		}
		bad := *r
		bad.OK, bad.At = false, bad.At.Add(time.Second)
		if err := f.open().RecordDrill(t.Context(), &bad); err != nil {
			t.Fatal(err)
		}
		if got := demand(week, now); !strings.Contains(got, "the last drill of migration 2 failed") {
			t.Errorf("after a failure: %s", got)
		}
		f.files["00002_b.sql"] = &fstest.MapFile{Data: []byte(migration("ALTER TABLE people DROP COLUMN note;", "ALTER TABLE people ADD COLUMN note text;"))}
		if got := demand(week, now); !strings.Contains(got, "migration 2 was edited since") {
			t.Errorf("after an edit: %s", got)
		}
		st, err := f.open().Status(t.Context())
		if err != nil || st.Drill == nil || st.Drill.OK || len(st.Drill.Migrations) != 2 {
			t.Errorf("status: %v, %+v", err, st.Drill)
		}
		f.up()
		newest, err := f.open().Newest(t.Context())
		if err != nil || len(newest) != 1 || newest[0].Version != 2 {
			t.Errorf("newest: %v, %v", newest, err)
		}
	})
}
