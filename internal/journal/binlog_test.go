package journal_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/journal"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// noDDL reads statements of the log in a test that has no grammar: one that names a table changes it, unless it is about triggers.
func noDDL(text string) ([]journal.Touched, bool) { return nil, strings.Contains(text, "TRIGGER") }

// fromBinlog brings a table back from the binary log.
func (w *world) fromBinlog(ask snapshot.Ask) error {
	w.t.Helper()
	_, err := w.previewed(ask)
	return err
}

// previewed gives what was done as well.
func (w *world) previewed(ask snapshot.Ask) (out []snapshot.Preview, err error) {
	w.t.Helper()
	ctx := context.Background()
	s, err := w.db.Session(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	defer s.Close()
	log := w.j.Binlog(ask, noDDL)
	defer func() { _ = log.Begin() }()
	store := *w.store
	store.Journal, ask.Written = log, true
	err = s.Tx(ctx, func(tx *sql.Tx) error {
		x, err := store.Restoration(ctx, tx, ask)
		if err != nil {
			return err
		}
		out, _, err = x.Apply(ctx, tx, w.store.Begin(snapshot.Meta{Run: "test", Direction: snapshot.Restored, CreatedBy: "test"}))
		return err
	})
	return out, err
}

// logged gives a world whose server has begun its log before: in an earlier second.
func logged(t *testing.T, dsn string, setup ...string) *world {
	t.Helper()
	w := newWorld(t, dsn, setup...)
	for begun := w.now(); w.now().Unix() == begun.Unix(); {
	}
	return w
}

// moment is a time that the log can tell from those of the transactions before it and after it.
func (w *world) moment() time.Time {
	w.t.Helper()
	at := w.now()
	if w.db.Kind == engine.MariaDB {
		for w.now().Unix() == at.Unix() { // it knows whole seconds
		}
	}
	return at
}

// TestBinlogValues: every type, with its edges, comes back from the binary log byte by byte.
func TestBinlogValues(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		w := logged(t, dsn)
		types := map[string][]string{
			"tinyint": {"-128", "127"}, "tinyint unsigned": {"255", "0"}, "smallint unsigned": {"65535"}, "mediumint": {"-8388608", "8388607"}, "mediumint unsigned": {"16777215"},
			"int unsigned": {"4294967295"}, "bigint": {"-9223372036854775808"}, "bigint unsigned": {"18446744073709551615"}, "bit(1)": {"b'1'"}, "bit(64)": {"b'1111111111111111111111111111111111111111111111111111111111111111'"},
			"year": {"1901", "2155", "0"}, "float": {"0.1", "-3.4e38", "16777217", "-0e0"}, "double": {"0.1", "-1e308", "5e-324", "-0e0"},
			"decimal(65,30)": {"-12345678901234567890123456789012345.123456789012345678901234567890", "0"}, "decimal(10,0)": {"-1"}, "decimal(5,5)": {"-0.00001"},
			"char(5)": {"'a  '", "''", "'äöü'"}, "char(5) CHARACTER SET utf16": {"'aä'"}, "varchar(300) CHARACTER SET latin1": {"'ä'", "repeat('x', 300)"}, "varchar(20) CHARACTER SET sjis": {"'表'"},
			"binary(4)": {`x'61000000'`, `x'00000000'`, `x'ffffffff'`}, "varbinary(300)": {`x''`, `x'610000'`, "repeat(x'ff', 300)"}, "tinyblob": {`x'00'`}, "longblob": {"repeat(x'e2', 70000)"},
			"text": {"'a\\\\b''c'", "repeat('ä', 20000)"}, "timestamp NULL": {"'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'"}, "timestamp(1) NULL": {"'2026-03-29 02:30:00.9'"}, "timestamp(6) NULL": {"'2026-03-29 02:30:00.000001'"},
			"datetime": {"'9999-12-31 23:59:59'", "'0000-00-00 00:00:00'"}, "datetime(3)": {"'1000-01-01 00:00:00.001'"}, "datetime(6)": {"'2026-00-00 00:00:00.000001'", "'0000-00-00 00:00:00.000000'"}, "date": {"'0000-00-00'", "'9999-12-31'", "'2026-02-31'"},
			"time": {"'-838:59:59'", "'00:00:00'"}, "time(1)": {"'-00:00:00.1'", "'-00:00:01.9'"}, "time(3)": {"'-00:00:00.001'", "'12:00:00.999'"}, "time(6)": {"'-838:59:58.999999'", "'00:00:00.000001'"},
			"enum('a','b,c','''')": {"'a'", "'b,c'", "''''"}, "set('a','b','c')": {"''", "'a,c'", "7"}, "json": {"'{\"b\": [1, -1, 1.5, 1e300, \"ä<>&\\\\u0001\", true, null, {}], \"aa\": 18446744073709551615, \"c\": -9223372036854775808, \"d\": 70000}'", "'[]'", "'\"x\"'", "'null'", "'2.0'"},
			"geometry": {"ST_GeomFromText('POINT(1 2)')", "ST_GeomFromText('LINESTRING(0 0, 1 1.5)', 4326)"},
		}
		if w.db.Kind == engine.MySQL {
			types["json"] = append(types["json"], "JSON_OBJECT('n', 12345678901234567890.123456789, 'm', -0.50, 'd', DATE'2026-01-02', 't', TIME'-12:34:56.789', 'x', TIMESTAMP'2026-01-02 03:04:05.678901', 'a', JSON_ARRAY(1.0, 'x', NULL))",
				"CAST(1.10 AS JSON)", "JSON_OBJECT('big', repeat('x', 70000), 'y', 100000)")
		}
		var defs, fields []string
		longest := 0
		kinds := slices.Sorted(maps.Keys(types))
		for i, k := range kinds {
			n := fmt.Sprintf("c%d", i)
			fields, defs = append(fields, n), append(defs, n+" "+k)
			longest = max(longest, len(types[k]))
		}
		s, err := w.db.Session(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		run := func(q string) {
			t.Helper()
			if _, err := s.ExecContext(context.Background(), q); err != nil {
				t.Fatalf("%.300s: %v", q, err)
			}
		}
		run("SET SESSION sql_mode = 'STRICT_ALL_TABLES,ALLOW_INVALID_DATES'")
		run("CREATE TABLE t (id int NOT NULL, part varchar(10) CHARACTER SET latin1 NOT NULL, v int GENERATED ALWAYS AS (id + 1) VIRTUAL, " + strings.Join(defs, ", ") + ", p int GENERATED ALWAYS AS (id + 2) STORED, PRIMARY KEY (part, id))")
		for row := range longest {
			var values []string
			for _, k := range kinds {
				values = append(values, types[k][min(row, len(types[k])-1)])
			}
			run(fmt.Sprintf("INSERT INTO t (id, part, %s) VALUES (%d, 'ä', %s)", strings.Join(fields, ", "), row, strings.Join(values, ", ")))
		}
		run("INSERT INTO t (id, part) VALUES (100, ''), (101, 'a'), (102, 'ä')")
		key, all := []string{"part", "id"}, append(slices.Clone(fields), "v", "p")
		was := w.rows("t", key, all)
		at := w.moment()
		if w.db.Kind == engine.MySQL { // a part of it compressed
			run("SET SESSION binlog_transaction_compression = ON")
		} else {
			run("SET GLOBAL log_bin_compress = ON")
			defer run("SET GLOBAL log_bin_compress = OFF")
		}
		run("DELETE FROM t WHERE id < 3")
		if w.db.Kind == engine.MySQL {
			run("SET SESSION binlog_transaction_compression = OFF")
		}
		run("UPDATE t SET " + strings.Join(fields, " = NULL, ") + " = NULL WHERE id >= 3 AND id < 100")
		run("UPDATE t SET id = id + 1000 WHERE id >= 100")
		run("INSERT INTO t (id, part) VALUES (7000, 'new')")
		if err := w.fromBinlog(snapshot.Ask{Tables: names([]string{"t"}), At: at, Mode: snapshot.Replace}); err != nil {
			t.Fatal(err)
		}
		w.same("replaced", was, w.rows("t", key, all))
		if w.db.Kind == engine.MySQL {
			if got := w.query(fmt.Sprintf("SELECT group_concat(json_type(c%d->'$.n'), json_type(c%[1]d->'$.d'), json_type(c%[1]d->'$.x')) FROM t", slices.Index(kinds, "json"))); got[0] != "DECIMALDATEDATETIME" {
				t.Errorf("types within JSON: %s", got)
			}
		}
	}, testdb.OnMySQL, testdb.OnMariaDB)
}

// TestBinlogModel: random tables, random transactions by several writers, random moments. What comes back from the binary log equals a
// full copy that was taken then.
func TestBinlogModel(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		one := logged(t, dsn)
		for seed := range cases(2) {
			if t.Failed() {
				return
			}
			w := *one
			w.t = t
			playBinlog(&w, uint64(seed))
		}
	}, testdb.OnMySQL, testdb.OnMariaDB)
}

func playBinlog(w *world, seed uint64) {
	seed += otherSeeds()
	r := rand.New(rand.NewPCG(seed, 11))
	m := newModel(w, r, seed%3 != 0)
	m.logged = true
	type copied struct {
		at   time.Time
		rows map[string]string
	}
	var copies []copied
	take := func() { copies = append(copies, copied{w.moment(), w.rows("t", m.key, m.columns)}) }
	for range 2 {
		var wg sync.WaitGroup
		for range 3 {
			mine := rand.New(rand.NewPCG(r.Uint64(), 7))
			wg.Go(func() {
				for range 6 {
					m.transaction(mine)
				}
			})
		}
		m.commit.Lock() // in between, while transactions are open
		take()
		m.commit.Unlock()
		wg.Wait()
	}
	r.Shuffle(len(copies), func(i, j int) { copies[i], copies[j] = copies[j], copies[i] })
	for _, c := range copies {
		what := fmt.Sprintf("seed %d, at %s", seed, c.at.Format(time.RFC3339Nano))
		ask := snapshot.Ask{Tables: names([]string{"t"}), At: c.at, Mode: snapshot.Replace}
		want := c.rows
		if !m.moves && r.IntN(2) == 0 {
			ask.Mode, want = snapshot.Merge, w.rows("t", m.key, m.columns)
			want = m.over(want, c.rows)
		}
		copy := ask
		copy.Mode, copy.Into = snapshot.Copy, engine.Name{Name: "side"}
		conflicts := int64(0)
		for _, a := range []snapshot.Ask{ask, copy} {
			done, err := w.previewed(a)
			if err != nil {
				w.t.Fatalf("%s, %s: %v", what, a.Mode, err)
			}
			if a.Mode == snapshot.Merge {
				conflicts = done[0].Conflicts
			}
		}
		got := w.rows("t", m.key, m.columns)
		if conflicts > 0 {
			m.apart(want, got) // told as a conflict: the key of a row of then is taken by one that came later
		}
		w.same(what+", "+string(ask.Mode), want, got)
		w.same(what+", copy", c.rows, w.rows("side", m.key, m.columns))
		w.exec("DROP TABLE side")
	}
	w.exec("DROP TABLE t")
}
