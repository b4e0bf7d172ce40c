package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// action is one capture that a statement needs, before names and storage are settled.
type action struct {
	kind    Kind
	table   *engine.Table
	columns []string // to capture; nil = all
	events  events   // set: the rows are observed while the statement runs; else all rows are copied before it
	moved   bool     // the statement may change keys
	chain   bool     // the statement may write a row more than once
	reduce  bool     // copy all rows before, keep those that the statement changed
	strong  bool     // the statement itself will keep readers out
	hung    bool     // what depends on the table goes along
	lossy   bool     // false: failing to record is no loss (inserted rows)
	reason  string
	key     []string // to know rows by; nil = the table's first
	// Where the engine cannot observe: named says how the rows can be asked for before the statement runs; keysOnly: of
	// a copy of all rows the keys are enough; whole: all columns, also when the statement names those that it writes.
	named    *named
	keysOnly bool
	sought   bool // its rows are looked for by their keys while others are captured
	whole    bool
	effect   *effects.Effect // what the statement itself does to the table, when that is one thing
	// partitions are those of the table whose rows go; nil: all rows.
	partitions []string
	empties    bool          // of Kept: the statement empties the table, which stays
	cascade    bool          // foreign keys carry the statement on to the table
	twice      bool          // the statement does several things to the table
	each       bool          // observed: row by row, because the table has heirs
	trail      bool          // of a table that the migration made: where its rows go
	newcomers  bool          // of such a table, in the place of a captured one: the keys of rows that are put into it
	stead      *engine.Table // the one that stands in its place by now
}

func (a *action) observed() bool { return a.events != (events{}) }

// plan is what a statement needs.
type plan struct {
	actions []*action
	opaque  []string      // reasons for which its effects cannot all be named
	alone   bool          // the statement cannot be in a transaction with its captures
	beside  []engine.Name // tables that it reads beside those that it writes
	// rewrites: a trigger may give rows another key than the statement does.
	rewrites bool
	clock    bool // which rows it hits depends on the time
	// What it does to the rows of captures made before: those whose seals follow, and those whose seals get other names.
	follows []*following
	stepped []*following // the same where DDL is transactional
	spelt   []*capture
	left    []*capture // in whose place it puts another table
}

// planner collects the actions of one statement.
type planner struct {
	s      *Store
	q      engine.Querier
	track  *tracker // nil: nothing was made in this run
	plan   plan
	tables map[engine.Name]*engine.Table
	// seen: the effects were observed in a rehearsal, so triggers and cascades are among them already.
	seen    bool
	drops   bool // the statement does nothing but drop tables
	empties bool // the statement does nothing but empty a table
	unnames bool // the statement does nothing but drop columns of a table
	// Tables whose triggers were followed, and whether one of those may change the keys of the rows that are written.
	reached  []engine.Name
	rewrites bool
	// Tables of which an update writes only columns that the migration made.
	own []*engine.Table
}

// plan says what a statement with these effects needs.
func (s *Store) plan(ctx context.Context, q engine.Querier, t *tracker, es []effects.Effect, seen bool) (*plan, error) {
	p := &planner{s: s, q: q, track: t, tables: map[engine.Name]*engine.Table{}, seen: seen, drops: drops(es), empties: empties(es), unnames: unnames(es)}
	for _, e := range es {
		if err := p.effect(ctx, e); err != nil {
			return nil, err
		}
	}
	for _, t := range p.own { // the statement does something else to the rows as well
		if slices.ContainsFunc(p.plan.actions, func(a *action) bool { return a.table.Name == t.Name }) {
			if err := p.tree(ctx, t, action{kind: Rows, events: events{update: true}, moved: true, chain: true, lossy: true, reason: string(effects.Update)}); err != nil {
				return nil, err
			}
		}
	}
	p.plan.rewrites = p.rewrites
	return &p.plan, nil
}

// inspect reads a table once; nil when there is none.
func (p *planner) inspect(ctx context.Context, n engine.Name) (*engine.Table, error) {
	if t, ok := p.tables[n]; ok {
		return t, nil
	}
	t, err := p.s.inspect(ctx, p.q, p.track, n)
	if errors.Is(err, engine.ErrNoTable) {
		p.tables[n] = nil
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("inspect %s: %w", n, err)
	}
	p.tables[n], p.tables[t.Name] = t, t
	return t, nil
}

func (p *planner) effect(ctx context.Context, e effects.Effect) error {
	table := engine.Name{Schema: e.Table.Schema, Name: e.Table.Name}
	if p.s.f.hidden != nil {
		if err := p.s.f.hidden(ctx, p.q, e); err != nil {
			return err
		}
	}
	if err := p.attributes(ctx, e); err != nil {
		return err
	}
	if e.Cascade && e.Kind != effects.Truncate {
		if err := p.rowTypes(ctx, e); err != nil {
			return err
		}
	}
	switch e.Kind {
	case effects.Opaque, effects.External, effects.DropSchema:
		p.opaque(detailOr(e.Detail, string(e.Kind)))
		return nil
	case effects.Drop, effects.Alter:
		// What hangs on a type, a function or an extension may be a column; what hangs on these may not.
		if e.Cascade && !slices.Contains([]string{"index", "view", "materialized view", "trigger", "policy", "rule", "constraint"}, e.Object.Kind) {
			p.opaque(fmt.Sprintf("%s %s … CASCADE", e.Kind, e.Object.Kind))
		}
		return nil
	case effects.DetachPartition:
		if p.s.f.choose == nil {
			return nil // the rows stay in what was the partition
		}
	case effects.AttachPartition:
		return p.joins(ctx, table, engine.Name{Schema: e.Object.Name.Schema, Name: e.Object.Name.Name})
	case effects.DropColumn, effects.AlterColumnType, effects.DropTable, effects.DropPartition, effects.Truncate,
		effects.Insert, effects.Update, effects.Delete, effects.Upsert, effects.Replace, effects.Merge:
	default:
		return nil
	}
	if p.s.f.system != nil && p.s.f.system(table) {
		return p.systemCatalog(table)
	}
	t, err := p.inspect(ctx, table)
	if err != nil || t == nil {
		return err // no such table: the statement does nothing (IF EXISTS), or the server will say so
	}
	if p.s.f.system != nil && p.s.f.system(t.Name) {
		return p.systemCatalog(t.Name)
	}
	switch {
	case t.Kind == "temporary":
		return nil
	case p.s.db.Mine(t.Name) && e.Kind == effects.Insert:
		return nil
	case p.s.db.Mine(t.Name):
		return &LossError{Object: t.Name.String(), Reason: "it is one of dbrollback's own tables", Hint: "leave it alone"}
	case t.Kind == "view": // one that the migration made shows rows that were there, too
		p.opaque(fmt.Sprintf("%s is a view", t.Name))
		return nil
	case p.track.made(t) && !p.standsIn(t, e):
		p.trails(t, e)
		return p.beyond(ctx, t, e)
	case t.Kind == "foreign" && e.Kind != effects.DropTable && e.Kind != effects.DropColumn && e.Kind != effects.AlterColumnType:
		return &LossError{Object: t.Name.String(), Reason: "it is a foreign table, whose rows are in another server",
			Hint: "write to it outside the migration, or annotate the migration: -- +dbrollback irreversible: <reason>"}
	case t.Kind == "foreign" || t.Kind == "materialized view":
		return nil // only a definition is lost
	case t.Kind == "virtual" && p.track.accepts():
		return nil
	case t.Kind == "virtual":
		return virtualLoss(ctx, p.q, p.s, t, e.Kind)
	}
	switch e.Kind {
	case effects.DropColumn, effects.AlterColumnType:
		return p.columns(ctx, t, e)
	case effects.DetachPartition: // EXCHANGE
		return p.exchange(t)
	case effects.DropPartition:
		if p.parted(t, e) {
			return p.partition(t, e)
		}
		return p.whole(ctx, t, e.Cascade, fmt.Sprintf("%s drops the table", e.Kind))
	case effects.DropTable:
		if err := p.whole(ctx, t, e.Cascade, fmt.Sprintf("%s drops the table", e.Kind)); err != nil {
			return err
		}
		return p.unparented(ctx, t)
	case effects.Truncate:
		if p.s.f.choose != nil && strings.HasPrefix(e.Detail, "EXCHANGE") {
			return p.exchange(t)
		}
		if p.parted(t, e) {
			return p.partition(t, e)
		}
		return p.truncate(ctx, t, e.Cascade)
	}
	return p.rows(ctx, t, e)
}

// rowTypes has a DROP … CASCADE rehearsed where columns are of the row type of some table or view: they go along with it.
func (p *planner) rowTypes(ctx context.Context, e effects.Effect) error {
	if p.seen || p.s.f.rowTypes == "" {
		return nil
	}
	n, err := number(ctx, p.q, "look for columns of row types", p.s.f.rowTypes)
	if err == nil && n > 0 {
		p.opaque(string(e.Kind) + " … CASCADE, beside columns of row types")
	}
	return err
}

// unparented adds what foreign keys do to other tables when a table is dropped: where the engine deletes its rows first.
func (p *planner) unparented(ctx context.Context, t *engine.Table) error {
	if p.seen || p.s.f.unchecked == nil || !p.s.db.Caps.TransactionalDDL || len(t.Referenced) == 0 {
		return nil
	}
	if off, err := p.s.f.unchecked(ctx, p.q); err != nil || off {
		return err
	}
	quiet := *t
	quiet.Triggers = nil // those of the table itself do not fire
	_, err := p.cascades(ctx, &quiet, events{remove: true}, nil)
	return err
}

// beyond adds what a statement on a table that the migration has made does to others: by its triggers and by foreign keys.
func (p *planner) beyond(ctx context.Context, t *engine.Table, e effects.Effect) error {
	if p.seen {
		return nil
	}
	if is, err := p.older(ctx, t); err != nil {
		return err
	} else if is {
		p.opaque(fmt.Sprintf("rows of %s were there before it", t.Name))
		return nil
	}
	var ev events
	switch e.Kind {
	case effects.DropTable:
		return p.unparented(ctx, t)
	case effects.Truncate:
		if e.Cascade && len(t.Referenced) > 0 {
			p.opaque(fmt.Sprintf("TRUNCATE %s CASCADE", t.Name))
		}
		return nil
	case effects.Insert:
		ev.insert = true
	case effects.Update:
		ev.update = true
	case effects.Delete:
		ev.remove = true
	case effects.Upsert, effects.Replace, effects.Merge:
		ev = events{true, true, true}
	default:
		return nil
	}
	p.runs(t, ev)
	_, err := p.cascades(ctx, t, ev, e.Columns)
	return err
}

// systemCatalog refuses writes to a system catalog, by which anything can be destroyed.
func (p *planner) systemCatalog(n engine.Name) error {
	if p.track.accepts() {
		return nil
	}
	return &LossError{Object: n.String(), Reason: "it is a system catalog: what a write to it does to tables cannot be told",
		Hint: "say it with ALTER or DROP, or annotate the migration: -- +dbrollback irreversible: <reason>"}
}

// joins refuses a table that becomes part of one that the migration has made, where nothing tells its rows from those of that one.
func (p *planner) joins(ctx context.Context, table, part engine.Name) error {
	if p.s.f.choose == nil {
		return nil // see older
	}
	whole, err := p.inspect(ctx, table)
	if err != nil || whole == nil || !p.track.made(whole) {
		return err
	}
	t, err := p.inspect(ctx, part)
	if err != nil || t == nil || p.track.made(t) {
		return err
	}
	return &LossError{Object: t.Name.String(), Reason: fmt.Sprintf("its rows become part of %s, which the same migration makes", whole.Name), Hint: "make " + whole.Name.String() + " in a migration before this one"}
}

func detailOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (p *planner) opaque(why string) {
	if !p.seen && !slices.Contains(p.plan.opaque, why) {
		p.plan.opaque = append(p.plan.opaque, why)
	}
}

// add adds an action, or widens the one that the table has already.
func (p *planner) add(a *action) {
	if p.track.made(a.table) && (!p.track.standsIn(a.table) || a.events.insert) {
		return
	}
	for _, b := range p.plan.actions {
		if b.table.Name != a.table.Name {
			continue
		}
		if b.observed() != a.observed() || b.kind != a.kind {
			// A copy of everything covers everything else that happens to the table in this statement; rows that it adds are found by
			// comparing.
			adds := len(a.table.Keys) > 0 && (p.s.db.Caps.TransactionalDDL && (a.observed() || b.observed()) || a.reduce || b.reduce)
			if b.kind != Table || b.columns != nil {
				a.kind, a.columns, a.events = Table, nil, events{}
				a.strong = a.strong || b.strong
				*b = *a
			}
			b.reduce, b.lossy, b.partitions = adds, true, nil
			return
		}
		b.events.insert = b.events.insert || a.events.insert
		b.events.update = b.events.update || a.events.update
		b.events.remove = b.events.remove || a.events.remove
		b.each = b.each || a.each
		b.moved, b.chain, b.strong, b.lossy = b.moved || a.moved, b.chain || a.chain, b.strong || a.strong, b.lossy || a.lossy
		b.reduce = b.reduce || a.reduce
		if a.partitions == nil || b.partitions == nil {
			b.partitions = nil
		} else {
			b.partitions = append(b.partitions, a.partitions...)
		}
		b.hung, b.cascade, b.twice = b.hung || a.hung, b.cascade || a.cascade, b.twice || a.twice || a.effect != nil && b.effect != nil
		if b.effect == nil {
			b.effect = a.effect
		}
		if b.observed() {
			// Two writers of the same rows in one statement: a row may be written twice.
			b.chain, b.moved, b.columns = true, true, nil
		}
		if b.columns != nil && a.columns != nil {
			for _, c := range a.columns {
				if !slices.Contains(b.columns, c) {
					b.columns = append(b.columns, c)
				}
			}
		} else {
			b.columns = nil
		}
		return
	}
	p.plan.actions = append(p.plan.actions, a)
}

// columns plans DROP COLUMN and ALTER COLUMN TYPE.
func (p *planner) columns(ctx context.Context, t *engine.Table, e effects.Effect) error {
	var names []string
	columns := e.Columns
	if e.Kind == effects.AlterColumnType && len(columns) == 0 { // CONVERT TO CHARACTER SET
		for _, c := range t.Columns {
			if c.Collation != "" {
				columns = append(columns, c.Name)
			}
		}
	}
	for _, c := range columns {
		i := slices.IndexFunc(t.Columns, func(x engine.Column) bool { return p.sameColumn(x.Name, c) })
		if i < 0 || t.Columns[i].Generated || p.track.madeColumn(t, t.Columns[i]) {
			continue
		}
		names = append(names, t.Columns[i].Name)
	}
	if len(names) == 0 {
		return nil
	}
	a := &action{kind: Columns, table: t, columns: names, strong: true, lossy: true, reason: string(e.Kind)}
	if e.Kind == effects.AlterColumnType && e.Column != nil && e.Column.Using != "" && slices.ContainsFunc(names, func(n string) bool { return inEveryKey(t, n) }) {
		a.columns = nil // the key itself is computed anew: keep the whole row to know it again
	}
	if e.Kind == effects.DropColumn {
		var err error
		if a.kind, err = p.columnKind(ctx, t, names); err != nil {
			return err
		}
		a.hung = e.Cascade
	}
	p.add(a)
	return p.children(ctx, t, func(child *engine.Table) error { return p.columns(ctx, child, e) })
}

// sameColumn compares column names as the engine does.
func (p *planner) sameColumn(a, b string) bool {
	return a == b || p.s.db.Kind != engine.Postgres && strings.EqualFold(a, b)
}

func inEveryKey(t *engine.Table, column string) bool {
	for _, k := range t.Keys {
		if !slices.Contains(k.Columns, column) {
			return false
		}
	}
	return true
}

// children visits tables that inherit from one; partitions are reached through their parent.
func (p *planner) children(ctx context.Context, t *engine.Table, f func(*engine.Table) error) error {
	if t.Kind == "partitioned" {
		return nil
	}
	for _, n := range t.Children {
		child, err := p.inspect(ctx, n)
		if err != nil {
			return err
		}
		if child == nil {
			continue
		}
		if err := f(child); err != nil {
			return err
		}
	}
	return nil
}

// whole plans a copy of every row.
func (p *planner) whole(ctx context.Context, t *engine.Table, cascade bool, reason string) error {
	kind, err := p.kind(ctx, t, cascade)
	if err != nil {
		return err
	}
	p.add(&action{kind: kind, table: t, strong: true, lossy: true, hung: cascade, reason: reason})
	if !cascade {
		return nil
	}
	return p.children(ctx, t, func(child *engine.Table) error {
		return p.whole(ctx, child, true, reason+" with those that inherit from it")
	})
}

// parted tells whether a statement takes the rows of one partition, which are known by a key.
func (p *planner) parted(t *engine.Table, e effects.Effect) bool {
	return e.Object.Kind == "partition" && len(t.Keys) > 0 && slices.ContainsFunc(t.Partitions, func(n string) bool { return strings.EqualFold(n, e.Object.Name.Name) })
}

// partition plans a statement that takes the rows of a partition, on MySQL and MariaDB.
func (p *planner) partition(t *engine.Table, e effects.Effect) error {
	p.add(&action{kind: Rows, table: t, partitions: []string{e.Object.Name.Name}, strong: true, lossy: true, reason: string(e.Kind)})
	return nil
}

// exchange plans the exchange of a partition for a table: rows of each go to the other.
func (p *planner) exchange(t *engine.Table) error {
	if p.s.db.Kind == engine.MariaDB {
		return &LossError{Object: t.Name.String(), Reason: "MariaDB waits for itself when a partition is exchanged under LOCK TABLES, and without them rows could be lost",
			Hint: "let Up and Down do nothing with the two tables but this one statement, each, as an account with PROCESS: then rows change places, and back, and need no capture; or write it as INSERT … SELECT and DELETE, or accept the loss: -- +dbrollback no-capture: <reason>"}
	}
	p.add(&action{kind: Table, table: t, strong: true, lossy: true, reduce: len(t.Keys) > 0, reason: "exchange partition"})
	return nil
}

// truncate plans TRUNCATE, with the tables that CASCADE reaches.
func (p *planner) truncate(ctx context.Context, t *engine.Table, cascade bool) error {
	todo, done := []*engine.Table{t}, map[engine.Name]bool{}
	for len(todo) > 0 {
		t := todo[0]
		todo = todo[1:]
		if done[t.Name] {
			continue
		}
		done[t.Name] = true
		for _, tr := range t.Triggers {
			if tr.Enabled != "D" && strings.Contains(tr.Events, "TRUNCATE") {
				p.opaque(fmt.Sprintf("%s fires trigger %s", t.Name, tr.Name))
			}
		}
		kind, err := p.emptied(ctx, t)
		if err != nil {
			return err
		}
		p.add(&action{kind: kind, table: t, strong: true, lossy: true, empties: kind == Kept, reason: "truncate"})
		if err := p.children(ctx, t, func(child *engine.Table) error { todo = append(todo, child); return nil }); err != nil {
			return err
		}
		if !cascade {
			continue
		}
		for _, fk := range t.Referenced {
			child, err := p.inspect(ctx, fk.Table)
			if err != nil {
				return err
			}
			if child != nil {
				todo = append(todo, child)
			}
		}
	}
	return nil
}

// Needs says which captures a statement needs; it reads only. opaque: its effects cannot all be named, so that it
// has to be rehearsed. The error is a *LossError when something would be lost that cannot be captured.
func (s *Store) Needs(ctx context.Context, q engine.Querier, st effects.Statement) ([]Need, bool, error) {
	p, err := s.plan(ctx, q, nil, st.Effects, false)
	if err != nil {
		return nil, false, err
	}
	out := needs(p)
	for i := range out {
		n := &out[i]
		at := slices.IndexFunc(p.actions, func(a *action) bool { return a.lossy && a.table.Name == n.Name })
		if n.Rows >= 0 || at < 0 || !slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
			return (e.Kind == effects.Update || e.Kind == effects.Delete) && !e.HasWhere && e.From == "" && !e.Nested && !e.Unordered && e.Detail == "" && s.sameName(e.Table.Name, n.Name.Name)
		}) {
			continue
		}
		t := p.actions[at].table // all of its rows
		n.Rows, n.Bytes = t.Rows, t.Bytes*int64(len(n.Columns)+1)/int64(len(t.Columns)+1)
	}
	return out, len(p.opaque) > 0, nil
}

func needs(p *plan) []Need {
	var out []Need
	for _, a := range p.actions {
		if !a.lossy {
			continue
		}
		n := Need{Kind: a.kind, Table: a.table.Name.String(), Name: a.table.Name, Columns: a.columns, Rows: a.table.Rows, Bytes: a.table.Bytes, Reason: a.reason, Empties: a.empties}
		if n.Columns == nil {
			for _, c := range a.table.Columns {
				if !c.Generated {
					n.Columns = append(n.Columns, c.Name)
				}
			}
		} else if a.table.Bytes > 0 && len(a.table.Columns) > 0 {
			n.Bytes = a.table.Bytes * int64(len(a.columns)+1) / int64(len(a.table.Columns)+1)
		}
		if a.observed() {
			n.Rows, n.Bytes = -1, -1 // only the server can tell which rows a predicate hits
		}
		out = append(out, n)
	}
	return out
}
