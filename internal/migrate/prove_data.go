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

// extent is which tables' rows a migration may change.
type extent struct {
	none   bool // it cannot change any row that was there before
	all    bool
	tables []engine.Name
	rows   map[engine.Name]bool // of tables, those of which rows may go or get other keys
}

// structureOnly are the kinds that leave the rows of tables that are already there as they are.
var structureOnly = map[effects.Kind]bool{
	effects.CreateTable: true, effects.AddColumn: true, effects.SetDefault: true, effects.DropDefault: true, effects.SetNotNull: true,
	effects.DropNotNull: true, effects.AddConstraint: true, effects.DropConstraint: true, effects.ValidateConstraint: true,
	effects.RenameTable: true, effects.RenameColumn: true, effects.SetSchema: true, effects.AlterColumn: true, effects.AlterTable: true,
	effects.Create: true, effects.Alter: true, effects.Rename: true, effects.Comment: true, effects.Grant: true, effects.Session: true,
	effects.Read: true, effects.Maintenance: true, effects.External: true, effects.Transaction: true,
}

// extentOf looks at both directions of a migration; before is the schema that it finds.
func extentOf(m *Migration, before verify.Fingerprint) extent {
	e := extent{none: true, rows: map[engine.Name]bool{}}
	exists := func(t effects.Name, column string) bool {
		for _, o := range before {
			if o.Table.Name == t.Name && (t.Schema == "" || o.Table.Schema == t.Schema) &&
				(column == "" && o.Kind == "table" || o.Kind == "column" && strings.EqualFold(local(o), column)) {
				return true
			}
		}
		return false
	}
	for _, d := range []Direction{Up, Down} {
		for _, st := range m.statements(d) {
			for _, x := range st.Effects {
				harmless := structureOnly[x.Kind] && !x.Cascade
				switch {
				case x.Kind == effects.DropTable && !x.Cascade:
					harmless = !exists(x.Table, "")
				case x.Kind == effects.DropColumn && !x.Cascade:
					harmless = !slices.ContainsFunc(x.Columns, func(c string) bool { return exists(x.Table, c) })
				case x.Kind == effects.Drop && !x.Cascade:
					harmless = true
				}
				if x.Table.Name != "" {
					e.tables = append(e.tables, engine.Name(x.Table))
					if !harmless && !columnsOnly[x.Kind] {
						e.rows[engine.Name(x.Table)] = true
					}
				} else if !harmless {
					e.all = true
				}
				e.none = e.none && harmless
			}
		}
	}
	e.all = e.all || !e.none && passedOn(m, before)
	return e
}

// firing are the kinds that fire triggers and rules, and that a view passes on to what it reads.
var firing = map[effects.Kind]bool{effects.Insert: true, effects.Upsert: true, effects.Update: true, effects.Delete: true, effects.Truncate: true, effects.Replace: true, effects.Merge: true}

// passedOn tells whether what a migration writes may go on to tables that it does not name: through triggers and rules that are there or
// that it makes, through views, and to tables that it makes part of others.
func passedOn(m *Migration, before verify.Fingerprint) bool {
	tables, fires := map[string]bool{}, map[string]bool{} // those of before; names are compared without their schema
	for _, o := range before {
		switch o.Kind {
		case "table":
			tables[o.Table.Name] = true
		case "trigger", "rule":
			fires[o.Table.Name] = true
		}
	}
	made, code := map[string]bool{}, false
	var written []string
	for _, st := range slices.Concat(m.Up, m.Down) {
		for _, x := range st.Effects {
			switch {
			case firing[x.Kind] && x.Table.Name != "":
				written = append(written, x.Table.Name)
			case x.Kind == effects.CreateTable:
				made[x.Table.Name] = true
				code = code || x.Define != nil && (x.Define.PartitionOf.Name != "" || len(x.Define.Inherits) > 0)
			case x.Kind == effects.RenameTable && tables[x.Table.Name] && !fires[x.Table.Name]:
				tables[x.NewName.Name] = true
			case x.Kind == effects.AttachPartition, x.Kind == effects.AlterTable:
				code = true
			case x.Kind == effects.Create || x.Kind == effects.Alter:
				code = code || x.Object.Kind == "trigger" || x.Object.Kind == "rule"
			}
		}
	}
	return slices.ContainsFunc(written, func(name string) bool {
		switch {
		case fires[name]:
			return true
		case made[name], tables[name]:
			return code
		}
		return true // a view, or what is not known
	})
}

// columnsOnly are the kinds that neither remove rows nor, of the rows that others refer to, change keys.
var columnsOnly = map[effects.Kind]bool{effects.DropColumn: true, effects.AlterColumnType: true, effects.DropExpression: true, effects.Insert: true}

// local is a column's name without its table's.
func local(o verify.Object) string { return o.Name[strings.LastIndexByte(o.Name, '.')+1:] }

// names resolves the tables of an extent as they are now. A row that goes takes others along, or is held by them: with a
// table of such rows come those that refer to it, and on where the foreign key passes the change on.
func (e extent) names(ctx context.Context, db *engine.DB, q engine.Querier, seen engine.Seen) ([]engine.Name, error) {
	if e.all {
		return db.Tables(ctx, q)
	}
	var out []engine.Name
	followed := map[engine.Name]bool{} // whether those that refer to it are there, too
	var add func(n engine.Name, referring bool) error
	add = func(n engine.Name, referring bool) error {
		t, err := seen.Inspect(ctx, db, q, n)
		if errors.Is(err, engine.ErrNoTable) {
			return nil
		}
		if err != nil {
			return err
		}
		was, seen := followed[t.Name]
		if db.Mine(t.Name) || seen && (was || !referring) {
			return nil
		}
		if followed[t.Name] = referring; !seen {
			out = append(out, t.Name)
		}
		if !referring {
			return nil
		}
		for _, fk := range t.Referenced {
			if err := add(fk.Table, passesOn(fk.OnDelete) || passesOn(fk.OnUpdate)); err != nil {
				return err
			}
		}
		return nil
	}
	for _, n := range e.tables {
		if err := add(n, e.rows[n]); err != nil {
			return nil, err
		}
	}
	return out, nil
}

func passesOn(action string) bool {
	return action == "CASCADE" || action == "SET NULL" || action == "SET DEFAULT"
}

// mode is which rows a trial with data has.
type mode struct {
	rows int
	tame bool
	skip []engine.Name
}

// rowsTrial is what one up and down showed about rows.
type rowsTrial struct {
	data  []DataLoss
	up    *ProofError // Up does not go with the rows; then nothing else is known
	down  *ProofError // Down fails on rows, though not without
	notes []string
	mode  mode
}

// data tries a migration with rows in the tables. The result is nil when no row can be lost.
func (p *prover) data(ctx context.Context, m *Migration, t *trial) (*rowsTrial, error) {
	e := extentOf(m, t.before)
	if e.none {
		return nil, nil
	}
	var out, failing *rowsTrial
	var endless *ProofError // of Up
	var targets []engine.Name
	modes := []mode{{rows: p.o.Rows}, {rows: p.o.Rows, tame: true}, {rows: p.o.Rows, tame: true, skip: []engine.Name{}}, {}}
	if p.o.Rows == 0 {
		modes = modes[3:]
	}
	for i, mo := range modes {
		if failing != nil && i > 1 {
			break // neither went
		}
		if endless != nil && mo.rows > 0 {
			continue // to wait again would tell no more
		}
		if mo.skip != nil {
			mo.skip = targets
		}
		once := func(s stage) error {
			db, q := s.session()
			names, err := e.names(ctx, db, q, p.seen)
			if err != nil {
				return err
			}
			targets = writtenBy(ctx, db, q, m)
			if out, err = p.withRows(ctx, s, db, q, m, names, mo); out != nil && out.up != nil {
				if out.up.endless {
					endless = out.up
				}
				out = nil
			}
			return err
		}
		if p.rehearsable(m) {
			if err := p.rehearse(ctx, once); err != nil {
				return nil, err
			}
		}
		// What fails must fail with commits, too, where it would run with them: between statements, or behind the Up.
		if !p.rehearsable(m) || out == nil && !m.Transactional && endless == nil || out != nil && out.down != nil && !out.down.endless {
			if err := p.onCopy(ctx, func(s stage) error {
				_, q := s.session()
				if _, err := q.ExecContext(ctx, "BEGIN"); err != nil {
					return err
				}
				return once(s)
			}); err != nil {
				return nil, err
			}
		}
		if out != nil && (out.down == nil || out.down.endless) {
			if endless != nil {
				p.o.Events(ProofEvent{Text: endless.onRows()})
				out.notes = append(out.notes, endless.onRows())
			}
			return out, nil
		}
		if out != nil {
			failing = out // with rows as odd as they may be; see whether plainer ones go
			out = nil
		}
	}
	if failing != nil {
		return failing, nil
	}
	if endless != nil {
		return &rowsTrial{notes: []string{endless.onRows()}}, nil
	}
	return &rowsTrial{notes: []string{"Up fails with the rows that there are: nothing is known about its data"}}, nil
}

// onRows is the note about a statement of Up that ends, but not on generated rows.
func (e *ProofError) onRows() string {
	return fmt.Sprintf("%s:%d:%d: with rows in the tables %s; what becomes of rows was tried without generated ones (%s)", e.File, e.Line, e.Column, e.Message, e.Hint)
}

// writtenBy lists the tables that Up itself changes rows of.
func writtenBy(ctx context.Context, db *engine.DB, q engine.Querier, m *Migration) []engine.Name {
	out := []engine.Name{}
	for _, st := range m.Up {
		for _, x := range st.Effects {
			if x.Table.Name == "" {
				continue
			}
			if n, err := db.Resolve(ctx, q, engine.Name(x.Table)); err == nil {
				out = append(out, n)
			}
		}
	}
	return out
}

// withRows fills the tables and goes up and down.
func (p *prover) withRows(ctx context.Context, s stage, db *engine.DB, q engine.Querier, m *Migration, names []engine.Name, mo mode) (*rowsTrial, error) {
	out := &rowsTrial{mode: mo}
	made := &verify.Population{}
	if mo.rows > 0 {
		var err error
		if made, err = verify.Populate(ctx, db, q, p.population(m, names, mo, p.seen)); err != nil {
			return nil, err
		}
		out.notes = made.Notes
	}
	if err := s.settle(ctx); err != nil {
		return nil, err
	}
	db, q = s.session()
	before, err := readAll(ctx, db, q, names, p.seen)
	if err != nil {
		return nil, err
	}
	s.hurry(mo.rows > 0)
	out.up, err = p.outcome(ctx, s.run(ctx, m, Up))
	if s.hurry(false); err != nil || out.up != nil {
		return out, err
	}
	if out.down, err = p.outcome(ctx, s.run(ctx, m, Down)); err != nil || out.down != nil {
		return out, err
	}
	db, q = s.session()
	after, err := readAll(ctx, db, q, names, nil)
	if err != nil {
		return nil, err
	}
	out.data = losses(before, after)
	return out, nil
}

// population asks for rows; a column that Up is to give another type holds values that the new type can read, too.
func (p *prover) population(m *Migration, names []engine.Name, mo mode, seen engine.Seen) verify.PopulateOptions {
	o := verify.PopulateOptions{Tables: names, Rows: mo.rows, Tame: mo.tame, Skip: mo.skip, Types: map[string]string{}, Fits: &p.fits, Seen: seen}
	for _, st := range m.Up {
		for _, x := range st.Effects {
			if x.Kind == effects.AlterColumnType && x.Column != nil {
				for _, c := range x.Columns {
					o.Types[x.Table.Name+"."+c] = x.Column.Type
				}
			}
		}
	}
	return o
}

func readAll(ctx context.Context, db *engine.DB, q engine.Querier, names []engine.Name, seen engine.Seen) (map[engine.Name]*verify.RowSet, error) {
	out := map[engine.Name]*verify.RowSet{}
	for _, n := range names {
		rows, err := verify.ReadSeen(ctx, db, q, n, seen)
		if err != nil {
			return nil, err
		}
		if rows != nil {
			out[n] = rows
		}
	}
	return out, nil
}

// losses compares the rows of all tables that were there before.
func losses(before, after map[engine.Name]*verify.RowSet) []DataLoss {
	var out []DataLoss
	for n, b := range before {
		d := b.Compare(after[n])
		table := n.String()
		if d.Missing > 0 {
			out = append(out, DataLoss{Table: table, Of: d.Of, Lost: d.Missing, Message: fmt.Sprintf("the Down alone loses %d of %d rows of %s", d.Missing, d.Of, table)})
		}
		if d.Added > 0 {
			out = append(out, DataLoss{Table: table, Of: d.Of, Left: d.Added, Message: fmt.Sprintf("the Down alone leaves %d rows in %s that were not there before", d.Added, table)})
		}
		for _, c := range d.Changed {
			out = append(out, DataLoss{Table: table, Column: c.Column, Of: c.Of, Lost: c.Lost,
				Message: fmt.Sprintf("the Down alone loses %d of %d values in %s.%s", c.Lost, c.Of, table, c.Column)})
		}
	}
	slices.SortFunc(out, func(a, b DataLoss) int { return strings.Compare(a.Table+"."+a.Column, b.Table+"."+b.Column) })
	return out
}
