package journal_test

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/journal"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// ties are random tables that foreign keys tie to each other and to themselves, with unique values of every kind.
type ties struct {
	*world
	r      *rand.Rand
	from   string // captures, triggers, slot or binlog
	tables []*tiedTable
	said   []string
	lost   string // rows that point nowhere as the server let the application write them: MySQL takes a row that points to (4, 'l') of its own table for (4, 'k')
}

type tiedTable struct {
	name       string
	columns    []string // written ones
	texts      []string // of these, those that hold text
	key        []string
	generated  bool
	references []reference
}

type reference struct {
	columns, parents []string
	table            string
}

// rowSet is the rows of a table: by their key, for people, the texts of their columns.
type rowSet map[string]map[string]string

func (w *ties) say(q string) { w.said = append(w.said, q+";") }

func (w *ties) mysql() bool { return w.db.Kind == engine.MySQL || w.db.Kind == engine.MariaDB }

// make makes the tables.
func (w *ties) make() {
	r := w.r
	folding := map[engine.Kind]string{engine.Postgres: "text COLLATE folded", engine.SQLite: "text COLLATE NOCASE", engine.MySQL: "varchar(20) COLLATE utf8mb4_general_ci", engine.MariaDB: "varchar(20) COLLATE utf8mb4_general_ci"}[w.db.Kind]
	if w.db.Kind == engine.Postgres {
		w.exec("CREATE COLLATION IF NOT EXISTS folded (provider = icu, locale = 'und-u-ks-level2', deterministic = false)")
	}
	for n := range 1 + r.IntN(3) {
		t := &tiedTable{name: []string{"item", "Order Line", `we"ird`}[n]}
		id := "id integer NOT NULL"
		var defs []string
		text := func(name, kind string) {
			t.columns, t.texts, defs = append(t.columns, name), append(t.texts, name), append(defs, w.db.Ident(name)+" "+kind)
		}
		number := func(name string) {
			t.columns, defs = append(t.columns, name), append(defs, w.db.Ident(name)+" integer")
		}
		t.columns, t.key = []string{"id"}, []string{"id"}
		switch r.IntN(3) {
		case 0:
			if w.mysql() {
				id += " AUTO_INCREMENT"
			} else if w.db.Kind == engine.Postgres {
				id += " GENERATED ALWAYS AS IDENTITY"
			}
		case 1:
			text("Part", folding+" NOT NULL")
			t.key = append(t.key, "Part")
		}
		defs = append([]string{id}, defs...)
		number("a")
		text("select", folding)
		end := []string{"PRIMARY KEY (" + w.db.Idents(t.key) + ")"}
		if r.IntN(2) == 0 {
			number("u")
			end = append(end, "UNIQUE (u)")
		}
		if r.IntN(2) == 0 {
			t.generated, defs = true, append(defs, "g integer GENERATED ALWAYS AS (a + 1) STORED UNIQUE")
		}
		refer := func(name string, p *tiedTable) {
			f := reference{table: p.name, parents: p.key}
			if slices.Contains(p.columns, "u") && r.IntN(3) == 0 {
				f.parents = []string{"u"}
			}
			for i, c := range f.parents {
				column := fmt.Sprintf("%s%d", name, i)
				if f.columns = append(f.columns, column); c == "Part" {
					text(column, folding)
				} else {
					number(column)
				}
			}
			action := ""
			if !w.mysql() || w.from == "captures" { // else no trigger fires, and nothing is in a log
				action = []string{"", " ON DELETE CASCADE", " ON DELETE SET NULL", " ON UPDATE CASCADE"}[r.IntN(4)]
			}
			t.references = append(t.references, f)
			end = append(end, fmt.Sprintf("CONSTRAINT %s_%d FOREIGN KEY (%s) REFERENCES %s (%s)%s", name, n, w.db.Idents(f.columns), w.db.Ident(p.name), w.db.Idents(f.parents), action))
		}
		if n > 0 {
			refer("up", w.tables[r.IntN(n)])
		}
		if r.IntN(2) == 0 {
			refer("self", t)
		}
		create := []string{"CREATE TABLE " + w.db.Ident(t.name) + " (" + strings.Join(append(defs, end...), ", ") + ")"}
		switch r.IntN(3) {
		case 0:
			if w.db.Kind == engine.Postgres || w.db.Kind == engine.SQLite && w.from == "captures" {
				create = append(create, fmt.Sprintf(`CREATE UNIQUE INDEX x%d ON %s (lower("select")) WHERE a > 2`, n, w.db.Ident(t.name)))
			}
		case 1:
			if w.db.Kind == engine.MySQL {
				create = append(create, fmt.Sprintf("CREATE UNIQUE INDEX x%d ON %s ((lower(`select`)))", n, w.db.Ident(t.name)))
			}
		}
		for _, q := range create {
			w.say(q)
			w.exec(q)
		}
		w.tables = append(w.tables, t)
	}
}

func (w *ties) value(t *tiedTable, column string) string {
	switch {
	case column == "Part" || column != "id" && slices.Contains(t.texts, column) && w.r.IntN(4) > 0:
		return []string{"'k'", "'K'", "'l'", "'m'"}[w.r.IntN(4)]
	case column != "id" && w.r.IntN(3) == 0 || slices.Contains(t.texts, column):
		return "NULL"
	}
	return strconv.Itoa(1 + w.r.IntN(6))
}

// write writes at random; what the server refuses is not written.
func (w *ties) write(n int) {
	for range n {
		t := w.tables[w.r.IntN(len(w.tables))]
		name, some := w.db.Ident(t.name), fmt.Sprintf(" WHERE id %% %d = %d", 2+w.r.IntN(4), w.r.IntN(2))
		var q string
		switch k := w.r.IntN(10); {
		case k < 5:
			var values []string
			for _, c := range t.columns {
				values = append(values, w.value(t, c))
			}
			over := ""
			if w.db.Kind == engine.Postgres {
				over = " OVERRIDING SYSTEM VALUE"
			}
			q = "INSERT INTO " + name + " (" + w.db.Idents(t.columns) + ")" + over + " VALUES (" + strings.Join(values, ", ") + ")"
		case k < 7:
			q = "DELETE FROM " + name + some
		default:
			c := t.columns[len(t.key)+w.r.IntN(len(t.columns)-len(t.key))]
			q = "UPDATE " + name + " SET " + w.db.Ident(c) + " = " + w.value(t, c) + some
		}
		if _, err := w.db.Exec(q); err == nil {
			w.say(q)
		}
	}
}

func (w *ties) read() map[string]rowSet {
	out := map[string]rowSet{}
	for _, t := range w.tables {
		columns := slices.Clone(t.columns)
		if t.generated {
			columns = append(columns, "g")
		}
		texts := make([]string, len(columns))
		for i, c := range columns {
			texts[i] = map[bool]string{true: "CAST(" + w.db.Ident(c) + " AS char)", false: "CAST(" + w.db.Ident(c) + " AS text)"}[w.mysql()]
		}
		out[t.name] = w.set(t, columns, "SELECT "+strings.Join(texts, ", ")+" FROM "+w.db.Ident(t.name))
	}
	return out
}

// set reads rows.
func (w *ties) set(t *tiedTable, columns []string, query string) rowSet {
	rows, err := w.db.Query(query)
	if err != nil {
		w.t.Fatal(err)
	}
	defer rows.Close()
	out := rowSet{}
	for rows.Next() {
		values, into := make([]sql.NullString, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			w.t.Fatal(err)
		}
		row, key := map[string]string{}, []string{}
		for i, c := range columns {
			if row[c] = "NULL"; values[i].Valid {
				row[c] = "=" + values[i].String
			}
			if slices.Contains(t.key, c) {
				key = append(key, c+"="+values[i].String)
			}
		}
		out[strings.Join(key, ", ")] = row
	}
	if err := rows.Err(); err != nil {
		w.t.Fatal(err)
	}
	return out
}

// judge compares what a restore made of the tables with what it was asked for: each row of then is as it was, or as it stands and told; later rows stay, or
// go when they are replaced, or stay and are told; all others are as they were.
func (w *ties) judge(ask snapshot.Ask, then, now, made map[string]rowSet, conflicts []snapshot.Conflict) (wrong string) {
	for _, t := range w.tables {
		asked := slices.ContainsFunc(ask.Tables, func(n engine.Name) bool { return n.Name == t.name })
		told := map[string]bool{}
		for _, c := range conflicts {
			if c.Table == t.name || c.Table == "public."+t.name {
				told[c.Key] = true
			}
		}
		was, is, has := then[t.name], now[t.name], made[t.name]
		keys := maps.Clone(was)
		maps.Copy(keys, is)
		maps.Copy(keys, has)
		for k := range keys {
			want := is[k]
			if picked := asked && (ask.Where == "" || strings.Contains(k, "id=1") || strings.Contains(k, "id=3")); picked && (was[k] != nil || ask.Mode == snapshot.Replace) {
				want = was[k]
			}
			if maps.Equal(want, has[k]) && (want == nil) == (has[k] == nil) {
				continue
			}
			if !told[k] || !maps.Equal(is[k], has[k]) || (is[k] == nil) != (has[k] == nil) {
				wrong += fmt.Sprintf("%s %s: want %v, got %v, stood %v, told %v\n", t.name, k, want, has[k], is[k], told[k])
			}
		}
	}
	if lost := w.nowhere(); lost != w.lost {
		wrong += lost
	}
	return wrong
}

// nowhere tells of rows that point nowhere.
func (w *ties) nowhere() (wrong string) {
	for _, t := range w.tables {
		for _, f := range t.references {
			var on []string
			for i, c := range f.columns {
				on = append(on, "c."+w.db.Ident(c)+" IS NOT NULL", "p."+w.db.Ident(f.parents[i])+" = c."+w.db.Ident(c))
			}
			var some, found []string
			for i := 0; i < len(on); i += 2 {
				some, found = append(some, on[i]), append(found, on[i+1])
			}
			q := fmt.Sprintf("SELECT count(*) FROM %s c WHERE %s AND NOT EXISTS (SELECT 1 FROM %s p WHERE %s)", w.db.Ident(t.name), strings.Join(some, " AND "), w.db.Ident(f.table), strings.Join(found, " AND "))
			if n := w.query(q)[0]; n != "0" {
				wrong += fmt.Sprintf("%s row(s) of %s point to no row of %s\n", n, t.name, f.table)
			}
		}
	}
	return wrong
}

// TestRestoreOfTiedTables: random tables that foreign keys tie, random writes, random moments, from captures and from each journal. What comes back is what there was, or is told;
// and the restore of what was written over gives what stood there. SEED and CASES choose others.
func TestRestoreOfTiedTables(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		if strings.HasPrefix(dsn, "sqlite:") {
			dsn += "?_pragma=foreign_keys(1)"
		}
		one := newWorld(t, dsn)
		sources := map[engine.Kind][]string{engine.Postgres: {"captures", "triggers", "slot"}, engine.SQLite: {"captures", "triggers"}, engine.MySQL: {"captures", "triggers", "binlog"}, engine.MariaDB: {"captures", "triggers"}}[one.db.Kind]
		for i := range cases(9) {
			w := &ties{world: &world{t: t, db: one.db, store: one.store, j: one.j}, r: rand.New(rand.NewPCG(otherSeeds(), uint64(i))), from: sources[i%len(sources)]}
			w.play(fmt.Sprintf("seed %d, case %d, from %s", otherSeeds(), i, w.from))
			if t.Failed() {
				t.Fatalf("statements:\n%s", strings.Join(w.said, "\n"))
			}
		}
	}, testdb.Everywhere()...)
}

func (w *ties) play(what string) {
	w.make()
	var all []string
	for _, t := range w.tables {
		all = append(all, t.name)
	}
	w.write(12)
	journalled := w.from == "triggers" || w.from == "slot"
	if journalled {
		if w.source = ""; w.from == "slot" {
			w.source = journal.Slot
		}
		w.enable(all...)
	}
	then := w.read()
	ask := snapshot.Ask{Mode: []snapshot.Mode{snapshot.Merge, snapshot.Replace}[w.r.IntN(2)]}
	if w.from == "captures" {
		ask.Snapshot = w.take(all...)
	} else {
		for begun := w.now(); w.from == "binlog" && w.now().Unix() == begun.Unix(); { // the log begins in an earlier second
		}
		ask.At = w.now()
	}
	w.say("-- then")
	w.write(12)
	for _, t := range all {
		if w.r.IntN(4) > 0 {
			ask.Tables = append(ask.Tables, names([]string{t})...)
		}
	}
	if ask.Tables == nil {
		ask.Tables = names(all)
	}
	if w.r.IntN(4) == 0 {
		ask.Where = "id IN (1, 3)"
	}
	now := w.read()
	w.lost = w.nowhere()
	conflicts, safety, err := w.bring(ask)
	if err != nil {
		w.t.Errorf("%s, %+v: %v", what, ask, err)
		return
	}
	if wrong := w.judge(ask, then, now, w.read(), conflicts); wrong != "" {
		w.t.Errorf("%s, %+v:\n%s", what, ask, wrong)
		return
	}
	if safety != "" {
		if _, _, err := w.bring(snapshot.Ask{Snapshot: safety, OnConflict: snapshot.Fail}); err != nil {
			w.t.Errorf("%s, %+v, undone: %v", what, ask, err)
		} else if wrong := w.judge(snapshot.Ask{Tables: names(all), Mode: snapshot.Replace}, now, now, w.read(), nil); wrong != "" {
			w.t.Errorf("%s, %+v, undone:\n%s", what, ask, wrong)
		}
	}
	if journalled {
		w.disable(all...)
	}
	for _, t := range slices.Backward(all) {
		w.exec("DROP TABLE " + w.db.Ident(t))
	}
}

// take captures tables by hand.
func (w *ties) take(tables ...string) string {
	w.t.Helper()
	ctx := context.Background()
	c := w.store.Begin(snapshot.Meta{Run: "test", Direction: snapshot.Manual, CreatedBy: "test"})
	w.transaction(func(tx *sql.Tx) error {
		if err := c.Tables(ctx, tx, names(tables)); err != nil {
			return err
		}
		return c.Seal(ctx, tx, nil)
	})
	if err := w.store.Sums(ctx, w.db); err != nil {
		w.t.Fatal(err)
	}
	return c.Snapshot()
}

func (w *ties) transaction(f func(tx *sql.Tx) error) {
	w.t.Helper()
	s, err := w.db.Session(context.Background())
	if err != nil {
		w.t.Fatal(err)
	}
	defer s.Close()
	if err := s.Tx(context.Background(), f); err != nil {
		w.t.Fatal(err)
	}
}

// bring restores, and gives the snapshot of what was written over; "" when that was nothing.
func (w *ties) bring(ask snapshot.Ask) (conflicts []snapshot.Conflict, safety string, err error) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s, err := w.db.Session(ctx)
	if err != nil {
		w.t.Fatal(err)
	}
	defer s.Close()
	store := *w.store
	if w.from == "binlog" && !ask.At.IsZero() {
		log := w.j.Binlog(ask, noDDL)
		defer func() { _ = log.Begin() }()
		store.Journal, ask.Written = log, true
	}
	c := w.store.Begin(snapshot.Meta{Run: "test", Direction: snapshot.Restored, CreatedBy: "test"})
	err = s.Tx(ctx, func(tx *sql.Tx) error {
		x, err := store.Restoration(ctx, tx, ask)
		if err == nil {
			_, conflicts, err = x.Apply(ctx, tx, c)
		}
		return err
	})
	if len(c.Captures()) > 0 {
		safety = c.Snapshot()
	}
	return conflicts, safety, err
}
