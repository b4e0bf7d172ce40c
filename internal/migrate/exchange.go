package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/journal"
)

// EXCHANGE PARTITION (MySQL, MariaDB) destroys nothing: rows change places, in constant time, and the same statement brings them back, with what was
// written to them since. Where Up and Down do nothing else with the two tables it runs as it is; else the rows are copied, as far as that can be
// done. No definition shows whether it ran: the numbers do by which InnoDB knows the tables, and they change places with the rows.

// exchanged is what the statement names.
type exchanged struct {
	table, with effects.Name
	partition   string
}

// exchangeOf reads it from a statement that does nothing else.
func exchangeOf(st effects.Statement) (exchanged, bool) {
	es := st.Effects
	if len(es) != 2 || es[0].Kind != effects.DetachPartition || es[1].Kind != effects.Truncate || !strings.HasPrefix(es[0].Detail, "EXCHANGE") || !strings.HasPrefix(es[1].Detail, "EXCHANGE") {
		return exchanged{}, false
	}
	return exchanged{table: es[0].Table, with: es[1].Table, partition: strings.ToLower(es[0].Object.Name.Name)}, true
}

// swap is such a statement, with the numbers of both tables before it.
type swap struct {
	Tables  [2]engine.Name `json:"tables"` // with the partition, and the one that it is exchanged for
	Numbers [2][]string    `json:"numbers"`
}

// exchange gives the i-th statement as one that needs no capture, nil when it is none.
func (m *Migrator) exchange(ctx context.Context, q engine.Querier, mig *Migration, dir Direction, i int) (*swap, error) {
	if m.db.Caps.TransactionalDDL {
		return nil, nil
	}
	x, ok := exchangeOf(mig.statements(dir)[i].Statement)
	if !ok {
		return nil, nil
	}
	stmts, opposite := parsed(mig.statements(dir)), parsed(mig.statements(dir.opposite()))
	at := slices.IndexFunc(opposite, x.same)
	if at < 0 {
		return nil, nil
	}
	others := slices.Concat(stmts[:i], stmts[i+1:], opposite[:at], opposite[at+1:])
	s := &swap{}
	for j, n := range []effects.Name{x.table, x.with} {
		if alone, err := m.store.LeftAlone(ctx, engine.Name(n), others); err != nil || !alone {
			return nil, err
		}
		t, err := m.db.Inspect(ctx, q, engine.Name(n))
		if errors.Is(err, engine.ErrNoTable) {
			return nil, nil // the server will say so
		}
		if err != nil {
			return nil, err
		}
		if t.Engine != "InnoDB" || t.Name.Schema != "" {
			return nil, nil
		}
		s.Tables[j] = t.Name
		if s.Numbers[j], err = journal.Numbers(ctx, m.db, q, t); err != nil || len(s.Numbers[j]) == 0 {
			return nil, err
		}
	}
	if len(s.Numbers[1]) != 1 {
		return nil, nil
	}
	return s, nil
}

func (x exchanged) same(st effects.Statement) bool {
	y, ok := exchangeOf(st)
	return ok && x == y
}

// exchanging tells the same of a statement that is about to run; what the opposite direction has captured of the tables has to go back into rows that stand still.
func (w *work) exchanging(ctx context.Context, i int) (*swap, error) {
	st := w.stmts[i]
	if w.mig.noCapture(w.r.dir, st) {
		return nil, nil
	}
	s, err := w.r.m.exchange(ctx, w.r.s, w.mig, w.r.dir, i)
	if err != nil || s == nil || w.restorer != nil && slices.ContainsFunc(s.Tables[:], w.restorer.Has) {
		return nil, err
	}
	if w.swaps == nil {
		w.swaps = map[int]bool{}
	}
	w.swaps[i] = true
	return s, nil
}

// look tells by the numbers what became of it.
func (s *swap) look(ctx context.Context, db *engine.DB, q engine.Querier) (string, error) {
	var now [2][]string
	for j, n := range s.Tables {
		t, err := db.Inspect(ctx, q, n)
		if errors.Is(err, engine.ErrNoTable) {
			return unclear, nil
		}
		if err != nil {
			return "", err
		}
		if now[j], err = journal.Numbers(ctx, db, q, t); err != nil {
			return "", err
		}
	}
	return s.state(now), nil
}

// state: a number that is with the other table now tells, whatever else was made anew since.
func (s *swap) state(now [2][]string) string {
	whole, one := s.Numbers[0], s.Numbers[1]
	among := func(list, all []string) bool {
		return len(list) > 0 && !slices.ContainsFunc(list, func(n string) bool { return !slices.Contains(all, n) })
	}
	took := among(now[1], whole) || among(one, now[0])
	none := slices.Equal(now[1], one) || among(whole, now[0])
	switch {
	case took && !none:
		return tookEffect
	case none && !took:
		return noEffect
	}
	return unclear
}

// unexchange exchanges once more what the statements of a run that was cut off have exchanged, the last one first. What the numbers show of each says whether that
// is still to be done.
func (w *work) unexchange(ctx context.Context, q engine.Querier, done int) error {
	m := w.r.m
	if m.db.Caps.TransactionalDDL {
		return nil
	}
	ops, err := m.catalog.operations(ctx, q)
	if err != nil {
		return err
	}
	slices.Reverse(ops)
	for _, op := range ops {
		if op.Run != w.r.res.Run || op.Version != w.mig.Version || op.Statement < 1 || op.Statement > min(done, len(w.stmts)) || op.Note == "" {
			continue
		}
		var n note
		if err := json.Unmarshal([]byte(op.Note), &n); err != nil {
			return fmt.Errorf("the step journal of migration %d is damaged: %w", op.Version, err)
		}
		if n.Swap == nil {
			continue
		}
		st := w.stmts[op.Statement-1]
		state, err := n.Swap.look(ctx, m.db, q)
		if err != nil {
			return err
		}
		switch state {
		case unclear:
			return &RefusedError{Reasons: []Refusal{{File: w.mig.File, Line: st.Line, Column: st.Column,
				Message: fmt.Sprintf("whether this statement has exchanged rows cannot be seen any more: %s and %s were made anew since", n.Swap.Tables[0], n.Swap.Tables[1]),
				Hint: fmt.Sprintf("look at their rows; where they have changed places, run the statement by hand; then %s, and recover --abort again",
					m.catalog.sql(fmt.Sprintf("DELETE FROM {operations} WHERE run = '%s' AND version = %d AND statement = %d", op.Run, op.Version, op.Statement)))}}}
		case tookEffect:
			if err := w.insist(ctx, st.SQL); err != nil {
				return w.failed(st, err)
			}
		}
	}
	return nil
}

// exchangedBack refuses a Down that was edited since Up exchanged rows without a capture, and that does not exchange them back.
func (w *work) exchangedBack() error {
	if w.r.m.db.Caps.TransactionalDDL || w.r.dir != Down || w.rec == nil {
		return nil
	}
	for _, st := range w.mig.Up {
		x, ok := exchangeOf(st.Statement)
		if !ok || w.mig.noCapture(Up, st) || slices.ContainsFunc(parsed(w.mig.Down), x.same) ||
			w.restorer != nil && w.restorer.Has(engine.Name(x.table)) && w.restorer.Has(engine.Name(x.with)) {
			continue
		}
		return &RefusedError{Reasons: []Refusal{{File: st.File, Line: st.Line, Column: st.Column,
			Message: fmt.Sprintf("Up exchanged rows of %s and %s, of which nothing was captured, because Down was to exchange them back; the Down of now does not", x.table, x.with),
			Hint:    "write into Down: " + headline(st.SQL)}}}
	}
	return nil
}
