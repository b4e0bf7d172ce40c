package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// A column that is dropped can be kept, too, for who asks for it: it stays in its table under a name of ours, with what DROP COLUMN takes along
// taken off, and gets its name back on the rollback, whatever the size of the table. Values stay with their rows: rows that are
// deleted meanwhile take theirs along, and rows that are inserted meanwhile have what Down gives them. Whatever stands in the way of that
// turns the capture into a copy by key, as it would have been without.

// asideColumns is what the catalog knows of columns that were kept.
type asideColumns struct {
	Names []string `json:"names"`           // what they are called now, in the order of the fields
	Since string   `json:"since,omitempty"` // the column that is true of rows inserted since; "" where there is none
	// Given: rows inserted since have a value all the same: the column's own default, or one that stands in for it.
	Given []bool `json:"given"`
	// Text: how the columns were defined, where they are defined again when they come back.
	Text []string `json:"text,omitempty"`
}

// columnKeeper is an engine that can rename columns out of the way and back.
type columnKeeper interface {
	// columnsKeepable tells whether nothing leans on columns of a table that would not go with them, nor they on anything of the user's.
	columnsKeepable(ctx context.Context, q engine.Querier, t *engine.Table, columns []string) (bool, error)
	// asideColumns does what a statement that drops the columns of a capture would do, but for the values; errCopied: it cannot. record writes the
	// capture's row, and run has the statement executed, or what Capturer.Instead gives.
	asideColumns(ctx context.Context, c *Capturer, q engine.Querier, x *capture, cascade bool, run, record func() error) error
	// reserved lists the columns of the database that lie aside, of whatever capture.
	reserved(ctx context.Context, q engine.Querier) ([]reservedColumn, error)
	// columnsBack gives the columns of a capture their names again in t, where Down has made others of their names; update fills rows that were
	// inserted since from those.
	columnsBack(ctx context.Context, q engine.Querier, x *capture, t *engine.Table, update []string) error
	// columnsAgain puts columns that were back aside once more.
	columnsAgain(ctx context.Context, q engine.Querier, x *capture, t *engine.Table) error
}

// reservedColumn is a column that lies aside.
type reservedColumn struct {
	table engine.Name
	name  string
}

// errCopied: columns cannot be kept after all, and are copied.
var errCopied = errors.New("the columns have to be copied")

// Stays tells whether the data of a capture are a table or columns of the user's own.
func (k Kind) Stays() bool { return k == Kept || k == KeptColumns }

// columnKeeper gives the engine's way to keep columns; nil when it has none, or when it is not asked for.
func (s *Store) columnKeeper() columnKeeper {
	k, ok := s.d.(columnKeeper)
	if !ok || !s.KeepColumns {
		return nil
	}
	return k
}

// columnKind is the kind of the capture of columns that are dropped.
func (p *planner) columnKind(ctx context.Context, t *engine.Table, columns []string) (Kind, error) {
	k := p.s.columnKeeper()
	if k == nil || !p.unnames || t.Kind != "table" || t.Parent.Name != "" || t.Heir || len(t.Children) > 0 || t.Rules || t.Bytes < p.s.KeepColumnsFrom {
		return Columns, nil
	}
	solid := slices.ContainsFunc(t.Keys, func(k engine.Key) bool { // by which they could be copied
		return !slices.ContainsFunc(k.Columns, func(n string) bool { return slices.Contains(columns, n) })
	})
	odd := slices.ContainsFunc(t.Columns, func(c engine.Column) bool {
		return slices.Contains(columns, c.Name) && (c.Generated || c.Identity != "" || c.Sequence.Name != "" || c.OnUpdate || engine.Aside(c.Name))
	})
	if !solid || odd {
		return Columns, nil
	}
	can, err := k.columnsKeepable(ctx, p.q, t, columns)
	if err != nil || !can {
		return Columns, err
	}
	return KeptColumns, nil
}

// unnames tells whether a statement does nothing but drop columns of one table.
func unnames(es []effects.Effect) bool {
	return len(es) > 0 && !slices.ContainsFunc(es, func(e effects.Effect) bool {
		return e.Kind != effects.DropColumn || e.Table != es[0].Table
	})
}

// Quiet tells whether statements write no rows and do nothing about a table but add to it and drop columns: then what is in its columns
// is the same before and after. What is not known for sure is not quiet.
func Quiet(n engine.Name, list []effects.Statement) bool {
	named := word(n.Name)
	for _, st := range list {
		mentions := named.MatchString(st.SQL)
		for _, e := range st.Effects {
			switch e.Kind {
			case effects.AddColumn, effects.DropColumn, effects.Comment, effects.Grant, effects.Read, effects.Session, effects.Maintenance, effects.SetDefault,
				effects.DropDefault, effects.SetNotNull, effects.DropNotNull, effects.AddConstraint, effects.DropConstraint, effects.ValidateConstraint:
			case effects.Create, effects.Drop:
				if mentions && !slices.Contains([]string{"index", "view"}, e.Object.Kind) {
					return false
				}
			case effects.CreateTable:
				if mentions || e.Define == nil || e.Define.AsSelect {
					return false
				}
			case effects.DropTable, effects.AlterColumn, effects.AlterTable, effects.AlterColumnType, effects.RenameTable, effects.RenameColumn:
				if mentions || e.Cascade {
					return false
				}
			default:
				return false
			}
		}
	}
	return true
}

// keepsColumns keeps the columns that a statement drops; false when they are to be copied, or nothing of the kind is asked for.
func (c *Capturer) keepsColumns(ctx context.Context, tx engine.Querier, n int, p *plan, run func() error) (bool, error) {
	if len(p.actions) == 0 || p.actions[0].kind != KeptColumns {
		return false, nil
	}
	a := p.actions[0]
	if len(p.actions) == 1 && len(p.opaque)+len(p.follows)+len(p.spelt) == 0 && c.columnsAlone(n, a.table) {
		some, err := number(ctx, c.outside(tx), "look for rows", "SELECT count(*) FROM (SELECT 1 FROM "+c.s.f.from(c.s.db, a.table)+" LIMIT 1) x")
		if err != nil {
			return false, err
		}
		if some > 0 {
			err := c.columnsAside(ctx, tx, n, a, run)
			if err == nil {
				c.ran()
			}
			if !errors.Is(err, errCopied) {
				return true, err
			}
		}
	}
	for _, a := range p.actions {
		if a.kind == KeptColumns {
			a.kind = Columns
		}
	}
	return false, nil
}

// outside is where to look at what a transaction must not have looked at when a change of the schema follows.
func (c *Capturer) outside(tx engine.Querier) engine.Querier {
	if c.s.db.Caps.TransactionalDDL {
		return tx
	}
	return c.s.db
}

// columnsAlone tells whether the columns are all that the migration and its Down do to the rows of a table.
func (c *Capturer) columnsAlone(n int, t *engine.Table) bool {
	rest, known := c.ahead(n)
	if !known || c.meta.Direction != "up" || c.meta.Opposite == nil || c.track.home(t) != t.Name {
		return false
	}
	id := identity(t)
	if slices.ContainsFunc(c.captures, func(x *capture) bool { return x.Identity == id && x.Kind != KeptColumns }) {
		return false
	}
	if slices.ContainsFunc(t.Columns, func(col engine.Column) bool { return c.track.homeColumn(t, col) != col.Name && !engine.Aside(col.Name) }) {
		return false
	}
	if c.restorer != nil && slices.ContainsFunc(c.restorer.captures, func(x *restoring) bool { return x.Home == t.Name && x.Kind != Definition }) {
		return false // rows of it, or values, go back after
	}
	return Quiet(t.Name, rest) && Quiet(t.Name, *c.meta.Opposite)
}

// columnsAside keeps the columns of one action.
func (c *Capturer) columnsAside(ctx context.Context, tx engine.Querier, n int, a *action, run func() error) error {
	s := c.s
	x, err := c.describe(ctx, tx, n, a)
	if err != nil {
		return err
	}
	x.Aside = &asideColumns{}
	for i := range x.Fields {
		name := engine.AsideColumn + compact(x.ID)
		if i > 0 {
			name += "_" + itoa(i+1)
		}
		x.Aside.Names = append(x.Aside.Names, name)
	}
	x.Seal = seal{Mode: sealPresent, Table: a.table.Name, After: n}
	for i, f := range x.Key {
		x.Key[i].Seal = f.At
		x.Seal.Key = append(x.Seal.Key, f.At)
	}
	x.Location = a.table.Name.String() + "." + x.Aside.Names[0]
	x.Rows, x.Bytes = max(a.table.Rows, 1), a.table.Bytes
	if a.table.Bytes > 0 && len(a.table.Columns) > 0 {
		x.Bytes = a.table.Bytes * int64(len(a.columns)) / int64(len(a.table.Columns))
	}
	if a.table.Bytes <= countable || a.table.Rows < 0 {
		if x.Rows, err = number(ctx, c.outside(tx), "count rows", "SELECT count(*) FROM "+s.f.from(s.db, a.table)); err != nil {
			return err
		}
	}
	return s.columnKeeper().asideColumns(ctx, c, tx, x, a.hung, run, func() error { return c.record(ctx, tx, x) })
}

// given tells what Down says about the value of a column for rows that are there: whether it may be another one than NULL.
func (c *Capturer) given(t *engine.Table, column string) bool {
	for _, st := range *c.meta.Opposite {
		for _, e := range st.Effects {
			if e.Kind != effects.AddColumn || !c.s.sameName(e.Table.Name, t.Name.Name) || !slices.ContainsFunc(e.Columns, func(n string) bool { return c.s.sameName(n, column) }) {
				continue
			}
			if e.Column == nil || len(e.Columns) != 1 || e.Column.HasDefault || e.Column.NotNull || e.Column.Generated || e.Column.Identity || e.Column.Serial || e.Column.OnUpdate != "" {
				return true
			}
		}
	}
	return false
}

// since gives the condition that a row of the live table, under an alias, was inserted after its columns were put aside, for the i-th field.
// "" when it would have the same value either way.
func (x *capture) since(s *Store, i int, alias string) string {
	col := x.Shape.Columns[columnIndex(x.Shape, x.Fields[i].At)]
	switch {
	case x.Aside.Since != "":
		return alias + s.q(x.Aside.Since) + " = " + s.f.yes
	case !x.Aside.Given[i] && col.NotNull:
		return alias + s.q(x.Aside.Names[i]) + " IS NULL"
	}
	return ""
}

// leaving does, in a savepoint, what keeps columns of a table. It must leave just what a DROP COLUMN would have left: else it is taken back, and
// the columns are copied (errCopied).
func (s *Store) leaving(ctx context.Context, q engine.Querier, t engine.Name, scope verify.Scope, left verify.Fingerprint, script string, record func() error) error {
	err := s.within(ctx, q, "dbrollback_aside", true, func() error {
		if _, err := q.ExecContext(ctx, script); err != nil {
			return fmt.Errorf("keep columns of %s: %w", t, err)
		}
		now, err := verify.Take(ctx, s.db, q, scope)
		if err != nil {
			return err
		}
		if !sameObjects(left, now) {
			return errTakesMore
		}
		return record()
	})
	if _, server := engine.AsError(err); server && ctx.Err() == nil || errors.Is(err, errTakesMore) {
		return errCopied
	}
	return err
}

// sameObjects compares fingerprints, whatever the order of columns.
func sameObjects(a, b verify.Fingerprint) bool {
	if len(a) != len(b) {
		return false
	}
	for key, o := range a {
		if p, ok := b[key]; !ok || p.Definition != o.Definition {
			return false
		}
	}
	return true
}
