package verify

import (
	"context"
	"database/sql"
	_ "embed"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"text/template"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// postgres reads PostgreSQL's catalog: one statement for the tables, one for the rest.
type postgres struct{ db *engine.DB }

//go:embed postgres_relations.sql
var postgresRelations string

//go:embed postgres_others.sql
var postgresOthers string

//go:embed postgres_grants.sql
var postgresGrants string

//go:embed postgres_not_null.sql
var postgresNotNull string

// postgresQuery is one of the statements above, filled in. Its text is made once for each, so that the
// driver finds it prepared.
type postgresQuery struct {
	Rest   bool // the statement for objects that are no table's
	Digest bool // the statement that sums up what hangs on named tables
	Plain  bool // the statement that reads one ordinary table, or these parts of it
	Parts
	All    bool // every table
	Others bool // named tables, and every view
	// What the tables use that most do not; without it the statement is a third as long, and as fast.
	Rare, Sequences bool
	// Of the rest: what the open transaction made or changed, or what has one of the names in the setting.
	Own, Named bool
	Version    int
}

// Part tells whether the statement for the rest reads a part of it.
func (p postgresQuery) Part() bool { return p.Own || p.Named }

//go:embed postgres_digest.sql
var postgresDigest string

var postgresQueries sync.Map // postgresQuery -> string

func (p postgresQuery) text() (string, error) {
	if text, ok := postgresQueries.Load(p); ok {
		return text.(string), nil
	}
	source := postgresRelations
	switch {
	case p.Rest:
		source = postgresOthers
	case p.Digest:
		source = postgresDigest
	case p.Plain:
		source = postgresPlain
	}
	t, err := template.New("query").Parse(source)
	if err != nil {
		return "", err
	}
	for name, text := range map[string]string{"grants": postgresGrants, "not null": postgresNotNull} {
		if _, err := t.New(name).Parse(strings.TrimSpace(text)); err != nil {
			return "", err
		}
	}
	var b strings.Builder
	if err := t.Execute(&b, p); err != nil {
		return "", err
	}
	postgresQueries.Store(p, b.String())
	return b.String(), nil
}

func (p postgres) take(ctx context.Context, q engine.Querier, s Scope) (Fingerprint, error) {
	h, err := p.takeSince(ctx, q, s, held{})
	return h.Fingerprint, err
}

// takeSince reads named tables in two steps: a digest, which tells whether anything has changed since, and
// which of the long statement's parts are wanted.
func (p postgres) takeSince(ctx context.Context, q engine.Querier, s Scope, was held) (held, error) {
	now := held{Fingerprint: Fingerprint{}}
	tables := postgresQuery{All: s.all(), Others: s.Others, Rare: true, Sequences: true, Version: p.db.Version}
	if pool, ok := q.(interface {
		Conn(ctx context.Context) (*sql.Conn, error)
	}); ok { // the statements below belong together
		c, err := pool.Conn(ctx)
		if err != nil {
			return now, err
		}
		defer c.Close()
		q = c
	}
	if !s.all() {
		names := make([]string, len(s.Tables))
		for i, n := range s.Tables {
			names[i] = `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(p.db.Quote(n)) + `"`
		}
		var set string
		err := q.QueryRowContext(ctx, "SELECT set_config('dbrollback.scope', $1, false)", append(engine.Prepared(p.db), "{"+strings.Join(names, ",")+"}")...).Scan(&set)
		if err != nil {
			return now, err
		}
		text, err := postgresQuery{Digest: true, Version: p.db.Version}.text()
		if err != nil {
			return now, err
		}
		if err := q.QueryRowContext(ctx, text, engine.Prepared(p.db)...).Scan(&now.digest, &tables.Rare, &tables.Sequences); err != nil {
			return now, err
		}
		if tables.Rare || s.Others { // what the digest does not follow
			now.digest, tables.Rare, tables.Sequences = "", true, true
		}
		if now.digest != "" && now.digest == was.digest {
			return was, nil
		}
	}
	if err := p.read(ctx, q, now.Fingerprint, tables); err != nil {
		return now, err
	}
	if s.all() || s.Others {
		if err := p.read(ctx, q, now.Fingerprint, postgresQuery{Rest: true, Version: p.db.Version}); err != nil {
			return now, err
		}
	}
	return now, nil
}

func (p postgres) read(ctx context.Context, q engine.Querier, f Fingerprint, query postgresQuery) error {
	text, err := query.text()
	if err != nil {
		return err
	}
	var objects []byte
	var path string
	if err := q.QueryRowContext(ctx, text, engine.Prepared(p.db)...).Scan(&objects, &path); err != nil {
		return err
	}
	return f.decode(objects)
}

// decode adds the objects of an answer.
func (f Fingerprint) decode(objects []byte) error {
	var rows []postgresRow
	if err := json.Unmarshal(objects, &rows); err != nil {
		return fmt.Errorf("read the catalog's answer: %w", err)
	}
	for _, r := range rows {
		o := Object(r)
		o.Invalid = o.Kind == "index" && strings.HasSuffix(o.Definition, " INVALID")
		quoted := o.Name
		o.Name = unquoted(quoted)
		if _, taken := f[o.Key()]; taken {
			o.Name = quoted // "a.b".c and a."b.c" are two
		}
		for i, n := range o.Needs {
			o.Needs[i] = unquoted(n)
		}
		f[o.Key()] = o
	}
	return nil
}

// unquoted spells the identifiers in a name as the catalog does, as everybody who looks for an object
// does.
func unquoted(name string) string {
	if !strings.Contains(name, `"`) {
		return name
	}
	const quote = "\x00" // in no name
	s := strings.ReplaceAll(name, `""`, quote)
	return strings.ReplaceAll(strings.ReplaceAll(s, `"`, ""), quote, `"`)
}

// postgresRow is an object as the statements return it: an array, because names would be most of the answer.
type postgresRow Object

// UnmarshalJSON reads the array.
func (r *postgresRow) UnmarshalJSON(b []byte) error {
	var schema, table, definition *string
	fields := []any{&r.Kind, &r.Name, &schema, &table, &definition, &r.Create, &r.Alter, &r.Drop, &r.Rank, &r.Position, &r.Generated, &r.Needs}
	want := len(fields)
	if err := json.Unmarshal(b, &fields); err != nil {
		return err
	}
	if len(fields) != want {
		return fmt.Errorf("object of %d fields, want %d", len(fields), want)
	}
	for from, to := range map[**string]*string{&schema: &r.Table.Schema, &table: &r.Table.Name, &definition: &r.Definition} {
		if *from != nil {
			*to = **from
		}
	}
	return nil
}
