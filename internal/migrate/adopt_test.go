package migrate_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/folder"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// foreign is a folder of another tool and how that tool keeps its versions.
type foreign struct {
	format  folder.Format
	files   map[string]string
	applied string // what the tool has left behind, with the tables of its migrations
	broken  string // makes its table unreliable; "" when the tool has no such state
	adopted []int64
	stamps  map[int64]string // times that the table tells
	strange string           // a version that the folder has not
}

func foreigners() []foreign {
	up, down := "CREATE TABLE a (id int PRIMARY KEY)", "DROP TABLE a"
	up2, down2 := "CREATE TABLE b (id int PRIMARY KEY)", "DROP TABLE b"
	up3, down3 := "CREATE TABLE c (id int PRIMARY KEY)", "DROP TABLE c"
	ran := up + ";\n" + up2 + ";\n"
	return []foreign{
		{
			format: folder.GolangMigrate,
			files:  map[string]string{"001_a.up.sql": up, "001_a.down.sql": down, "002_b.up.sql": up2, "002_b.down.sql": down2, "003_c.up.sql": up3, "003_c.down.sql": down3},
			applied: ran + `CREATE TABLE schema_migrations (version bigint NOT NULL PRIMARY KEY, dirty boolean NOT NULL);
				INSERT INTO schema_migrations VALUES (2, false)`,
			broken:  "UPDATE schema_migrations SET dirty = true",
			adopted: []int64{1, 2},
			strange: "UPDATE schema_migrations SET version = 77",
		},
		{
			format: folder.Dbmate,
			files: map[string]string{"20240101_a.sql": "-- migrate:up\n" + up + "\n-- migrate:down\n" + down, "20240102_b.sql": "-- migrate:up\n" + up2 + "\n-- migrate:down\n" + down2,
				"20240103_c.sql": "-- migrate:up\n" + up3 + "\n-- migrate:down\n" + down3},
			applied: ran + `CREATE TABLE schema_migrations (version varchar(128) PRIMARY KEY);
				INSERT INTO schema_migrations VALUES ('20240101'), ('20240102')`,
			adopted: []int64{20240101, 20240102},
			strange: "INSERT INTO schema_migrations VALUES ('20991231')",
		},
		{
			format: folder.Flyway,
			files:  map[string]string{"V1__a.sql": up, "U1__a.sql": down, "V1.1__b.sql": up2, "U1.1__b.sql": down2, "V2__c.sql": up3, "U2__c.sql": down3},
			applied: ran + `CREATE TABLE flyway_schema_history (installed_rank int NOT NULL PRIMARY KEY, version varchar(50), description varchar(200) NOT NULL, type varchar(20) NOT NULL,
					script varchar(1000) NOT NULL, checksum int, installed_by varchar(100) NOT NULL, installed_on timestamp NOT NULL, execution_time int NOT NULL, success boolean NOT NULL);
				INSERT INTO flyway_schema_history VALUES (1, '1', 'a', 'SQL', 'V1__a.sql', 1, 'me', '2024-01-02 03:04:05', 1, true), (2, '1.1', 'b', 'SQL', 'V1.1__b.sql', 1, 'me', '2024-02-02 03:04:05', 1, true),
					(3, '2', 'c', 'SQL', 'V2__c.sql', 1, 'me', '2024-02-02 03:04:05', 1, true), (4, '2', 'c', 'UNDO_SQL', 'U2__c.sql', 1, 'me', '2024-02-02 03:04:05', 1, true),
					(5, NULL, 'v', 'SQL', 'R__v.sql', 1, 'me', '2024-02-02 03:04:05', 1, true)`,
			broken:  "UPDATE flyway_schema_history SET success = false WHERE installed_rank = 2",
			adopted: []int64{1000000000000, 1000100000000},
			stamps:  map[int64]string{1000000000000: "2024-01-02 03:04:05", 1000100000000: "2024-02-02 03:04:05"},
			strange: "UPDATE flyway_schema_history SET version = '9.9' WHERE installed_rank = 2",
		},
	}
}

func (f foreign) open(t *testing.T, d effects.Dialect) *folder.Folder {
	t.Helper()
	files := fstest.MapFS{}
	for name, text := range f.files {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	out, err := folder.Open(files, "db", folder.Auto, d)
	if err != nil || out.Format != f.format {
		t.Fatalf("opened as %v: %v", out, err)
	}
	return out
}

func TestAdopt(t *testing.T) {
	t.Parallel()
	for _, f := range foreigners() {
		t.Run(string(f.format), func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) { testAdopt(t, dsn, f) }, testdb.Everywhere()...)
		})
	}
}

func testAdopt(t *testing.T, dsn string, f foreign) {
	x := newFixture(t, dsn, f.applied, nil)
	from := f.open(t, effects.Dialect(x.db.Kind))
	m, err := migrate.Open(t.Context(), migrate.Options{DB: x.db, Files: from, Dir: "db"})
	if err != nil {
		t.Fatal(err)
	}
	// What another tool has applied is not run a second time, however it is asked for.
	_, err = m.Plan(t.Context(), migrate.PlanRequest{Direction: migrate.Up, To: -1})
	wantRefused(t, err, string(f.format)+" has applied this migration here already")
	_, err = m.Up(t.Context(), migrate.UpRequest{To: -1})
	wantRefused(t, err, "import --versions-only")

	before := testdb.Dump(t, dsn)
	a, err := m.Adopt(t.Context(), migrate.AdoptRequest{Folder: from, DryRun: true})
	if err != nil || !reflect.DeepEqual(a.Adopted, f.adopted) || len(a.Pending) != 1 {
		t.Fatalf("a dry run: %+v, %v", a, err)
	}
	testdb.SameDump(t, dsn, before)

	for i, want := range [][]int64{f.adopted, {}} {
		a, err := m.Adopt(t.Context(), migrate.AdoptRequest{Folder: from})
		if err != nil || !reflect.DeepEqual(a.Adopted, want) || len(a.Known)+len(a.Adopted) != len(f.adopted) || len(a.Pending) != 1 || a.Table == "" {
			t.Fatalf("adoption %d: %+v, %v", i+1, a, err)
		}
	}
	var n int
	if err := x.db.QueryRowContext(t.Context(), "SELECT count(*) FROM goose_db_version").Scan(&n); err != nil || n != len(f.adopted)+1 {
		t.Errorf("%d rows in goose's table, %v", n, err)
	}
	for v, want := range f.stamps {
		var at any
		if err := x.db.QueryRowContext(t.Context(), fmt.Sprintf("SELECT tstamp FROM goose_db_version WHERE version_id = %d", v)).Scan(&at); err != nil {
			t.Fatal(err)
		}
		if b, ok := at.([]byte); ok {
			at = string(b)
		}
		if got := strings.ReplaceAll(fmt.Sprint(at), "T", " "); !strings.HasPrefix(got, want) {
			t.Errorf("version %d was applied at %s, want %s", v, got, want)
		}
	}
	st, err := m.Status(t.Context())
	if err != nil || st.Current != f.adopted[1] || len(st.Migrations) != 3 || st.Migrations[2].AppliedAt != nil {
		t.Fatalf("status %+v, %v", st, err)
	}
	plan, err := m.Plan(t.Context(), migrate.PlanRequest{Direction: migrate.Up, To: -1})
	if err != nil || len(plan.Migrations) != 1 {
		t.Fatalf("plan %+v, %v", plan, err)
	}
}

// A history that does not fit is taken over in no part.
func TestAdoptRefuses(t *testing.T) {
	t.Parallel()
	for _, f := range foreigners() {
		t.Run(string(f.format), func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				x := newFixture(t, dsn, f.applied, nil)
				from := f.open(t, effects.Dialect(x.db.Kind))
				m, err := migrate.Open(t.Context(), migrate.Options{DB: x.db, Files: from, Dir: "db"})
				if err != nil {
					t.Fatal(err)
				}
				refused := func(change, why string) {
					x.exec(change)
					_, err := m.Adopt(t.Context(), migrate.AdoptRequest{Folder: from})
					wantRefused(t, err, why)
					if st, err := m.Status(t.Context()); err != nil || st.Current != 0 {
						t.Errorf("version %d after a refusal, %v", st.Current, err)
					}
				}
				if f.broken != "" {
					refused(f.broken, "cannot be taken over")
					x.exec(strings.NewReplacer("true", "false", "false", "true").Replace(f.broken))
				}
				refused(f.strange, "for which the folder has no file")
				_, err = m.Adopt(t.Context(), migrate.AdoptRequest{Folder: from, Table: "elsewhere"})
				wantRefused(t, err, "there is no table elsewhere")
			}, testdb.Everywhere()...)
		})
	}
}

// Where nothing was applied there is nothing to take over, and up runs everything.
func TestAdoptNothing(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		f := foreigners()[0]
		x := newFixture(t, dsn, "", nil)
		from := f.open(t, effects.Dialect(x.db.Kind))
		m, err := migrate.Open(t.Context(), migrate.Options{DB: x.db, Files: from, Dir: "db"})
		if err != nil {
			t.Fatal(err)
		}
		a, err := m.Adopt(t.Context(), migrate.AdoptRequest{Folder: from})
		if err != nil || len(a.Adopted) != 0 || a.Table != "" || len(a.Pending) != 3 {
			t.Fatalf("%+v, %v", a, err)
		}
		res, err := m.Up(t.Context(), migrate.UpRequest{To: -1})
		if err != nil || len(res.Migrations) != 3 || res.Migrations[0].File != "db/001_a.up.sql" {
			t.Fatalf("%+v, %v", res, err)
		}
		// The tables of others are their own: those of another tool by the same name mean nothing.
		x.exec("CREATE TABLE schema_migrations (version varchar(20))")
		if _, err := m.Plan(t.Context(), migrate.PlanRequest{Direction: migrate.Up, To: -1}); err != nil {
			t.Error(err)
		}
	})
}

// Sqitch keeps its registry elsewhere: in a schema of its own, or in a file beside that of the database.
func TestAdoptFromSqitch(t *testing.T) {
	t.Parallel()
	f := foreign{format: folder.Sqitch, files: map[string]string{
		"sqitch.plan":     "%syntax-version=1.0.0\n%project=shop\n\na 2024-01-01T00:00:00Z A <a@b>\n@v1 2024-01-01T00:00:00Z A <a@b>\na [a@v1] 2024-01-02T00:00:00Z A <a@b>\nc 2024-01-03T00:00:00Z A <a@b>\n",
		"deploy/a@v1.sql": "BEGIN;\nCREATE TABLE a (id int PRIMARY KEY);\nCOMMIT;", "revert/a@v1.sql": "DROP TABLE a;",
		"deploy/a.sql": "BEGIN;\nCREATE TABLE b (id int PRIMARY KEY);\nCOMMIT;", "revert/a.sql": "DROP TABLE b;",
		"deploy/c.sql": "BEGIN;\nCREATE TABLE c (id int PRIMARY KEY);\nCOMMIT;", "revert/c.sql": "DROP TABLE c;",
	}}
	const registry = `CREATE TABLE changes (change_id varchar(40) PRIMARY KEY, script_hash varchar(40), "change" varchar(512) NOT NULL, project varchar(512) NOT NULL,
			note varchar(1000) NOT NULL, committed_at timestamp NOT NULL, planned_at timestamp NOT NULL);
		INSERT INTO changes VALUES ('1', '1', 'a', 'shop', '', '2024-01-01 10:00:00', '2024-01-01 00:00:00'), ('2', '2', 'a', 'shop', '', '2024-01-02 10:00:00', '2024-01-02 00:00:00'),
			('3', '3', 'other', 'another project', '', '2024-01-02 10:00:00', '2024-01-02 00:00:00')`
	testdb.Each(t, func(t *testing.T, dsn string) {
		x := newFixture(t, dsn, "CREATE TABLE a (id int PRIMARY KEY);\nCREATE TABLE b (id int PRIMARY KEY)", nil)
		if x.db.Caps.Schemas {
			x.exec("CREATE SCHEMA sqitch;\nSET search_path = sqitch, public;\n")
			if _, err := x.db.ExecContext(t.Context(), strings.ReplaceAll(registry, " changes ", " sqitch.changes ")); err != nil {
				t.Fatal(err)
			}
		} else {
			newFixture(t, "sqlite:"+filepath.Join(filepath.Dir(x.db.Target.Database), "sqitch.db"), registry, nil)
		}
		from := f.open(t, effects.Dialect(x.db.Kind))
		m, err := migrate.Open(t.Context(), migrate.Options{DB: x.db, Files: from, Dir: "db"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = m.Up(t.Context(), migrate.UpRequest{To: -1})
		wantRefused(t, err, "sqitch has applied this migration here already")
		a, err := m.Adopt(t.Context(), migrate.AdoptRequest{Folder: from})
		if err != nil || !reflect.DeepEqual(a.Adopted, []int64{1, 2}) || !reflect.DeepEqual(a.Pending, []int64{3}) {
			t.Fatalf("%+v, %v", a, err)
		}
		if res, err := m.Up(t.Context(), migrate.UpRequest{To: -1}); err != nil || len(res.Migrations) != 1 {
			t.Fatalf("%+v, %v", res, err)
		}
	})
}

func wantRefused(t *testing.T, err error, what string) {
	t.Helper()
	var refused *migrate.RefusedError
	if !errors.As(err, &refused) || !strings.Contains(refused.Reasons[0].Message+" "+refused.Reasons[0].Hint, what) {
		t.Errorf("got %v, want a refusal: %s", err, what)
	}
}
