package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
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
	solid := slices.ContainsFunc(t.Keys, func(k Key) bool { // by which they could be copied
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

// Key is a key of a table.
type Key = engine.Key

// unnames tells whether a statement does nothing but drop columns of one table.
func unnames(es []effects.Effect) bool {
	return len(es) > 0 && !slices.ContainsFunc(es, func(e effects.Effect) bool {
		return e.Kind != effects.DropColumn || e.Table != es[0].Table
	})
}

// Quiet tells whether statements write no rows and do nothing about a table but add to it and drop columns: then what is in its columns
// is the same before and after. What is not known for sure is not quiet.
func Quiet(n engine.Name, list []effects.Statement) bool {
	named := regexp.MustCompile(`(?i)(^|[^\w$])` + regexp.QuoteMeta(n.Name) + `($|[^\w$])`)
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
	if !known || c.meta.Direction != "up" || c.meta.Opposite == nil || c.restorer != nil || c.track.home(t) != t.Name {
		return false
	}
	id := identity(t)
	if slices.ContainsFunc(c.captures, func(x *capture) bool { return x.Identity == id && x.Kind != KeptColumns }) {
		return false
	}
	if slices.ContainsFunc(t.Columns, func(col engine.Column) bool { return c.track.homeColumn(t, col) != col.Name && !engine.Aside(col.Name) }) {
		return false
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

// pendingColumns are the captures of kept columns that are not back yet.
func (r *Restorer) pendingColumns() []*restoring {
	return slices.DeleteFunc(slices.Clone(r.captures), func(x *restoring) bool { return x.Kind != KeptColumns || x.back })
}

// holder finds the table in which the columns of a capture lie; nil when they are nowhere.
func (s *Store) holder(ctx context.Context, q engine.Querier, x *capture) (*engine.Table, error) {
	if t, err := s.db.Inspect(ctx, q, x.Seal.Table); err == nil && holds(t, x) {
		return t, nil
	} else if err != nil && !errors.Is(err, engine.ErrNoTable) {
		return nil, err
	}
	k, ok := s.d.(columnKeeper)
	if !ok {
		return nil, nil
	}
	list, err := k.reserved(ctx, q)
	if err != nil {
		return nil, err
	}
	for _, c := range list {
		if c.name != x.Aside.Names[0] {
			continue
		}
		t, err := s.db.Inspect(ctx, q, c.table)
		if err != nil {
			return nil, err
		}
		if holds(t, x) {
			return t, nil
		}
	}
	return nil, nil
}

// holds tells whether the columns of a capture lie in a table.
func holds(t *engine.Table, x *capture) bool {
	return !slices.ContainsFunc(x.Aside.Names, func(n string) bool { return columnIndex(t, n) < 0 })
}

// columnsGone says that kept columns are not there.
func columnsGone(x *capture) error {
	return &ProofError{Table: x.Home, Capture: x.ID, Rows: x.Rows, Of: x.Rows, Reason: fmt.Sprintf("the column %s that was kept is gone", x.Aside.Names[0])}
}

// columnsOccupied looks at kept columns before Down begins. Where Down does more about their table than to make them again they become copies.
func (r *Restorer) columnsOccupied(ctx context.Context, tx engine.Querier) error {
	for _, x := range r.pendingColumns() {
		t, err := r.inspect(ctx, tx, x.Home)
		if err != nil {
			return err
		}
		x.look(t)
		if r.told && Quiet(x.Home, r.statements) {
			continue
		}
		if err := r.columnsCopied(ctx, tx, x); err != nil {
			return err
		}
	}
	return nil
}

// takeNames gives kept columns their names again where Down has made columns of these names.
func (r *Restorer) takeNames(ctx context.Context, tx engine.Querier) error {
	for _, x := range r.pendingColumns() {
		t, err := r.inspect(ctx, tx, x.Home)
		if err != nil {
			return err
		}
		if t == nil || slices.ContainsFunc(x.Fields, func(f field) bool { return columnIndex(t, r.column(t, f.Name)) < 0 }) {
			continue
		}
		if !holds(t, x.capture) {
			if r.recalled && !r.s.db.Caps.TransactionalDDL && r.sameAgain(x.capture, t) { // a run that was cut off came as far as this
				if lies, err := r.s.holder(ctx, tx, x.capture); err != nil {
					return err
				} else if lies == nil {
					x.back = true
					r.of(x.Home).Updated += x.Rows
					continue
				}
			}
			continue
		}
		back := false
		if r.sameAgain(x.capture, t) {
			if back, err = r.exchangeNames(ctx, tx, x, t); err != nil {
				return err
			}
		}
		if back {
			x.back = true
			r.of(x.Home).Updated += x.Rows
			continue
		}
		if err := r.columnsCopied(ctx, tx, x); err != nil {
			return err
		}
	}
	return nil
}

// sameAgain tells whether Down has made columns that hold what the kept ones hold.
func (r *Restorer) sameAgain(x *capture, t *engine.Table) bool {
	return !slices.ContainsFunc(x.Fields, func(f field) bool {
		was, now := x.Shape.Columns[columnIndex(x.Shape, f.At)], t.Columns[columnIndex(t, r.column(t, f.Name))]
		return was.Type != now.Type || was.Collation != now.Collation || was.Identity != now.Identity || now.Generated || now.Sequence.Name != ""
	})
}

// exchangeNames does it; false when the columns have to be copied instead.
func (r *Restorer) exchangeNames(ctx context.Context, tx engine.Querier, x *restoring, t *engine.Table) (bool, error) {
	s := r.s
	var update []string
	for i, f := range x.Fields {
		was, now := x.Shape.Columns[columnIndex(x.Shape, f.At)], t.Columns[columnIndex(t, r.column(t, f.Name))]
		same := x.Aside.Given[i] && was.Default == now.Default || !x.Aside.Given[i] && now.Default == "" && !now.NotNull
		where := x.since(s, i, "")
		if same || where == "" {
			continue
		}
		sets := []string{s.q(x.Aside.Names[i]) + " = " + s.q(now.Name)}
		for _, c := range t.Columns {
			if c.OnUpdate {
				sets = append(sets, s.q(c.Name)+" = "+s.q(c.Name))
			}
		}
		update = append(update, fmt.Sprintf("UPDATE %s SET %s WHERE %s", s.db.Quote(t.Name), list(sets), where))
	}
	k := s.d.(columnKeeper)
	if !s.db.Caps.TransactionalDDL {
		err := k.columnsBack(ctx, tx, x.capture, t, update)
		if errors.Is(err, errCopied) {
			return false, nil
		}
		return err == nil, err
	}
	err := s.within(ctx, tx, "dbrollback_back", true, func() error {
		return s.pinned(ctx, tx, func() error {
			if len(update) > 0 {
				lift, err := s.d.shield(ctx, tx, []*engine.Table{t})
				if err != nil {
					return err
				}
				for _, query := range update {
					if _, err := exec(ctx, tx, "put columns of "+x.Home.String()+" back", query); err != nil {
						return err
					}
				}
				if err := lift(ctx); err != nil {
					return err
				}
			}
			return k.columnsBack(ctx, tx, x.capture, t, nil)
		})
	})
	if _, server := engine.AsError(err); server && ctx.Err() == nil || errors.Is(err, errCopied) {
		return false, nil // something hangs on the column that Down has made
	}
	return err == nil, err
}

// columnsCopied turns kept columns into a copy by key, for which everything about rows holds.
func (r *Restorer) columnsCopied(ctx context.Context, tx engine.Querier, x *restoring) error {
	s := r.s
	t, err := s.holder(ctx, tx, x.capture)
	if err != nil {
		return err
	}
	if t == nil {
		return columnsGone(x.capture)
	}
	err = s.pinned(ctx, tx, func() error {
		y, err := s.spreadColumns(ctx, tx, x.capture, t, x.ID)
		if err != nil {
			return err
		}
		*x.capture = *y
		return s.nowColumns(ctx, tx, x.capture)
	})
	if err != nil || !s.db.Caps.TransactionalDDL { // there the transaction has read the table by now: Prune does the rest
		return err
	}
	return s.dropReserved(ctx, tx, x.capture)
}

// nowColumns writes down that kept columns are a copy from now on.
func (s *Store) nowColumns(ctx context.Context, tx engine.Querier, x *capture) error {
	sum, err := s.checksum(ctx, tx, x)
	if err != nil {
		return err
	}
	x.Rows, x.Checksum = sum.Rows, sum.Sum
	if x.Bytes, err = s.f.size(ctx, tx, s.own(x.data())); err != nil {
		return err
	}
	rest, err := json.Marshal(x.detail)
	if err != nil {
		return err
	}
	a := s.db.Arg
	_, err = exec(ctx, tx, "write the catalog", fmt.Sprintf("UPDATE %s SET kind = %s, location = %s, row_count = %s, bytes = %s, checksum = %s, %s = %s WHERE id = %s",
		s.db.Quote(s.catalog), a(1), a(2), a(3), a(4), a(5), s.q("detail"), a(6), a(7)), string(x.Kind), x.Location, x.Rows, x.Bytes, x.Checksum, string(rest), x.ID)
	return err
}

// spreadColumns copies what kept columns hold, as a capture of its own.
func (s *Store) spreadColumns(ctx context.Context, tx engine.Querier, kept *capture, t *engine.Table, id string) (*capture, error) {
	y := *kept
	y.ID, y.Kind = id, Columns
	y.Location = s.db.Own(y.data()).String()
	y.Key, y.Fields = slices.Clone(y.Key), slices.Clone(y.Fields)
	y.Seal.Key = nil
	for i, f := range y.Key {
		j := slices.IndexFunc(t.Columns, func(c engine.Column) bool { return t.OID != 0 && columnIdentity(t, c) == f.Num })
		if j < 0 || identity(t) != y.Identity {
			j = columnIndex(t, f.At)
		}
		if j < 0 {
			return nil, &PlaceError{Table: y.Home, Columns: []string{f.Name}, Rows: y.Rows}
		}
		y.Key[i].At, y.Key[i].Seal = t.Columns[j].Name, t.Columns[j].Name
		y.Seal.Key = append(y.Seal.Key, t.Columns[j].Name)
	}
	y.Seal.Mode, y.Seal.Table = sealPresent, t.Name
	var old []string
	for i := range y.Fields {
		if since := kept.since(s, i, y.t()+"."); since != "" {
			old = append(old, "NOT ("+since+")")
		}
		y.Fields[i].At, y.Fields[i].Seal = kept.Aside.Names[i], ""
	}
	if !s.db.Caps.TransactionalDDL { // a run that was cut off here left a copy that the catalog knows nothing of
		if err := s.ddl(ctx, tx, "copy kept columns", "DROP TABLE IF EXISTS "+s.own(y.data())); err != nil {
			return nil, err
		}
	}
	if err := s.room(ctx, tx, &y); err != nil {
		return nil, err
	}
	names, _ := y.columns()
	rows, err := exec(ctx, tx, "copy kept columns of "+y.Home.String(), fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s WHERE %s%s",
		s.own(y.data()), list(names), list(s.read(&y)), s.live(&y, t), all(old...), s.f.locking))
	y.Rows = rows
	for i, f := range kept.Fields { // from here on it is as if it had been copied while it had its name
		y.Fields[i].At = f.At
	}
	return &y, err
}

// dropReserved drops the columns of a capture that lie aside, wherever their table is by now.
func (s *Store) dropReserved(ctx context.Context, q engine.Querier, x *capture) error {
	k, ok := s.d.(columnKeeper)
	if !ok || x.Aside == nil {
		return nil
	}
	list, err := k.reserved(ctx, q)
	if err != nil {
		return err
	}
	for _, c := range list {
		if slices.Contains(x.Aside.Names, c.name) || c.name == x.Aside.Since {
			if err := s.dropColumn(ctx, q, c); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *Store) dropColumn(ctx context.Context, q engine.Querier, c reservedColumn) error {
	query := fmt.Sprintf("ALTER TABLE %s DROP COLUMN %s", s.db.Quote(c.table), s.q(c.name))
	if !s.db.Caps.TransactionalDDL {
		return s.aside(ctx, query)
	}
	_, err := exec(ctx, q, "drop a kept column", query)
	return err
}

// WithdrawColumn puts a column aside again that a rollback which is taken back had given its name already; false when it is none of these.
func (r *Restorer) WithdrawColumn(ctx context.Context, q engine.Querier, n engine.Name, column string) (bool, error) {
	s := r.s
	for _, x := range r.captures {
		if x.Kind != KeptColumns || x.Home != n || !slices.ContainsFunc(x.Fields, func(f field) bool { return s.sameName(f.Name, column) }) {
			continue
		}
		lies, err := s.holder(ctx, q, x.capture)
		if err != nil {
			return false, err
		}
		t, err := r.inspect(ctx, q, n)
		if err != nil || t == nil {
			return false, err
		}
		if lies != nil {
			return columnIndex(t, r.column(t, column)) < 0, nil // it was withdrawn with another one; else what stands there is Down's
		}
		again := func() error {
			if err := s.d.(columnKeeper).columnsAgain(ctx, q, x.capture, t); err != nil {
				return fmt.Errorf("put columns of %s aside again: %w", n, err)
			}
			return nil
		}
		if s.db.Caps.TransactionalDDL {
			err = s.within(ctx, q, "dbrollback_withdraw", true, again)
		} else {
			err = again()
		}
		x.back = false
		return err == nil, err
	}
	return false, nil
}

// makeAside makes the columns that lay aside in a table, for the rollback of another migration, in the one that Down has made in its place: what
// was in them comes back with the rows.
func (r *Restorer) makeAside(ctx context.Context, tx engine.Querier) error {
	s := r.s
	for _, x := range r.tables() {
		if x.Shape == nil || !x.Whole || !slices.ContainsFunc(x.Fields, func(f field) bool { return engine.Aside(f.Name) }) {
			continue
		}
		t, err := r.inspect(ctx, tx, x.Home)
		if err != nil {
			return err
		}
		if t == nil {
			continue
		}
		var add []string
		for _, f := range x.Fields {
			j := columnIndex(x.Shape, f.At)
			if !engine.Aside(f.Name) || j < 0 || columnIndex(t, f.Name) >= 0 {
				continue
			}
			add = append(add, "ALTER TABLE "+s.db.Quote(t.Name)+" ADD COLUMN "+s.q(f.Name)+" "+s.asideText(x.Shape.Columns[j]))
		}
		if len(add) == 0 {
			continue
		}
		if err := s.ddl(ctx, tx, "make kept columns of "+x.Home.String()+" again", add...); err != nil {
			return err
		}
	}
	return nil
}

// asideText defines a column that lies aside as it was.
func (s *Store) asideText(c engine.Column) string {
	text := c.Type
	if c.Collation != "" {
		text += " COLLATE " + c.Collation
	}
	if c.Default != "" {
		text += " DEFAULT " + c.Default
		if c.NotNull {
			text += " NOT NULL"
		}
	}
	if c.Invisible {
		text += " INVISIBLE"
	}
	return text
}

// goneAlong tells whether kept columns went with their table, or with its rows, into the capture of a later migration, whose rollback comes first.
func (s *Store) goneAlong(ctx context.Context, q engine.Querier, x *capture) (bool, error) {
	rows, err := s.load(ctx, q, fmt.Sprintf("status = %s", s.db.Arg(1)), statusComplete)
	return slices.ContainsFunc(rows, func(r row) bool {
		return r.Whole && slices.ContainsFunc(r.Fields, func(f field) bool { return f.At == x.Aside.Names[0] })
	}), err
}
