package engine_test

import (
	"context"
	"database/sql"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// onMySQL runs fn on both servers.
func onMySQL(t *testing.T, fn func(t *testing.T, dsn string)) {
	testdb.Each(t, fn, testdb.OnMySQL, testdb.OnMariaDB)
}

var quick = engine.Options{LockTimeout: time.Second}

func TestMySQLTx(t *testing.T) {
	onMySQL(t, func(t *testing.T, dsn string) {
		db := open(t, dsn, quick)
		if want := map[bool]engine.Kind{true: engine.MariaDB, false: engine.MySQL}[strings.HasPrefix(dsn, "mariadb")]; db.Kind != want || db.Caps.TransactionalDDL {
			t.Errorf("kind %s, want %s; caps %+v", db.Kind, want, db.Caps)
		}
		s := session(t, db)
		exec(t, s, "CREATE TABLE t (id integer PRIMARY KEY)")
		if err := s.Tx(t.Context(), func(tx *sql.Tx) error {
			exec(t, tx, "INSERT INTO t VALUES (1)")
			// Another connection waits for the row no longer than it was told to.
			_, err := db.ExecContext(t.Context(), "INSERT INTO t VALUES (1)")
			class(t, err, engine.LockTimeout)
			_, err = db.ExecContext(t.Context(), "ALTER TABLE t ADD COLUMN x integer")
			class(t, err, engine.LockTimeout)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		boom := errors.New("boom")
		if err := s.Tx(t.Context(), func(tx *sql.Tx) error { exec(t, tx, "INSERT INTO t VALUES (2)"); return boom }); !errors.Is(err, boom) {
			t.Error(err)
		}
		if n := text(t, s, "SELECT count(*) FROM t"); n != "1" {
			t.Errorf("%s rows", n)
		}
		_, err := s.ExecContext(t.Context(), "INSERT INTO t VALUES (1)")
		class(t, err, engine.Constraint)
		_, err = s.ExecContext(t.Context(), "SELEKT 1")
		class(t, err, engine.Syntax)
		_, err = s.ExecContext(t.Context(), "SELECT * FROM missing")
		class(t, err, engine.Syntax)
	})
}

func TestMySQLRunLock(t *testing.T) {
	onMySQL(t, func(t *testing.T, dsn string) {
		db := open(t, dsn, quick)
		first, second := session(t, db), session(t, db)
		release, err := first.RunLock(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		_, err = second.RunLock(t.Context(), 50*time.Millisecond)
		if e := classified(t, err, engine.LockTimeout); !strings.Contains(e.Message, "connection ") {
			t.Errorf("the message does not say who: %s", e.Message)
		}
		release()
		if release, err = second.RunLock(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		release()
		if _, err := first.RunLock(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		if _, err := second.RunLock(t.Context(), time.Minute); err != nil {
			t.Errorf("after the end of the session: %v", err)
		}
	})
}

func TestMySQLStatementTimeout(t *testing.T) {
	onMySQL(t, func(t *testing.T, dsn string) {
		s := session(t, open(t, dsn, engine.Options{StatementTimeout: 100 * time.Millisecond}))
		var ignore any
		const slow = "SELECT count(*) FROM information_schema.columns a, information_schema.columns b, information_schema.columns c, information_schema.columns d"
		class(t, s.QueryRowContext(t.Context(), slow).Scan(&ignore), engine.StatementTimeout)
		if err := s.StatementTimeout(t.Context(), 0); err != nil {
			t.Fatal(err)
		}
		exec(t, s, "DO sleep(0.2)")
	})
}

func TestMySQLInspect(t *testing.T) {
	onMySQL(t, func(t *testing.T, dsn string) {
		db := open(t, dsn, quick)
		exec(t, db, "CREATE TABLE parent (a integer, b varchar(20), PRIMARY KEY (b, a))",
			"CREATE TABLE t (id bigint unsigned NOT NULL AUTO_INCREMENT, name varchar(20) CHARACTER SET latin1 COLLATE latin1_bin NOT NULL DEFAULT 'it''s \\\\ x', price decimal(10,2) NOT NULL DEFAULT 1.5, "+
				"g decimal(12,2) AS (price * 2) STORED, at datetime(3) NOT NULL DEFAULT CURRENT_TIMESTAMP(3), mood enum('a','b'), bits bit(3) DEFAULT b'101', e varchar(9) DEFAULT (lower('X')), `odd ``name` text, a integer, b varchar(20), "+
				"PRIMARY KEY (id), UNIQUE KEY u_good (price, name), UNIQUE KEY u_nullable (a), UNIQUE KEY u_prefix (name(3)), CONSTRAINT t_fk FOREIGN KEY (b, a) REFERENCES parent (b, a) ON DELETE CASCADE ON UPDATE SET NULL)",
			"CREATE TRIGGER tr BEFORE INSERT ON t FOR EACH ROW SET NEW.price = 1", "CREATE TRIGGER dbrollback_t AFTER INSERT ON t FOR EACH ROW SET @x = 1",
			"CREATE VIEW v AS SELECT 1 AS x", "CREATE TABLE part (id integer) PARTITION BY HASH (id) PARTITIONS 2", "CREATE TABLE state_snapshots (id integer)", "CREATE TABLE old (id integer, hidden integer INVISIBLE, ts timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE CURRENT_TIMESTAMP) ENGINE=MyISAM", "CREATE TABLE `we``ird` (id integer)")
		tab := inspect(t, db, engine.Name{Name: "t"})
		if c := column(t, tab, "id"); c.Identity != "auto_increment" || !c.NotNull || c.Default != "" {
			t.Errorf("id: %+v", c)
		}
		if c := column(t, tab, "name"); c.Collation != "latin1_bin" || c.Base != "varchar(20) CHARACTER SET latin1 COLLATE latin1_bin" || !c.Portable {
			t.Errorf("name: %+v", c)
		}
		if c := column(t, tab, "g"); !c.Generated || c.Default != "" {
			t.Errorf("g: %+v", c)
		}
		// Each default is SQL that makes the same default again.
		for _, c := range tab.Columns {
			if c.Default == "" {
				continue
			}
			exec(t, db, "CREATE TABLE again (c "+c.Base+" DEFAULT "+c.Default+")")
			if again := inspect(t, db, engine.Name{Name: "again"}); again.Columns[0].Default != c.Default {
				t.Errorf("%s: default %q comes back as %q", c.Name, c.Default, again.Columns[0].Default)
			}
			exec(t, db, "DROP TABLE again")
		}
		if got := keyNames(tab); !slices.Equal(got, []string{"PRIMARY", "u_good", "u_prefix"}) || !slices.Equal(tab.Keys[1].Columns, []string{"price", "name"}) {
			t.Errorf("keys %+v", tab.Keys)
		}
		parent := inspect(t, db, engine.Name{Name: "parent"})
		for _, fks := range [][]engine.ForeignKey{tab.ForeignKeys, parent.Referenced} {
			if len(fks) != 1 || fks[0].Name != "t_fk" || fks[0].Table != (engine.Name{Name: "t"}) || !slices.Equal(fks[0].Columns, []string{"b", "a"}) ||
				!slices.Equal(fks[0].ParentColumns, []string{"b", "a"}) || fks[0].OnDelete != "CASCADE" || fks[0].OnUpdate != "SET NULL" {
				t.Errorf("foreign keys %+v", fks)
			}
		}
		if len(tab.Triggers) != 1 || tab.Triggers[0].Events != "INSERT" || !tab.Triggers[0].Before || !strings.Contains(tab.Triggers[0].SQL, "SET NEW.price = 1") {
			t.Errorf("triggers %+v", tab.Triggers)
		}
		for name, kind := range map[string]string{"v": "view", "part": "partitioned", "t": "table"} {
			if got := inspect(t, db, engine.Name{Name: name}); got.Kind != kind {
				t.Errorf("%s is a %s", name, got.Kind)
			}
		}
		old := inspect(t, db, engine.Name{Name: "old"})
		if old.Engine != "MyISAM" || tab.Engine != "InnoDB" || !column(t, old, "hidden").Invisible || column(t, old, "id").Invisible || !column(t, old, "ts").OnUpdate || column(t, old, "id").OnUpdate {
			t.Errorf("%s %s %+v", tab.Engine, old.Engine, old.Columns)
		}
		if p := inspect(t, db, engine.Name{Name: "part"}).Partitions; !slices.Equal(p, []string{"p0", "p1"}) {
			t.Errorf("partitions %q", p)
		}
		if _, err := db.Inspect(t.Context(), db, engine.Name{Name: "missing"}); !errors.Is(err, engine.ErrNoTable) {
			t.Error(err)
		}
		if n, err := db.Resolve(t.Context(), db, engine.Name{Schema: "mysql", Name: "proc_or_user"}); !errors.Is(err, engine.ErrNoTable) {
			t.Errorf("%v, %v", n, err)
		}
		names, err := db.Tables(t.Context(), db)
		if err != nil || !slices.Equal(names, []engine.Name{{Name: "old"}, {Name: "parent"}, {Name: "part"}, {Name: "t"}, {Name: "we`ird"}}) {
			t.Errorf("tables %v, %v", names, err)
		}
	})
}

func TestMySQLOpenFailures(t *testing.T) {
	onMySQL(t, func(t *testing.T, dsn string) {
		wrong := strings.Replace(dsn, "root@", "nobody_at_all:hunter2@", 1)
		_, err := engine.Open(t.Context(), wrong, quick)
		class(t, err, engine.Auth)
		if strings.Contains(err.Error(), "hunter2") {
			t.Error(err)
		}
		_, err = engine.Open(t.Context(), dsn+"_missing", quick)
		class(t, err, engine.Unreachable)
		_, err = engine.Open(t.Context(), "mysql://ann:hunter2@127.0.0.1:1/shop", quick)
		class(t, err, engine.Unreachable)
		db := open(t, dsn, quick)
		exec(t, db, "CREATE TABLE t (id integer)")
		s := session(t, db)
		exec(t, s, "SET SESSION TRANSACTION READ ONLY")
		_, err = s.ExecContext(t.Context(), "INSERT INTO t VALUES (1)")
		class(t, err, engine.ReadOnly)
	})
}

// Inside of Exact nothing is lost, behind it all settings are what they were.
func TestExact(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		db := open(t, dsn, quick)
		s := session(t, db)
		set, show, value, want := "", "", "", ""
		switch db.Kind {
		case engine.Postgres:
			set, show = "SET TimeZone = 'Europe/Berlin'; SET extra_float_digits = -5; SET DateStyle = 'German'", "SELECT current_setting('TimeZone') || current_setting('extra_float_digits') || current_setting('DateStyle')"
			value, want = "SELECT ROW(0.1::float8 + 0.2::float8, '2024-10-27 00:30:00+00'::timestamptz)::text", `(0.30000000000000004,"2024-10-27 00:30:00+00")`
		case engine.SQLite:
			set, show, value, want = "PRAGMA foreign_keys = on", "PRAGMA foreign_keys", "SELECT 'x'", "x"
		default:
			set, show = "SET time_zone = '+02:00', sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE'", "SELECT concat(@@time_zone, @@sql_mode)"
			value, want = "SELECT concat(from_unixtime(0), @@sql_mode LIKE '%NO_AUTO_VALUE_ON_ZERO%')", "1970-01-01 00:00:001"
		}
		exec(t, s, set)
		before := text(t, s, show)
		err := s.Tx(t.Context(), func(tx *sql.Tx) error {
			err := db.Exact(t.Context(), tx, func() error {
				if got := text(t, tx, value); got != want {
					t.Errorf("inside: %s, want %s", got, want)
				}
				return nil
			})
			if got := text(t, tx, show); got != before {
				t.Errorf("behind: %s, want %s", got, before)
			}
			boom := errors.New("boom")
			if got := db.Exact(t.Context(), tx, func() error { return boom }); !errors.Is(got, boom) {
				t.Error(got)
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := text(t, s, show); got != before {
			t.Errorf("after the commit: %s, want %s", got, before)
		}
		cancelled, cancel := context.WithCancel(t.Context())
		cancel()
		if db.Kind != engine.SQLite {
			if err := db.Exact(cancelled, s, func() error { t.Error("ran"); return nil }); err == nil {
				t.Error("no error with a cancelled context")
			}
		}
	}, testdb.OnPostgres, testdb.OnSQLite, testdb.OnMySQL, testdb.OnMariaDB)
}
