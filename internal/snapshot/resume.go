package snapshot

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// Past is what a migration that was cut off did before: the statements that are done, and what was there when it began.
type Past struct {
	Statements []effects.Statement
	Began      int // the last statement that began: what was captured ahead of later ones is out of use
	Table      func(engine.Name) bool
	Column     func(engine.Name, string) bool
}

// Resume takes up the captures of a migration that was cut off before they were sealed: those that its committed
// statements made are sealed together with those to come. A table that the statements so far made is not captured.
func (s *Store) Resume(ctx context.Context, q engine.Querier, id string, m Meta, past Past) (*Capturer, error) {
	c := s.Begin(m)
	c.id, c.past = id, past.Statements
	rows, err := s.load(ctx, q, fmt.Sprintf("snapshot_id = %s AND status = %s", s.db.Arg(1), s.db.Arg(2)), id, statusCapturing)
	if err != nil {
		return nil, err
	}
	for _, r := range rows {
		if r.Kind == Kept && !s.db.Caps.TransactionalDDL && r.Statement > len(past.Statements) && s.missing(ctx, s.db, s.db.Own(r.data())) {
			// Its row was written ahead of a statement that never ran: the table is where it was.
			if err := s.setStatus(ctx, q, r.ID, statusVoid); err != nil {
				return nil, err
			}
			continue
		}
		if r.Kind == KeptColumns && r.Statement > len(past.Statements) {
			lies, err := s.holder(ctx, s.db, r.capture)
			if err != nil {
				return nil, err
			}
			if lies == nil { // likewise
				if err := s.dropReserved(ctx, s.db, r.capture); err != nil {
					return nil, err
				}
				if err := s.setStatus(ctx, q, r.ID, statusVoid); err != nil {
					return nil, err
				}
				continue
			}
		}
		if r.Ahead && r.Statement > past.Began { // likewise: it captures anew; of one that began it is still to be seen what it did
			if err := s.setStatus(ctx, q, r.ID, statusVoid); err != nil {
				return nil, err
			}
			continue
		}
		if r.Seal.Coming && r.Seal.After > len(past.Statements) { // that statement never ran
			r.Seal = seal{}
		}
		r.live = r.Shape
		c.captures = append(c.captures, r.capture)
		if len(r.Key) == 0 && r.Kind != Definition {
			c.whole[r.Identity] = true
		}
		at := r.Home
		for n, st := range past.Statements {
			for _, e := range st.Effects {
				r.later = r.later || n+1 > r.Statement && c.concerns(e, r.capture)
				taken := c.takesPlace(e, r.sealedAt()) || r.Seal.Mode == sealAbsent && len(r.Key) == 0 && c.takesPlace(e, at)
				if e.Kind == effects.RenameTable && s.sameName(e.Table.Name, at.Name) {
					at.Name = e.NewName.Name
				}
				if r.Seal.Mode != "" && n+1 > r.Seal.After && taken { // as when it ran: see concerned
					if s.db.Caps.TransactionalDDL { // elsewhere each new one takes the place of the old
						if err := s.ddl(ctx, q, "seal again", "DROP TABLE IF EXISTS "+s.own(r.companion())); err != nil {
							return nil, err
						}
					}
					r.Seal, r.stale = seal{}, false
				}
				r.stale = r.stale || r.Seal.Mode != "" && n+1 > r.Seal.After && !leavesRows(e) && c.concerns(e, r.capture)
				if (r.New || r.Stands) && n+1 >= r.Statement && n+1 > r.Seal.After && e.Kind == effects.RenameTable && s.sameName(e.Table.Name, r.At.Name) {
					r.At.Name = e.NewName.Name
				}
			}
		}
	}
	for n, st := range past.Statements {
		c.track.unkey(st.Effects, func(of engine.Name) bool {
			return !slices.ContainsFunc(c.captures, func(x *capture) bool {
				return x.Statement == n+1 && s.sameName(x.At.Name, of.Name) && x.Shape != nil && len(x.Shape.Keys) == 0
			})
		})
	}
	return c, c.track.recall(ctx, q, past)
}

// recalled is a table as the statements so far have left it.
type recalled struct {
	home    engine.Name // its name when the migration began
	made    bool
	columns map[string]recalledColumn // by the name that they have now, lower case
}

type recalledColumn struct {
	home string
	made bool
}

// recall works out what the tracker knew before the program died.
func (t *tracker) recall(ctx context.Context, q engine.Querier, past Past) error {
	tables, gone := map[engine.Name]*recalled{}, map[engine.Name]bool{}
	at := func(n engine.Name) *recalled {
		if tables[n] == nil {
			tables[n] = &recalled{home: n, columns: map[string]recalledColumn{}}
		}
		return tables[n]
	}
	called := func(s effects.Name) (string, bool) {
		n := engine.Name(s)
		if x := tables[n]; x != nil && !x.made {
			return x.home.Name, true
		}
		return n.Name, tables[n] != nil || !gone[n] && past.Table(n)
	}
	for _, st := range past.Statements {
		for _, e := range st.Effects {
			n := engine.Name(e.Table)
			switch e.Kind {
			case effects.Insert:
				t.feed(e, called)
			case effects.CreateTable:
				if gone[n] || !past.Table(n) {
					at(n).made = true
				}
			case effects.DropTable:
				delete(tables, n)
				gone[n] = true
			case effects.RenameTable:
				x := at(n)
				delete(tables, n)
				gone[n] = true
				tables[engine.Name{Schema: n.Schema, Name: e.NewName.Name}] = x
				t.renamed(n, e.NewName.Name)
				t.fedRenamed(e)
			case effects.AddColumn:
				for _, col := range e.Columns {
					x := at(n)
					x.columns[strings.ToLower(col)] = recalledColumn{home: col, made: x.made || x.columns[strings.ToLower(col)].made || !past.Column(x.home, col)}
				}
			case effects.RenameColumn:
				for _, col := range e.Columns {
					x := at(n)
					was, ok := x.columns[strings.ToLower(col)]
					if !ok {
						was.home = col
					}
					// One of that name that comes later is another one.
					x.columns[strings.ToLower(col)] = recalledColumn{home: col, made: true}
					x.columns[strings.ToLower(e.NewName.Name)] = was
				}
			case effects.DropColumn:
				for _, col := range e.Columns {
					x := at(n)
					x.columns[strings.ToLower(col)] = recalledColumn{home: col, made: true} // as with a rename
				}
			}
		}
	}
	if len(tables) == 0 {
		return nil
	}
	now, err := t.s.d.shapes(ctx, q)
	if err != nil {
		return err
	}
	for id, sh := range now {
		called := sh.Name // by its first name another one may be called now
		for n, x := range tables {
			if called.Name != n.Name || n.Schema != "" && n.Schema != called.Schema {
				continue
			}
			if x.made {
				delete(now, id)
				break
			}
			sh.Name.Name = x.home.Name
			for cid, col := range sh.Columns {
				was, ok := x.columns[strings.ToLower(col.Name)]
				switch {
				case !ok:
				case was.made:
					delete(sh.Columns, cid)
				default:
					col.Name = was.home
					sh.Columns[cid] = col
				}
			}
			now[id] = sh
		}
	}
	t.origin = now
	for _, o := range now {
		t.began = append(t.began, o.Name)
	}
	return nil
}

// memo is what a Restorer must not forget when the program dies between its steps: what Check found out before the
// opposite direction began cannot be found out later.
type memo struct {
	Captures []memoCapture          `json:"captures"`
	Report   map[string]TableReport `json:"report,omitempty"`
}

type memoCapture struct {
	ID         string            `json:"id"`
	Work       bool              `json:"work,omitempty"`
	Table      string            `json:"table,omitempty"`
	Columns    map[string]string `json:"columns,omitempty"`
	Cleared    bool              `json:"cleared,omitempty"`
	Landed     bool              `json:"landed,omitempty"`
	Final      string            `json:"final,omitempty"`
	Wrote      bool              `json:"wrote,omitempty"`
	Placed     bool              `json:"placed,omitempty"`
	Behind     int               `json:"behind,omitempty"`
	Into       map[string]string `json:"into,omitempty"`
	Back       bool              `json:"back,omitempty"`
	Alone      bool              `json:"alone,omitempty"`
	Bag        *memoBag          `json:"bag,omitempty"`
	Moving     *detail           `json:"moving,omitempty"`
	Lost       bool              `json:"lost,omitempty"`
	Held       bool              `json:"held,omitempty"`
	Types      map[string]string `json:"types,omitempty"`
	Ties       string            `json:"ties,omitempty"`
	Later      *Later            `json:"later,omitempty"`
	Speaks     []string          `json:"speaks,omitempty"` // ids of captures
	Renumbered bool              `json:"renumbered,omitempty"`
	Remade     []string          `json:"remade,omitempty"`
	Numbered   bool              `json:"numbered,omitempty"`
}

type memoBag struct {
	Same    bool   `json:"same,omitempty"`
	Plus    string `json:"plus,omitempty"`
	Minus   string `json:"minus,omitempty"`
	Mixed   bool   `json:"mixed,omitempty"`
	Grouped bool   `json:"grouped,omitempty"`
}

// Memo gives what Recall needs. It belongs into the transaction in which Check, Place or Settle was called.
func (r *Restorer) Memo() (string, error) {
	m := memo{Report: map[string]TableReport{}}
	for _, x := range slices.Concat(r.captures, r.relays) {
		c := memoCapture{Later: x.later, Ties: x.ties, ID: x.ID, Work: x.work, Table: x.table, Columns: x.columns, Cleared: x.cleared, Landed: x.landed, Final: x.final, Wrote: x.wrote, Placed: x.placed, Behind: x.behind, Into: x.into, Back: x.back, Alone: x.alone, Lost: x.lost, Held: x.held, Types: x.types, Renumbered: x.renumbered, Numbered: x.numbered, Remade: x.remade}
		if x.moving != nil {
			c.Moving = &x.moving.detail
		}
		for _, y := range x.speaks {
			c.Speaks = append(c.Speaks, y.ID)
		}
		if x.bag != nil {
			c.Bag = &memoBag{x.bag.same, x.bag.plus, x.bag.minus, x.bag.mixed, x.bag.grouped}
		}
		m.Captures = append(m.Captures, c)
	}
	for _, n := range r.order {
		m.Report[n.String()] = *r.report[n]
	}
	b, err := json.Marshal(m)
	return string(b), err
}

// Recall puts a Restorer where another one was when it gave its Memo, in place of Check.
func (r *Restorer) Recall(text string) error {
	var m memo
	if err := json.Unmarshal([]byte(text), &m); err != nil {
		return fmt.Errorf("what the cut-off run knew of its captures cannot be read: %w", err)
	}
	for _, x := range slices.Concat(r.captures, r.relays) {
		i := slices.IndexFunc(m.Captures, func(c memoCapture) bool { return c.ID == x.ID })
		if i < 0 {
			return fmt.Errorf("the cut-off run knew nothing of the capture %s", x.ID)
		}
		c := m.Captures[i]
		x.work, x.table, x.columns, x.cleared, x.landed, x.final = c.Work, c.Table, c.Columns, c.Cleared, c.Landed, c.Final
		x.wrote, x.placed, x.back, x.alone, x.lost, x.held = c.Wrote, c.Placed, c.Back, c.Alone, c.Lost, c.Held
		x.types, x.ties, x.later, x.behind, x.into = c.Types, c.Ties, c.Later, c.Behind, c.Into
		x.renumbered, x.numbered, x.remade = c.Renumbered, c.Numbered, c.Remade
		for _, y := range r.captures {
			if slices.Contains(c.Speaks, y.ID) {
				x.speaks = append(x.speaks, y)
			}
		}
		if c.Moving != nil {
			x.moving = &capture{Info: x.Info, detail: *c.Moving, live: x.Shape}
		}
		if c.Bag != nil {
			x.bag = &bag{same: c.Bag.Same, plus: c.Bag.Plus, minus: c.Bag.Minus, mixed: c.Bag.Mixed, grouped: c.Bag.Grouped}
		}
		if rep, ok := m.Report[x.Home.String()]; ok && r.report[x.Home] == nil {
			*r.of(x.Home) = rep
		}
	}
	r.checked, r.recalled = true, true
	return nil
}
