package migrate_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// The migrations of TestAnyMigration: steps drawn from a grammar of statements that destroy something, each with what a
// careful, a forgetful or a computing author would write into Down.

// step is a part of a migration.
type step struct {
	up, down []string
	// effect tells the model where the columns of the beginning went.
	effect func(m mapping)
}

// mapping says for each table of the beginning what became of it.
type mapping map[string]*whereTable

type whereTable struct {
	now   string   // "" when it is gone
	names []string // that it was given on the way: of two migrations each tells its conflicts by the name that it found
	cols  map[string]*whereColumn
}

// whereColumn says where a column went, and what Down makes of the value that stands there now.
type whereColumn struct {
	now  string // "" when it is gone
	from string // Down computes it from this column instead
	back []func(*string) *string
}

func (c *whereColumn) value(v *string) *string {
	for _, f := range slices.Backward(c.back) {
		v = f(v)
	}
	return v
}

func stay(mapping) {}

// predicate draws a condition on rows.
func (w *world) predicate(t *genTable) string {
	first := "a"
	if c := t.column("a"); c == nil || c.kind != "int" {
		first = ""
	}
	options := []string{"1 = 1", "tag LIKE '%3'", "tag LIKE '%2' OR tag LIKE '%5'", "tag > '" + t.name + "4'"}
	if first != "" {
		options = append(options, "a > 3", "a IS NULL", "a % 2 = 0", "a < 0")
	}
	if t.column("id") != nil {
		options = append(options, "id > 4", "id % 3 = 1", "id IN (1, 2, 7)", "id < 3", "id = 5")
	}
	if t.column("b") != nil && t.column("b").kind == "text" {
		options = append(options, "b LIKE 'a%'", "b IS NOT NULL")
	}
	return pick(w.rng, options)
}

func (w *world) expression(t *genTable, c genColumn) string {
	switch {
	case c.unique:
		return pick(w.rng, []string{"NULL", c.name + " + 100", "200 - " + c.name})
	case c.kind == "int" && w.chance(60):
		return pick(w.rng, []string{c.name + " + 1", "-" + c.name, c.name + " * 2", "coalesce(" + c.name + ", 0) + 7"})
	case (c.kind == "text" || c.kind == "short") && w.chance(50):
		return pick(w.rng, []string{"upper(" + c.name + ")", w.concat("coalesce("+c.name+", '')", "'z'"), "substr(" + c.name + ", 1, 2)"})
	}
	return w.literal(c)
}

func (w *world) update(t *genTable) string {
	free := t.free(nil)
	if len(free) == 0 {
		return ""
	}
	sets := []string{}
	for _, i := range w.rng.Perm(len(free))[:1+w.rng.IntN(min(2, len(free)))] {
		sets = append(sets, free[i]+" = "+w.expression(t, *t.column(free[i])))
	}
	return "UPDATE " + t.name + " SET " + strings.Join(sets, ", ") + " WHERE " + w.predicate(t)
}

func (w *world) insert(t *genTable, verb string, from, n int) string {
	var rows []string
	for range n {
		key := from + w.rng.IntN(8)
		rows = append(rows, "("+strings.Join(w.values(t, key, w.name(t.name+"m"), 300+w.rng.IntN(30)), ", ")+")")
	}
	return verb + " INTO " + t.name + " (" + strings.Join(t.insertable(), ", ") + ") VALUES " + strings.Join(rows, ", ")
}

// dml draws a statement that changes rows; "" when it finds none for the table.
func (w *world) dml(t *genTable) string {
	if t.name == "l" || t.name == "n" || t.column("tag") == nil {
		return ""
	}
	pg := w.kind == engine.Postgres
	key := strings.Join(t.key, ", ")
	switch w.rng.IntN(12) {
	case 0, 1, 2:
		return w.update(t)
	case 3, 4:
		return "DELETE FROM " + t.name + " WHERE " + w.predicate(t)
	case 5:
		return w.insert(t, "INSERT", 50, 1+w.rng.IntN(2))
	case 6: // copies of rows
		if len(t.key) == 0 || t.column("u") != nil {
			return ""
		}
		var values []string
		mark := w.name("+")
		for _, c := range t.insertable() {
			switch c {
			case "id", "x":
				c += " + 500"
			case "tag":
				c = w.concat("tag", "'"+mark+"'")
			}
			values = append(values, c)
		}
		return "INSERT INTO " + t.name + " (" + strings.Join(t.insertable(), ", ") + ") SELECT " + strings.Join(values, ", ") + " FROM " + t.name + " WHERE " + w.predicate(t)
	case 7: // upsert
		free := t.free(func(c genColumn) bool { return !c.unique })
		if len(t.key) == 0 || len(free) == 0 {
			return ""
		}
		text := w.insert(t, "INSERT", 1, 1)
		if w.chance(50) {
			text = w.insert(t, "INSERT", 1, 1) + ", " + strings.SplitN(w.insert(t, "INSERT", 60, 1), " VALUES ", 2)[1]
		}
		if w.chance(20) {
			return w.unlessThere(text)
		}
		c := pick(w.rng, free)
		if w.family() {
			return text + " ON DUPLICATE KEY UPDATE " + c + " = VALUES(" + c + ")"
		}
		return text + " ON CONFLICT (" + key + ") DO UPDATE SET " + c + " = excluded." + c
	case 8: // replaces
		if !pg {
			if len(t.key) == 0 {
				return ""
			}
			return w.insert(t, map[bool]string{true: "REPLACE", false: "INSERT OR REPLACE"}[w.family()], 1, 1+w.rng.IntN(3))
		}
		if t.column("a") == nil || t.column("id") == nil {
			return ""
		}
		return "MERGE INTO " + t.name + " o USING (SELECT id AS k FROM " + t.name + " WHERE " + w.predicate(t) + ") v ON o.id = v.k WHEN MATCHED AND o.id % 2 = 0 THEN DELETE WHEN MATCHED THEN UPDATE SET a = 77"
	case 9:
		if pg && t.column("a") != nil {
			return "WITH gone AS (DELETE FROM " + t.name + " WHERE " + w.predicate(t) + " RETURNING 1) UPDATE " + t.name + " SET a = (SELECT count(*) FROM gone) WHERE " + w.predicate(t)
		}
		if w.family() {
			return w.familyDML(t)
		}
		return w.update(t)
	case 10: // keys
		if len(t.key) == 0 || t.key[0] == "tag" {
			return ""
		}
		return "UPDATE " + t.name + " SET " + t.key[0] + " = " + t.key[0] + " + 1000 WHERE " + w.predicate(t)
	default: // through another table
		if t.parent == "" || t.parent == t.name || w.table(t.parent) == nil || t.column("a") == nil || w.table(t.parent).column("a") == nil || w.table(t.parent).column("a").kind != "int" || t.column("a").kind != "int" {
			return w.update(t)
		}
		if w.family() {
			return "UPDATE " + t.name + " JOIN p ON p.id = " + t.name + ".pid SET " + t.name + ".a = p.a"
		}
		return "UPDATE " + t.name + " SET a = p.a FROM p WHERE p.id = " + t.name + ".pid"
	}
}

// draw makes one step and changes the world accordingly.
func (w *world) draw() (step, bool) {
	t := pick(w.rng, w.tables)
	pg := w.kind == engine.Postgres
	referenced := slices.ContainsFunc(w.tables, func(x *genTable) bool { return x.parent == t.name })
	switch w.rng.IntN(22) {
	case 0, 1, 2, 3, 4, 5:
		if s := w.dml(t); s != "" {
			return step{up: []string{s}, effect: stay}, true
		}
	case 6: // with its own inverse
		free := t.free(func(c genColumn) bool { return c.kind == "int" && !c.unique })
		if len(free) == 0 || t.triggers || t.rigid {
			return step{}, false
		}
		c, n := t.column(pick(w.rng, free)), 1+w.rng.IntN(5)
		c.plain = true
		origin, col := t.origin, c.origin
		return step{
			up:   []string{fmt.Sprintf("UPDATE %s SET %s = %s + %d", t.name, c.name, c.name, n)},
			down: []string{fmt.Sprintf("UPDATE %s SET %s = %s - %d", t.name, c.name, c.name, n)},
			effect: func(m mapping) {
				if mt := m[origin]; mt != nil && mt.cols[col] != nil {
					mt.cols[col].back = append(mt.cols[col].back, plus(-n))
				}
			},
		}, true
	case 7, 8:
		return w.dropColumn(t)
	case 9:
		if t.name == "l" || t.name == "n" {
			return step{}, false
		}
		c := genColumn{name: w.name("n"), kind: pick(w.rng, []string{"int", "text"}), def: pick(w.rng, []string{"", "'3'"})}
		s := step{up: []string{"ALTER TABLE " + t.name + " ADD COLUMN " + c.name + " " + c.decl(w.kind, t)},
			down: []string{"ALTER TABLE " + t.name + " DROP COLUMN " + c.name}, effect: stay}
		t.cols = append(t.cols, c)
		if w.chance(50) {
			s.up = append(s.up, "UPDATE "+t.name+" SET "+c.name+" = "+w.literal(c)+" WHERE "+w.predicate(t))
		}
		return s, true
	case 10: // rename a column
		free := t.free(func(c genColumn) bool { return c.origin != "" || !c.plain })
		if len(free) == 0 || t.triggers || t.rigid {
			return step{}, false
		}
		c := t.column(pick(w.rng, free))
		old, now := c.name, w.name("r")
		c.name = now
		origin, col := t.origin, c.origin
		return step{up: []string{"ALTER TABLE " + t.name + " RENAME COLUMN " + old + " TO " + now}, down: []string{"ALTER TABLE " + t.name + " RENAME COLUMN " + now + " TO " + old},
			effect: func(m mapping) {
				if mt := m[origin]; mt != nil && mt.cols[col] != nil {
					mt.cols[col].now = now
				}
			}}, true
	case 11: // rename a table
		if t.rigid || referenced || t.parent != "" {
			return step{}, false
		}
		old, now := t.name, w.name("t")
		t.name = now
		return step{up: []string{"ALTER TABLE " + old + " RENAME TO " + now}, down: []string{"ALTER TABLE " + now + " RENAME TO " + old},
			effect: func(m mapping) {
				if m[t.origin] != nil {
					m[t.origin].now = now
					m[t.origin].names = append(m[t.origin].names, now)
				}
			}}, true
	case 12:
		if pg {
			return w.retype(t)
		}
		if w.family() {
			return w.familyRetype(t)
		}
		return w.rebuild(t, referenced)
	case 13:
		return w.rebuild(t, referenced)
	case 14:
		return w.dropTable(t, referenced)
	case 15:
		if !pg && !w.family() || t.name == "n" || w.family() && referenced {
			return step{}, false
		}
		if w.family() {
			return step{up: []string{"TRUNCATE TABLE " + t.name}, effect: stay}, true
		}
		text := "TRUNCATE " + t.name
		if referenced || w.chance(20) {
			text += " CASCADE"
		}
		return step{up: []string{text}, effect: stay}, true
	case 16: // several at once, in a language that cannot be read
		if !pg {
			return step{}, false
		}
		var parts []string
		for range 1 + w.rng.IntN(3) {
			if s := w.dml(pick(w.rng, w.tables)); s != "" {
				parts = append(parts, s)
			}
		}
		if len(parts) == 0 {
			return step{}, false
		}
		return step{up: []string{"DO $$ BEGIN " + strings.Join(parts, "; ") + "; END $$"}, effect: stay}, true
	case 17: // a table made from another one
		if t.column("tag") == nil || t.name == "l" {
			return step{}, false
		}
		n := &genTable{name: w.name("made"), key: []string{"id"}, tail: []string{"PRIMARY KEY (tag)"}, rigid: true, cols: []genColumn{{name: "tag", kind: "text", notNull: true, fixed: true}, {name: "a", kind: "int"}}}
		n.key = []string{"tag"}
		w.tables = append(w.tables, n)
		return step{up: []string{n.create(w.kind), "INSERT INTO " + n.name + " (tag) SELECT tag FROM " + t.name + " WHERE " + w.predicate(t)}, down: []string{"DROP TABLE " + n.name}, effect: stay}, true
	case 18: // an index
		free := t.free(func(c genColumn) bool { return c.kind != "json" && (c.kind != "text" || !w.family()) })
		if len(free) == 0 {
			return step{}, false
		}
		name := w.name("i")
		on := pick(w.rng, free)
		t.column(on).fixed = w.family() // with its column goes the index there, and Down would drop it once more
		s := step{up: []string{"CREATE INDEX " + name + " ON " + t.name + " (" + on + ")"}, down: []string{w.dropIndex(t, name)}, effect: stay}
		t.rigid = true
		return s, true
	case 19: // dropped and made again under its name
		free := t.free(func(c genColumn) bool { return !c.unique && !c.notNull && !c.plain })
		if len(free) == 0 || t.triggers || t.rigid {
			return step{}, false
		}
		c := t.column(pick(w.rng, free))
		drop := "ALTER TABLE " + t.name + " DROP COLUMN " + c.name
		s := step{up: []string{drop, "ALTER TABLE " + t.name + " ADD COLUMN " + c.name + " integer DEFAULT 5"}, down: []string{drop, "ALTER TABLE " + t.name + " ADD COLUMN " + c.name + " " + c.decl(w.kind, t)}}
		origin, col := t.origin, c.origin
		s.effect = gone(origin, col)
		c.kind, c.origin, c.def = "int", "", "5"
		return s, true
	case 20:
		return w.derive(t)
	case 21: // constraints
		if !pg {
			return step{}, false
		}
		free := t.free(func(c genColumn) bool { return c.kind == "int" && !c.unique })
		if len(free) == 0 {
			return step{}, false
		}
		name, c := w.name("k"), pick(w.rng, free)
		t.rigid = true
		if w.chance(50) {
			return step{up: []string{"UPDATE " + t.name + " SET " + c + " = coalesce(" + c + ", 0)", "ALTER TABLE " + t.name + " ALTER COLUMN " + c + " SET NOT NULL"}, down: []string{"ALTER TABLE " + t.name + " ALTER COLUMN " + c + " DROP NOT NULL"}, effect: stay}, true
		}
		return step{up: []string{"UPDATE " + t.name + " SET " + c + " = 900 WHERE " + c + " < 0", "ALTER TABLE " + t.name + " ADD CONSTRAINT " + name + " CHECK (" + c + " >= 0)"}, down: []string{"ALTER TABLE " + t.name + " DROP CONSTRAINT " + name}, effect: stay}, true
	}
	return step{}, false
}

// plus adds to a number.
func plus(n int) func(*string) *string {
	return func(v *string) *string {
		if v == nil {
			return nil
		}
		i, err := strconv.Atoi(*v)
		if err != nil {
			return v
		}
		s := strconv.Itoa(i + n)
		return &s
	}
}

func gone(table, column string) func(mapping) {
	return func(m mapping) {
		if mt := m[table]; mt != nil && mt.cols[column] != nil {
			mt.cols[column].now = ""
		}
	}
}

func (w *world) dropColumn(t *genTable) (step, bool) {
	// SQLite gives no column back that is unique, or NOT NULL without a default, but by building the table anew.
	free := t.free(func(c genColumn) bool { return w.kind != engine.SQLite || !c.unique && !c.notNull })
	if len(free) == 0 || t.triggers {
		return step{}, false
	}
	name := pick(w.rng, free)
	c := *t.column(name)
	if t.rigid && w.kind == engine.SQLite && c.name == "a" {
		return step{}, false
	}
	t.cols = slices.DeleteFunc(t.cols, func(x genColumn) bool { return x.name == name })
	back := c
	add := back.decl(w.kind, t)
	if c.notNull {
		back.notNull = false
		add = back.decl(w.kind, t) + " NOT NULL"
		if w.kind == engine.SQLite || w.chance(70) {
			add += " DEFAULT ''"
		}
	}
	return step{up: []string{"ALTER TABLE " + t.name + " DROP COLUMN " + name}, down: []string{"ALTER TABLE " + t.name + " ADD COLUMN " + name + " " + add}, effect: gone(t.origin, c.origin)}, true
}

// retype changes the type of a column and its values with it.
func (w *world) retype(t *genTable) (step, bool) {
	free := t.free(func(c genColumn) bool { return !c.unique && !c.plain })
	if len(free) == 0 || t.triggers || t.rigid {
		return step{}, false
	}
	c := t.column(pick(w.rng, free))
	alter := "ALTER TABLE " + t.name + " ALTER COLUMN " + c.name + " TYPE "
	origin, col := t.origin, c.origin
	was := *c
	switch c.kind {
	case "int":
		if w.chance(50) {
			return step{up: []string{alter + "bigint"}, down: []string{alter + "integer"}, effect: stay}, true
		}
		c.kind = "digits"
		return step{up: []string{alter + "text"}, down: []string{alter + "integer USING " + c.name + "::integer"}, effect: stay}, true
	case "short":
		return step{up: []string{alter + "varchar(3) USING left(" + c.name + ", 3)"}, down: []string{alter + "varchar(20)"}, effect: stay}, true
	case "text":
		return step{up: []string{alter + "varchar(4) USING left(" + c.name + ", 4)"}, down: []string{alter + "text"}, effect: stay}, true
	case "number":
		c.kind = "int"
		c.plain = true
		return step{up: []string{alter + "integer"}, down: []string{alter + "numeric(12,2)"}, effect: func(m mapping) {
			if mt := m[origin]; mt != nil && mt.cols[col] != nil {
				mt.cols[col].back = append(mt.cols[col].back, func(v *string) *string {
					if v == nil || strings.Contains(*v, ".") {
						return v
					}
					s := *v + ".00"
					return &s
				})
			}
		}}, true
	case "json":
		return step{up: []string{alter + "jsonb USING " + c.name + "::jsonb"}, down: []string{alter + "json USING " + c.name + "::json"}, effect: stay}, true
	case "mood":
		c.kind = "words"
		return step{up: []string{alter + "text"}, down: []string{alter + "mood USING " + c.name + "::mood"}, effect: stay}, true
	}
	*c = was
	return step{}, false
}

// rebuild is the long way to change a table.
func (w *world) rebuild(t *genTable, referenced bool) (step, bool) {
	if t.rigid || referenced || t.parent != "" || t.suffix != "" || len(t.after) > 0 || t.column("g") != nil {
		return step{}, false
	}
	old := t.clone()
	tmp := w.name("tmp")
	lost := ""
	if free := t.free(func(c genColumn) bool { return !c.plain && !c.notNull }); len(free) > 1 && w.chance(60) {
		lost = pick(w.rng, free)
	}
	var names, values []string
	var origins []string
	for _, c := range old.insertable() {
		if c == lost {
			origins = append(origins, t.column(c).origin)
			continue
		}
		names = append(names, c)
		v := c
		if k := t.column(c); !k.fixed && !k.unique && w.chance(20) {
			v = w.expression(t, *k)
		}
		values = append(values, v)
	}
	where := ""
	if w.chance(30) {
		where = " WHERE " + w.predicate(t)
	}
	t.cols = slices.DeleteFunc(t.cols, func(c genColumn) bool { return c.name == lost })
	now := t.clone()
	now.name = tmp
	back := old.clone()
	back.name = w.name("old")
	name, origin := t.name, t.origin
	return step{
		up: []string{now.create(w.kind), "INSERT INTO " + tmp + " (" + strings.Join(names, ", ") + ") SELECT " + strings.Join(values, ", ") + " FROM " + name + where,
			"DROP TABLE " + name, "ALTER TABLE " + tmp + " RENAME TO " + name},
		down: []string{back.create(w.kind), "INSERT INTO " + back.name + " (" + strings.Join(names, ", ") + ") SELECT " + strings.Join(names, ", ") + " FROM " + name,
			"DROP TABLE " + name, "ALTER TABLE " + back.name + " RENAME TO " + name},
		effect: func(m mapping) {
			for _, o := range origins {
				gone(origin, o)(m)
			}
		},
	}, true
}

func (w *world) dropTable(t *genTable, referenced bool) (step, bool) {
	if t.rigid || len(w.tables) == 1 && w.chance(60) || referenced && w.kind != engine.Postgres {
		return step{}, false
	}
	text := "DROP TABLE " + t.name
	if referenced && t.parent != t.name {
		text += " CASCADE"
	}
	down := []string{t.create(w.kind)}
	if w.chance(60) {
		for _, s := range t.after {
			if strings.Contains(s, " ON "+t.name+" ") {
				down = append(down, s)
			}
		}
	}
	for _, x := range w.tables {
		if x.parent == t.name {
			x.parent = ""
		}
	}
	w.tables = slices.DeleteFunc(w.tables, func(x *genTable) bool { return x == t })
	return step{up: []string{text}, down: down, effect: func(m mapping) {
		if m[t.origin] != nil {
			m[t.origin].now = ""
		}
	}}, true
}

// derive computes a new column from an old one and drops that; Down computes it back.
func (w *world) derive(t *genTable) (step, bool) {
	free := t.free(func(c genColumn) bool {
		return c.kind == "text" && !c.plain && (w.kind != engine.SQLite || !c.notNull)
	})
	if len(free) == 0 || t.triggers || t.rigid || len(t.key) == 0 {
		return step{}, false
	}
	c := *t.column(pick(w.rng, free))
	full := w.name("full")
	t.cols = slices.DeleteFunc(t.cols, func(x genColumn) bool { return x.name == c.name })
	t.cols = append(t.cols, genColumn{name: full, kind: "text", plain: true})
	origin := t.origin
	return step{
		up:   []string{"ALTER TABLE " + t.name + " ADD COLUMN " + full + " text", "UPDATE " + t.name + " SET " + full + " = " + w.concat(c.name, "'!'"), "ALTER TABLE " + t.name + " DROP COLUMN " + c.name},
		down: []string{"ALTER TABLE " + t.name + " ADD COLUMN " + c.name + " text", "UPDATE " + t.name + " SET " + c.name + " = substr(" + full + ", 1, 1)", "ALTER TABLE " + t.name + " DROP COLUMN " + full},
		effect: func(m mapping) {
			if mt := m[origin]; mt != nil && mt.cols[c.origin] != nil {
				x := mt.cols[c.origin]
				x.now, x.from = "", full
				x.back = append(x.back, func(v *string) *string {
					if v == nil || *v == "" {
						return v
					}
					s := string([]rune(*v)[:1])
					return &s
				})
			}
		},
	}, true
}

// write draws a statement of the application, after the migration; it may well be refused.
func (w *world) write() string {
	var live []*genTable
	for _, t := range w.tables {
		if t.name != "l" && t.name != "n" && t.column("tag") != nil {
			live = append(live, t)
		}
	}
	if len(live) == 0 {
		return ""
	}
	t := pick(w.rng, live)
	at := "tag LIKE '%" + fmt.Sprint(w.rng.IntN(12)) + "'"
	if len(t.key) == 1 && t.key[0] == "id" && w.chance(60) {
		at = fmt.Sprintf("id = %d", pick(w.rng, []int{1, 2, 3, 4, 5, 6, 7, 8, 50, 51, 52, 53, 501, 502, 505, 1001, 1003, 1005}))
	}
	free := t.free(nil)
	switch w.rng.IntN(10) {
	case 0, 1, 2, 3:
		if len(free) == 0 {
			return ""
		}
		c := *t.column(pick(w.rng, free))
		v := w.literal(c)
		switch c.kind {
		case "digits":
			v = pick(w.rng, []string{"'4'", "'-9'", "NULL", "'31'"})
		case "words":
			v = pick(w.rng, []string{"'new'", "'gone'", "NULL"})
		}
		return "UPDATE " + t.name + " SET " + c.name + " = " + v + " WHERE " + at
	case 4, 5:
		return "DELETE FROM " + t.name + " WHERE " + at
	case 6, 7:
		return w.insert(t, "INSERT", pick(w.rng, []int{1, 1, 50, 200}), 1)
	case 8:
		if len(t.key) != 1 || t.key[0] != "id" {
			return ""
		}
		return "UPDATE " + t.name + " SET id = id + 3000 WHERE " + at
	default:
		if t.column("pid") == nil {
			return ""
		}
		return "UPDATE " + t.name + " SET pid = " + pick(w.rng, []string{"NULL", "1", "2", "3", "50", "51", "1001", "52", "4"}) + " WHERE " + at
	}
}
