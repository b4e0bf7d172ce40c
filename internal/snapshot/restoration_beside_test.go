package snapshot_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// beside tells before each statement that another one is about to run.
type beside struct {
	engine.Querier
	next func(query string)
}

func (q beside) ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error) {
	q.next(query)
	return q.Querier.ExecContext(ctx, query, args...)
}

func (q beside) QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error) {
	q.next(query)
	return q.Querier.QueryContext(ctx, query, args...)
}

func (q beside) QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row {
	q.next(query)
	return q.Querier.QueryRowContext(ctx, query, args...)
}

// besideTables are parents before children.
var besideTables = []string{"p", "t", "c"}

// besideCase is a restore, and an application that writes once while it runs.
type besideCase struct {
	b       *bench
	app     *engine.DB
	rng     *rand.Rand
	columns map[string][]string // of now
	keys    map[string]int      // how many columns are the key; 0: none
	log     []string
	ask     snapshot.Ask
	batch   int // rows of a batch; 0: in one transaction
	at      int // the statement of the restore that the write comes before
	seen    int
	wrote   string
	// what the write found, and left, as others see it
	pre, post map[string]model
}

// read reads the tables. Of one without a key, equal rows are numbered.
func (c *besideCase) read(db *engine.DB) (map[string]model, error) {
	out := map[string]model{}
	for _, table := range besideTables {
		m, err := c.readTable(db, table)
		if err != nil {
			return nil, err
		}
		out[table] = m
	}
	return out, nil
}

func (c *besideCase) readTable(db *engine.DB, name string) (model, error) {
	columns := c.columns[strings.TrimPrefix(name, "aside_")]
	if strings.HasPrefix(name, "aside_") {
		columns = columns[:len(columns)-1] // without the one that is computed
	}
	rows, err := db.QueryContext(context.Background(), "SELECT "+strings.Join(columns, ", ")+" FROM "+name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	out := model{}
	for rows.Next() {
		values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		row, cells := map[string]string{}, []string{}
		for i, v := range values {
			cell := "NULL"
			if v.Valid {
				cell = v.String
			}
			row[columns[i]], cells = cell, append(cells, cell)
		}
		n := c.keys[strings.TrimPrefix(name, "aside_")]
		if n == 0 {
			n = len(cells)
		}
		key := strings.Join(cells[:n], "|")
		for i := 2; out[key] != nil; i++ {
			key = fmt.Sprintf("%s #%d", strings.Join(cells[:n], "|"), i)
		}
		out[key] = row
	}
	return out, rows.Err()
}

func (c *besideCase) number(n int) string {
	if c.rng.IntN(5) == 0 {
		return "NULL"
	}
	return fmt.Sprint(c.rng.IntN(n))
}

// write draws a write of the application's.
func (c *besideCase) write(mark string) string {
	r := c.rng
	v := c.columns["t"][4]
	id, part := r.IntN(12), r.IntN(2)
	row := fmt.Sprintf("id = %d AND part = %d", id, part)
	switch r.IntN(16) {
	case 0, 1, 2:
		return fmt.Sprintf("INSERT INTO t (id, part, u, pid, %s, w) VALUES (%d, %d, %s, %s, '%s', %s)", v, id, part, c.number(40), c.number(8), mark, c.number(9))
	case 3, 4, 5:
		return fmt.Sprintf("UPDATE t SET %s = '%s' WHERE %s", v, mark, row)
	case 6:
		return fmt.Sprintf("UPDATE t SET w = %s WHERE %s", c.number(900), row)
	case 7:
		return fmt.Sprintf("UPDATE t SET u = %s WHERE %s", c.number(40), row)
	case 8:
		return fmt.Sprintf("UPDATE t SET pid = %s WHERE %s", c.number(8), row)
	case 9, 10:
		return "DELETE FROM t WHERE " + row
	case 11:
		return fmt.Sprintf("DELETE FROM p WHERE id = %d", r.IntN(8))
	case 12:
		return fmt.Sprintf("INSERT INTO p VALUES (%d, %s, '%s')", r.IntN(8), c.number(20), mark)
	case 13:
		return fmt.Sprintf("UPDATE p SET v = '%s' WHERE id = %d", mark, r.IntN(8))
	case 14:
		return fmt.Sprintf("DELETE FROM c WHERE id = %d", r.IntN(8))
	}
	return fmt.Sprintf("INSERT INTO c VALUES (%d, %s, '%s')", r.IntN(12), c.number(12), mark)
}

// set is a write of before the restore: what a constraint forbids does nothing.
func (c *besideCase) set(statement string) {
	if _, err := c.b.db.ExecContext(context.Background(), statement); err != nil {
		if e, ok := engine.AsError(err); !ok || e.Class != engine.Constraint {
			c.b.t.Fatalf("%s: %v\n%s", statement, err, strings.Join(c.log, "\n"))
		}
		return
	}
	c.log = append(c.log, statement)
}

// intrude writes when its statement has come. What waits for a lock of the restore's has not happened.
func (c *besideCase) intrude() {
	if c.seen++; c.seen < c.at || c.seen > c.at+3 || c.wrote != "" {
		return
	}
	pre, err := c.read(c.app)
	if err != nil {
		return
	}
	statement := c.write("mark")
	res, err := c.app.ExecContext(context.Background(), statement)
	if err != nil {
		return
	}
	if n, err := res.RowsAffected(); err != nil || n == 0 {
		return
	}
	c.wrote, c.pre = statement, pre
	if c.post, err = c.read(c.app); err != nil {
		c.b.t.Fatalf("after %s: %v", statement, err)
	}
}

func newBesideCase(b *bench, app *engine.DB, rng *rand.Rand) *besideCase {
	c := &besideCase{b: b, app: app, rng: rng, keys: map[string]int{"p": 1, "t": rng.IntN(3), "c": 1},
		columns: map[string][]string{"p": {"id", "u", "v"}, "t": {"id", "part", "u", "pid", "v", "w", "g"}, "c": {"id", "tid", "v"}}}
	onDelete := pickOne(rng, "NO ACTION", "CASCADE", "SET NULL")
	for _, n := range []string{"aside_t", "c", "t", "p"} {
		b.exec("DROP TABLE IF EXISTS " + n)
	}
	key, tied := []string{"", "PRIMARY KEY (id), ", "PRIMARY KEY (id, part), "}[c.keys["t"]], ""
	if c.keys["t"] == 1 {
		tied = ", FOREIGN KEY (tid) REFERENCES t (id) ON DELETE " + onDelete
	}
	unique := pickOne(rng, "", " UNIQUE")
	for _, q := range []string{
		"CREATE TABLE p (id integer NOT NULL PRIMARY KEY, u integer" + unique + ", v varchar(20))",
		"CREATE TABLE t (id integer NOT NULL, part integer NOT NULL, u integer" + unique + ", pid integer, v varchar(20), w integer, g integer GENERATED ALWAYS AS (w * 2) STORED, " +
			key + "FOREIGN KEY (pid) REFERENCES p (id) ON DELETE " + onDelete + ")",
		"CREATE TABLE c (id integer NOT NULL PRIMARY KEY, tid integer, v varchar(20)" + tied + ")",
	} {
		b.exec(q)
		c.log = append(c.log, q)
	}
	return c
}

func pickOne(rng *rand.Rand, of ...string) string { return of[rng.IntN(len(of))] }

// draw draws what is asked for.
func (c *besideCase) draw() {
	r := c.rng
	c.ask.Mode = []snapshot.Mode{snapshot.Merge, snapshot.Merge, snapshot.Replace, snapshot.Replace, snapshot.Copy}[r.IntN(5)]
	if c.keys["t"] == 0 && c.ask.Mode == snapshot.Merge {
		c.ask.Mode = snapshot.Replace
	}
	c.ask.OnConflict = []snapshot.Policy{snapshot.Keep, snapshot.Keep, snapshot.Restore, snapshot.Restore, snapshot.Fail}[r.IntN(5)]
	c.ask.Tables = []engine.Name{{Name: "t"}}
	if c.ask.Mode == snapshot.Copy {
		c.ask.Into = engine.Name{Name: "aside_t"}
	} else if n := r.IntN(4); n == 0 {
		c.ask.Related = true
	} else if n == 1 {
		c.ask.Tables = nil
	}
	alone := len(c.ask.Tables) == 1 && !c.ask.Related
	if alone && c.keys["t"] > 0 && r.IntN(4) == 0 {
		c.ask.Where = "id % 2 = 0"
	}
	if alone && c.keys["t"] > 0 && c.ask.Mode == snapshot.Merge && r.IntN(4) == 0 {
		c.ask.Columns = []string{c.columns["t"][4], "w"}
	}
	if c.at = 1 + r.IntN(40); c.ask.Mode != snapshot.Copy && r.IntN(2) == 0 {
		c.batch = 1 + r.IntN(4)
		c.at = 1 + r.IntN(160)
	}
}

// restore runs the restore, and begins again as the program does when somebody else had a lock.
func (c *besideCase) restore() (out restored, err error) {
	for range 6 {
		if c.batch > 0 {
			out, err = c.online()
		} else {
			out, err = c.inOne()
		}
		if e, ok := engine.AsError(err); !errors.Is(err, snapshot.ErrMoved) && (!ok || e.Class != engine.LockTimeout) {
			return out, err
		}
	}
	return out, err
}

func (c *besideCase) tx(f func(q engine.Querier) error) error {
	c.intrude()
	return c.b.tx(func(tx *sql.Tx) error {
		err := f(beside{tx, func(string) { c.intrude() }})
		c.intrude() // before its COMMIT
		return err
	})
}

func (c *besideCase) inOne() (out restored, err error) {
	saving := c.b.store.Begin(snapshot.Meta{Run: "test", Direction: snapshot.Restored, CreatedBy: "test"})
	out.safety = saving.Snapshot()
	err = c.tx(func(q engine.Querier) error {
		x, err := c.b.store.Restoration(context.Background(), q, c.ask)
		if err == nil {
			out.tables, out.conflicts, err = x.Apply(context.Background(), q, saving)
		}
		return err
	})
	return out, err
}

func (c *besideCase) online() (out restored, err error) {
	ctx := context.Background()
	out.safety = snapshot.NewID()
	var x *snapshot.Restoration
	var at snapshot.Position
	if err := c.tx(func(q engine.Querier) (err error) {
		if x, err = c.b.store.Restoration(ctx, q, c.ask); err == nil {
			at, err = x.Begin(ctx, q)
		}
		return err
	}); err != nil {
		return out, err
	}
	for tries := 0; !at.Done; {
		var next snapshot.Position
		err := c.tx(func(q engine.Querier) (err error) {
			next, err = x.Batch(ctx, q, c.b.store.Begin(snapshot.Meta{Run: "test", Direction: snapshot.Restored, CreatedBy: "test", Snapshot: out.safety}), at, c.batch)
			return err
		})
		if e, ok := engine.AsError(err); ok && e.Class == engine.LockTimeout && tries < 5 {
			tries++
			continue
		}
		if err != nil {
			return out, err
		}
		at = next
	}
	err = c.tx(func(q engine.Querier) (err error) {
		out.tables, out.conflicts, err = x.Finish(ctx, q)
		return err
	})
	return out, err
}

// run runs a case; it says what is wrong, and how it ended.
func (c *besideCase) run() (how string, err error) {
	b, r := c.b, c.rng
	for i := range 8 {
		c.set(fmt.Sprintf("INSERT INTO p VALUES (%d, %d, 'p')", i, i))
	}
	for i := range 10 {
		c.set(fmt.Sprintf("INSERT INTO t (id, part, u, pid, v, w) VALUES (%d, %d, %s, %s, 'v', %s)", i, r.IntN(2), c.number(40), c.number(8), c.number(9)))
	}
	for i := range 6 {
		c.set(fmt.Sprintf("INSERT INTO c VALUES (%d, %s, 'c')", i, c.number(10)))
	}
	was, err := c.read(b.db)
	if err != nil {
		return "", err
	}
	c.ask.Snapshot = b.take(besideTables...)
	for i := range 4 + r.IntN(14) {
		c.set(c.write(fmt.Sprintf("since%d", i)))
	}
	if r.IntN(5) == 0 {
		c.set("ALTER TABLE t RENAME COLUMN v TO v2")
		c.columns["t"][4] = "v2"
		for _, row := range was["t"] {
			row["v2"] = row["v"]
			delete(row, "v")
		}
		c.ask.Map = map[string]string{"v": "v2"}
	}
	c.draw()
	now, err := c.read(b.db)
	if err != nil {
		return "", err
	}
	out, failed := c.restore()
	after, err := c.read(b.db)
	if err != nil {
		return "", err
	}
	written := c.written(now)
	if failed != nil {
		var unsafe *snapshot.UnsafeError
		var ask *snapshot.AskError
		var conflict *snapshot.ConflictError
		var proof *snapshot.ProofError
		e, ok := engine.AsError(failed)
		orphan := ok && e.Class == engine.Constraint && c.keys["t"] == 0 // of a table without a key no row can stay out
		if !orphan && !errors.As(failed, &proof) && !errors.As(failed, &unsafe) && !errors.As(failed, &ask) && !errors.As(failed, &conflict) {
			return "", fmt.Errorf("it failed: %w", failed)
		}
		return "refused", c.equal("refused, and not as before", written, after)
	}
	if c.ask.Mode == snapshot.Copy {
		return "copied", c.copied(was, written, after)
	}
	if err := c.right(was, written, after, out); err != nil {
		return "", err
	}
	return "restored", c.undone(written, after, out)
}

// written is what there would be without the restore.
func (c *besideCase) written(now map[string]model) map[string]model {
	out := map[string]model{}
	for table, m := range now {
		out[table] = maps.Clone(m)
		for k := range c.touched(table) {
			if out[table][k] = c.post[table][k]; c.post[table][k] == nil {
				delete(out[table], k)
			}
		}
	}
	return out
}

// touched are the keys of the rows that the write changed.
func (c *besideCase) touched(table string) map[string]bool {
	out := map[string]bool{}
	for _, m := range []model{c.pre[table], c.post[table]} {
		for k := range m {
			if !maps.Equal(c.pre[table][k], c.post[table][k]) {
				out[k] = true
			}
		}
	}
	return out
}

func (c *besideCase) equal(what string, want, got map[string]model) error {
	for _, n := range besideTables {
		if w, g := modelText(want[n]), modelText(got[n]); w != g {
			return fmt.Errorf("%s: %s\n%s", what, n, testdb.Diff(w+"\n", g+"\n"))
		}
	}
	return nil
}

func (c *besideCase) copied(was, written, after map[string]model) error {
	then := model{}
	for k, row := range c.picked(was["t"]) {
		then[k] = maps.Clone(row)
		delete(then[k], "g")
	}
	got, err := c.readTable(c.b.db, "aside_t")
	if err != nil {
		return err
	}
	if w, g := rowTexts(then), rowTexts(got); w != g {
		return fmt.Errorf("the copy differs\n%s", testdb.Diff(w+"\n", g+"\n"))
	}
	return c.equal("a copy wrote", written, after)
}

// rowTexts are the rows without their keys.
func rowTexts(m model) string {
	var out []string
	for _, row := range m {
		out = append(out, fmt.Sprint(row))
	}
	slices.Sort(out)
	return strings.Join(out, "\n")
}

// picked are the rows that the condition picks.
func (c *besideCase) picked(m model) model {
	out := model{}
	for k, row := range m {
		if c.ask.Where == "" || strings.Contains("02468", row["id"][len(row["id"])-1:]) {
			out[k] = row
		}
	}
	return out
}

// right judges what a restore made of each row.
func (c *besideCase) right(was, written, after map[string]model, out restored) error {
	told := map[string]int64{}
	restores := map[string]bool{}
	for _, p := range out.tables {
		name := p.Table[strings.LastIndex(p.Table, ".")+1:]
		restores[name], told[name] = true, p.Conflicts
	}
	for _, table := range besideTables {
		now, got, touched := written[table], after[table], c.touched(table)
		want := now
		if restores[table] {
			want = expect(c.ask.Mode, was[table], c.picked(was[table]), now, c.picked(now), c.ask.Columns, nil)
			for k, row := range want {
				if c.ask.Mode == snapshot.Merge && len(c.ask.Columns) > 0 && row["w"] != now[k]["w"] {
					row["g"] = was[table][k]["g"]
				}
			}
		}
		var wrong []string
		stayed := int64(0)
		for _, k := range slices.Sorted(maps.Keys(union(want, now, got))) {
			switch {
			case maps.Equal(got[k], want[k]):
			case touched[k] && maps.Equal(got[k], c.post[table][k]):
				stayed += min(1, int64(len(out.conflicts)))
			case maps.Equal(got[k], now[k]) && told[table] > 0:
				stayed++
			default:
				wrong = append(wrong, fmt.Sprintf("%s: %v, want %v, was written %v (touched %v)", k, got[k], want[k], now[k], touched[k]))
			}
		}
		if len(wrong) > 0 || c.keys[table] > 0 && stayed > told[table]+int64(len(touched)) {
			return fmt.Errorf("%s: %d stayed, %d told, %v\n%s", table, stayed, told[table], out.conflicts, strings.Join(wrong, "\n"))
		}
	}
	return nil
}

func union(of ...model) map[string]bool {
	out := map[string]bool{}
	for _, m := range of {
		for k := range m {
			out[k] = true
		}
	}
	return out
}

// undone restores what was written over: then there is what the application wrote, all of it.
func (c *besideCase) undone(written, after map[string]model, out restored) error {
	if c.equal("", written, after) == nil {
		return nil
	}
	undo := snapshot.Ask{Snapshot: out.safety, OnConflict: snapshot.Restore}
	if c.keys["t"] == 0 {
		undo.Mode = snapshot.Replace
	}
	back, err := c.b.tryRestore(undo)
	if err != nil {
		return fmt.Errorf("undo: %w", err)
	}
	got, err := c.read(c.b.db)
	if err != nil || len(back.conflicts) > 0 {
		return err
	}
	if undo.Mode == snapshot.Replace { // what came behind the look at what is written over goes, too: into the capture of this restore
		for _, table := range besideTables {
			for k := range c.touched(table) {
				if got[table][k] == nil && after[table][k] != nil {
					delete(written[table], k)
				}
			}
		}
	}
	return c.equal("undone, it is not what was written", written, got)
}

// TestRestoreWithoutKeyLosesNoRow: a row that somebody inserts while a table without a key is replaced, behind its safety snapshot, does not go uncaptured.
func TestRestoreWithoutKeyLosesNoRow(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn, "CREATE TABLE t (a integer, b varchar(9))")
		for _, ahead := range [][2]string{{"INSERT INTO ", "dbrollback_last_"}, {"DELETE FROM ", "`t`"}} {
			b.exec("DELETE FROM t", "INSERT INTO t VALUES (1, 'a'), (1, 'a'), (2, NULL)")
			id := b.take("t")
			b.exec("UPDATE t SET b = 'x' WHERE a = 2")
			hit := 0
			saving := b.store.Begin(snapshot.Meta{Run: "test", Direction: snapshot.Restored, CreatedBy: "test"})
			err := b.tx(func(tx *sql.Tx) error {
				q := beside{tx, func(query string) {
					if hit == 0 && strings.HasPrefix(query, ahead[0]) && strings.Contains(query, ahead[1]) {
						hit++
						b.exec("INSERT INTO t VALUES (3, 'app')")
					}
				}}
				x, err := b.store.Restoration(t.Context(), q, snapshot.Ask{Snapshot: id, Mode: snapshot.Replace})
				if err == nil {
					_, _, err = x.Apply(t.Context(), q, saving)
				}
				return err
			})
			if hit != 1 || !errors.Is(err, snapshot.ErrMoved) {
				t.Errorf("ahead of %s, written %d times: %v", ahead, hit, err)
			}
			if got := strings.Join(b.query("SELECT concat(a, coalesce(b, '')) FROM t ORDER BY 1"), " "); got != "1a 1a 2x 3app" {
				t.Errorf("ahead of %s: %s", ahead, got)
			}
		}
	}, testdb.OnMySQL, testdb.OnMariaDB)
}

// TestRestoreLosesNoWrite draws tables, writes since they were captured, and a restore, and has an application write right before one of the restore's statements. What
// it wrote is in its table in the end, or comes back when the restore is undone; every other row is as a model says, or stays and is told; a refusal changed nothing.
// SEED and CASES choose others.
func TestRestoreLosesNoWrite(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		if strings.HasPrefix(dsn, "sqlite:") {
			dsn += "?_pragma=foreign_keys(1)"
		}
		b := newBench(t, dsn)
		app, err := engine.Open(t.Context(), b.dsn, engine.Options{LockTimeout: 30 * time.Millisecond})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = app.Close() })
		seed, cases := number("SEED", 1), number("CASES", 8)
		ended := map[string]int{}
		for i := range cases {
			c := newBesideCase(b, app, rand.New(rand.NewPCG(uint64(seed)+uint64(i), 5)))
			how, err := c.run()
			if err != nil {
				t.Errorf("SEED=%d CASES=1: %v\n%+v, batch %d\nbefore statement %d: %s\n%s", seed+i, err, c.ask, c.batch, c.at, c.wrote, strings.Join(c.log, ";\n"))
				how = "wrong"
			}
			if ended[how]++; c.wrote != "" {
				ended["written to"]++
			}
		}
		t.Logf("from seed %d: %d cases, %v", seed, cases, ended)
		if b.db.Kind != engine.SQLite && cases > 5 && ended["written to"] < cases/5 {
			t.Errorf("only in %d of %d cases somebody wrote", ended["written to"], cases)
		}
	}, everywhere...)
}
