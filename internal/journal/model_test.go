package journal_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/journal"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// world is a database whose tables are journalled.
type world struct {
	t     testing.TB
	db    *engine.DB
	store *snapshot.Store
	j     *journal.Journal

	source string // "": triggers
}

func newWorld(t testing.TB, dsn string, setup ...string) *world {
	t.Helper()
	if strings.HasPrefix(dsn, "sqlite:") { // nothing here outlives a crash
		dsn += map[bool]string{true: "&", false: "?"}[strings.Contains(dsn, "?")] + "_pragma=synchronous(0)&_pragma=journal_mode(wal)"
	}
	db, err := engine.Open(context.Background(), dsn, engine.Options{LockTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	w := &world{t: t, db: db, store: snapshot.New(db, "")}
	w.j = journal.New(db, w.store)
	w.store.Journal = w.j
	w.exec(setup...)
	w.in(func(q engine.Querier) error {
		return errors.Join(db.EnsureHome(context.Background(), q), w.store.Ensure(context.Background(), q))
	})
	return w
}

func (w *world) exec(statements ...string) {
	w.t.Helper()
	for _, s := range statements {
		if _, err := w.db.ExecContext(context.Background(), s); err != nil {
			w.t.Fatalf("%s: %v", s, err)
		}
	}
}

// try runs f on a session, in a transaction where that can hold definitions.
func (w *world) try(f func(q engine.Querier) error) error {
	w.t.Helper()
	s, err := w.db.Session(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	defer s.Close()
	if !w.db.Caps.TransactionalDDL {
		return f(s)
	}
	return s.Tx(context.Background(), func(tx *sql.Tx) error { return f(tx) })
}

func (w *world) in(f func(q engine.Querier) error) {
	w.t.Helper()
	if err := w.try(f); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) enable(tables ...string) {
	w.t.Helper()
	o := journal.Options{Source: w.source}
	if err := w.j.Prepare(context.Background(), w.db, names(tables), o); err != nil {
		w.t.Fatal(err)
	}
	w.in(func(q engine.Querier) error {
		return w.j.Enable(context.Background(), q, names(tables), o, "test")
	})
}

// disable ends the journals of tables, and whatever they had in common.
func (w *world) disable(tables ...string) {
	w.t.Helper()
	w.in(func(q engine.Querier) error { return w.j.Disable(context.Background(), q, names(tables)) })
	if err := w.j.Settle(context.Background(), w.db); err != nil {
		w.t.Fatal(err)
	}
}

func names(tables []string) []engine.Name {
	var out []engine.Name
	for _, t := range tables {
		out = append(out, engine.Name{Name: t})
	}
	return out
}

// restore brings a table back, in one transaction.
func (w *world) restore(ask snapshot.Ask) ([]snapshot.Preview, error) {
	w.t.Helper()
	ctx := context.Background()
	s, err := w.db.Session(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	defer s.Close()
	var out []snapshot.Preview
	err = s.Tx(ctx, func(tx *sql.Tx) error {
		x, err := w.store.Restoration(ctx, tx, ask)
		if err != nil {
			return err
		}
		out, _, err = x.Apply(ctx, tx, w.store.Begin(snapshot.Meta{Run: "test", Direction: snapshot.Restored, CreatedBy: "test"}))
		return err
	})
	return out, err
}

// now is the server's time, in a millisecond of its own.
func (w *world) now() time.Time {
	w.t.Helper()
	query := map[engine.Kind]string{
		engine.Postgres: `SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`, engine.SQLite: "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', 'now')",
		engine.MySQL: "SELECT DATE_FORMAT(UTC_TIMESTAMP(6), '%Y-%m-%dT%H:%i:%s.%fZ')",
	}
	query[engine.MariaDB] = query[engine.MySQL]
	var last time.Time
	for changes := 0; changes < 2; {
		t, err := time.Parse(time.RFC3339Nano, w.query(query[w.db.Kind])[0])
		if err != nil {
			w.t.Fatal(err)
		}
		if t = t.Truncate(time.Millisecond); t.After(last) {
			last, changes = t, changes+1
		}
	}
	// The next write is in a later millisecond still.
	for at := last; at.Equal(last); {
		at, _ = time.Parse(time.RFC3339Nano, w.query(query[w.db.Kind])[0])
		at = at.Truncate(time.Millisecond)
	}
	return last
}

func (w *world) query(q string, args ...any) []string {
	w.t.Helper()
	rows, err := w.db.QueryContext(context.Background(), q, args...)
	if err != nil {
		w.t.Fatalf("%s: %v", q, err)
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		var s sql.NullString
		if err := rows.Scan(&s); err != nil {
			w.t.Fatal(err)
		}
		out = append(out, s.String)
	}
	if err := rows.Err(); err != nil {
		w.t.Fatalf("%s: %v", q, err)
	}
	return out
}

// rows reads a table, exactly: a line a row, by key.
func (w *world) rows(table string, key, columns []string) map[string]string {
	w.t.Helper()
	exact := func(cs []string) string {
		var parts []string
		for _, c := range cs {
			switch r := w.db.Ident(c); w.db.Kind {
			case engine.Postgres:
				parts = append(parts, "coalesce("+r+"::text, 'NULL')")
			case engine.SQLite:
				parts = append(parts, "typeof("+r+") || ':' || coalesce(hex("+r+"), '')")
			default:
				parts = append(parts, "coalesce(hex(cast("+r+" as binary)), 'NULL')")
			}
		}
		if w.db.Kind == engine.MySQL || w.db.Kind == engine.MariaDB {
			return "concat_ws('|', " + strings.Join(parts, ", ") + ")"
		}
		return strings.Join(parts, " || '|' || ")
	}
	out := map[string]string{}
	for _, l := range w.query("SELECT " + strings.ReplaceAll(w.join(exact(key), exact(columns)), "\n", " ") + " FROM " + w.db.Ident(table)) {
		k, v, _ := strings.Cut(l, "#")
		if _, twice := out[k]; twice {
			w.t.Fatalf("key %s twice", k)
		}
		out[k] = v
	}
	return out
}

func (w *world) join(a, b string) string {
	if w.db.Kind == engine.MySQL || w.db.Kind == engine.MariaDB {
		return "concat(" + a + ", '#', " + b + ")"
	}
	return a + " || '#' || " + b
}

func (w *world) same(what string, want, got map[string]string) {
	w.t.Helper()
	if maps.Equal(want, got) {
		return
	}
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if got[k] != want[k] {
			lines = append(lines, fmt.Sprintf("%s: want %s, got %s", k, want[k], got[k]))
		}
	}
	for _, k := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[k]; !ok {
			lines = append(lines, fmt.Sprintf("%s: want none, got %s", k, got[k]))
		}
	}
	w.t.Fatalf("%s:\n%s", what, strings.Join(lines, "\n"))
}

// cases is how many cases are tried: CASES, or a few.
func cases(few int) int {
	if n, err := strconv.Atoi(os.Getenv("CASES")); err == nil {
		return n
	}
	return few
}

// otherSeeds is the first of other seeds than those of every day: SEED.
func otherSeeds() uint64 {
	n, err := strconv.ParseUint(os.Getenv("SEED"), 10, 64)
	if err != nil {
		return 0
	}
	return n
}

var modelColumns = map[engine.Kind][]string{
	engine.Postgres: {"integer", "text", "numeric(12,3)", "double precision", "timestamptz", "bytea", "jsonb", "json", "text[]", "mood", "interval"},
	engine.SQLite:   {"INTEGER", "TEXT", "REAL", "BLOB", "", "NUMERIC"},
	engine.MySQL:    {"int", "varchar(40)", "decimal(12,3)", "float", "double", "timestamp(3) NULL", "datetime(6)", "varbinary(20)", "json", "enum('a','b','')", "text", "bit(5)", "year", "bigint unsigned"},
}

var modelValues = map[string][]string{
	"integer": {"1", "-7", "NULL"}, "text": {"'a'", "''", "'ä|#'", "NULL", "'😀'"}, "numeric(12,3)": {"1.5", "1.500", "0"}, "double precision": {"'NaN'", "'-0'", "0.1", "1e300"},
	"timestamptz": {"'infinity'", "'1930-01-01 00:00:00.000001+00'"}, "bytea": {`'\x'`, `'\x00ff'`}, "jsonb": {`'{"a": 1}'`, "'null'"}, "json": {`'{"a": 1}'`, `'{"a":1}'`},
	"text[]": {"'{}'", "'{a,NULL}'"}, "mood": {"'sad'", "'happy'", "NULL"}, "interval": {"'1 mon'", "'30 days'"},
	"INTEGER": {"1", "'word'", "NULL"}, "TEXT": {"'a'", "''", "x'00'"}, "REAL": {"0.1", "3", "-0.0"}, "BLOB": {"x''", "x'00ff'", "'t'"}, "": {"7", "7.5", "'7'", "NULL"}, "NUMERIC": {"1.5", "'x'"},
	"int": {"1", "-7", "NULL"}, "varchar(40)": {"'a'", "'A'", "'ä'", "'a '", "NULL"}, "decimal(12,3)": {"1.5", "-0.001"}, "float": {"0.1", "16777217", "NULL"}, "double": {"0.1", "1e300"},
	"timestamp(3) NULL": {"'2026-03-29 02:30:00.123'", "NULL"}, "datetime(6)": {"'2026-03-29 02:30:00.123456'", "NULL"}, "varbinary(20)": {"x''", "x'00ff'"},
	"enum('a','b','')": {"'a'", "''", "NULL"}, "bit(5)": {"b'101'", "NULL"}, "year": {"2026", "NULL"}, "bigint unsigned": {"18446744073709551615", "0"},
}

// model is a random table with random writers.
type model struct {
	*world
	key, columns, types []string
	trigger             bool
	moves               bool
	logged              bool         // what is known of a write is the moment of its commit
	commit              sync.RWMutex // held for writing: nobody is between the beginning and the end of a commit
}

func (m *model) family() engine.Kind {
	if m.db.Kind == engine.MariaDB {
		return engine.MySQL
	}
	return m.db.Kind
}

func newModel(w *world, r *rand.Rand, moves bool) *model {
	m := &model{world: w, moves: moves}
	add := func(name, kind string) { m.columns, m.types = append(m.columns, name), append(m.types, kind) }
	kinds := modelColumns[m.family()]
	var def string
	switch r.IntN(3) {
	case 0:
		add("id", "integer")
		m.key, def = []string{"id"}, "PRIMARY KEY (id)"
	case 1:
		add("id", "integer")
		add("part", "varchar(20)")
		m.key, def = []string{"id", "part"}, "PRIMARY KEY (id, part)"
	default:
		add("id", "integer")
		add("code", "varchar(20)")
		m.key, def = []string{"id"}, "UNIQUE (id)"
		if moves {
			def += ", UNIQUE (code)"
		}
	}
	fixed := len(m.columns)
	for i, n := range []string{"plain", "Upper Case", "select", `quo"te`, "num", "x"}[:1+r.IntN(6)] {
		_ = i
		add(n, kinds[r.IntN(len(kinds))])
	}
	var defs []string
	for i, c := range m.columns {
		d := m.db.Ident(c) + " " + m.types[i]
		if i < len(m.key) {
			d += " NOT NULL"
		}
		defs = append(defs, d)
	}
	if m.db.Kind == engine.Postgres { // a column that was dropped shifts what is read by its place
		w.exec("CREATE TYPE mood AS ENUM ('sad', 'happy')", "CREATE TABLE t (gone int, "+strings.Join(append(defs, def), ", ")+")", "ALTER TABLE t DROP COLUMN gone")
	} else {
		w.exec("CREATE TABLE t (" + strings.Join(append(defs, def), ", ") + ")")
	}
	// A trigger of the application's that writes the very row again.
	last := len(m.columns) - 1
	if m.trigger = r.IntN(2) == 0 && last >= fixed; m.trigger {
		set, id := m.db.Ident(m.columns[last]), m.db.Ident("id")
		v := m.value(r, last)
		switch m.db.Kind {
		case engine.Postgres:
			w.exec(fmt.Sprintf(`CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE t SET %s = %s WHERE id = NEW.id AND pg_trigger_depth() = 1; RETURN NEW; END $$`, set, v),
				"CREATE TRIGGER again AFTER INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION again()")
		case engine.SQLite:
			w.exec(fmt.Sprintf("CREATE TRIGGER again AFTER UPDATE OF id ON t BEGIN UPDATE t SET %s = %s WHERE %s = NEW.%s; END", set, v, id, id),
				fmt.Sprintf("CREATE TRIGGER again2 AFTER INSERT ON t BEGIN UPDATE t SET %s = %s WHERE %s = NEW.%s; END", set, v, id, id))
		default:
			w.exec(fmt.Sprintf("CREATE TRIGGER again BEFORE UPDATE ON t FOR EACH ROW SET NEW.%s = %s", set, v))
		}
	}
	for range 8 {
		_, _ = w.db.Exec(m.insert(r, false))
	}
	return m
}

func (m *model) value(r *rand.Rand, i int) string {
	switch m.columns[i] {
	case "id":
		return strconv.Itoa(r.IntN(25))
	case "part", "code":
		return []string{"'k'", "'K'", "'l'", "'m'"}[r.IntN(4)] // MySQL's collation takes two of them for one
	}
	kind := m.types[i]
	vs := modelValues[kind]
	return vs[r.IntN(len(vs))]
}

func (m *model) insert(r *rand.Rand, over bool) string {
	var values []string
	for i := range m.columns {
		values = append(values, m.value(r, i))
	}
	verb, end := "INSERT INTO t", ""
	last := m.db.Ident(m.columns[len(m.columns)-1])
	switch m.db.Kind {
	case engine.Postgres:
		end = " ON CONFLICT DO NOTHING"
		if over && r.IntN(2) == 0 {
			end = " ON CONFLICT (" + m.db.Idents(m.key) + ") DO UPDATE SET " + last + " = excluded." + last
		}
	case engine.SQLite:
		verb = "INSERT OR IGNORE INTO t"
		if over {
			verb = []string{"INSERT OR REPLACE INTO t", "REPLACE INTO t", "INSERT INTO t"}[r.IntN(3)]
		}
		if verb == "INSERT INTO t" {
			end = " ON CONFLICT DO UPDATE SET " + last + " = excluded." + last
		}
	default:
		verb = "INSERT IGNORE INTO t"
		if over {
			verb = []string{"REPLACE INTO t", "INSERT INTO t"}[r.IntN(2)]
		}
		if verb == "INSERT INTO t" {
			end = " ON DUPLICATE KEY UPDATE " + last + " = VALUES(" + last + ")"
		}
	}
	return verb + " (" + m.db.Idents(m.columns) + ") VALUES (" + strings.Join(values, ", ") + ")" + end
}

// statement is a random write.
func (m *model) statement(r *rand.Rand) string {
	some := fmt.Sprintf(" WHERE id %% %d = %d", 2+r.IntN(6), r.IntN(2))
	switch n := r.IntN(10); {
	case n < 2:
		return m.insert(r, false)
	case n < 4:
		return m.insert(r, true)
	case n < 6:
		return "DELETE FROM t" + some
	case n < 7 && m.moves:
		or := ""
		if m.db.Kind == engine.SQLite {
			or = []string{"", " OR REPLACE", " OR IGNORE"}[r.IntN(3)]
		}
		return fmt.Sprintf("UPDATE%s t SET id = id + %d", or, []int{1, 30, -1}[r.IntN(3)]) + some
	default:
		i := len(m.key) + r.IntN(len(m.columns)-len(m.key))
		return "UPDATE t SET " + m.db.Ident(m.columns[i]) + " = " + m.value(r, i) + some
	}
}

// exact tells whether the moment of a commit is known, not only that of the statement.
func (m *model) exact() bool { return m.logged || m.db.Kind == engine.Postgres }

// transaction is a random one. What the server refuses is rolled back.
func (m *model) transaction(r *rand.Rand) {
	if !m.exact() {
		m.commit.RLock()
		defer m.commit.RUnlock()
	}
	ctx := context.Background()
	tx, err := m.db.BeginTx(ctx, nil)
	if err != nil {
		return
	}
	for range 1 + r.IntN(4) {
		if m.db.Kind == engine.Postgres && r.IntN(10) == 0 { // the end of a transaction is written down by a deferred trigger
			if _, err = tx.ExecContext(ctx, []string{"SET CONSTRAINTS ALL IMMEDIATE", "SET CONSTRAINTS ALL DEFERRED"}[r.IntN(2)]); err != nil {
				break
			}
		}
		if r.IntN(6) == 0 {
			_, err = tx.ExecContext(ctx, "SAVEPOINT a")
			if _, bad := tx.ExecContext(ctx, m.statement(r)); bad == nil || r.IntN(2) == 0 {
				_, err = tx.ExecContext(ctx, "ROLLBACK TO SAVEPOINT a")
			}
		} else {
			_, err = tx.ExecContext(ctx, m.statement(r))
		}
		if err != nil {
			break
		}
	}
	if m.exact() { // ahead of TRUNCATE, whose lock keeps those out who read while nobody commits
		m.commit.RLock()
		defer m.commit.RUnlock()
	}
	if err == nil && m.db.Kind == engine.Postgres && r.IntN(12) == 0 {
		for _, q := range [][]string{{"LOCK TABLE t IN ACCESS EXCLUSIVE MODE NOWAIT", "TRUNCATE t"}, {"SET CONSTRAINTS ALL IMMEDIATE"}, {"SET LOCAL session_replication_role = replica"}}[r.IntN(3)] {
			if err == nil {
				_, err = tx.ExecContext(ctx, q)
			}
		}
	}
	if err != nil || r.IntN(6) == 0 {
		_ = tx.Rollback()
		return
	}
	_ = tx.Commit()
}

// apart takes out of two tables the rows whose keys are in both, though not byte by byte.
func (m *model) apart(want, got map[string]string) {
	for k := range maps.Clone(want) {
		for o := range maps.Clone(got) {
			if k != o && m.folded(k) == m.folded(o) {
				delete(want, k)
				delete(got, o)
			}
		}
	}
}

// folded is a key as the server compares it.
func (m *model) folded(key string) string {
	if m.family() == engine.MySQL {
		key = strings.ReplaceAll(key, "4B", "6B")
	}
	return key
}

// over gives the rows of now with those of then in their places. To the server keys may be the same that are not byte by byte.
func (m *model) over(now, then map[string]string) map[string]string {
	out := maps.Clone(then)
	taken := map[string]bool{}
	for k := range then {
		taken[m.folded(k)] = true
	}
	for k, v := range now {
		if !taken[m.folded(k)] {
			out[k] = v
		}
	}
	return out
}

// TestModel: random tables, random transactions by several writers, random moments. What comes back equals a full copy that was taken then.
func TestModel(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		one := newWorld(t, dsn)
		for seed := range cases(6) {
			if t.Failed() {
				return
			}
			w := *one
			playModel(t, &w, uint64(seed))
		}
	}, testdb.Everywhere()...)
}

func playModel(t *testing.T, w *world, seed uint64) {
	w.t = t
	seed += otherSeeds()
	r := rand.New(rand.NewPCG(seed, 5))
	m := newModel(w, r, seed%3 != 0)
	w.enable("t")
	type copied struct {
		at   time.Time
		rows map[string]string
	}
	var copies []copied
	for range 3 {
		var wg sync.WaitGroup
		for range 3 {
			mine := rand.New(rand.NewPCG(r.Uint64(), 7))
			wg.Add(1)
			go func() {
				defer wg.Done()
				for range 6 {
					m.transaction(mine)
				}
			}()
		}
		for range r.IntN(3) { // in between, while transactions are open
			m.commit.Lock()
			at := w.now()
			copies = append(copies, copied{at, w.rows("t", m.key, m.columns)})
			m.commit.Unlock()
		}
		wg.Wait()
		copies = append(copies, copied{w.now(), w.rows("t", m.key, m.columns)})
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
		done, err := w.restore(ask)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		got := w.rows("t", m.key, m.columns)
		if ask.Mode == snapshot.Merge && len(done) == 1 && done[0].Conflicts > 0 {
			m.apart(want, got) // told as a conflict: the key of a row of then is taken by one that came later
		}
		w.same(what+", "+string(ask.Mode), want, got)
		copy := ask
		copy.Mode, copy.Into = snapshot.Copy, engine.Name{Name: "then"}
		if _, err := w.restore(copy); err != nil {
			t.Fatalf("%s, copy: %v", what, err)
		}
		w.same(what+", copy", c.rows, w.rows("then", m.key, m.columns))
		w.exec("DROP TABLE " + w.db.Ident("then"))
	}
	w.disable("t")
	w.exec("DROP TABLE t")
	if w.db.Kind == engine.Postgres {
		w.exec("DROP TYPE mood", "DROP FUNCTION IF EXISTS again")
	}
}
