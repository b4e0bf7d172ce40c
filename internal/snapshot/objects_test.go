package snapshot_test

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// roundTrip applies a migration, undoes it, twice, and compares every row.
func (b *bench) roundTrip(up, down string) {
	b.t.Helper()
	before := b.rows()
	for round := 0; round < 2; round++ {
		if round == 0 {
			b.up(up)
		} else {
			b.again(up)
		}
		if after := b.rows(); after == before {
			b.t.Fatalf("the migration did nothing:\n%s", after)
		}
		rep := b.down(down, snapshot.Fail)
		if !rep.Verified || len(rep.Conflicts) > 0 {
			b.t.Errorf("report: %+v", rep)
		}
		same(b.t, "after rollback", before, b.rows())
	}
}

const family = `CREATE TABLE p (id integer NOT NULL PRIMARY KEY, v varchar(20));
CREATE TABLE c (id integer NOT NULL PRIMARY KEY, p integer REFERENCES p ON DELETE CASCADE ON UPDATE CASCADE, s integer REFERENCES p ON DELETE SET NULL ON UPDATE CASCADE, v varchar(20));
CREATE TABLE g (c integer NOT NULL REFERENCES c ON DELETE CASCADE, n integer NOT NULL, v varchar(20), PRIMARY KEY (c, n));
CREATE TABLE self (id integer NOT NULL PRIMARY KEY, up integer REFERENCES self ON DELETE CASCADE, v varchar(20));
INSERT INTO p VALUES (1, 'p1'), (2, 'p2'), (3, 'p3'), (4, 'p4');
INSERT INTO c VALUES (10, 1, 2, 'c10'), (11, 1, 3, 'c11'), (12, 2, 1, 'c12'), (13, 3, 3, 'c13'), (14, 4, NULL, 'c14');
INSERT INTO g VALUES (10, 1, 'g'), (10, 2, 'g'), (12, 1, 'g'), (14, 1, 'g');
INSERT INTO self VALUES (1, NULL, 'root'), (2, 1, 'a'), (3, 2, 'b'), (4, NULL, 'other'), (5, 4, 'c');`

// mysqlFamily is the same where REFERENCES beside a column means nothing.
const mysqlFamily = `CREATE TABLE p (id integer NOT NULL PRIMARY KEY, v varchar(20));
CREATE TABLE c (id integer NOT NULL PRIMARY KEY, p integer, s integer, v varchar(20), FOREIGN KEY (p) REFERENCES p (id) ON DELETE CASCADE ON UPDATE CASCADE, FOREIGN KEY (s) REFERENCES p (id) ON DELETE SET NULL ON UPDATE CASCADE);
CREATE TABLE g (c integer NOT NULL, n integer NOT NULL, v varchar(20), PRIMARY KEY (c, n), FOREIGN KEY (c) REFERENCES c (id) ON DELETE CASCADE);
CREATE TABLE self (id integer NOT NULL PRIMARY KEY, up integer, v varchar(20), FOREIGN KEY (up) REFERENCES self (id) ON DELETE CASCADE);
`

// familyFor gives the definitions and rows of the family as an engine spells them.
func familyFor(dsn string) string {
	if mysqlLike(dsn) {
		return mysqlFamily + family[strings.Index(family, "INSERT"):]
	}
	return family
}

// foreignKeys turns the checks on where they are off by default.
func foreignKeys(dsn string) string {
	if strings.HasPrefix(dsn, "sqlite:") {
		return dsn + "?_pragma=foreign_keys(1)"
	}
	return dsn
}

// TestCascades: rows that foreign keys remove or change in other tables come back, too.
func TestCascades(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ name, up, down string }{
		{"delete", "DELETE FROM p WHERE id <= 2", "SELECT 1"},
		{"delete all", "DELETE FROM p", "SELECT 1"},
		{"update key", "UPDATE p SET id = id + 100", "SELECT 1"},
		{"update key, moved back", "UPDATE p SET id = id + 100", "UPDATE p SET id = id - 100"},
		{"self", "DELETE FROM self WHERE id = 1", "SELECT 1"},
		{"twice", "UPDATE c SET v = 'x'; DELETE FROM p WHERE id = 1; UPDATE c SET v = v || 'y'; DELETE FROM c WHERE id = 13; DELETE FROM p WHERE id = 3", "SELECT 1"},
		{"drop tables", "DROP TABLE g; DROP TABLE c; DROP TABLE p", family[:strings.Index(family, "CREATE TABLE self")]},
	} {
		t.Run(tc.name, func(t *testing.T) {
			testdb.Each(t, func(t *testing.T, dsn string) {
				down := tc.down
				if mysqlLike(dsn) && strings.HasPrefix(down, "CREATE") {
					down = mysqlFamily[:strings.Index(mysqlFamily, "CREATE TABLE self")]
				}
				newBench(t, foreignKeys(dsn), familyFor(dsn)).roundTrip(tc.up, down)
			}, everywhere...)
		})
	}
}

// TestDroppedColumns: a column that was dropped once leaves a gap in the rows of its table; what is captured does not
// shift into it.
func TestDroppedColumns(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, foreignKeys(dsn), "CREATE TABLE q (gone integer, id integer NOT NULL PRIMARY KEY, v varchar(20), w integer); ALTER TABLE q DROP COLUMN gone; ALTER TABLE q ADD COLUMN u varchar(20)",
			"CREATE TABLE r (x integer, id integer NOT NULL PRIMARY KEY, q integer, y integer, v varchar(20), FOREIGN KEY (q) REFERENCES q (id) ON UPDATE CASCADE ON DELETE SET NULL); ALTER TABLE r DROP COLUMN x; ALTER TABLE r DROP COLUMN y",
			"INSERT INTO q VALUES (1, 'v1', 10, 'u1'), (2, 'v2', 20, 'u2'), (3, 'v3', 30, 'u3'); INSERT INTO r VALUES (1, 1, 'r1'), (2, 2, 'r2'), (3, NULL, 'r3')")
		for _, up := range []string{"UPDATE q SET u = 'x', w = w + 1", "DELETE FROM q WHERE id > 1", "UPDATE q SET id = id + 10", "UPDATE q SET id = id + 10, u = v", "UPDATE r SET v = 'x'; DELETE FROM r"} {
			b.roundTrip(up, "SELECT 1")
		}
		if b.db.Kind == engine.Postgres {
			b.roundTrip("DO $$ BEGIN UPDATE q SET u = 'x'; UPDATE q SET w = 5 WHERE id = 1; DELETE FROM q WHERE id = 2; UPDATE r SET v = 'y'; END $$", "SELECT 1")
			b.roundTrip("MERGE INTO q USING (VALUES (1, 'm'), (9, 'm')) s (id, u) ON q.id = s.id WHEN MATCHED THEN UPDATE SET u = s.u WHEN NOT MATCHED THEN INSERT (id, u) VALUES (s.id, s.u)", "SELECT 1")
		}
		upsert := "ON CONFLICT (id) DO UPDATE SET u = excluded.u"
		if mysqlLike(dsn) {
			upsert = "ON DUPLICATE KEY UPDATE u = VALUES(u)"
		}
		b.roundTrip("INSERT INTO q (id, u) VALUES (1, 'up'), (9, 'up') "+upsert, "SELECT 1")
	}, everywhere...)
}

// TestParents: a captured row whose parent the application removed stays out and is reported; so does one whose unique value
// was taken.
func TestParents(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, foreignKeys(dsn), familyFor(dsn), "CREATE TABLE u (id integer NOT NULL PRIMARY KEY, mail varchar(20) UNIQUE, v integer); INSERT INTO u VALUES (1, 'a', 1), (2, 'b', 2), (3, 'c', 3)")
		b.up("DELETE FROM c WHERE id IN (10, 11, 12); DELETE FROM u WHERE id IN (1, 2); UPDATE u SET mail = 'free'")
		b.exec("DELETE FROM p WHERE id = 1; INSERT INTO u VALUES (9, 'a', 9), (10, 'c', 9)")
		rep := b.down("SELECT 1", snapshot.Keep)
		if got := strings.Join(b.query("SELECT id || ' ' || v FROM c ORDER BY id"), ", "); got != "13 c13, 14 c14" {
			t.Errorf("children: %s", got)
		}
		if got := strings.Join(b.query("SELECT id || ' ' || mail FROM u ORDER BY id"), ", "); got != "2 b, 3 free, 9 a, 10 c" {
			t.Errorf("unique: %s", got)
		}
		want := "c=10 n=1 parent deleted keep; c=10 n=2 parent deleted keep; c=12 n=1 parent deleted keep; id=10 parent deleted keep; id=11 parent deleted keep; id=12 parent deleted keep; id=1 unique value taken keep; id=3 unique value taken keep"
		if got := summary(rep); len(rep.Conflicts) != strings.Count(want, ";")+1 {
			t.Errorf("conflicts:\n got %s\nwant %s", got, want)
		}
	}, everywhere...)
}

// TestTriggers: the user's triggers fire for the migration, not for rows that come back; what they write elsewhere is
// captured, and they stand afterwards as they did before.
func TestTriggers(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn, "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, v varchar(20)); CREATE TABLE log (id integer NOT NULL PRIMARY KEY, q integer); INSERT INTO log VALUES (1, 0), (2, 5); INSERT INTO t VALUES (1, 'a'), (2, 'b'), (3, 'c')")
		if mysqlLike(dsn) {
			b.exec("CREATE TRIGGER tr AFTER UPDATE ON t FOR EACH ROW BEGIN UPDATE log SET q = q + 1 WHERE id = 1; DELETE FROM log WHERE id = 2; END",
				"CREATE TRIGGER first BEFORE UPDATE ON t FOR EACH ROW SET NEW.v = concat(NEW.v, '!') -- loud",
				"CREATE TRIGGER zero BEFORE UPDATE ON t FOR EACH ROW PRECEDES first SET NEW.v = concat(NEW.v, '?')",
				"CREATE TRIGGER td AFTER DELETE ON t FOR EACH ROW UPDATE log SET q = q + 100 WHERE id = 1",
				"CREATE TRIGGER ti AFTER INSERT ON t FOR EACH ROW BEGIN UPDATE log SET q = q + 1000 WHERE id = 1; SET @x = 'END IF'; END")
		} else if strings.HasPrefix(dsn, "sqlite") {
			b.exec("CREATE TRIGGER tr AFTER UPDATE ON t FOR EACH ROW BEGIN UPDATE log SET q = q + 1 WHERE id = 1; DELETE FROM log WHERE id = 2; END",
				"CREATE TRIGGER td AFTER DELETE ON t FOR EACH ROW BEGIN UPDATE log SET q = q + 100 WHERE id = 1; END",
				"CREATE TRIGGER ti AFTER INSERT ON t FOR EACH ROW BEGIN UPDATE log SET q = q + 1000 WHERE id = 1; END")
		} else {
			b.exec("CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF TG_OP = 'UPDATE' THEN UPDATE log SET q = q + 1 WHERE id = 1; DELETE FROM log WHERE id = 2; NEW.v = NEW.v || '!'; RETURN NEW; END IF; UPDATE log SET q = q + CASE TG_OP WHEN 'DELETE' THEN 100 ELSE 1000 END WHERE id = 1; IF TG_OP = 'INSERT' THEN RETURN NEW; END IF; RETURN OLD; END $$",
				"CREATE TRIGGER tr BEFORE UPDATE OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION f()", "CREATE TRIGGER ti AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()",
				"ALTER TABLE t ENABLE ALWAYS TRIGGER ti", "CREATE TRIGGER off AFTER INSERT ON t FOR EACH ROW EXECUTE FUNCTION f()", "ALTER TABLE t DISABLE TRIGGER off")
		}
		triggers := func() string {
			if mysqlLike(dsn) {
				return strings.Join(b.query("SELECT concat_ws(' ', trigger_name, action_timing, event_manipulation, action_order, action_statement, definer, sql_mode, character_set_client, collation_connection) FROM information_schema.triggers WHERE trigger_schema = database() ORDER BY trigger_name"), "\n")
			}
			if strings.HasPrefix(dsn, "sqlite") {
				return strings.Join(b.query("SELECT name || sql FROM sqlite_schema WHERE type = 'trigger' ORDER BY name"), "\n")
			}
			return strings.Join(b.query("SELECT tgname || tgenabled::text || pg_get_triggerdef(oid) FROM pg_trigger WHERE NOT tgisinternal ORDER BY tgname"), "\n")
		}
		before := triggers()
		b.roundTrip("UPDATE t SET v = 'x' WHERE id = 2", "SELECT 1")
		b.roundTrip("DELETE FROM t WHERE id <= 2", "SELECT 1")
		b.roundTrip("INSERT INTO t VALUES (7, 'x')", "SELECT 1")
		b.roundTrip("UPDATE t SET v = 'x' WHERE id = 2; DELETE FROM t", "SELECT 1")
		same(t, "triggers", before, triggers())
	}, everywhere...)
}

// TestOpaque: what a block of code does is found out, captured and undone.
func TestOpaque(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	b := newBench(t, dsn, family, "CREATE SEQUENCE s", "CREATE TABLE w (id integer NOT NULL PRIMARY KEY, x integer, y text); INSERT INTO w SELECT g, g, 'y' FROM generate_series(1, 5) g")
	b.roundTrip(`DO $$ BEGIN
		UPDATE p SET v = 'do'; DELETE FROM p WHERE id = 1; EXECUTE 'ALTER TABLE w DROP COLUMN y'; TRUNCATE self;
		INSERT INTO p VALUES (50, 'new'); UPDATE p SET v = 'newer' WHERE id = 50; UPDATE p SET id = 51 WHERE id = 50; UPDATE p SET v = 'twice' WHERE id = 3;
		INSERT INTO p VALUES (60, 'gone'); DELETE FROM p WHERE id = 60; DELETE FROM p WHERE id = 4; INSERT INTO p VALUES (4, 'other');
	END $$`, "ALTER TABLE w ADD COLUMN y text")
	ctx := context.Background()
	err := b.tx(func(tx *sql.Tx) error {
		seen, err := b.store.Rehearse(ctx, tx, func() error {
			_, err := tx.ExecContext(ctx, "DO $$ BEGIN PERFORM nextval('s'); DROP TABLE w; END $$")
			return err
		})
		if err != nil {
			return err
		}
		if len(seen.LeavesTransaction) != 1 || !strings.Contains(seen.LeavesTransaction[0], "public.s") {
			t.Errorf("leaves the transaction: %v", seen.LeavesTransaction)
		}
		if len(seen.Effects) != 1 || seen.Effects[0].Table.Name != "w" || len(seen.Changes) == 0 {
			t.Errorf("seen: %+v", seen)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestOpaqueOtherwise: code that does something else when it runs for good is not let through.
func TestOpaqueOtherwise(t *testing.T) {
	t.Parallel()
	dsn := testdb.Postgres(t)
	b := newBench(t, dsn, family, "CREATE SEQUENCE s")
	before := b.rows()
	_, err := b.tryUp("DO $$ BEGIN IF nextval('s') % 2 = 1 THEN UPDATE self SET v = 'x'; ELSE DELETE FROM c; END IF; END $$")
	var uncaptured *snapshot.UncapturedError
	if !errors.As(err, &uncaptured) || !strings.Contains(err.Error(), "public.c") {
		t.Errorf("not refused: %v", err)
	}
	same(t, "after the refusal", before, b.rows())
}

// TestMadeAnew: what a migration inserts into a table that it has made in the place of another one, and where it moves keys there, is
// gone when the first one is back: also where the first was kept, and where unique values stand in the way.
func TestMadeAnew(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn, "CREATE TABLE t (id integer NOT NULL PRIMARY KEY, u integer UNIQUE, v varchar(9), w integer); INSERT INTO t VALUES (1, 1, 'a', 7), (2, 2, 'b', NULL), (3, NULL, 'c', 9)")
		b.roundTrip("CREATE TABLE n (id integer NOT NULL PRIMARY KEY, u integer UNIQUE, v varchar(9)); INSERT INTO n SELECT id, u, v FROM t WHERE id <> 3; DROP TABLE t; ALTER TABLE n RENAME TO t; UPDATE t SET id = id + 1000 WHERE id = 2; INSERT INTO t SELECT id + 500, NULL, v FROM t WHERE id = 1",
			"CREATE TABLE o (id integer NOT NULL PRIMARY KEY, u integer UNIQUE, v varchar(9), w integer); INSERT INTO o (id, u, v) SELECT id, u, v FROM t; DROP TABLE t; ALTER TABLE o RENAME TO t")
	})
}
