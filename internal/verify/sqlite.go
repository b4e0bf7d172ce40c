package verify

import (
	"context"
	"database/sql"
	"encoding/hex"
	"errors"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// sqlite reads sqlite_schema. SQLite keeps definitions as text, so that they are compared token by token:
// the body of a CREATE TABLE comes apart into its columns and constraints, in whatever order they
// were made (ALTER TABLE ADD COLUMN appends to the text).
type sqlite struct {
	db    *engine.DB
	texts *Texts // may be nil
}

func (v sqlite) reading(t *Texts) engineVerifier {
	v.texts = t
	return v
}

// takeSince asks for the number that SQLite raises with every change of the schema.
func (v sqlite) takeSince(ctx context.Context, q engine.Querier, s Scope, was held) (held, error) {
	var now held
	if err := q.QueryRowContext(ctx, "PRAGMA main.schema_version").Scan(&now.digest); err != nil {
		return now, err
	}
	if now.digest == was.digest {
		return was, nil
	}
	var err error
	now.Fingerprint, err = v.take(ctx, q, s)
	return now, err
}

func (v sqlite) take(ctx context.Context, q engine.Querier, s Scope) (Fingerprint, error) {
	look := sqliteLook{db: v.db, texts: v.texts, views: map[string]sqliteObject{}}
	if err := look.read(ctx, q); err != nil {
		return nil, err
	}
	f := Fingerprint{}
	for _, o := range look.all {
		if v.db.Mine(engine.Name{Name: o.name}) || v.db.Mine(engine.Name{Name: o.table}) || !o.sql.Valid {
			continue // an index without text belongs to a constraint
		}
		if s.all() || look.within(o, s) {
			look.add(f, o)
		}
	}
	return f, nil
}

// sqliteLook is one look at a schema.
type sqliteLook struct {
	db    *engine.DB
	texts *Texts
	all   []sqliteObject
	views map[string]sqliteObject // by their names in lower case
}

// sqliteObject is a row of sqlite_schema.
type sqliteObject struct {
	kind, name, table string
	sql               sql.NullString
	order             int
}

// read leaves out what comes with a virtual table. To ask which those are costs a look into every table, so it is asked only where there
// is a virtual one.
func (l *sqliteLook) read(ctx context.Context, q engine.Querier) error {
	rows, err := q.QueryContext(ctx, "SELECT type, name, tbl_name, sql FROM main.sqlite_schema ORDER BY rowid")
	if err != nil {
		return err
	}
	defer rows.Close()
	virtual := false
	for n := 0; rows.Next(); n++ {
		o := sqliteObject{order: n}
		if err := rows.Scan(&o.kind, &o.name, &o.table, &o.sql); err != nil {
			return err
		}
		virtual = virtual || o.kind == "table" && len(o.sql.String) > len(sqliteVirtual) && strings.EqualFold(o.sql.String[:len(sqliteVirtual)], sqliteVirtual)
		l.all = append(l.all, o)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	if virtual {
		shadows, err := engine.Texts(ctx, q, "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow'")
		if err != nil {
			return err
		}
		l.all = slices.DeleteFunc(l.all, func(o sqliteObject) bool { return slices.Contains(shadows, o.table) })
	}
	for _, o := range l.all {
		if o.kind == "view" {
			l.views[strings.ToLower(o.name)] = o
		}
	}
	return nil
}

// sqliteVirtual begins the text of a virtual table, as SQLite itself writes it.
const sqliteVirtual = "CREATE VIRTUAL TABLE "

// within tells whether o belongs to a scope that is not everything.
func (l *sqliteLook) within(o sqliteObject, s Scope) bool {
	named := func(table string) bool {
		return slices.ContainsFunc(s.Tables, func(n engine.Name) bool { return strings.EqualFold(n.Name, table) })
	}
	if o.kind != "view" {
		view, on := l.views[strings.ToLower(o.table)]
		return named(o.table) || on && o.kind == "trigger" && l.within(view, s)
	}
	return s.Others || l.reads(o, named, map[string]bool{})
}

// reads tells whether a view mentions a table that match accepts, by itself or through other views. A
// word of its text that happens to be a table's name counts: at worst a view too many is looked at.
func (l *sqliteLook) reads(o sqliteObject, match func(string) bool, seen map[string]bool) bool {
	seen[strings.ToLower(o.name)] = true
	for _, word := range l.words(o) {
		if seen[word] {
			continue
		}
		if match(word) {
			return true
		}
		if view, ok := l.views[word]; ok && l.reads(view, match, seen) {
			return true
		}
	}
	return false
}

// words are those of o's text that may be names, in lower case.
func (l *sqliteLook) words(o sqliteObject) []string {
	out, _ := apart(l.texts, "words\x00"+o.sql.String, func() ([]string, error) {
		var out []string
		for _, word := range engine.SQLiteTokens(o.sql.String) {
			out = append(out, strings.ToLower(strings.Trim(word, `"`)))
		}
		slices.Sort(out)
		return slices.Compact(out), nil
	})
	return out
}

// add puts o, and what its text holds, into f.
func (l *sqliteLook) add(f Fingerprint, o sqliteObject) {
	objects, _ := apart(l.texts, strings.Join([]string{o.kind, o.name, o.table, o.sql.String}, "\x00"), func() ([]Object, error) { return o.objects(l.db), nil })
	for _, x := range objects {
		x.Rank = x.Rank*1_000_000 + o.order
		if o.kind == "view" {
			x.Needs = l.needs(o)
		}
		f[x.Key()] = x
	}
}

// objects are what o's text holds.
func (o sqliteObject) objects(db *engine.DB) []Object {
	var out []Object
	put := func(x Object) {
		// SQLite compares names without case.
		x.Table, x.Name = engine.Name{Name: o.table}, strings.ToLower(x.Name)
		out = append(out, x)
	}
	if o.kind != "table" {
		x := Object{
			Kind: o.kind, Name: o.name, Definition: o.definition(), Create: []string{o.sql.String},
			Drop: []string{"DROP " + strings.ToUpper(o.kind) + " " + db.Ident(o.name)},
			Rank: map[string]int{"index": 85, "view": 100, "trigger": 110}[o.kind],
		}
		if o.kind == "trigger" {
			x.Name = o.table + "." + o.name
		}
		put(x)
		return out
	}
	t, ok := splitTable(o.sql.String)
	if !ok { // a virtual table, or one made by a query's text that we cannot take apart
		put(Object{Kind: "table", Name: o.name, Definition: o.definition(), Create: []string{o.sql.String}, Drop: []string{"DROP TABLE " + db.Ident(o.name)}, Rank: 50})
		return out
	}
	put(Object{Kind: "table", Name: o.name, Definition: strings.TrimSpace("TABLE " + t.options), Create: []string{o.sql.String}, Drop: []string{"DROP TABLE " + db.Ident(o.name)}, Rank: 50})
	position := 0
	for _, c := range t.columns {
		if engine.Aside(c.name) { // kept for a rollback
			continue
		}
		position++
		put(Object{
			Kind: "column", Name: o.name + "." + c.name, Definition: c.definition, Position: position, Rank: 60,
			Create: []string{"ALTER TABLE " + db.Ident(o.name) + " ADD COLUMN " + c.text},
			Drop:   []string{"ALTER TABLE " + db.Ident(o.name) + " DROP COLUMN " + db.Ident(c.name)},
		})
	}
	// SQLite cannot add a constraint to a table, or take one from it: they come with CREATE TABLE.
	for _, c := range t.constraints {
		name := c.name
		if name == "" { // what it says is all that it can be told by
			name = c.definition
		}
		put(Object{Kind: c.kind, Name: o.name + "." + name, Definition: c.definition, Text: c.text, Rank: 80, Generated: c.name == ""})
	}
	return out
}

// definition is the canonical text without the object's own name: CREATE … name rest.
func (o sqliteObject) definition() string {
	tokens := engine.SQLiteScan(o.sql.String)
	var out []string
	named := false
	for i, t := range tokens {
		switch {
		case named:
		case i < 2: // CREATE INDEX, CREATE UNIQUE …
		case !t.Quoted && (t.Text == "IF" || t.Text == "NOT" || t.Text == "EXISTS"):
			continue
		case strings.EqualFold(t.Name, o.name):
			named = true
			continue
		}
		if named && o.kind == "index" && !t.Quoted && t.Text == "ASC" && tokens[i-1].Text != "(" && tokens[i-1].Text != "," {
			continue // the order that there is without a word; one that stands first is a name
		}
		out = append(out, t.Text)
	}
	return strings.Join(out, " ")
}

func (l *sqliteLook) needs(o sqliteObject) []string {
	words := l.words(o)
	var out []string
	for _, t := range l.all {
		if name := strings.ToLower(t.name); (t.kind == "table" || t.kind == "view") && t.name != o.name {
			if _, ok := slices.BinarySearch(words, name); ok {
				out = append(out, t.kind+" "+name)
			}
		}
	}
	return out
}

func (sqlite) rowHash(exprs []string) string {
	return "dbrollback_hash(" + strings.Join(exprs, ", ") + ")"
}

func (sqlite) hashExpr(db *engine.DB, c engine.Column, qualifier string) string {
	if qualifier != "" {
		return qualifier + "." + db.Ident(c.Name)
	}
	return db.Ident(c.Name)
}

func (v sqlite) sum(ctx context.Context, q engine.Querier, from string, exprs []string) (Checksum, error) {
	var c Checksum
	if len(exprs) == 0 {
		err := q.QueryRowContext(ctx, "SELECT count(*) FROM "+from).Scan(&c.Rows)
		return c, err
	}
	var sum []byte
	err := q.QueryRowContext(ctx, "SELECT count(*), dbrollback_sum("+v.rowHash(exprs)+") FROM "+from).Scan(&c.Rows, &sum)
	c.Sum = hex.EncodeToString(sum)
	return c, err
}

func (sqlite) sampleExpr(db *engine.DB, c engine.Column) string {
	return "typeof(" + db.Ident(c.Name) + ") || ' ' || quote(" + db.Ident(c.Name) + ")"
}
