package snapshot_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// model is a table as a map from key to the texts of its columns, read row by row: what a restoration must make of it is computed
// from two of them, without any SQL.
type model map[string]map[string]string

// modelTable is a random table.
type modelTable struct {
	rng     *rand.Rand
	kind    engine.Kind
	key     []string
	columns []string // all, the key first
	types   map[string]string
}

var modelTypes = map[engine.Kind][]string{
	engine.Postgres: {"integer", "text", "numeric(12,3)", "double precision", "boolean", "timestamptz", "bytea", "jsonb", "json", "text[]", "mood", "uuid", "interval", "varchar(40)"},
	engine.SQLite:   {"INTEGER", "TEXT", "REAL", "BLOB", "", "NUMERIC", "VARCHAR(40)"},
	engine.MySQL:    {"int", "varchar(40)", "decimal(12,3)", "float", "double", "datetime(6)", "varbinary(20)", "json", "enum('a','b','')", "bit(5)"},
}

// family is the engine whose SQL it speaks.
func (m *modelTable) family() engine.Kind {
	if m.kind == engine.MariaDB {
		return engine.MySQL
	}
	return m.kind
}

func newModelTable(b *bench, rng *rand.Rand) *modelTable {
	m := &modelTable{rng: rng, kind: b.db.Kind, types: map[string]string{}}
	add := func(name, kind string) { m.columns, m.types[name] = append(m.columns, name), kind }
	def, letters, code := "", "varchar(20)", "text"
	if m.family() == engine.MySQL { // whose other texts are the same in upper case, and with blanks behind
		letters, code = "varbinary(20)", "varbinary(20)"
	}
	switch rng.IntN(4) {
	case 0:
		add("id", "integer")
		m.key, def = []string{"id"}, "PRIMARY KEY (id)"
	case 1:
		add("id", "integer")
		add("part", letters)
		m.key, def = []string{"id", "part"}, "PRIMARY KEY (id, part)"
	case 2:
		add("code", code)
		m.key, def = []string{"code"}, "UNIQUE (code)"
	default:
		add("id", "bigint")
		m.key, def = []string{"id"}, "PRIMARY KEY (id)"
	}
	names := []string{"plain", "Upper Case", "select", "ümlaut", `quo"te`, "dot.ted"}
	rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for _, n := range names[:1+rng.IntN(5)] {
		add(n, modelTypes[m.family()][rng.IntN(len(modelTypes[m.family()]))])
	}
	var defs []string
	for i, c := range m.columns {
		d := b.db.Ident(c) + " " + m.types[c]
		if i < len(m.key) {
			d += " NOT NULL"
		}
		if i == 0 && m.types[c] == "bigint" && m.kind == engine.Postgres {
			d += " GENERATED ALWAYS AS IDENTITY"
		}
		defs = append(defs, d)
	}
	b.exec("DROP TABLE IF EXISTS t", "CREATE TABLE t ("+strings.Join(append(defs, def), ", ")+")")
	return m
}

// value is a random value of a column, as SQL.
func (m *modelTable) value(column string) string {
	r := m.rng
	if !slices.Contains(m.key, column) && r.IntN(6) == 0 {
		return "NULL"
	}
	texts := []string{"''", "'a'", "'A'", "'ä'", "'x y'", "'it''s'", "' lead'", "'😀'"}
	text := texts[r.IntN(len(texts))]
	if m.family() == engine.MySQL && m.types[column] != "integer" && m.types[column] != "bigint" && m.types[column] != "varchar(40)" && !slices.Contains(m.key, column) {
		of := map[string][]string{"int": {"1", "-7", "0"}, "decimal(12,3)": {"1.5", "1.500", "-0.001"}, "float": {"0.1", "16777217"}, "double": {"0.1", "1e300", "-0.0"}, "datetime(6)": {"'2026-03-29 02:30:00.000001'"},
			"varbinary(20)": {"x''", "x'00ff'", "'a'"}, "json": {`'{"a": 1}'`, `'[]'`, `'null'`, `'{"b": 2, "a": 1}'`}, "enum('a','b','')": {"'a'", "''"}, "bit(5)": {"b'101'", "b'0'"}}[m.types[column]]
		return of[r.IntN(len(of))]
	}
	switch m.types[column] {
	case "integer", "bigint", "INTEGER":
		return strconv.Itoa(r.IntN(60))
	case "text", "varchar(20)", "TEXT", "varchar(40)", "VARCHAR(40)", "varbinary(20)":
		if slices.Contains(m.key, column) {
			return []string{"'k'", "'K'", "'l'", "'m '", "'n'", "''"}[r.IntN(6)]
		}
		return text
	case "numeric(12,3)", "NUMERIC":
		return []string{"1.5", "1.500", "-0.001", "0", "12345.678"}[r.IntN(5)]
	case "double precision":
		return []string{"'NaN'::float8", "'-0'::float8", "0.1", "1e300", "'-Infinity'::float8", "0.30000000000000004"}[r.IntN(6)]
	case "REAL":
		return []string{"0.1", "-0.0", "1e300", "0.30000000000000004", "'word'", "3"}[r.IntN(6)]
	case "boolean":
		return []string{"true", "false"}[r.IntN(2)]
	case "timestamptz":
		return []string{"'2026-03-29 02:30:00+01'", "'infinity'", "'1930-01-01 00:00:00.000001+00'"}[r.IntN(3)] + "::timestamptz"
	case "bytea":
		return []string{`'\x'`, `'\x00ff'`, `'\x61'`}[r.IntN(3)] + "::bytea"
	case "BLOB", "":
		return []string{"x''", "x'00ff'", "'text'", "7", "7.5", "'7'"}[r.IntN(6)]
	case "jsonb", "json":
		return []string{`'{"a": 1}'`, `'{"a":1}'`, `'[]'`, `'null'`, `'{"b": 2, "a": 1}'`}[r.IntN(5)]
	case "text[]":
		return []string{"'{}'", "'{a,NULL,\"b c\"}'", "'{NULL}'"}[r.IntN(3)] + "::text[]"
	case "mood":
		return []string{"'sad'", "'happy'"}[r.IntN(2)] + "::mood"
	case "uuid":
		return "'00000000-0000-0000-0000-00000000000" + strconv.Itoa(r.IntN(10)) + "'::uuid"
	case "interval":
		return []string{"'1 mon'", "'30 days'", "'-1 day 02:03:04.000005'"}[r.IntN(3)] + "::interval"
	}
	panic(m.types[column])
}

// read reads the table, exactly.
func (m *modelTable) read(b *bench, table string, columns []string, where string) model {
	b.t.Helper()
	out := model{}
	exprs := make([]string, len(columns))
	for i, c := range columns {
		ref := b.db.Ident(c)
		if m.kind == engine.SQLite {
			exprs[i] = "coalesce(typeof(" + ref + ") || ':' || hex(" + ref + "), 'null')"
			if m.types[c] == "REAL" || m.types[c] == "" || m.types[c] == "NUMERIC" {
				exprs[i] = "typeof(" + ref + ") || ':' || hex(dbrollback_hash(" + ref + "))"
			}
		} else if m.family() == engine.MySQL {
			exprs[i] = "coalesce(hex(cast(" + ref + " as binary)), 'null')"
		} else {
			exprs[i] = "coalesce(encode(convert_to(" + ref + "::text, 'UTF8'), 'hex'), 'null')"
		}
	}
	if where != "" {
		where = " WHERE " + where
	}
	for _, l := range b.query("SELECT " + strings.Join(exprs, " || '|' || ") + " FROM " + table + where) {
		values := strings.Split(l, "|")
		row := map[string]string{}
		for i, c := range columns {
			row[c] = values[i]
		}
		key := strings.Join(values[:len(m.key)], "|")
		if out[key] != nil {
			b.t.Fatalf("key %s twice", key)
		}
		out[key] = row
	}
	return out
}

// insert gives a statement that inserts a random row; it may hit a key that is there.
func (m *modelTable) insert(b *bench) string {
	var values []string
	for _, c := range m.columns {
		values = append(values, m.value(c))
	}
	if m.family() == engine.MySQL {
		return "INSERT IGNORE INTO t (" + b.db.Idents(m.columns) + ") VALUES (" + strings.Join(values, ", ") + ")"
	}
	over := ""
	if m.kind == engine.Postgres {
		over = " OVERRIDING SYSTEM VALUE"
	}
	return "INSERT INTO t (" + b.db.Idents(m.columns) + ")" + over + " VALUES (" + strings.Join(values, ", ") + ") ON CONFLICT DO NOTHING"
}

// predicate is a random condition that picks some rows.
func (m *modelTable) predicate(b *bench) string {
	k := b.db.Ident(m.key[0])
	if m.key[0] == "code" {
		return k + " IN (" + m.value(m.key[0]) + ", " + m.value(m.key[0]) + ")"
	}
	return fmt.Sprintf("%s %% %d = %d", k, 2+m.rng.IntN(3), m.rng.IntN(2))
}

// write does a random write of the application's.
func (m *modelTable) write(b *bench) string {
	switch m.rng.IntN(5) {
	case 0:
		return "DELETE FROM t WHERE " + m.predicate(b)
	case 1, 2:
		c := m.columns[len(m.key)+m.rng.IntN(len(m.columns)-len(m.key))]
		return "UPDATE t SET " + b.db.Ident(c) + " = " + m.value(c) + " WHERE " + m.predicate(b)
	}
	return m.insert(b)
}

func modelText(m model) string {
	var lines []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		var cells []string
		for _, c := range slices.Sorted(maps.Keys(m[k])) {
			cells = append(cells, c+"="+m[k][c])
		}
		lines = append(lines, k+": "+strings.Join(cells, " "))
	}
	return strings.Join(lines, "\n")
}

// expect is the reference: what a restoration makes of now, of the rows as they were. then and later are the rows that the condition
// picks, of then and of now.
func expect(mode snapshot.Mode, was, then, now, later model, columns []string, fresh map[string]string) model {
	out := model{}
	for k, row := range now {
		out[k] = maps.Clone(row)
	}
	for k, row := range then {
		switch {
		case out[k] == nil && len(columns) > 0:
			// Only some columns were asked for: a row that is gone cannot be made of them.
		case out[k] == nil:
			out[k] = maps.Clone(fresh)
			if out[k] == nil {
				out[k] = map[string]string{}
			}
			maps.Copy(out[k], row)
		default:
			for c, v := range row {
				if len(columns) == 0 || slices.Contains(columns, c) {
					out[k][c] = v
				}
			}
		}
	}
	if mode == snapshot.Replace {
		for k := range later {
			if was[k] == nil {
				delete(out, k)
			}
		}
	}
	return out
}

// number reads a number from the environment.
func number(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// TestRestoreEqualsReference: merge, replace and copy equal the reference on random tables, random writes since, random columns and
// conditions, with a column added since, or renamed; and the restore of what was written over gives the table of now again. SEED
// and CASES choose others.
func TestRestoreEqualsReference(t *testing.T) {
	t.Parallel()
	testdb.Each(t, func(t *testing.T, dsn string) {
		b := newBench(t, dsn)
		if b.db.Kind == engine.Postgres {
			b.exec("CREATE TYPE mood AS ENUM ('sad', 'happy')")
		}
		seed := number("SEED", 1)
		for i := range number("CASES", map[bool]int{true: 20, false: 60}[mysqlLike(dsn)]) {
			rng := rand.New(rand.NewPCG(uint64(seed), uint64(i)))
			modelCase(b, rng, i)
			if t.Failed() {
				t.Fatalf("SEED=%d, case %d", seed, i)
			}
		}
	}, everywhere...)
}

func modelCase(b *bench, rng *rand.Rand, n int) {
	t := b.t
	m := newModelTable(b, rng)
	var log []string
	run := func(q string) { log = append(log, q); b.exec(q) }
	for range rng.IntN(40) {
		run(m.insert(b))
	}
	was := m.read(b, "t", m.columns, "")
	id := b.take("t")
	for range rng.IntN(25) {
		run(m.write(b))
	}
	ask := snapshot.Ask{Snapshot: id, Mode: []snapshot.Mode{snapshot.Merge, snapshot.Merge, snapshot.Replace, snapshot.Copy}[rng.IntN(4)]}
	columns := slices.Clone(m.columns)
	then := was
	if rng.IntN(3) == 0 {
		ask.Where = m.predicate(b)
		then = model{}
	}
	fresh := map[string]string{}
	if rng.IntN(4) == 0 && ask.Mode != snapshot.Copy {
		run("ALTER TABLE t ADD COLUMN extra integer DEFAULT 7")
		run("UPDATE t SET extra = 8 WHERE " + m.predicate(b))
		columns, m.types["extra"] = append(columns, "extra"), "integer"
		fresh["extra"] = map[engine.Kind]string{engine.Postgres: "37", engine.SQLite: "integer:37", engine.MySQL: "37"}[m.family()]
	}
	if rng.IntN(4) == 0 && ask.Mode != snapshot.Copy {
		old := m.columns[len(m.columns)-1]
		run("ALTER TABLE t RENAME COLUMN " + b.db.Ident(old) + " TO renamed")
		ask.Map = map[string]string{old: "renamed"}
		m.types["renamed"] = m.types[old]
		columns[len(m.columns)-1] = "renamed"
		for _, row := range was {
			row["renamed"] = row[old]
			delete(row, old)
		}
	}
	now := m.read(b, "t", columns, "")
	later := now
	if ask.Where != "" {
		later = m.read(b, "t", columns, ask.Where)
		b.exec("DROP TABLE IF EXISTS aside")
		b.restore(snapshot.Ask{Snapshot: id, Mode: snapshot.Copy, Into: engine.Name{Name: "aside"}})
		for k := range m.read(b, "aside", m.key, ask.Where) {
			then[k] = was[k]
		}
	}
	if ask.Mode == snapshot.Merge && rng.IntN(3) == 0 {
		for _, c := range columns[len(m.key):] {
			if c != "extra" && rng.IntN(2) == 0 {
				ask.Columns = append(ask.Columns, c)
			}
		}
		if len(ask.Columns) == len(m.columns)-len(m.key) {
			ask.Columns = nil // all of them is no choice
		}
	}
	fail := func(what, want, got string) {
		t.Errorf("case %d, %+v: %s\n%s\nstatements:\n%s", n, ask, what, testdb.Diff(want+"\n", got+"\n"), strings.Join(log, "\n"))
	}
	if ask.Mode == snapshot.Copy {
		b.exec("DROP TABLE IF EXISTS aside")
		ask.Into = engine.Name{Name: "aside"}
		b.restore(ask)
		if want, got := modelText(then), modelText(m.read(b, "aside", m.columns, "")); want != got {
			fail("the copy differs", want, got)
		}
		if want, got := modelText(now), modelText(m.read(b, "t", columns, "")); want != got {
			fail("the copy wrote to the table", want, got)
		}
		return
	}
	want := expect(ask.Mode, was, then, now, later, ask.Columns, fresh)
	preview, err := b.preview(ask)
	if err != nil {
		t.Fatalf("case %d, %+v: preview: %v\n%s", n, ask, err, strings.Join(log, "\n"))
	}
	if got := m.read(b, "t", columns, ""); modelText(now) != modelText(got) {
		fail("the preview wrote", modelText(now), modelText(got))
	}
	try := b.tryRestore
	if rng.IntN(3) == 0 {
		size := 1 + rng.IntN(9)
		log = append(log, fmt.Sprintf("-- in batches of %d", size))
		try = func(ask snapshot.Ask) (restored, error) { return b.tryOnline(ask, size, nil) }
	}
	r, err := try(ask)
	if err != nil {
		t.Fatalf("case %d, %+v: %v\n%s", n, ask, err, strings.Join(log, "\n"))
	}
	if got := m.read(b, "t", columns, ""); modelText(want) != modelText(got) {
		fail("not the reference", modelText(want), modelText(got))
	}
	var inserted, updated, deleted int64
	for k := range want {
		if now[k] == nil {
			inserted++
		} else if fmt.Sprint(now[k]) != fmt.Sprint(want[k]) {
			updated++
		}
	}
	for k := range now {
		if want[k] == nil {
			deleted++
		}
	}
	count := fmt.Sprintf("+%d ~%d -%d =%d", inserted, updated, deleted, int64(len(now))-updated-deleted)
	for _, p := range [][]snapshot.Preview{preview, r.tables} {
		if got := counts(p); !strings.HasPrefix(got, count+" ") {
			t.Errorf("case %d, %+v: counted %s, want %s", n, ask, got, count)
		}
	}
	b.clean()
	if inserted+updated+deleted == 0 {
		return
	}
	back := b.restore(snapshot.Ask{Snapshot: r.safety, OnConflict: snapshot.Fail})
	if got := m.read(b, "t", columns, ""); modelText(now) != modelText(got) {
		fail("undone, it is not what it was", modelText(now), modelText(got))
	}
	if len(back.conflicts) > 0 {
		t.Errorf("case %d: undone with conflicts %v", n, back.conflicts)
	}
}
