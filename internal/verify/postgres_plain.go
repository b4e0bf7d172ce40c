package verify

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Plain is what an ordinary table itself is made of: columns, constraints, indexes. It is read in a fraction of the time
// of a fingerprint, so that what a statement adds to a table costs little to find out. The objects are those that
// Take gives, but what hangs on the table from outside, comments and rights are not among them.
type Plain struct {
	Parts               // that were read
	Table   engine.Name // as the catalog spells it
	Found   bool        // there is such a table
	Simple  bool        // no partition, heir or parent, no temporary or unlogged table, no view
	Objects Fingerprint
	more    bool            // the table may have properties that are not among Objects
	rare    map[string]bool // keys of columns and indexes with such properties
}

// Parts are parts of a table.
type Parts struct {
	Columns     bool // with the table itself and its owner, defaults and NOT NULL
	Constraints bool
	Indexes     bool // those of constraints left out
}

// All are all parts.
var All = Parts{Columns: true, Constraints: true, Indexes: true}

// Of gives the parts together with the one that objects of a kind belong to.
func (p Parts) Of(kind string) Parts {
	switch kind {
	case "table", "owner", "column", "default", "not null":
		p.Columns = true
	case "index":
		p.Indexes = true
	default:
		p.Constraints = true
	}
	return p
}

// Holds tells whether all of some parts are among p.
func (p Parts) Holds(q Parts) bool {
	return (p.Columns || !q.Columns) && (p.Constraints || !q.Constraints) && (p.Indexes || !q.Indexes)
}

// Only gives the objects of some parts.
func (p *Plain) Only(parts Parts) Fingerprint {
	out := Fingerprint{}
	for key, o := range p.Objects {
		if parts.Holds((Parts{}).Of(o.Kind)) {
			out[key] = o
		}
	}
	return out
}

// Renewed gives the table with some of its parts as they were read later.
func (p *Plain) Renewed(later *Plain) *Plain {
	out := *later
	out.Parts = Parts{Columns: p.Columns || later.Columns, Constraints: p.Constraints || later.Constraints, Indexes: p.Indexes || later.Indexes}
	out.Objects = maps.Clone(later.Objects)
	for key, o := range p.Objects {
		if !later.Holds((Parts{}).Of(o.Kind)) {
			out.Objects[key] = o
		}
	}
	return &out
}

// RareAt tells whether an object has properties that are not among Objects: an identity, a collation, a sequence of its own.
func (p *Plain) RareAt(key string) bool { return p.rare[key] }

// Whole tells whether Objects is all there is to tell of a table that was made just now.
func (p *Plain) Whole() bool { return p.Holds(All) && p.Simple && !p.more && len(p.rare) == 0 }

//go:embed postgres_plain.sql
var postgresPlain string

// ReadPlain gives the statement that reads parts of a table, named as a migration's text names it, into p; false when
// the engine has no such statement. It must run in a transaction.
func ReadPlain(db *engine.DB, n engine.Name, parts Parts, p *Plain) (engine.Step, bool) {
	if db.Kind != engine.Postgres {
		return engine.Step{}, false
	}
	text, err := postgresQuery{Plain: true, Parts: parts, Version: db.Version}.text()
	if err != nil {
		return engine.Step{}, false
	}
	var path string
	return engine.Step{What: "read " + n.String(), SQL: text, Args: []any{db.Quote(n)}, Into: []any{&plainScan{p, parts}, &path}}, true
}

// ReadMade gives the statement that reads into f the types, domains, functions, sequences, schemas and extensions that
// the open transaction made or replaced; ReadNamed those that stand under these names, whatever their schemas and
// arguments. Other kinds may be among them; that they are all there is promised of these.
func ReadMade(db *engine.DB, f Fingerprint) ([]engine.Step, error) {
	return readOthers(postgresQuery{Rest: true, Own: true, Version: db.Version}, f)
}

// ReadNamed is described with ReadMade.
func ReadNamed(db *engine.DB, names []string, f Fingerprint) ([]engine.Step, error) {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(n) + `"`
	}
	var set string
	steps, err := readOthers(postgresQuery{Rest: true, Named: true, Version: db.Version}, f)
	return append([]engine.Step{{What: "read the catalog", SQL: "SELECT set_config('dbrollback.scope', $1, false)", Args: []any{"{" + strings.Join(quoted, ",") + "}"}, Into: []any{&set}}}, steps...), err
}

func readOthers(query postgresQuery, f Fingerprint) ([]engine.Step, error) {
	text, err := query.text()
	var path string
	return []engine.Step{{What: "read the catalog", SQL: text, Into: []any{fingerprintScan(f), &path}}}, err
}

// fingerprintScan reads objects.
type fingerprintScan Fingerprint

// Scan implements sql.Scanner.
func (f fingerprintScan) Scan(from any) error {
	switch x := from.(type) {
	case []byte:
		return Fingerprint(f).decode(x)
	case string:
		return Fingerprint(f).decode([]byte(x))
	}
	return fmt.Errorf("read the catalog's answer: %T", from)
}

// plainScan reads the statement's answer.
type plainScan struct {
	p     *Plain
	parts Parts
}

// fields reads a JSON array into variables.
type fields []any

func (f fields) read(b []byte) error {
	want := len(f)
	list := []any(f)
	if err := json.Unmarshal(b, &list); err != nil {
		return err
	}
	if len(list) != want {
		return fmt.Errorf("read the catalog's answer: array of %d, want %d", len(list), want)
	}
	return nil
}

// Scan implements sql.Scanner.
func (s *plainScan) Scan(from any) error {
	var b []byte
	switch x := from.(type) {
	case nil:
		*s.p = Plain{Parts: s.parts, Objects: Fingerprint{}}
		return nil
	case []byte:
		b = x
	case string:
		b = []byte(x)
	default:
		return fmt.Errorf("read the catalog's answer: %T", from)
	}
	p := Plain{Parts: s.parts, Found: true, Objects: Fingerprint{}, rare: map[string]bool{}}
	var schema, name, owner string
	var oid int64
	var columns, constraints, indexes []json.RawMessage
	if err := (fields{&p.Table.Schema, &p.Table.Name, &schema, &name, &owner, &oid, &p.Simple, &p.more, &columns, &constraints, &indexes}).read(b); err != nil {
		return err
	}
	r := plainReader{p: &p, schema: schema, table: schema + "." + name}
	if s.parts.Columns {
		if err := r.columns(columns, oid, owner); err != nil {
			return err
		}
	}
	if err := r.constraints(constraints); err != nil {
		return err
	}
	if err := r.indexes(indexes); err != nil {
		return err
	}
	*s.p = p
	return nil
}

// plainReader turns rows of the catalog into objects, as the long statement does.
type plainReader struct {
	p             *Plain
	schema, table string // quoted where they must be
}

// ranks keep objects in the order in which they can be made.
func plainRank(rank int, oid int64) int { return rank*10_000_000_000 + int(oid) }

func (r plainReader) add(o Object) string {
	quoted := o.Name
	o.Name, o.Table = unquoted(quoted), r.p.Table
	if _, taken := r.p.Objects[o.Key()]; taken {
		o.Name = quoted
	}
	r.p.Objects[o.Key()] = o
	return o.Key()
}

var collated = regexp.MustCompile(` COLLATE .*$`)

func (r plainReader) columns(list []json.RawMessage, oid int64, owner string) error {
	var made []string
	for i, b := range list {
		var name, quoted, kind string
		var notNull json.RawMessage // its definition, and what makes it or makes it from another
		var rare bool
		var expr *string
		if err := (fields{&name, &quoted, &kind, &notNull, &expr, &rare}).read(b); err != nil {
			return err
		}
		made = append(made, quoted+" "+kind)
		at, alter := r.table+"."+quoted, "ALTER TABLE "+r.table+" ALTER COLUMN "+quoted
		key := r.add(Object{Kind: "column", Name: at, Definition: kind, Position: i + 1, Rank: plainRank(60, oid),
			Create: []string{"ALTER TABLE " + r.table + " ADD COLUMN " + quoted + " " + kind},
			Alter:  []string{alter + " TYPE " + kind + " USING " + quoted + "::" + collated.ReplaceAllString(kind, "")},
			Drop:   []string{"ALTER TABLE " + r.table + " DROP COLUMN " + quoted}})
		if rare {
			r.p.rare[key] = true
		}
		if expr != nil {
			r.add(Object{Kind: "default", Name: at, Definition: *expr, Rank: plainRank(70, oid),
				Create: []string{alter + " SET DEFAULT " + *expr}, Drop: []string{alter + " DROP DEFAULT"}})
		}
		if len(notNull) > 0 { // null leaves it empty
			o := Object{Kind: "not null", Name: at, Rank: plainRank(75, oid), Drop: []string{alter + " DROP NOT NULL"}}
			if err := (fields{&o.Definition, &o.Create, &o.Alter}).read(notNull); err != nil {
				return err
			}
			if o.Create == nil {
				o.Create = []string{alter + " SET NOT NULL"}
			}
			r.add(o)
		}
	}
	r.add(Object{Kind: "table", Name: r.table, Definition: "TABLE", Rank: plainRank(50, oid),
		Create: []string{"CREATE TABLE " + r.table + "(" + strings.Join(made, ", ") + ")"},
		Alter:  []string{"ALTER TABLE " + r.table + " SET LOGGED"}, Drop: []string{"DROP TABLE " + r.table}})
	r.add(Object{Kind: "owner", Name: r.table, Definition: unquoted(owner), Rank: plainRank(101, oid),
		Create: []string{"ALTER TABLE " + r.table + " OWNER TO " + owner}})
	return nil
}

var (
	madeUpConstraint = regexp.MustCompile(`_(pkey|key|fkey|check|excl)\d*$`)
	madeUpIndex      = regexp.MustCompile(`_(idx|key)\d*$`)
	constraintKinds  = map[string]Object{
		"p": {Kind: "primary key", Rank: 80}, "u": {Kind: "unique", Rank: 81}, "f": {Kind: "foreign key", Rank: 90},
		"c": {Kind: "check", Rank: 82}, "x": {Kind: "exclude", Rank: 83},
	}
)

func (r plainReader) constraints(list []json.RawMessage) error {
	for _, b := range list {
		var oid int64
		var quoted, kind, def string
		if err := (fields{&oid, &quoted, &kind, &def}).read(b); err != nil {
			return err
		}
		o := constraintKinds[kind]
		r.add(Object{Kind: o.Kind, Name: r.table + "." + quoted, Definition: def, Rank: plainRank(o.Rank, oid), Generated: madeUpConstraint.MatchString(unquoted(quoted)),
			Create: []string{"ALTER TABLE " + r.table + " ADD CONSTRAINT " + quoted + " " + def},
			Drop:   []string{"ALTER TABLE " + r.table + " DROP CONSTRAINT " + quoted}})
	}
	return nil
}

func (r plainReader) indexes(list []json.RawMessage) error {
	for _, b := range list {
		var oid int64
		var quoted, def string
		var unique, valid, rare bool
		if err := (fields{&oid, &quoted, &unique, &valid, &def, &rare}).read(b); err != nil {
			return err
		}
		word := ""
		if unique {
			word = "UNIQUE "
		}
		rest := strings.TrimPrefix(def, "CREATE "+word+"INDEX "+quoted)
		if strings.HasPrefix(rest, " ON ONLY ") {
			rest = " ON " + strings.TrimPrefix(rest, " ON ONLY ")
		}
		o := Object{Kind: "index", Name: r.schema + "." + quoted, Definition: word + "INDEX" + rest, Rank: plainRank(85, oid), Generated: madeUpIndex.MatchString(unquoted(quoted)),
			Create: []string{"CREATE " + word + "INDEX " + quoted + rest}, Drop: []string{"DROP INDEX " + r.schema + "." + quoted}}
		if o.Invalid = !valid; o.Invalid {
			o.Definition += " INVALID"
		}
		if key := r.add(o); rare {
			r.p.rare[key] = true
		}
	}
	return nil
}
