package migrate

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// twin stands in for copies of the trunk where the server cannot make any, and where what ran cannot be rolled back: a second
// database in which migrations are tried, and which is brought back to where the trunk is before the next one.
//
// Most migrations come back by their own Down, or follow by their own Up; columns are moved. What is left after a bad one is mended table
// by table; when that does not lead to the very schema, all Ups so far are run again.
type twin struct {
	t      *trunk
	now    verify.Fingerprint // of all of it as it is; nil when not known
	steps  []step
	mended map[string]bool // tables with foreign keys that were made anew, by their local names
}

// step leads the twin to where the trunk is, from the schema of another moment.
type step struct {
	from verify.Fingerprint
	m    *Migration
	d    Direction
}

// inStep gives the twin, like the trunk in schema and rows.
func (p *prover) inStep(ctx context.Context) (*trunk, error) {
	if err := p.know(ctx); err != nil {
		return nil, err
	}
	defer func() { p.twin.now = nil }() // whoever gets it changes it
	for _, way := range []func(context.Context) error{p.followTwin, p.orderTwin, p.mendTwin} {
		if p.twin.t == nil {
			break
		}
		err := way(ctx)
		if err == nil {
			err = p.equalTwin(ctx)
		}
		if err == nil && p.guessed() {
			err = errUnproven
		}
		if err == nil || ctx.Err() != nil {
			return p.twin.t, err
		}
		if _, server := engine.AsError(err); !server && !errors.Is(err, errUnproven) {
			return nil, err
		}
	}
	err := p.newTwin(ctx)
	return p.twin.t, err
}

// guessed says whether the migration changes a table that was made anew from its definition, which does not tell an index that a
// foreign key brought along from one that was asked for: only the former goes when another one can take its place.
func (p *prover) guessed() bool {
	if len(p.twin.mended) == 0 {
		return false
	}
	return slices.ContainsFunc(slices.Concat(p.current.Up, p.current.Down), func(st Statement) bool {
		return slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
			switch {
			case e.Kind == effects.Opaque:
				return true
			case harmless[e.Kind] || rowsOnly[e.Kind]:
				return false
			}
			return p.twin.mended[strings.ToLower(e.Table.Name)]
		})
	})
}

// twinNow is the twin's fingerprint.
func (p *prover) twinNow(ctx context.Context) (verify.Fingerprint, error) {
	if p.twin.now != nil {
		return p.twin.now, nil
	}
	var err error
	p.twin.now, err = p.twin.t.take(ctx, everything)
	return p.twin.now, err
}

// followTwin runs what is known to lead to where the trunk is.
func (p *prover) followTwin(ctx context.Context) error {
	if len(p.twin.steps) == 0 {
		return nil
	}
	now, err := p.twinNow(ctx)
	if err != nil {
		return err
	}
	for _, s := range p.twin.steps {
		if len(verify.Diff(s.from, now)) > 0 || len(verify.Diff(p.state, now)) == 0 {
			continue
		}
		p.twin.now = nil
		if err := p.twin.t.run(ctx, s.m, s.d); err != nil {
			return errUnproven
		}
		break
	}
	return nil
}

// orderTwin moves columns to their places: a Down that adds them anew leaves them at the end. The table stays the same one, so that
// nothing has to be guessed of it.
func (p *prover) orderTwin(ctx context.Context) error {
	t := p.twin.t
	now, err := p.twinNow(ctx)
	if err != nil {
		return err
	}
	moved := map[engine.Name][]verify.Object{} // the columns of a table as they are to be
	for key, o := range now {
		if b, ok := p.state[key]; ok && o.Kind == "column" && b.Position != o.Position {
			moved[b.Table] = nil
		}
	}
	for _, o := range p.state {
		if _, ok := moved[o.Table]; ok && o.Kind == "column" {
			moved[o.Table] = append(moved[o.Table], o)
		}
	}
	var statements []string
	for table, columns := range moved {
		slices.SortFunc(columns, func(a, b verify.Object) int { return a.Position - b.Position })
		order := make([]string, len(columns))
		for i, c := range columns {
			order[i] = strings.TrimPrefix(c.Name, table.String()+".")
		}
		statements = append(statements, verify.Reorder(t.db, now, table, order)...)
	}
	if len(statements) == 0 {
		return errUnproven
	}
	p.twin.now = nil
	if err := t.each(ctx, statements); err != nil {
		return err
	}
	return t.renew(ctx)
}

// mendTwin makes anew what differs from the trunk.
func (p *prover) mendTwin(ctx context.Context) error {
	t := p.twin.t
	now, err := p.twinNow(ctx)
	if err != nil {
		return err
	}
	p.twin.now = nil
	var tables, others []verify.Object
	differs := map[engine.Name]bool{}
	for key, o := range now {
		if b, ok := p.state[key]; ok && b.Definition == o.Definition && b.Position == o.Position {
			continue
		}
		if o.Table.Name == "" || o.Kind == "view" {
			others = append(others, o)
		} else {
			differs[o.Table] = true
		}
	}
	for key, b := range p.state {
		if _, ok := now[key]; !ok && b.Table.Name != "" && b.Kind != "view" {
			differs[b.Table] = true
		}
	}
	for _, o := range now {
		if o.Kind == "table" && differs[o.Table] {
			tables = append(tables, o)
		}
	}
	for _, o := range p.state {
		if o.Kind == "foreign key" && differs[o.Table] {
			p.twin.mended[strings.ToLower(o.Table.Name)] = true
		}
	}
	statements := []string{"SET foreign_key_checks = 0"}
	for _, o := range slices.Concat(others, tables) {
		statements = append(statements, o.Drop...)
	}
	if err := t.each(ctx, statements); err != nil {
		return err
	}
	if now, err = t.take(ctx, everything); err != nil {
		return err
	}
	if err := t.each(ctx, verify.Repair(p.state, now)); err != nil {
		return err
	}
	return t.renew(ctx)
}

// each runs statements.
func (t *trunk) each(ctx context.Context, statements []string) error {
	for _, st := range statements {
		if _, err := t.s.ExecContext(ctx, st); err != nil {
			return err
		}
	}
	return nil
}

// equalTwin compares the schemas, and copies the rows across where they differ.
func (p *prover) equalTwin(ctx context.Context) error {
	t := p.twin.t
	now, err := p.twinNow(ctx)
	if err != nil {
		return err
	}
	if len(verify.Diff(p.state, now)) > 0 {
		return errUnproven
	}
	tables, err := p.otherRows(ctx)
	if err != nil {
		return err
	}
	counters := p.otherCounters(now, tables)
	if len(tables)+len(counters) == 0 {
		return nil
	}
	here := func(n engine.Name) string { return t.db.Quote(n) }
	there := func(n engine.Name) string { return t.db.Quote(engine.Name{Schema: p.trunk.name, Name: n.Name}) }
	empty, fill := []string{"SET foreign_key_checks = 0, sql_mode = 'NO_AUTO_VALUE_ON_ZERO'", "BEGIN"}, []string{}
	for _, n := range tables {
		table, err := t.db.Inspect(ctx, t.db, n)
		if err != nil {
			return err
		}
		if len(table.Triggers) > 0 || table.Versioned {
			return errUnproven // they would do more than is asked for, and the past of the rows would stay
		}
		var columns []string
		for _, c := range table.Columns {
			if !c.Generated {
				columns = append(columns, c.Name)
			}
		}
		empty = append(empty, "DELETE FROM "+here(n))
		fill = append(fill, fmt.Sprintf("INSERT INTO %s (%[2]s) SELECT %[2]s FROM %[3]s", here(n), t.db.Idents(columns), there(n)))
	}
	if err := t.each(ctx, slices.Concat(empty, fill, []string{"COMMIT"}, counters)); err != nil {
		return err
	}
	return t.renew(ctx)
}

// otherCounters gives the statements by which AUTO_INCREMENT goes on with the trunk's numbers, also in tables that are to be filled: rows of
// a migration get the numbers there that it takes for granted elsewhere.
func (p *prover) otherCounters(now verify.Fingerprint, filled []engine.Name) []string {
	var out []string
	for key, o := range p.state {
		if o.Kind != "identity" {
			continue
		}
		table, ok := p.state["table "+o.Table.String()]
		if _, there := now[key]; !ok || !there || now[table.Key()].Next == table.Next && !slices.Contains(filled, o.Table) {
			continue
		}
		out = append(out, "ALTER TABLE "+p.twin.t.db.Quote(o.Table)+" AUTO_INCREMENT = "+cmp.Or(table.Next, "1"))
	}
	return out
}

// otherRows lists the tables whose rows are not, by the server's checksums, those of the trunk. The schemas are the same.
func (p *prover) otherRows(ctx context.Context) ([]engine.Name, error) {
	var tables []engine.Name
	var names []string
	for _, o := range p.state {
		if o.Kind == "table" {
			tables = append(tables, o.Table)
			names = append(names, p.twin.t.db.Quote(o.Table), p.twin.t.db.Quote(engine.Name{Schema: p.trunk.name, Name: o.Table.Name}))
		}
	}
	if len(tables) == 0 {
		return nil, nil
	}
	rows, err := p.twin.t.s.QueryContext(ctx, "CHECKSUM TABLE "+strings.Join(names, ", "))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var sums []sql.NullString
	for rows.Next() {
		var name string
		var sum sql.NullString
		if err := rows.Scan(&name, &sum); err != nil {
			return nil, err
		}
		sums = append(sums, sum)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return nil, err
	}
	var out []engine.Name
	for i, n := range tables {
		if len(sums) != len(names) || !sums[2*i].Valid || sums[2*i] != sums[2*i+1] {
			out = append(out, n)
		}
	}
	return out, nil
}

// newTwin runs all Ups so far in a new database.
func (p *prover) newTwin(ctx context.Context) (err error) {
	if err := p.dropTwin(); err != nil {
		return err
	}
	if p.twin.t, err = newTrunk(ctx, p.o.Scratch, p.o.StatementTimeout, p.texts); err != nil {
		return err
	}
	p.twin.mended = map[string]bool{}
	for _, m := range p.applied {
		if err := p.twin.t.run(ctx, m, Up); err != nil {
			return fmt.Errorf("run %s again: %w", m.File, err)
		}
	}
	return nil
}

// cleanTwin takes out of the twin what a run with captures made for itself; before is the schema that the migration found.
func (p *prover) cleanTwin(ctx context.Context, m *Migration, before verify.Fingerprint) error {
	if p.twin.t == nil {
		return nil
	}
	if err := p.twin.t.clean(ctx); err != nil {
		return errors.Join(ctx.Err(), p.dropTwin())
	}
	changed := map[string]bool{} // tables that may have come back by their definitions
	for _, st := range slices.Concat(m.Up, m.Down) {
		for _, e := range st.Effects {
			changed[strings.ToLower(e.Table.Name)] = changed[strings.ToLower(e.Table.Name)] || !harmless[e.Kind] && !rowsOnly[e.Kind]
		}
	}
	for _, o := range before {
		if n := strings.ToLower(o.Table.Name); o.Kind == "foreign key" && changed[n] {
			p.twin.mended[n] = true
		}
	}
	return nil
}

// clean drops our own tables and the version table; triggers of ours go with the tables or stand in the way, and then this fails.
func (t *trunk) clean(ctx context.Context) error {
	if err := t.renew(ctx); err != nil { // a run leaves its session as it was, but that is what is tried here
		return err
	}
	own, err := t.db.TablesOfOurs(ctx, t.s)
	if err != nil {
		return err
	}
	statements := []string{"SET foreign_key_checks = 0"}
	for _, name := range own {
		statements = append(statements, "DROP TABLE "+t.db.Quote(name))
	}
	if err := t.each(ctx, statements); err != nil {
		return err
	}
	return t.renew(ctx)
}

func (p *prover) dropTwin() error {
	if p.twin.t == nil {
		return nil
	}
	err := p.twin.t.close()
	p.twin.t = nil
	return err
}
