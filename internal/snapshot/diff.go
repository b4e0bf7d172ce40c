package snapshot

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// TableDiff says how a table differs between two moments.
type TableDiff struct {
	Table    string    `json:"table"`
	From     time.Time `json:"from"`
	To       time.Time `json:"to"`
	Inserted int64     `json:"inserted"`
	Updated  int64     `json:"updated"`
	Deleted  int64     `json:"deleted"`
	Samples  []Change  `json:"samples"`
	Note     string    `json:"note,omitempty"` // why it was not compared, or not in full
}

// DiffOptions ask for a comparison.
type DiffOptions struct {
	From, To string             // ids of snapshots; To may be "now"
	Samples  int                // changed rows shown of each kind
	Each     func(Change) error // given every changed row, as it is read; may be nil
}

// Now stands for the tables as they are, in DiffOptions.To.
const Now = "now"

// Diff compares the tables that a snapshot holds with another snapshot, or with now. It reads only, everything as of one moment,
// and holds no more than a row in memory. On MySQL and MariaDB captures get an index first, where the server lets it.
func (s *Store) Diff(ctx context.Context, o DiffOptions) (out []TableDiff, err error) {
	c, err := s.db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	if err := s.diffable(ctx, c, o); err != nil {
		return nil, err
	}
	level := sql.LevelRepeatableRead
	if s.db.Kind == engine.SQLite { // a transaction there looks at one moment anyway
		level = sql.LevelDefault
	}
	tx, err := c.BeginTx(ctx, &sql.TxOptions{Isolation: level, ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer func() { _ = tx.Rollback() }() // nothing was written
	err = s.pinned(ctx, tx, func() error {
		out, err = s.diff(ctx, tx, o)
		return err
	})
	return out, err
}

// diffable makes rows of the captures easy to find.
func (s *Store) diffable(ctx context.Context, q engine.Querier, o DiffOptions) error {
	for _, id := range []string{o.From, o.To} {
		if !s.f.keyed || id == Now {
			continue
		}
		found, err := s.captured(ctx, q, Ask{Snapshot: id})
		if err != nil {
			return err
		}
		for _, h := range found.tables {
			for _, x := range h.captures {
				if err := s.keyIndex(ctx, x); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *Store) diff(ctx context.Context, q engine.Querier, o DiffOptions) ([]TableDiff, error) {
	from, err := s.captured(ctx, q, Ask{Snapshot: o.From})
	if err != nil {
		return nil, err
	}
	var to *captures
	if o.To != Now {
		if to, err = s.captured(ctx, q, Ask{Snapshot: o.To}); err != nil {
			return nil, err
		}
	}
	out := []TableDiff{}
	for _, h := range from.tables {
		d := TableDiff{Table: h.home.String(), From: h.moment, To: time.Now().UTC().Truncate(time.Microsecond), Samples: []Change{}}
		a, why := side(h)
		var b *held
		if to != nil {
			if i := slices.IndexFunc(to.tables, func(o *held) bool { return o.home == h.home }); i >= 0 {
				b, d.To = to.tables[i], to.tables[i].moment
			}
		}
		switch {
		case why != "":
			d.Note = why
		case to == nil && h.live == nil:
			d.Note = "the table is gone now"
		case to != nil && b == nil:
			d.Note = "snapshot " + o.To + " does not hold it"
		case to != nil:
			if _, why := side(b); why != "" {
				d.Note = "in snapshot " + o.To + ": " + why
			}
		}
		if d.Note == "" {
			var other *capture
			if b != nil {
				other = b.captures[0]
			}
			if err := s.diffTable(ctx, q, o, &d, a, other, h.live); err != nil {
				return nil, err
			}
		}
		out = append(out, d)
	}
	return out, nil
}

// side gives the capture to compare, or says why there is none.
func side(h *held) (*capture, string) {
	if c := h.captures[0]; !c.Ops {
		return c, ""
	}
	return nil, "it holds only " + h.holds()
}

// compared is what two sides have in common: expressions over the aliases d and t.
type compared struct {
	columns     []string
	was, is     []string // values, as text
	wasID, isID string   // images
	on          string
	here, there string // FROM items
	gone, come  string // conditions: no row on the other side
	keyWas, key string
}

func (s *Store) diffTable(ctx context.Context, q engine.Querier, o DiffOptions, d *TableDiff, a, b *capture, live *engine.Table) error {
	c, note := s.facing(a, b, live)
	d.Note = note
	each := func(into *int64) func(Change) error {
		var shown int
		return func(x Change) error {
			*into++
			if shown < o.Samples {
				shown++
				d.Samples = append(d.Samples, x)
			}
			if o.Each != nil {
				return o.Each(x)
			}
			return nil
		}
	}
	pairs := func(was, is []string) []string {
		var out []string
		for i := range c.columns {
			w, n := "NULL", "NULL"
			if was != nil {
				w = was[i]
			}
			if is != nil {
				n = is[i]
			}
			out = append(out, w, n)
		}
		return out
	}
	like := func(kind string) Change { return Change{Table: d.Table, Kind: kind} }
	if c.on == "" { // no key: what counts is how many of each image there are
		return s.diffBag(ctx, q, c, like, pairs, each(&d.Deleted), each(&d.Inserted))
	}
	for _, p := range []struct {
		kind, query string
		into        *int64
	}{
		{"updated", fmt.Sprintf("SELECT %s FROM %s JOIN %s ON %s WHERE %s <> %s", list(append([]string{c.keyWas}, pairs(c.was, c.is)...)), c.here, c.there, c.on, c.wasID, c.isID), &d.Updated},
		{"deleted", fmt.Sprintf("SELECT %s FROM %s LEFT JOIN %s ON %s WHERE %s", list(append([]string{c.keyWas}, pairs(c.was, nil)...)), c.here, c.there, c.on, c.gone), &d.Deleted},
		{"inserted", fmt.Sprintf("SELECT %s FROM %s LEFT JOIN %s ON %s WHERE %s", list(append([]string{c.key}, pairs(nil, c.is)...)), c.there, c.here, c.on, c.come), &d.Inserted},
	} {
		if err := s.changes(ctx, q, p.query, like(p.kind), c.columns, each(p.into)); err != nil {
			return err
		}
	}
	return nil
}

// diffBag compares tables without a key.
func (s *Store) diffBag(ctx context.Context, q engine.Querier, c *compared, like func(string) Change, pairs func(a, b []string) []string, deleted, inserted func(Change) error) error {
	for _, p := range []struct {
		kind, here, there, mine, other string
		cells                          []string
		each                           func(Change) error
	}{
		{"deleted", c.here, c.there, c.wasID, c.isID, pairs(c.was, nil), deleted},
		{"inserted", c.there, c.here, c.isID, c.wasID, pairs(nil, c.is), inserted},
	} {
		query := fmt.Sprintf(`SELECT %s FROM (SELECT 'a row' AS k, %s, %s AS h, row_number() OVER (PARTITION BY %s) AS i FROM %s) z
			LEFT JOIN (SELECT %s AS h, count(*) AS q FROM %s GROUP BY 1) o ON o.h = z.h WHERE z.i > coalesce(o.q, 0)`,
			list(append([]string{"z.k"}, cellNames(len(p.cells))...)), list(labelled(p.cells)), p.mine, p.mine, p.here, p.other, p.there)
		if err := s.changes(ctx, q, query, like(p.kind), c.columns, p.each); err != nil {
			return err
		}
	}
	return nil
}

func labelled(cells []string) []string {
	out := make([]string, len(cells))
	for i, c := range cells {
		out[i] = c + " AS x" + itoa(i+1)
	}
	return out
}

func cellNames(n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = "z.x" + itoa(i+1)
	}
	return out
}

// facing finds what a capture has in common with another one, or with the table of now.
func (s *Store) facing(a, b *capture, live *engine.Table) (*compared, string) {
	c := &compared{here: s.own(a.data()) + " d", keyWas: s.keyText(a, "d")}
	r := &Restorer{s: s}
	var was, is, on []string
	var lost []string
	if b != nil {
		c.there = s.own(b.data()) + " t"
		c.key = s.keyText(b, "t")
		for i, f := range a.Fields {
			j := slices.IndexFunc(b.Fields, func(o field) bool { return o.Name == f.Name })
			if j < 0 {
				lost = append(lost, f.Name)
				continue
			}
			c.columns = append(c.columns, f.Name)
			c.was, c.is = append(c.was, s.shown("d."+a.v(i), f)), append(c.is, s.shown("t."+b.v(j), b.Fields[j]))
			if b.Fields[j].Decl == f.Decl {
				was, is = append(was, s.image("d."+a.v(i), f)), append(is, s.image("t."+b.v(j), b.Fields[j]))
			} else {
				was, is = append(was, s.shown("d."+a.v(i), f)), append(is, s.shown("t."+b.v(j), b.Fields[j]))
			}
		}
		if len(a.Key) > 0 && slices.EqualFunc(a.Key, b.Key, func(x, y field) bool { return x.Name == y.Name }) {
			for i, f := range a.Key {
				if f.Decl == b.Key[i].Decl {
					on = append(on, "d."+k(i)+" = t."+k(i))
				} else {
					on = append(on, s.f.text("d."+k(i), f)+" = "+s.f.text("t."+k(i), b.Key[i]))
				}
			}
			c.gone, c.come = "t.n IS NULL", "d.n IS NULL"
		}
	} else {
		c.there = s.f.from(s.db, live) + " t"
		for i, f := range a.Fields {
			name := r.column(live, f.Name)
			j := columnIndex(live, name)
			if j < 0 {
				lost = append(lost, f.Name)
				continue
			}
			now := live.Columns[j]
			c.columns = append(c.columns, name)
			c.was, c.is = append(c.was, s.shown("d."+a.v(i), f)), append(c.is, s.standing("t."+s.q(name), now))
			if decl, text := s.f.store(now); text == f.Text && bare(decl) == bare(f.Decl) {
				was, is = append(was, s.image("d."+a.v(i), f)), append(is, s.image(s.f.value("t."+s.q(name), s.kept(now)), s.kept(now)))
			} else {
				was, is = append(was, s.shown("d."+a.v(i), f)), append(is, s.standing("t."+s.q(name), now))
			}
		}
		var key []string
		for _, f := range a.Key {
			key = append(key, r.column(live, f.Name))
		}
		if len(key) > 0 && slices.ContainsFunc(live.Keys, func(l engine.Key) bool {
			return len(l.Columns) == len(key) && !slices.ContainsFunc(key, func(n string) bool { return !slices.Contains(l.Columns, n) })
		}) {
			on = append(on, s.on(a, live, "t", "d", func(i int) string { return key[i] }, k))
			c.gone, c.come = "t."+s.q(key[0])+" IS NULL", "d.n IS NULL"
			var refs []string
			for _, n := range key {
				refs = append(refs, "t."+s.q(n))
			}
			c.key = s.keyOf(a.Key, refs)
		}
	}
	if len(was) == 0 {
		was, is = []string{"1"}, []string{"1"}
	}
	c.wasID, c.isID = s.hash(was), s.hash(is)
	if len(on) > 0 {
		c.on = all(on...)
	}
	if len(lost) > 0 {
		return c, fmt.Sprintf("not compared, because only one side has them: %s", strings.Join(lost, ", "))
	}
	return c, ""
}
