package migrate_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/migrate"
)

// What MySQL and MariaDB say otherwise in the schemas and the migrations of TestAnyMigration.

func isFamily(k engine.Kind) bool { return k == engine.MySQL || k == engine.MariaDB }

func (w *world) family() bool { return isFamily(w.kind) }

var familyTypes = map[string]string{
	"int": "integer", "text": "text", "short": "varchar(20)", "bool": "boolean", "number": "decimal(12,2)", "json": "json",
	"mood": "enum('new', 'paid', 'gone')", "digits": "varchar(40)", "words": "varchar(10)",
}

// familyDecl declares a column.
func (c genColumn) familyDecl(t *genTable) string {
	out := familyTypes[c.kind]
	if len(t.key) == 1 && t.key[0] == c.name && t.serial {
		return "integer AUTO_INCREMENT PRIMARY KEY"
	}
	if c.name == "tag" {
		out = "varchar(60)" // a key needs a length
	}
	if c.notNull {
		out += " NOT NULL"
	}
	if c.unique {
		out += " UNIQUE"
	}
	switch {
	case c.def != "" && c.kind == "text":
		out += " DEFAULT (" + c.def + ")"
	case c.def != "":
		out += " DEFAULT " + c.def
	}
	return out
}

// familyTriggers write elsewhere, in a language that these servers know.
var familyTriggers = []string{
	"CREATE TRIGGER noted_i AFTER INSERT ON t FOR EACH ROW BEGIN INSERT INTO l (tag, a) VALUES (concat('insert-', NEW.tag), NEW.a); UPDATE n SET q = q + 1; END",
	"CREATE TRIGGER noted_u AFTER UPDATE ON t FOR EACH ROW INSERT INTO l (tag, a) VALUES (concat('update-', NEW.tag), NEW.a)",
	"CREATE TRIGGER noted_d AFTER DELETE ON t FOR EACH ROW BEGIN INSERT INTO l (tag, a) VALUES (concat('l-', OLD.tag), OLD.a); UPDATE n SET q = q - 1; END",
}

// familyShape makes of a plain table one that only these servers have.
func (w *world) familyShape(t *genTable) {
	switch w.rng.IntN(3) {
	case 0: // partitions
		t.suffix, t.rigid = " PARTITION BY RANGE (id) (PARTITION t_low VALUES LESS THAN (5), PARTITION t_high VALUES LESS THAN MAXVALUE)", true
	case 1: // another character set, in which letters of two cases differ
		t.suffix = " DEFAULT CHARACTER SET latin1 COLLATE latin1_general_cs"
	default: // one that numbers its rows, and keeps numbers that compare equal apart
		t.cols = append(t.cols, genColumn{name: "dx", kind: "number", def: "1.50"})
		t.cols[0] = genColumn{name: "id", kind: "int", notNull: true, fixed: true}
		t.serial, t.tail = true, nil
	}
}

// concat joins two texts.
func (w *world) concat(a, b string) string {
	if w.family() {
		return "concat(" + a + ", " + b + ")"
	}
	return a + " || " + b
}

// unlessThere leaves out rows whose key is taken.
func (w *world) unlessThere(insert string) string {
	if w.family() {
		return strings.Replace(insert, "INSERT INTO", "INSERT IGNORE INTO", 1)
	}
	return insert + " ON CONFLICT DO NOTHING"
}

func (w *world) dropIndex(t *genTable, name string) string {
	if w.family() {
		return "DROP INDEX " + name + " ON " + t.name
	}
	return "DROP INDEX " + name
}

// familyDML draws a statement that other engines do not have.
func (w *world) familyDML(t *genTable) string {
	limit := fmt.Sprintf(" ORDER BY tag LIMIT %d", 1+w.rng.IntN(3))
	p := w.table(t.parent)
	switch w.rng.IntN(4) {
	case 0:
		return "DELETE FROM " + t.name + " WHERE " + w.predicate(t) + limit
	case 1:
		if s := w.update(t); s != "" {
			return s + limit
		}
	case 2:
		if p != nil && p != t && p.column("a") != nil && p.column("a").kind == "int" {
			return "DELETE " + pick(w.rng, []string{t.name, t.name + ", p"}) + " FROM " + t.name + " JOIN p ON p.id = " + t.name + ".pid WHERE p.a > 3"
		}
	case 3:
		if len(t.key) > 0 && t.column("a") != nil && t.column("a").kind == "int" && t.column("u") == nil {
			cols := strings.Join(t.insertable(), ", ")
			return "INSERT INTO " + t.name + " (" + cols + ") SELECT " + cols + " FROM " + t.name + " AS other WHERE other.tag LIKE '%3' ON DUPLICATE KEY UPDATE " + t.name + ".a = 55"
		}
	}
	return w.update(t)
}

// familyRetype changes the type of a column and its values with it.
func (w *world) familyRetype(t *genTable) (step, bool) {
	free := t.free(func(c genColumn) bool { return !c.unique && !c.plain })
	if len(free) == 0 || t.triggers || t.rigid {
		return step{}, false
	}
	c := t.column(pick(w.rng, free))
	was := c.decl(w.kind, t)
	origin, col := t.origin, c.origin
	to := func(kind string) string {
		if c.notNull {
			kind += " NOT NULL"
		}
		return "ALTER TABLE " + t.name + pick(w.rng, []string{" MODIFY " + c.name, " CHANGE " + c.name + " " + c.name}) + " " + kind
	}
	out := step{down: []string{"ALTER TABLE " + t.name + " MODIFY " + c.name + " " + was}, effect: stay}
	back := func(as func(string) string) { // what Down makes of a value that was written in between
		out.effect = func(m mapping) {
			if mt := m[origin]; mt != nil && mt.cols[col] != nil {
				mt.cols[col].back = append(mt.cols[col].back, func(v *string) *string {
					if v == nil {
						return nil
					}
					s := as(*v)
					return &s
				})
			}
		}
	}
	cut := func(n int) string {
		return fmt.Sprintf("UPDATE %s SET %s = left(%s, %d)", t.name, c.name, c.name, n)
	}
	switch c.kind {
	case "int":
		if w.chance(60) {
			out.up = []string{to(pick(w.rng, []string{"bigint", "smallint", "decimal(9,0)"}))}
			break
		}
		out.up = []string{to("varchar(40)")}
		c.kind = "digits"
	case "short":
		out.up = []string{cut(3), to("varchar(3)")}
	case "text":
		out.up = []string{cut(4), to("varchar(4)")}
	case "number":
		out.up = []string{to("integer")}
		c.kind, c.plain = "int", true
		back(func(v string) string {
			if strings.Contains(v, ".") {
				return v
			}
			return v + ".00"
		})
	case "json":
		out.up = []string{to("longtext")}
		if w.kind == engine.MySQL {
			back(spacedJSON)
		}
	case "mood":
		out.up = []string{to("varchar(10)")}
		c.kind = "words"
	default:
		return step{}, false
	}
	c.plain = true
	return out, true
}

// cleanFamily empties the database.
func (p *proving) cleanFamily() {
	p.t.Helper()
	c, err := p.db.Conn(p.t.Context())
	if err != nil {
		p.t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	drops, err := engine.Texts(p.t.Context(), c, "SELECT concat('DROP ', if(table_type = 'VIEW', 'VIEW', 'TABLE'), ' IF EXISTS `', table_name, '`') FROM information_schema.tables WHERE table_schema = database()")
	if err != nil {
		p.t.Fatal(err)
	}
	list := append([]string{"SET foreign_key_checks = 0"}, drops...)
	for _, s := range append(list, "SET foreign_key_checks = 1") {
		if _, err := c.ExecContext(p.t.Context(), s); err != nil {
			p.t.Fatalf("%s: %v", s, err)
		}
	}
}

// undone takes back what a run left half-way that failed where each statement commits by itself.
func (p *proving) undone(c *trial) error {
	if p.db.Caps.TransactionalDDL && !c.alone {
		return nil
	}
	m, err := p.open(c)
	if err != nil {
		return err
	}
	if _, err = m.Recover(p.t.Context(), migrate.RecoverRequest{Abort: true}); err != nil && !errors.Is(err, migrate.ErrNothing) {
		return fmt.Errorf("recover --abort: %w", err)
	}
	return nil
}

// spacedJSON writes a small value as MySQL's type json does, which keeps no spelling.
func spacedJSON(v string) string {
	var x any
	if err := json.Unmarshal([]byte(v), &x); err != nil {
		return v
	}
	text, err := json.Marshal(x)
	if err != nil {
		return v
	}
	return strings.NewReplacer(",", ", ", ":", ": ").Replace(string(text))
}
