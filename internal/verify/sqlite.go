package verify

import (
	"context"
	"database/sql"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// sqlite reads sqlite_schema. SQLite keeps definitions as text, so that they are compared token by token:
// the body of a CREATE TABLE comes apart into its columns and constraints, in whatever order they
// were made (ALTER TABLE ADD COLUMN appends to the text).
type sqlite struct{ db *engine.DB }

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
	rows, err := q.QueryContext(ctx, `SELECT type, name, tbl_name, sql FROM main.sqlite_schema
		WHERE tbl_name NOT IN (SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow') -- these come with their virtual table
		ORDER BY rowid`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []sqliteObject
	for n := 0; rows.Next(); n++ {
		o := sqliteObject{order: n}
		if err := rows.Scan(&o.kind, &o.name, &o.table, &o.sql); err != nil {
			return nil, err
		}
		all = append(all, o)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	f := Fingerprint{}
	for _, o := range all {
		if v.db.Mine(engine.Name{Name: o.name}) || v.db.Mine(engine.Name{Name: o.table}) || !o.sql.Valid {
			continue // an index without text belongs to a constraint
		}
		if s.all() || o.within(s, all) {
			o.add(v.db, f, all)
		}
	}
	return f, nil
}

// sqliteObject is a row of sqlite_schema.
type sqliteObject struct {
	kind, name, table string
	sql               sql.NullString
	order             int
}

// within tells whether o belongs to a scope that is not everything.
func (o sqliteObject) within(s Scope, all []sqliteObject) bool {
	named := func(table string) bool {
		return slices.ContainsFunc(s.Tables, func(n engine.Name) bool { return strings.EqualFold(n.Name, table) })
	}
	if o.kind != "view" {
		on := slices.ContainsFunc(all, func(v sqliteObject) bool {
			return v.kind == "view" && strings.EqualFold(v.name, o.table) && o.kind == "trigger" && v.within(s, all)
		})
		return named(o.table) || on
	}
	return s.Others || o.reads(all, func(n string) bool { return named(n) }, nil)
}

// reads tells whether a view mentions a table that match accepts, by itself or through other views. A
// word of its text that happens to be a table's name counts: at worst a view too many is looked at.
func (o sqliteObject) reads(all []sqliteObject, match func(string) bool, seen []string) bool {
	for _, word := range engine.SQLiteTokens(o.sql.String) {
		word = strings.Trim(word, `"`)
		if strings.EqualFold(word, o.name) || slices.Contains(seen, word) {
			continue
		}
		if match(word) {
			return true
		}
		for _, v := range all {
			if v.kind == "view" && strings.EqualFold(v.name, word) && v.reads(all, match, append(seen, word, strings.ToUpper(o.name))) {
				return true
			}
		}
	}
	return false
}

// add puts o, and what its text holds, into f.
func (o sqliteObject) add(db *engine.DB, f Fingerprint, all []sqliteObject) {
	table := engine.Name{Name: o.table}
	put := func(x Object) {
		// SQLite compares names without case.
		x.Table, x.Name, x.Rank = table, strings.ToLower(x.Name), x.Rank*1_000_000+o.order
		f[x.Key()] = x
	}
	switch o.kind {
	case "table":
		t, ok := splitTable(o.sql.String)
		if !ok { // a virtual table, or one made by a query's text that we cannot take apart
			put(Object{Kind: "table", Name: o.name, Definition: o.definition(), Create: []string{o.sql.String}, Drop: []string{"DROP TABLE " + db.Ident(o.name)}, Rank: 50})
			return
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
	default:
		x := Object{
			Kind: o.kind, Name: o.name, Definition: o.definition(), Create: []string{o.sql.String},
			Drop: []string{"DROP " + strings.ToUpper(o.kind) + " " + db.Ident(o.name)},
			Rank: map[string]int{"index": 85, "view": 100, "trigger": 110}[o.kind],
		}
		if o.kind == "trigger" {
			x.Name = o.table + "." + o.name
		}
		if o.kind == "view" {
			x.Needs = o.needs(all)
		}
		put(x)
	}
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
		out = append(out, t.Text)
	}
	return strings.Join(out, " ")
}

func (o sqliteObject) needs(all []sqliteObject) []string {
	words := engine.SQLiteTokens(o.sql.String)
	var out []string
	for _, t := range all {
		if (t.kind == "table" || t.kind == "view") && t.name != o.name &&
			slices.ContainsFunc(words, func(w string) bool { return strings.EqualFold(strings.Trim(w, `"`), t.name) }) {
			out = append(out, t.kind+" "+strings.ToLower(t.name))
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
