package snapshot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
)

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
					r.of(x.Home).Kept += x.Rows
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
			r.of(x.Home).Kept += x.Rows
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
				if err := lift(ctx, nil); err != nil {
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
