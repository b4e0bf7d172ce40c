package migrate_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// trial is one generated case: a schema with rows, one or two migrations, and what the application wrote after them.
type trial struct {
	seed   uint64
	world  *world
	setup  []string
	steps  []step
	split  int // steps of the first migration; the rest is a second one
	writes []string
	policy snapshot.Policy
	alone  bool // each statement commits by itself
}

func newTrial(seed uint64, kind engine.Kind) *trial {
	rng := rand.New(rand.NewPCG(seed, 7))
	w := newWorld(rng, kind)
	c := &trial{seed: seed, world: w, setup: slices.Clone(w.setup), alone: seed%3 == 0 || os.Getenv("ALONE") != ""}
	for _, t := range w.tables {
		c.setup = append(c.setup, t.create(kind))
	}
	for _, t := range w.tables {
		c.setup = append(c.setup, t.after...)
	}
	for _, t := range w.tables {
		c.setup = append(c.setup, t.rows...)
	}
	n := 1 + rng.IntN(6)
	for tries := 0; len(c.steps) < n && tries < 60 && len(w.tables) > 0; tries++ {
		if s, ok := w.draw(); ok {
			c.steps = append(c.steps, s)
		}
	}
	c.split = len(c.steps)
	if w.chance(30) {
		c.split = rng.IntN(len(c.steps) + 1)
	}
	for range rng.IntN(8) {
		if s := w.write(); s != "" {
			c.writes = append(c.writes, s)
		}
	}
	c.policy = pick(rng, []snapshot.Policy{snapshot.Keep, snapshot.Keep, snapshot.Restore})
	return c
}

// files are the migrations.
func (c *trial) files() map[string]string {
	out, head := map[string]string{}, ""
	if c.alone {
		head = "-- +goose NO TRANSACTION\n"
	}
	for i, steps := range [][]step{c.steps[:c.split], c.steps[c.split:]} {
		if len(steps) == 0 {
			continue
		}
		var up, down []string
		for _, s := range steps {
			up = append(up, s.up...)
		}
		for _, s := range slices.Backward(steps) {
			down = append(down, s.down...)
		}
		if len(down) == 0 {
			down = []string{"SELECT 1"}
		}
		out[fmt.Sprintf("%05d_change.sql", i+1)] = head + "-- +goose Up\n" + statements(up) + "-- +goose Down\n" + statements(down)
	}
	return out
}

func statements(list []string) string {
	var b strings.Builder
	for _, s := range list {
		b.WriteString("-- +goose StatementBegin\n" + s + ";\n-- +goose StatementEnd\n")
	}
	return b.String()
}

// String is the case as a person would try it.
func (c *trial) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "-- seed %d, policy %s\n%s;\n", c.seed, c.policy, strings.Join(c.setup, ";\n"))
	files := c.files()
	for _, name := range []string{"00001_change.sql", "00002_change.sql"} {
		if text := files[name]; text != "" {
			fmt.Fprintf(&b, "-- %s\n%s", name, strings.NewReplacer("-- +goose StatementBegin\n", "", "-- +goose StatementEnd\n", "").Replace(text))
		}
	}
	fmt.Fprintf(&b, "-- application\n%s;\n", strings.Join(c.writes, ";\n"))
	return b.String()
}

// where tells what became of the tables and columns of the beginning.
func (c *trial) where(first map[string]*tableRows) mapping {
	m := mapping{}
	for name, t := range first {
		m[name] = &whereTable{now: name, cols: map[string]*whereColumn{}}
		for _, col := range t.columns {
			m[name].cols[col] = &whereColumn{now: col}
		}
	}
	for _, s := range c.steps {
		s.effect(m)
	}
	return m
}

// TestAnyMigration tries migrations that nobody thought of: a schema, a migration from a grammar of statements that destroy
// something, writes of the application after it, all drawn at random from a seed; then a rollback under each policy, and up
// and down again. What must hold is worked out from the rows alone (see judge). CASES=n tries more of them, from another
// seed each time; SEED=n tries one.
func TestAnyMigration(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		first, n := uint64(1), cases(dsn)
		if s := os.Getenv("CASES"); s != "" {
			var err error
			if n, err = strconv.Atoi(s); err != nil {
				t.Fatalf("CASES=%s: %v", s, err)
			}
			first = uint64(time.Now().UnixNano())
		}
		if s := os.Getenv("SEED"); s != "" {
			var err error
			if first, err = strconv.ParseUint(s, 10, 64); err != nil {
				t.Fatalf("SEED=%s: %v", s, err)
			}
			n = max(1, n*min(1, len(os.Getenv("CASES"))))
		}
		t.Logf("from seed %d on, %d cases: CASES=%d SEED=%d repeats them", first, n, n, first)
		p := newProving(t, dsn)
		for i := range n {
			c := newTrial(first+uint64(i), p.db.Kind)
			err := p.prove(c)
			if err == nil {
				continue
			}
			t.Logf("seed %d: %v\n%v", c.seed, err, c)
			small := p.shrink(c, err)
			t.Errorf("seed %d: %v\nsmaller:\n%v\n%v", c.seed, err, p.prove(small), small)
			if t.Failed() && os.Getenv("CASES") == "" {
				break
			}
		}
		t.Logf("from seed %d: %d cases, %v", first, n, p.seen)
		if n > 20 && p.seen["undone"] < n/2 {
			t.Errorf("only %d of %d cases came as far as the rollback: %v", p.seen["undone"], n, p.seen)
		}
	}, testdb.Everywhere()...)
}

// cases is how many a run tries when nobody asks for more; one costs some ten times as much where each statement commits by itself.
func cases(dsn string) int {
	kind, _, _ := strings.Cut(dsn, ":")
	switch kind {
	case "sqlite":
		return 150
	case "postgres":
		return 40
	}
	return 4
}

// proving tries cases on one database.
type proving struct {
	t    *testing.T
	dsn  string
	db   *engine.DB
	seen map[string]int
}

func newProving(t *testing.T, dsn string) *proving {
	t.Helper()
	open := dsn
	if strings.HasPrefix(dsn, "sqlite:") { // nothing here outlives a crash
		open += map[bool]string{true: "&", false: "?"}[strings.Contains(dsn, "?")] + "_pragma=synchronous(0)&_pragma=foreign_keys(1)&_pragma=journal_mode(memory)"
	}
	db, err := engine.Open(t.Context(), open, engine.Options{LockTimeout: 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return &proving{t: t, dsn: dsn, db: db, seen: map[string]int{}}
}

// clean empties the database.
func (p *proving) clean() {
	p.t.Helper()
	if p.db.Kind == engine.Postgres {
		for _, s := range []string{"DROP SCHEMA IF EXISTS dbrollback CASCADE", "DROP SCHEMA public CASCADE", "CREATE SCHEMA public"} {
			if _, err := p.db.ExecContext(p.t.Context(), s); err != nil {
				p.t.Fatalf("%s: %v", s, err)
			}
		}
		return
	}
	if isFamily(p.db.Kind) {
		p.cleanFamily()
		return
	}
	c, err := p.db.Conn(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	drops, err := engine.Texts(p.t.Context(), c, "SELECT 'DROP ' || type || ' IF EXISTS \"' || name || '\"' FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite%' ORDER BY type DESC")
	if err != nil {
		p.t.Fatal(err)
	}
	list := append([]string{"PRAGMA foreign_keys = OFF"}, drops...)
	for _, s := range append(list, "PRAGMA foreign_keys = ON") {
		if _, err := c.ExecContext(p.t.Context(), s); err != nil {
			p.t.Fatalf("%s: %v", s, err)
		}
	}
}

func (p *proving) open(c *trial) (*migrate.Migrator, error) {
	files := fstest.MapFS{}
	for name, text := range c.files() {
		files[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return migrate.Open(p.t.Context(), migrate.Options{DB: p.db, Files: files, Dir: "migrations"})
}

func (p *proving) up(c *trial) error {
	m, err := p.open(c)
	if err != nil {
		return err
	}
	_, err = m.Up(context.Background(), migrate.UpRequest{To: -1})
	return err
}

func (p *proving) rollback(c *trial, policy snapshot.Policy) (*migrate.Result, error) {
	m, err := p.open(c)
	if err != nil {
		return nil, err
	}
	return m.Rollback(context.Background(), migrate.RollbackRequest{To: 0, OnConflict: policy})
}

// picture is schema and rows as text.
func (p *proving) picture() string {
	p.t.Helper()
	f, err := verify.Take(p.t.Context(), p.db, p.db, verify.Scope{})
	if err != nil {
		p.t.Fatal(err)
	}
	var out []string
	for key, o := range f {
		if !strings.Contains(key, "goose_db_version") {
			if o.Generated {
				key = o.Kind + " of " + o.Table.String()
			}
			out = append(out, key+": "+o.Definition)
		}
	}
	slices.Sort(out)
	for name, t := range p.read() {
		if name == "goose_db_version" {
			continue
		}
		for _, r := range t.rows {
			if name == "l" {
				r = maps.Clone(r)
				delete(r, "id") // a number that was handed out is not handed out again
			}
			out = append(out, "row of "+name+": "+r.String())
		}
	}
	slices.Sort(out)
	return strings.Join(out, "\n") + "\n"
}

// prove runs a case. The error says what does not hold.
func (p *proving) prove(c *trial) error {
	p.t.Helper()
	p.clean()
	for _, s := range c.setup {
		if _, err := p.db.ExecContext(p.t.Context(), s); err != nil && !strings.HasPrefix(s, "INSERT") {
			p.t.Fatalf("%s: %v\n%v", s, err, c)
		}
	}
	if len(c.files()) == 0 {
		return nil
	}
	before, start := p.picture(), p.read()
	if err := p.up(c); err != nil {
		p.seen["up refused"]++
		if taken := p.undone(c); taken != nil {
			return fmt.Errorf("%w, after: %w", taken, err)
		}
		if c.alone && strings.Contains(err.Error(), "cannot be rehearsed") {
			return p.as(before, err)
		}
		if class := classOf(err); class != engine.Constraint && class != engine.Syntax && class != engine.Unknown {
			return fmt.Errorf("up: %w", err)
		}
		if strings.Contains(strings.ReplaceAll(err.Error(), "dbrollback_test_", ""), "dbrollback") {
			return fmt.Errorf("up: %w", err)
		}
		var partial *migrate.PartialError
		if errors.As(err, &partial) && len(partial.Applied) > 0 {
			return nil // the first of two migrations stands, by its own right
		}
		return p.as(before, err)
	}
	done, after := p.picture(), p.read()
	for _, s := range c.writes {
		if _, err := p.db.ExecContext(p.t.Context(), s); err != nil {
			p.seen["write refused"]++
		}
	}
	written, later := p.picture(), p.read()
	quiet := written == done

	res, err := p.rollback(c, snapshot.Fail)
	policy := snapshot.Keep
	var conflict *snapshot.ConflictError
	if errors.As(err, &conflict) {
		if quiet {
			return fmt.Errorf("conflicts though nobody wrote: %w", err)
		}
		if taken := p.undone(c); taken != nil {
			return fmt.Errorf("%w, after: %w", taken, err)
		}
		if now := p.picture(); now != written && c.split == len(c.steps) {
			return fmt.Errorf("a refused rollback changed something:\n%s", testdb.Diff(written, now))
		}
		p.seen["conflicts"]++
		policy = c.policy
		half := p.picture() != written // the second migration is undone already
		if res, err = p.rollback(c, policy); err == nil && len(res.Conflicts) == 0 {
			return fmt.Errorf("refused under fail (%w), no conflict under %s", conflict, policy)
		}
		if half {
			return nil
		}
	} else if err == nil && len(res.Conflicts) > 0 {
		return fmt.Errorf("conflicts, and not refused under fail: %+v", res.Conflicts)
	}
	if err != nil {
		p.seen["rollback refused"]++
		if taken := p.undone(c); taken != nil {
			return fmt.Errorf("%w, after: %w", taken, err)
		}
		if quiet || !p.allowed(err) {
			return fmt.Errorf("rollback: %w", err)
		}
		var partial *migrate.PartialError
		if now := p.picture(); now != written && (!errors.As(err, &partial) || len(partial.Applied) == 0) {
			return fmt.Errorf("a failed rollback (%w) changed something:\n%s", err, testdb.Diff(written, now))
		}
		return nil
	}
	p.seen["undone"]++
	if !res.Verified {
		return fmt.Errorf("not verified: %v", res.Warnings)
	}
	back := p.picture()
	if quiet && back != before {
		return fmt.Errorf("nobody wrote, and it is not as before:\n%s", testdb.Diff(before, back))
	}
	end := p.read()
	if err := judge(c, policy, start, after, later, end, res.Conflicts); err != nil {
		return fmt.Errorf("%s: %w\nconflicts %+v", policy, err, res.Conflicts)
	}
	if err := sameSchema(before, back); err != nil {
		return err
	}
	// The way there and back again, from where the rollback left it.
	if err := p.up(c); err != nil {
		if quiet || !p.allowed(err) {
			return fmt.Errorf("up again: %w", err)
		}
		return p.undone(c)
	}
	if again := p.picture(); quiet && again != done {
		return fmt.Errorf("up again is not up:\n%s", testdb.Diff(done, again))
	}
	if err := restocked(later, p.read()); err != nil && c.split == len(c.steps) {
		return fmt.Errorf("up again: %w", err)
	}
	if _, err = p.rollback(c, snapshot.Fail); err != nil {
		return fmt.Errorf("rollback again: %w", err)
	}
	if again := p.picture(); again != back {
		return fmt.Errorf("rollback again, nobody wrote in between, and it is not as before:\n%s", testdb.Diff(back, again))
	}
	return nil
}

// as says what is not as it was, after an Up that failed.
func (p *proving) as(before string, failed error) error {
	p.t.Helper()
	if after := p.picture(); after != before {
		return fmt.Errorf("a failed up (%w) changed something:\n%s", failed, testdb.Diff(before, after))
	}
	return nil
}

func classOf(err error) engine.Class {
	if e, ok := engine.AsError(err); ok {
		return e.Class
	}
	return ""
}

// allowed are the reasons for which a migration may fail on rows that the application wrote.
func (p *proving) allowed(err error) bool {
	var refused *migrate.RefusedError
	if errors.As(err, &refused) && (strings.Contains(refused.Error(), "does not fit") || strings.Contains(refused.Error(), "no value was captured")) {
		return true
	}
	var at *migrate.StatementError
	if errors.As(err, &at) {
		class := classOf(err)
		return class == engine.Constraint || class == engine.Syntax || class == engine.Unknown
	}
	return classOf(err) == engine.Constraint
}

// sameSchema compares the definitions of two pictures.
func sameSchema(before, after string) error {
	only := func(s string) string {
		return strings.Join(slices.DeleteFunc(strings.Split(s, "\n"), func(l string) bool { return strings.HasPrefix(l, "row of ") }), "\n")
	}
	if d := testdb.Diff(only(before), only(after)); d != "" {
		return fmt.Errorf("the schema is not as before:\n%s", d)
	}
	return nil
}

// sort is the beginning of an error, by which two of a sort are told from others.
func sort(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, text[:min(40, len(text))])
}

// shrink takes steps, rows and writes out as long as the case still fails.
func (p *proving) shrink(c *trial, why error) *trial {
	fails := func(x *trial) bool { err := p.prove(x); return err != nil && sort(err) == sort(why) }
	deadline := time.Now().Add(30 * time.Second) // a smaller case is a courtesy
	for again := true; again && time.Now().Before(deadline); {
		again = false
		for i := range c.steps {
			x := *c
			x.steps = slices.Delete(slices.Clone(c.steps), i, i+1)
			if i < x.split {
				x.split--
			}
			if fails(&x) {
				c, again = &x, true
				break
			}
		}
		for i := range c.writes {
			x := *c
			x.writes = slices.Delete(slices.Clone(c.writes), i, i+1)
			if fails(&x) {
				c, again = &x, true
				break
			}
		}
		for i := range c.setup {
			x := *c
			if !strings.HasPrefix(c.setup[i], "INSERT") {
				continue
			}
			x.setup = slices.Delete(slices.Clone(c.setup), i, i+1)
			if fails(&x) {
				c, again = &x, true
				break
			}
		}
	}
	return c
}
