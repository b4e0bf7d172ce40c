package migrate

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// errUnproven: no suggestion was found that gives the schema back.
var errUnproven = errors.New("no statements lead back")

// suggest finds the statements that a Down lacks: run after it, they were seen to give the very schema back. It is
// nil when none were found. What can be named back is, because a table that is made anew has no rows.
func (p *prover) suggest(ctx context.Context, s stage, m *Migration, t *trial) ([]string, error) {
	db, _ := s.session()
	for _, dropFirst := range []bool{false, true} {
		if dropFirst && !db.Caps.TransactionalDDL {
			break // what the first way did is still there
		}
		var out []string
		err := s.aside(ctx, func(q engine.Querier) error {
			var err error
			out, err = p.leadBack(ctx, q, m, t, dropFirst)
			return err
		})
		var server *engine.Error
		switch {
		case err == nil:
			return out, nil
		case ctx.Err() != nil:
			return nil, err
		case errors.Is(err, errUnproven), errors.As(err, &server):
		}
	}
	return nil, nil
}

// leadBack runs what leads back and compares.
func (p *prover) leadBack(ctx context.Context, q engine.Querier, m *Migration, t *trial, dropFirst bool) ([]string, error) {
	var out []string
	run := func(statements ...string) error {
		for _, st := range statements {
			if passing(st) {
				continue
			}
			if err := attempt(ctx, p.trunk.db, q, st); err != nil {
				return errUnproven
			}
			out = append(out, st)
		}
		return nil
	}
	now := t.back
	if names := renames(p.trunk.db, m, t.before, t.back); len(names) > 0 {
		if err := run(names...); err != nil {
			return nil, err
		}
		var err error
		if now, err = t.reach.take(ctx, p.trunk.db, q); err != nil {
			return nil, err
		}
	}
	left := leftOver(t.before, now)
	drop := func() error {
		for len(left) > 0 { // in whatever order they let go of each other
			n := len(left)
			left = slices.DeleteFunc(left, func(o verify.Object) bool {
				return len(o.Drop) > 0 && run(o.Drop...) == nil
			})
			if len(left) == n {
				return errUnproven
			}
		}
		return nil
	}
	repair := func() error { return run(verify.Repair(t.before, now)...) }
	steps := []func() error{repair, drop}
	if dropFirst {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	f, err := t.reach.take(ctx, p.trunk.db, q)
	if err != nil {
		return nil, err
	}
	if len(material(verify.Diff(t.before, f))) > 0 {
		return nil, errUnproven
	}
	return out, nil
}

// passing tells a statement that only sets the session up for the next ones, or back. Without it the others must do: a
// Down has no use for the settings that put data back.
func passing(statement string) bool {
	return strings.HasPrefix(statement, "SET @dbrollback_") || strings.HasPrefix(statement, "SET SESSION ") && strings.Contains(statement, "@dbrollback_")
}

// attempt runs a statement; when it fails it leaves the transaction usable.
func attempt(ctx context.Context, db *engine.DB, q engine.Querier, statement string) error {
	if !db.Caps.TransactionalDDL {
		_, err := q.ExecContext(ctx, statement)
		return err
	}
	if _, err := q.ExecContext(ctx, "SAVEPOINT dbrollback_attempt"); err != nil {
		return err
	}
	_, err := q.ExecContext(ctx, statement)
	if err != nil {
		if _, rerr := q.ExecContext(context.WithoutCancel(ctx), "ROLLBACK TO SAVEPOINT dbrollback_attempt"); rerr != nil {
			return errors.Join(err, rerr)
		}
	}
	_, rerr := q.ExecContext(context.WithoutCancel(ctx), "RELEASE SAVEPOINT dbrollback_attempt")
	return errors.Join(err, rerr)
}

// leftOver lists the objects that Down left and that go with nothing else that it left.
func leftOver(before, after verify.Fingerprint) []verify.Object {
	tables := map[engine.Name]bool{} // those left over
	for key, o := range after {
		if _, had := before[key]; !had && (o.Kind == "table" || o.Kind == "foreign table") {
			tables[o.Table] = true
		}
	}
	var out []verify.Object
	for key, o := range after {
		if _, had := before[key]; had || tables[o.Table] && o.Kind != "table" && o.Kind != "foreign table" {
			continue
		}
		if verify.HoldsData(o) {
			out = append(out, o)
		}
	}
	slices.SortFunc(out, func(a, b verify.Object) int { return cmp.Or(b.Rank-a.Rank, cmp.Compare(a.Key(), b.Key())) })
	return out
}

// renames gives the statements that take back the renames of Up that Down left: a table or a column that is made anew
// would have no data.
func renames(db *engine.DB, m *Migration, before, after verify.Fingerprint) []string {
	var out []string
	gone := func(kind, name string) (verify.Object, bool) { return onlyIn(before, after, kind, name) }
	left := func(kind, name string) (verify.Object, bool) { return onlyIn(after, before, kind, name) }
	for _, st := range slices.Backward(m.Up) {
		for _, e := range st.Effects {
			switch e.Kind {
			case effects.RenameTable:
				b, lost := gone("table", e.Table.Name)
				a, found := left("table", e.NewName.Name)
				if lost && found && a.Table.Schema == b.Table.Schema {
					out = append(out, "ALTER TABLE "+db.Quote(a.Table)+" RENAME TO "+db.Ident(b.Table.Name))
				}
			case effects.RenameColumn:
				if len(e.Columns) != 1 {
					continue
				}
				b, lost := gone("column", e.Table.Name+"."+e.Columns[0])
				a, found := left("column", e.Table.Name+"."+e.NewName.Name)
				if lost && found && a.Table == b.Table {
					out = append(out, "ALTER TABLE "+db.Quote(b.Table)+" RENAME COLUMN "+db.Ident(e.NewName.Name)+" TO "+db.Ident(e.Columns[0]))
				}
			}
		}
	}
	return out
}

// onlyIn finds an object that f has and not does not have, by its name without a schema.
func onlyIn(f, not verify.Fingerprint, kind, name string) (verify.Object, bool) {
	for key, o := range f {
		if _, ok := not[key]; !ok && o.Kind == kind && (strings.EqualFold(o.Name, name) || strings.HasSuffix(strings.ToLower(o.Name), "."+strings.ToLower(name))) {
			return o, true
		}
	}
	return verify.Object{}, false
}
