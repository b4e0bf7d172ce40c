package migrate

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// errUnproven: no suggestion was found that gives the schema back.
var errUnproven = errors.New("no statements lead back")

// suggest finds the statements that a Down lacks: run after it, they were seen to give the very schema back. It is
// nil when none were found. What can be named back is, because a table that is made anew has no rows.
func (p *prover) suggest(ctx context.Context, s stage, back verify.Fingerprint) ([]string, error) {
	for _, dropFirst := range []bool{false, true} {
		var out []string
		err := s.aside(ctx, func(q engine.Querier) error {
			var err error
			out, err = p.leadBack(ctx, q, back, dropFirst)
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
func (p *prover) leadBack(ctx context.Context, q engine.Querier, back verify.Fingerprint, dropFirst bool) ([]string, error) {
	var out []string
	run := func(statements ...string) error {
		for _, st := range statements {
			if err := attempt(ctx, q, st); err != nil {
				return errUnproven
			}
			out = append(out, st)
		}
		return nil
	}
	now := back
	if names := renames(p.trunk.db, p.state, back); len(names) > 0 {
		if err := run(names...); err != nil {
			return nil, err
		}
		var err error
		if now, err = verify.Take(ctx, p.trunk.db, q, verify.Scope{}); err != nil {
			return nil, err
		}
	}
	left := leftOver(p.state, now)
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
	repair := func() error { return run(verify.Repair(p.state, now)...) }
	steps := []func() error{repair, drop}
	if dropFirst {
		slices.Reverse(steps)
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return nil, err
		}
	}
	f, err := verify.Take(ctx, p.trunk.db, q, verify.Scope{})
	if err != nil {
		return nil, err
	}
	if len(material(verify.Diff(p.state, f))) > 0 {
		return nil, errUnproven
	}
	return out, nil
}

// attempt runs a statement; when it fails it leaves the transaction usable.
func attempt(ctx context.Context, q engine.Querier, statement string) error {
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

// renames gives the statements that name tables and columns back: what is missing has a twin that is left over.
func renames(db *engine.DB, before, after verify.Fingerprint) []string {
	var out []string
	lost, found := onlyIn(before, after, "table"), onlyIn(after, before, "table")
	for _, b := range lost {
		twins := slices.DeleteFunc(slices.Clone(found), func(a verify.Object) bool {
			return a.Table.Schema != b.Table.Schema || !maps.Equal(shape(before, b), shape(after, a))
		})
		if len(twins) == 1 {
			out = append(out, "ALTER TABLE "+db.Quote(twins[0].Table)+" RENAME TO "+db.Ident(b.Table.Name))
		}
	}
	lost, found = onlyIn(before, after, "column"), onlyIn(after, before, "column")
	for _, b := range lost {
		same := func(o, than verify.Object) bool { return o.Table == than.Table && o.Definition == than.Definition }
		twins := slices.DeleteFunc(slices.Clone(found), func(a verify.Object) bool { return !same(a, b) })
		rivals := slices.DeleteFunc(slices.Clone(lost), func(o verify.Object) bool { return !same(o, b) })
		if len(twins) == 1 && len(rivals) == 1 && twins[0].Position == b.Position {
			out = append(out, "ALTER TABLE "+db.Quote(b.Table)+" RENAME COLUMN "+db.Ident(local(twins[0]))+" TO "+db.Ident(local(b)))
		}
	}
	return out
}

func onlyIn(f, not verify.Fingerprint, kind string) []verify.Object {
	var out []verify.Object
	for _, key := range slices.Sorted(maps.Keys(f)) {
		if _, ok := not[key]; !ok && f[key].Kind == kind {
			out = append(out, f[key])
		}
	}
	return out
}

// local is a column's name without its table's.
func local(o verify.Object) string { return o.Name[min(len(o.Table.String())+1, len(o.Name)):] }

// shape is a table's columns, by name.
func shape(f verify.Fingerprint, t verify.Object) map[string]string {
	out := map[string]string{}
	for _, o := range f {
		if o.Kind == "column" && o.Table == t.Table {
			out[local(o)] = o.Definition
		}
	}
	return out
}
