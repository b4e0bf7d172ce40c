package snapshot

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

type postgresDialect struct{ s *Store }

//go:embed postgres_row_types.sql
var postgresRowTypes string

//go:embed postgres_attributes.sql
var postgresAttributes string

var postgresFlavour = flavour{
	rowTypes:   postgresRowTypes,
	attributes: postgresAttributes,
	number:     "n bigint GENERATED ALWAYS AS IDENTITY",
	overriding: "OVERRIDING SYSTEM VALUE",
	slacken:    postgresSlacken,
	timestamp:  "timestamptz",
	hash:       "bytea",
	seek:       "SET LOCAL enable_seqscan = off",
	grip:       " FOR NO KEY UPDATE OF t",
	bytes:      `'\x%x'::bytea`,
	locks: func(strong bool) string {
		if strong {
			return "ACCESS EXCLUSIVE"
		}
		return "SHARE ROW EXCLUSIVE"
	},
	consistent: "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
	store: func(c engine.Column) (string, bool) {
		switch strings.TrimSuffix(c.Type, "[]") {
		case "aclitem", "gtsvector": // the server cannot send these
			return "text", true
		}
		if !c.Portable {
			return "text", true
		}
		return c.Base, false
	},
	value: func(ref string, f field) string {
		switch {
		case f.Text:
			return ref + "::pg_catalog.text"
		case f.Type == f.Decl:
			return ref
		}
		return ref + "::" + f.Decl
	},
	back: postgresBack,
	apart: func(a, b []string) string {
		// The bytes in memory may differ where the values do not (compressed, or stored elsewhere); what is sent may not.
		return fmt.Sprintf("ROW(%[1]s)::pg_catalog.record OPERATOR(pg_catalog.*<>) ROW(%[2]s)::pg_catalog.record AND pg_catalog.record_send(ROW(%[1]s)) OPERATOR(pg_catalog.<>) pg_catalog.record_send(ROW(%[2]s))", list(a), list(b))
	},
	as: func(ref string, now engine.Column) string { return "(" + ref + ")::" + now.Type },
	asked: func(ctx context.Context, q engine.Querier, ref string, f field, collation string) (string, error) {
		if f.Text { // a domain may have other conditions by now
			there, err := number(ctx, q, "look for type "+f.Type, "SELECT count(*) FROM pg_catalog.pg_type WHERE oid = to_regtype($1::text) AND typtype <> 'd'", f.Type)
			if err != nil {
				return "", err
			}
			if there == 1 {
				return ref + "::" + f.Type, nil
			}
		}
		if collation != "" {
			ref += " COLLATE " + collation
		}
		return ref, nil
	},
	address: func(t *engine.Table) string {
		if t.Kind == "partitioned" { // places are numbered in each partition
			return "(t.tableoid::text || t.ctid::text)"
		}
		return "t.ctid"
	},
	column: func(ctx context.Context, q engine.Querier, f field) (engine.Column, error) {
		if !f.Text && f.Type == f.Decl {
			return engine.Column{Type: f.Type, Base: f.Decl, Portable: true}, nil
		}
		there, err := number(ctx, q, "look for type "+f.Type, "SELECT CASE WHEN to_regtype($1::text) IS NULL THEN 0 ELSE 1 END", f.Type)
		if err != nil || there == 0 {
			return engine.Column{Type: f.Decl, Base: f.Decl, Portable: true}, err
		}
		return engine.Column{Type: f.Type}, nil
	},
	alike: postgresAlike,
	match: postgresMatch,
	text:  func(ref string, _ field) string { return "coalesce(" + ref + "::text, 'NULL')" },
	meant: postgresMeant,
	from: func(db *engine.DB, t *engine.Table) string {
		if t.Kind == "partitioned" {
			return db.Quote(t.Name)
		}
		return "ONLY " + db.Quote(t.Name)
	},
	size: func(ctx context.Context, q engine.Querier, table string) (int64, error) {
		return number(ctx, q, "measure a capture", "SELECT pg_total_relation_size(to_regclass($1::text))", table)
	},
	routines: postgresRoutines,
	ours: func(ctx context.Context, q engine.Querier) ([]string, error) {
		return engine.Texts(ctx, q, `SELECT relname FROM pg_catalog.pg_class WHERE relnamespace = to_regnamespace('dbrollback') AND relkind = 'r'`)
	},
	observable: func(ctx context.Context, q engine.Querier, t *engine.Table) (bool, error) {
		n, err := number(ctx, q, "check rights", "SELECT CASE WHEN has_table_privilege($1::bigint::oid, 'TRIGGER') AND has_table_privilege($1::bigint::oid, 'UPDATE, DELETE, TRUNCATE') THEN 1 ELSE 0 END", int64(t.OID))
		return n == 1, err
	},
	skip:    " ON CONFLICT DO NOTHING",
	nothing: " WHERE 1 = 0",
	yes:     "true",
	system:  func(n engine.Name) bool { return n.Schema == "pg_catalog" },
	shown: `SELECT relname FROM pg_catalog.pg_class WHERE relkind IN ('v', 'm') AND relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
		OR oid IN (SELECT inhparent FROM pg_catalog.pg_inherits UNION ALL SELECT inhrelid FROM pg_catalog.pg_inherits)`,
	recent: func(ref string, c engine.Column, _ bool) string {
		if !strings.HasPrefix(c.Type, "timestamp") && c.Type != "date" {
			return ""
		}
		return ref + "::timestamptz BETWEEN now() - interval '1 day' AND now() + interval '1 day'"
	},
	sequences: postgresSequences,
	raise:     postgresRaise,
	climb:     postgresRaise,
	parts:     postgresPartitions,
	standing:  postgresStanding,
	onward:    postgresOnward,
	hold:      postgresHold,
}

// numeric are the types among which the server converts by itself.
var numeric = []string{"smallint", "integer", "bigint", "numeric", "real", "double precision"}

// postgresBack turns a kept value into what a live column takes. Lengths and scales are left to the assignment,
// which refuses what does not fit where a cast would cut it off.
func postgresBack(ref string, f field, now engine.Column) string {
	switch {
	case f.Text:
		return ref + "::" + now.Type
	case !now.Portable:
		return ref + "::text::" + now.Type
	case bare(now.Base) == bare(f.Decl):
		return ref
	case slices.Contains(numeric, bare(now.Base)) && slices.Contains(numeric, bare(f.Decl)):
		return ref + "::" + bare(now.Base)
	}
	return ref + "::text::" + bare(now.Base)
}

// postgresAlike compares by the column's collation, which may call different bytes equal.
func postgresAlike(live, kept string, f field, now engine.Column) string {
	if now.Collation == "" || f.Text || !now.Portable || bare(now.Base) != bare(f.Decl) {
		return postgresMatch(live, kept, f, now)
	}
	return live + " = " + kept + " COLLATE " + now.Collation
}

func postgresMatch(live, kept string, f field, now engine.Column) string {
	integers := numeric[:3]
	switch {
	case f.Text:
		return live + "::text = " + kept
	case !now.Portable:
		return live + "::text = " + kept + "::text"
	case slices.Contains(integers, now.Base) && slices.Contains(integers, f.Decl):
		return live + " = " + kept
	case bare(now.Base) != bare(f.Decl):
		return live + "::text = " + kept + "::text"
	case now.Collation != "":
		// A collation of the user's may call different bytes equal.
		return live + ` COLLATE "C" = ` + kept
	}
	return live + " = " + kept
}

func (d postgresDialect) lock(ctx context.Context, q engine.Querier, tables []*engine.Table, exclusive bool) error {
	mode := "SHARE ROW EXCLUSIVE"
	if exclusive {
		mode = "ACCESS EXCLUSIVE"
	}
	var names []string
	for _, t := range tables {
		names = append(names, d.s.f.from(d.s.db, t))
	}
	_, err := q.ExecContext(ctx, "LOCK TABLE "+list(names)+" IN "+mode+" MODE")
	return err
}

//go:embed postgres_shapes.sql
var postgresShapes string

func (d postgresDialect) shapes(ctx context.Context, q engine.Querier) (shapes, error) {
	rows, err := q.QueryContext(ctx, postgresShapes)
	if err != nil {
		return nil, fmt.Errorf("read the names of all tables: %w", err)
	}
	defer rows.Close()
	out := shapes{}
	for rows.Next() {
		var id string
		var num, column, kind sql.NullString
		var t tableShape
		if err := rows.Scan(&id, &t.Name.Schema, &t.Name.Name, &t.Storage, &t.Foreign, &num, &column, &kind); err != nil {
			return nil, fmt.Errorf("read the names of all tables: %w", err)
		}
		if d.s.db.Mine(t.Name) {
			continue
		}
		if _, ok := out[id]; !ok {
			t.Columns = map[string]columnShape{}
			out[id] = t
		}
		if num.Valid {
			out[id].Columns[num.String] = columnShape{Name: column.String, Type: kind.String}
		}
	}
	return out, rows.Err()
}

// pins are the settings that values as text and the visibility of rows depend on, and one that the planner must not choose: our tables have no statistics, so long queries
// over few rows look so dear to it that it compiles them, which takes longer than they do.
var pins = [][2]string{
	{"row_security", "off"}, // fail rather than see a part of the rows
	{"DateStyle", "ISO, MDY"},
	{"IntervalStyle", "postgres"},
	{"TimeZone", "UTC"},
	{"extra_float_digits", "3"},
	{"bytea_output", "hex"},
	{"lc_monetary", "C"},
	{"xmloption", "content"},
	{"jit", "off"},
}

func (d postgresDialect) pin(ctx context.Context, q engine.Querier) (func(context.Context) error, error) {
	pins := pins
	if d.s.sweeps() {
		pins = append(slices.Clone(pins), [2]string{"enable_nestloop", "off"})
	}
	var reads []string
	for _, p := range pins {
		reads = append(reads, "current_setting('"+p[0]+"')")
	}
	was, role := make([]string, len(pins)), ""
	into := make([]any, len(pins), len(pins)+1)
	for i := range was {
		into[i] = &was[i]
	}
	reads, into = append(reads, "current_setting('role')"), append(into, &role)
	if err := q.QueryRowContext(ctx, "SELECT "+list(reads)).Scan(into...); err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	set := func(ctx context.Context, value func(int) string) error {
		var sets []string
		var args []any
		for i, p := range pins {
			if was[i] == p[1] {
				continue
			}
			args = append(args, value(i))
			sets = append(sets, fmt.Sprintf("set_config('%s', $%d::text, true)", p[0], len(args)))
		}
		if len(sets) == 0 {
			return nil
		}
		if _, err := q.ExecContext(ctx, "SELECT "+list(sets), args...); err != nil {
			return fmt.Errorf("fix settings: %w", err)
		}
		return nil
	}
	if role != "none" { // we work as who we were at login, whatever role the migration took on
		if _, err := q.ExecContext(ctx, "SET LOCAL role TO DEFAULT"); err != nil {
			return nil, fmt.Errorf("take on our own role: %w", err)
		}
	}
	if err := set(ctx, func(i int) string { return pins[i][1] }); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		if role != "none" {
			if _, err := q.ExecContext(ctx, "SELECT set_config('role', $1::text, true)", role); err != nil {
				return fmt.Errorf("take on the migration's role: %w", err)
			}
		}
		return set(ctx, func(i int) string { return was[i] })
	}, nil
}

func postgresSequences(ctx context.Context, q engine.Querier, s *Store, t *engine.Table) ([]Sequence, error) {
	var out []Sequence
	for _, c := range t.Columns {
		if c.Sequence.Name == "" {
			continue
		}
		x := Sequence{Name: c.Sequence, Column: c.Name}
		if err := q.QueryRowContext(ctx, `SELECT coalesce(to_regclass($1::text)::oid::bigint, 0), coalesce(CASE WHEN has_sequence_privilege(to_regclass($1::text), 'SELECT,USAGE')
			THEN pg_sequence_last_value(to_regclass($1::text)) END, 0)`, s.db.Quote(c.Sequence)).Scan(&x.ID, &x.Last); err != nil {
			return nil, fmt.Errorf("read sequence %s: %w", c.Sequence, err)
		}
		out = append(out, x)
	}
	return out, nil
}

// postgresRaise makes sequences continue after the largest number handed out or in use, never lower.
func postgresRaise(ctx context.Context, q engine.Querier, s *Store, t *engine.Table, old []Sequence) error {
	for _, c := range t.Columns {
		if c.Sequence.Name == "" || !slices.Contains(numeric[:4], bare(c.Type)) {
			continue
		}
		name := s.db.Quote(c.Sequence)
		var step, last sql.NullInt64
		if err := q.QueryRowContext(ctx, `SELECT seqincrement, pg_sequence_last_value(seqrelid) FROM pg_sequence WHERE seqrelid = to_regclass($1::text)`,
			name).Scan(&step, &last); err != nil {
			return fmt.Errorf("read sequence %s: %w", c.Sequence, err)
		}
		most, better := "max", func(a, b int64) bool { return a > b }
		if step.Int64 < 0 {
			most, better = "min", func(a, b int64) bool { return a < b }
		}
		var live sql.NullInt64
		if err := q.QueryRowContext(ctx, fmt.Sprintf("SELECT %s(%s)::bigint FROM %s", most, s.q(c.Name), s.db.Quote(t.Name))).Scan(&live); err != nil {
			return fmt.Errorf("raise sequence %s: %w", c.Sequence, err)
		}
		want := live
		for _, o := range old {
			if o.Last != 0 && (o.Name == c.Sequence || o.Column == c.Name) && (!want.Valid || better(o.Last, want.Int64)) {
				want = sql.NullInt64{Int64: o.Last, Valid: true}
			}
		}
		if !want.Valid || last.Valid && !better(want.Int64, last.Int64) {
			continue
		}
		if _, err := q.ExecContext(ctx, `SELECT setval(to_regclass($1::text), $2::bigint) FROM pg_sequence
			WHERE seqrelid = to_regclass($1::text) AND $2::bigint BETWEEN seqmin AND seqmax`, name, want.Int64); err != nil {
			return fmt.Errorf("raise sequence %s: %w", c.Sequence, err)
		}
	}
	return nil
}

// literal quotes a string as a literal of the server.
func literal(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		quoted = "E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}
