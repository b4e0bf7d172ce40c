package migrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// stumbles refuses a run that shows before it begins that it cannot come to its end: it changes a table that is not there, or drops what a key still needs. Where each statement commits
// by itself the server's own refusal would leave it half-way.
func (w *work) stumbles(ctx context.Context, q engine.Querier) ([]Refusal, error) {
	if w.r.m.db.Caps.TransactionalDDL {
		return nil, nil
	}
	p := path{w: w, q: q, side: "Down", again: "roll back again", moved: map[string]bool{}, dropped: map[string]bool{}, keyed: map[string]bool{}, added: map[string]bool{}}
	if w.r.dir == Up {
		p.side, p.again = "Up", "run up again"
	}
	settled := true // nothing has changed how a statement is read
	for _, st := range w.stmts {
		if settled && w.r.m.doubts(st) {
			said, err := w.r.m.db.Malformed(ctx, q, st.SQL)
			if err != nil {
				return nil, w.located(st, err)
			}
			if said != nil {
				p.out = append(p.out, unreadable(st, p.side, said, "correct it, and "+p.again))
			}
		}
		settled = settled && !slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return e.Kind == effects.Session })
		if st.Opaque() || slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return e.Kind == effects.Session && e.Object.Name.Name == "database" }) {
			break // nobody knows what is there after it, or names mean other tables
		}
		if err := p.gone(ctx, st); err != nil {
			return nil, err
		}
		p.passes(st)
		for _, e := range st.Effects {
			if err := p.effect(ctx, st, e); err != nil {
				return nil, err
			}
		}
	}
	return p.out, nil
}

// path is what the statements so far leave of the schema that is there when Down begins.
type path struct {
	w         *work
	q         engine.Querier
	side      string // what is refused: Up or Down
	again     string // what to do when it is mended
	out       []Refusal
	moved     map[string]bool // tables that are made, dropped or renamed, in lower case: of those nothing is said
	dropped   map[string]bool // "table.key" and "table.column", in lower case
	keyed     map[string]bool // tables of which keys are made, or columns altered, in lower case
	added     map[string]bool // "table.column" that are made, in lower case
	unchecked bool            // foreign_key_checks = 0
}

func (p *path) is(list map[string]bool, names ...string) bool {
	return list[strings.ToLower(strings.Join(names, "."))]
}

// passes notes what a statement takes away. All of one statement happens at once: a column may go along with its key.
func (p *path) passes(st Statement) {
	p.unchecked = p.unchecked || strings.Contains(strings.ToLower(st.SQL), "foreign_key_checks")
	for _, e := range st.Effects {
		table := strings.ToLower(e.Table.Name)
		switch e.Kind {
		case effects.AddConstraint, effects.Create, effects.AlterColumnType, effects.AlterColumn, effects.RenameColumn:
			p.keyed[table] = true
		case effects.DropConstraint, effects.Drop:
			if e.Object.Kind == "index" || e.Object.Kind == "constraint" {
				p.dropped[table+"."+strings.ToLower(e.Object.Name.Name)] = true
			}
		case effects.AddColumn:
			for _, c := range e.Columns {
				p.added[table+"."+strings.ToLower(c)] = true
			}
		case effects.DropColumn:
			for _, c := range e.Columns {
				p.dropped[table+"."+strings.ToLower(c)] = true
			}
		}
	}
}

func (p *path) effect(ctx context.Context, st Statement, e effects.Effect) error {
	if err := p.parents(ctx, st, e); err != nil {
		return err
	}
	switch e.Kind {
	case effects.CreateTable, effects.RenameTable, effects.SetSchema, effects.DropSchema:
		defer func() {
			p.moved[strings.ToLower(e.Table.Name)], p.moved[strings.ToLower(e.NewName.Name)] = true, true
		}()
		if e.Kind != effects.RenameTable {
			p.clashes(st, e)
			return nil
		}
	case effects.DropTable:
		defer func() { p.moved[strings.ToLower(e.Table.Name)] = true }()
	case effects.Insert, effects.Update, effects.Delete, effects.Upsert, effects.Replace, effects.Merge:
		return nil // not a definition's matter
	case effects.Create, effects.Drop:
		if e.Object.Kind != "index" {
			return nil
		}
	default:
		if !confined[e.Kind] {
			return nil
		}
	}
	if e.Table.Name == "" || e.IfTable || e.Kind == effects.DropTable && e.IfExists || p.is(p.moved, e.Table.Name) || p.clashes(st, e) {
		return nil
	}
	t, err := p.w.r.m.db.Inspect(ctx, p.q, engine.Name(e.Table))
	if errors.Is(err, engine.ErrNoTable) {
		return p.missing(ctx, st, e)
	}
	if err != nil {
		return err
	}
	switch {
	case e.Kind == effects.AddColumn && e.Column != nil && (e.Column.Identity || e.Column.Serial):
		p.keyless(st, t, e.Column)
	case e.Kind == effects.DropColumn && !(p.side == "Up" && p.unchecked):
		for _, c := range e.Columns {
			p.needed(st, t, c)
		}
	case e.Kind == effects.DropTable && !p.unchecked:
		p.needed(st, t, "")
	case e.Kind == effects.DropConstraint || e.Kind == effects.Drop:
		return p.counts(ctx, st, t, e.Object.Name.Name)
	}
	return nil
}

// counts refuses to drop the only key of a column that counts by itself, while that stays.
func (p *path) counts(ctx context.Context, st Statement, t *engine.Table, key string) error {
	for _, c := range t.Columns {
		if c.Identity == "" || p.is(p.dropped, t.Name.Name, c.Name) || p.is(p.keyed, t.Name.Name) {
			continue
		}
		keys, err := engine.Texts(ctx, p.q, `SELECT index_name FROM information_schema.statistics
			WHERE table_schema = coalesce(nullif(?, ''), database()) AND table_name = ? AND seq_in_index = 1 AND column_name = ?`, t.Name.Schema, t.Name.Name, c.Name)
		if err != nil {
			return err
		}
		is := func(k string) bool { return strings.EqualFold(k, key) }
		if !slices.ContainsFunc(keys, is) || slices.ContainsFunc(keys, func(k string) bool { return !is(k) && !p.is(p.dropped, t.Name.Name, k) }) {
			continue
		}
		p.refuse(st, fmt.Sprintf("drops key %s of %s, which column %s needs to count by itself (AUTO_INCREMENT)", key, t.Name, c.Name),
			"drop the column, or change it, in the same statement or before")
	}
	return nil
}

// keyless refuses a new column that counts by itself and that the same statement gives no key.
func (p *path) keyless(st Statement, t *engine.Table, c *effects.ColumnDef) {
	if c.PrimaryKey || c.Unique || len(c.Constraints) > 0 || slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return e.Kind == effects.AddConstraint || e.Kind == effects.Create }) {
		return
	}
	name := p.w.r.m.db.Ident(c.Name)
	p.refuse(st, fmt.Sprintf("adds %s.%s, which counts by itself (AUTO_INCREMENT), without a key", t.Name, c.Name),
		"make the key in the same statement (ADD COLUMN "+name+" …, ADD PRIMARY KEY ("+name+"))")
}

// missing refuses a statement about a table that is not there.
func (p *path) missing(ctx context.Context, st Statement, e effects.Effect) error {
	instead, err := p.instead(ctx, e.Table, "name the table that it means, or take the statement out (SELECT 1 does nothing)")
	if err != nil {
		return err
	}
	p.refuse(st, fmt.Sprintf("changes %s, which is not there", engine.Name(e.Table)), instead)
	return nil
}

// needed refuses to drop a column, or with "" a table, while a foreign key needs it, and on MariaDB a column of a unique key over others that stay.
func (p *path) needed(st Statement, t *engine.Table, column string) {
	db := p.w.r.m.db
	has := func(list []string) bool {
		return slices.ContainsFunc(list, func(c string) bool { return strings.EqualFold(c, column) })
	}
	thing := t.Name.String()
	if column != "" {
		thing += "." + column
	}
	for _, k := range t.ForeignKeys {
		if column != "" && has(k.Columns) && !p.is(p.dropped, t.Name.Name, k.Name) {
			p.refuse(st, fmt.Sprintf("drops %s while foreign key %s needs it", thing, k.Name), "drop the key first (ALTER TABLE "+db.Quote(t.Name)+" DROP FOREIGN KEY "+db.Ident(k.Name)+")")
		}
	}
	for _, k := range t.Referenced {
		if k.Table == t.Name || p.is(p.moved, k.Table.Name) || p.is(p.dropped, k.Table.Name, k.Name) || column != "" && !has(k.ParentColumns) || column == "" && p.goes(st, k.Table) {
			continue
		}
		p.refuse(st, fmt.Sprintf("drops %s while foreign key %s of %s needs it", thing, k.Name, k.Table), "drop the key first (ALTER TABLE "+db.Quote(k.Table)+" DROP FOREIGN KEY "+db.Ident(k.Name)+")")
	}
	if db.Kind != engine.MariaDB || column == "" {
		return
	}
	for _, k := range slices.Concat(t.Keys, t.Unique) {
		stays := slices.ContainsFunc(k.Columns, func(c string) bool { return !p.is(p.dropped, t.Name.Name, c) })
		if has(k.Columns) && stays && !p.is(p.dropped, t.Name.Name, k.Name) {
			p.refuse(st, fmt.Sprintf("drops %s while unique key %s needs it", thing, k.Name), "drop the key first (ALTER TABLE "+db.Quote(t.Name)+" DROP INDEX "+db.Ident(k.Name)+")")
		}
	}
}

// goes tells whether a statement drops a table.
func (p *path) goes(st Statement, n engine.Name) bool {
	return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
		return e.Kind == effects.DropTable && strings.EqualFold(e.Table.Name, n.Name)
	})
}

// refuse says what a statement does, and what it is to do.
func (p *path) refuse(st Statement, does, instead string) {
	p.out = append(p.out, Refusal{File: st.File, Line: st.Line, Column: st.Column, Message: p.side + " " + does, Hint: "let " + p.side + " " + instead + ", and " + p.again})
}

// staysOver refuses a Down of which no statement takes away a table or column that Up has made: those are not taken off as an index or a key is. Only where each step commits: a
// transaction can be rolled back when its end shows it.
func (w *work) staysOver() error {
	if w.r.m.db.Caps.TransactionalDDL || w.r.allowDrift {
		return nil
	}
	over, holds := verify.Fingerprint{}, false
	for key, c := range w.undo {
		o, there := w.before[key]
		if c.Before != nil || c.After == nil || !there || !slices.Contains([]string{"table", "column", "foreign key"}, o.Kind) {
			continue
		}
		if !w.undo.respelt(key) && !slices.ContainsFunc(w.stmts, func(st Statement) bool {
			return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return takes(e, o) })
		}) {
			over[key] = o
			holds = holds || o.Kind != "foreign key"
		}
	}
	if !holds {
		return nil
	}
	if d := material(verify.Diff(verify.Fingerprint{}, over)); len(d) > 0 {
		return &DriftError{Version: w.mig.Version, When: "after", Differences: d}
	}
	return nil
}

// takes tells whether an effect may take an object away, or its name.
func takes(e effects.Effect, o verify.Object) bool {
	switch e.Kind {
	case effects.Opaque, effects.DropSchema, effects.SetSchema:
		return true
	}
	if !strings.EqualFold(e.Table.Name, o.Table.Name) {
		return false
	}
	switch e.Kind {
	case effects.DropTable, effects.RenameTable:
		return true
	case effects.DropColumn, effects.RenameColumn:
		return o.Kind == "column" && slices.ContainsFunc(e.Columns, func(c string) bool { return isColumn(o, c) })
	case effects.DropConstraint, effects.Drop:
		return o.Kind == "foreign key" && (e.Object.Name.Name == "" || isColumn(o, e.Object.Name.Name))
	}
	return false
}

// respelt tells whether the migration only gave what has a key now other letters.
func (ch changes) respelt(key string) bool {
	for was, c := range ch {
		if c.Before != nil && strings.EqualFold(was, key) {
			return true
		}
	}
	return false
}
