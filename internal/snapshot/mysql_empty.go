package snapshot

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// A table that TRUNCATE empties is kept by one RENAME as well, which puts an empty table of the same definition in its place. What may go
// wrong with that is looked at before; then the rows are copied, as those of any other statement.

// emptiable: everything that hangs on the table by its name stays, everything that hangs on the table itself would go along.
func (d mysqlDialect) emptiable(ctx context.Context, q engine.Querier, t *engine.Table) (bool, error) {
	if len(t.Keys) == 0 { // which rows are whose could not be told if the table is written to afterwards
		return false, nil
	}
	return d.keepable(ctx, q, t, false)
}

// empties tells whether a statement does nothing but empty one table.
func empties(es []effects.Effect) bool {
	return len(es) == 1 && es[0].Kind == effects.Truncate && es[0].Object.Kind != "partition" && !strings.HasPrefix(es[0].Detail, "EXCHANGE") && !es[0].Cascade
}

// twin makes the empty table that takes the place of the one of a capture; "" when the server makes it otherwise than that one is.
func (s *Store) twin(ctx context.Context, x *capture) (string, error) {
	name := "dbrollback_move_" + compact(x.ID)
	if err := s.aside(ctx, "CREATE TABLE "+s.own(name)+" LIKE "+s.db.Quote(x.At)); err != nil {
		if _, server := engine.AsError(err); server && ctx.Err() == nil {
			return "", nil
		}
		return "", fmt.Errorf("make an empty %s: %w", x.At, err)
	}
	same, err := s.alike(ctx, s.db, x.At, s.db.Own(name))
	if err != nil || same {
		return name, err
	}
	return "", s.aside(ctx, "DROP TABLE "+s.own(name))
}

var mysqlNextNumber = regexp.MustCompile(` AUTO_INCREMENT=\d+`)

// alike tells whether two tables have the same definition.
func (s *Store) alike(ctx context.Context, q engine.Querier, a, b engine.Name) (bool, error) {
	var texts [2]string
	for i, n := range []engine.Name{a, b} {
		var name string
		if err := q.QueryRowContext(ctx, "SHOW CREATE TABLE "+s.db.Quote(n)).Scan(&name, &texts[i]); err != nil {
			return false, fmt.Errorf("look at %s: %w", n, err)
		}
		head, _, _ := strings.Cut(texts[i], "(\n")
		end := max(strings.LastIndex(texts[i], "\n)"), len(head)) // a comment of a column may look like an option
		texts[i] = texts[i][len(head):end] + mysqlNextNumber.ReplaceAllString(texts[i][end:], "")
	}
	return texts[0] == texts[1], nil
}

// sealEmpty seals the capture of a table that is about to be emptied: of its rows none stands in its place.
func sealEmpty(x *capture, statement int) {
	x.Emptied = true
	x.Seal = seal{Mode: sealAbsent, Table: x.At, After: statement}
	for i, f := range x.Fields {
		x.Fields[i].Seal = f.At
		x.Seal.Columns = append(x.Seal.Columns, f.At)
	}
	for i, f := range x.Key {
		x.Key[i].Seal = f.At
		x.Seal.Key = append(x.Seal.Key, f.At)
	}
	for _, col := range x.live.Columns {
		if !col.Generated {
			x.Seal.All = append(x.Seal.All, col.Name)
		}
	}
}

// LeftAlone tells whether statements leave the rows of a table alone, and do not need them. What is not known for sure is not alone.
func (s *Store) LeftAlone(ctx context.Context, n engine.Name, list []effects.Statement) (bool, error) {
	named := word(n.Name)
	for _, st := range list {
		if st.Opaque() || named.MatchString(st.SQL) {
			return false, nil
		}
		for _, e := range st.Effects {
			switch e.Kind {
			case effects.DropSchema, effects.External:
				return false, nil
			case effects.Insert, effects.Update, effects.Delete, effects.Upsert, effects.Replace, effects.Merge:
			default:
				continue
			}
			t, err := s.db.Inspect(ctx, s.db, engine.Name(e.Table))
			if errors.Is(err, engine.ErrNoTable) {
				continue
			}
			if err != nil {
				return false, err
			}
			if t.Kind == "view" || len(t.Triggers) > 0 { // it may write elsewhere
				return false, nil
			}
		}
	}
	return true, nil
}

// ahead gives the statements of the migration after the n-th; known is false where the caller does not tell.
func (c *Capturer) ahead(n int) (rest []effects.Statement, known bool) {
	if n > len(c.meta.Statements) || n < 1 {
		return nil, false
	}
	return c.meta.Statements[n:], true
}

// swappable tells whether the table of an action can be exchanged for an empty one: nothing of this run comes to its rows after.
func (c *Capturer) swappable(ctx context.Context, n int, t *engine.Table) (bool, error) {
	rest, known := c.ahead(n)
	if !known || c.restorer != nil && slices.ContainsFunc(c.restorer.captures, func(x *restoring) bool { return x.Home == t.Name || x.Seal.Table == t.Name }) {
		return false, nil
	}
	return c.s.LeftAlone(ctx, t.Name, rest)
}

// Ahead tells which statements are to run while the captures go back. It comes before Check.
func (r *Restorer) Ahead(list []effects.Statement) {
	r.statements, r.told = list, true
	r.Runs(list)
}

// Runs tells all statements of the run, also those that were through before it was cut off.
func (r *Restorer) Runs(list []effects.Statement) { r.run = list }

// empty tells whether a table that was emptied is still as it was then, and will be left alone until its rows are back.
func (r *Restorer) empty(ctx context.Context, tx engine.Querier, x *restoring, t *engine.Table) (bool, error) {
	if !x.Emptied || !r.told || x.Seal.Mode != sealAbsent || x.Seal.Table != x.Home || r.s.keeper() == nil || t.Kind != x.Shape.Kind || r.s.missing(ctx, tx, r.s.db.Own(x.data())) {
		return false, nil
	}
	if slices.ContainsFunc(r.captures, func(y *restoring) bool { return y != x && (y.Home == x.Home || slices.Contains(y.Parents, x.Home)) }) {
		return false, nil
	}
	if alone, err := r.s.LeftAlone(ctx, x.Home, r.statements); err != nil || !alone {
		return false, err
	}
	if same, err := r.s.alike(ctx, r.s.db, t.Name, r.s.db.Own(x.data())); err != nil || !same {
		return false, err
	}
	rows, err := number(ctx, r.s.db, "look for rows", "SELECT count(*) FROM (SELECT 1 FROM "+r.s.f.from(r.s.db, t)+" LIMIT 1) x")
	return rows == 0, err
}

// patience is how long an exchange waits for those who use the table.
const patience = 2 * time.Second

// exchange puts a kept table into the place of an empty one; false when that one is in use, or has rows by now. One connection keeps
// everybody out and looks; another one asks for the RENAME, and waits; when the first lets go, those who wait to write
// come after the RENAME, because a lock for a change of the definition goes before theirs.
func (s *Store) exchange(ctx context.Context, x *capture, t *engine.Table) (done bool, err error) {
	err = s.with(ctx, func(mover engine.Querier) error {
		if s.missing(ctx, s.db, s.db.Own(x.data())) { // what a client that died had asked for has come about
			done = true
			return nil
		}
		done, err = s.moved(ctx, mover, x, t)
		return err
	})
	if e, ok := engine.AsError(err); ok && e.Class == engine.LockTimeout && !done {
		return false, nil
	}
	if err != nil || !done {
		return false, err
	}
	return true, s.exchanged(ctx, x, t)
}

// moved does so on two connections.
func (s *Store) moved(ctx context.Context, mover engine.Querier, x *capture, t *engine.Table) (done bool, err error) {
	gate, err := s.db.Conn(ctx)
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, gate.Close()) }()
	id, err := number(ctx, mover, "ask for its number", "SELECT connection_id()")
	if err != nil {
		return false, err
	}
	if _, err := exec(ctx, gate, "set the wait for locks", fmt.Sprintf("SET @dbrollback_wait = @@SESSION.lock_wait_timeout, SESSION lock_wait_timeout = %d", int(patience/time.Second))); err != nil {
		return false, err
	}
	calm := context.WithoutCancel(ctx)
	defer func() {
		_, _ = exec(calm, gate, "set the wait for locks", "SET SESSION lock_wait_timeout = @dbrollback_wait")
	}()
	if _, err := exec(ctx, gate, "lock "+t.Name.String(), "LOCK TABLES "+s.db.Quote(t.Name)+" WRITE"); err != nil {
		return false, err
	}
	open := func() error {
		_, err := exec(calm, gate, "unlock tables", "UNLOCK TABLES")
		return err
	}
	rows, err := number(ctx, gate, "look for rows", "SELECT count(*) FROM (SELECT 1 FROM "+s.db.Quote(t.Name)+" LIMIT 1) x")
	if err != nil || rows > 0 {
		return false, errors.Join(err, open())
	}
	over := make(chan error, 1)
	go func() {
		_, err := exec(ctx, mover, "put "+x.Home.String()+" back", fmt.Sprintf("RENAME TABLE %s TO %s, %s TO %s", s.db.Quote(t.Name), s.own(lateTable+compact(x.ID)), s.own(x.data()), s.db.Quote(t.Name)))
		over <- err
	}()
	failed, ended, err := s.queued(ctx, id, over)
	err = errors.Join(err, open())
	if !ended { // also after an error: only then is it known what became of it
		failed = <-over
	}
	return failed == nil, errors.Join(failed, err)
}

// queued waits until the RENAME stands at the gate, or is over.
func (s *Store) queued(ctx context.Context, id int64, moved <-chan error) (failed error, over bool, err error) {
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case err := <-moved:
			return err, true, nil
		case <-tick.C:
		}
		n, err := number(ctx, s.db, "look for the RENAME", fmt.Sprintf("SELECT count(*) FROM information_schema.processlist WHERE id = %d AND state LIKE 'Waiting for table%%'", id))
		if engine.Unlistable(err) {
			continue
		}
		if err != nil || n > 0 {
			return nil, false, err
		}
	}
}

// lateTable begins the name of the empty table that a kept one took the place of. It goes only when it is empty.
const lateTable = "dbrollback_late_"

// exchanged ends an exchange, also one that was cut off. Numbers that the empty table has handed out are not handed out again.
func (s *Store) exchanged(ctx context.Context, x *capture, t *engine.Table) error {
	late := s.db.Own(lateTable + compact(x.ID))
	if s.missing(ctx, s.db, late) {
		return nil
	}
	rows, err := number(ctx, s.db, "look for rows", "SELECT count(*) FROM "+s.db.Quote(late))
	if err != nil {
		return err
	}
	if rows > 0 {
		var columns []string
		for _, c := range t.Columns {
			if !c.Generated {
				columns = append(columns, s.q(c.Name))
			}
		}
		if _, err := exec(ctx, s.db, "put back what came in meanwhile", fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s", s.db.Quote(t.Name), list(columns), list(columns), s.db.Quote(late))); err != nil {
			return fmt.Errorf("%d row(s) that were written to %s while it came back are in %s: %w", rows, x.Home, late, err)
		}
	}
	next, err := mysqlNext(ctx, s.db, s, &engine.Table{Name: late})
	if err != nil {
		return err
	}
	if now, err := mysqlNext(ctx, s.db, s, t); err != nil {
		return err
	} else if now < next {
		if err := s.aside(ctx, fmt.Sprintf("ALTER TABLE %s AUTO_INCREMENT = %d", s.db.Quote(t.Name), next)); err != nil {
			return err
		}
	}
	return s.aside(ctx, "DROP TABLE "+s.db.Quote(late))
}
