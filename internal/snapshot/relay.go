package snapshot

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// A migration moves values into a table that it makes, and its Down carries them back: what the application has written there since is
// newer than what was captured. So the rows that the migration leaves in such a table are sealed, and nothing else of them is kept. What Down
// makes of rows that were changed or deleted since stays, and is a conflict. Which rows it makes of them is told by a foreign key, or by the values that tie the
// two together: the key of the one stands among the values of the other.

// relays gives the tables that statements write in which the name of another one stands, or of a table that it is a part of.
func relays(list []effects.Statement, from ...engine.Name) []string {
	var out []string
	for _, st := range list {
		for _, e := range st.Effects {
			switch e.Kind {
			case effects.DetachPartition, effects.Truncate:
				if !strings.HasPrefix(e.Detail, "EXCHANGE") {
					continue
				}
				fallthrough
			case effects.Insert, effects.Update, effects.Upsert, effects.Replace, effects.Merge:
				if n := e.Table.Name; !strings.EqualFold(n, from[0].Name) && !slices.Contains(out, n) &&
					slices.ContainsFunc(from, func(f engine.Name) bool { return word(f.Name).MatchString(st.SQL) }) {
					out = append(out, n)
				}
			}
		}
	}
	return out
}

// from lists the names by which the rows of a source can be read.
func (c *capture) from() []engine.Name { return append([]engine.Name{c.Seal.Table}, c.Above...) }

// Relays seals, at the end of a migration, the rows of tables that it made from which the opposite direction writes captured ones. n is the
// number of the last statement.
func (c *Capturer) Relays(ctx context.Context, tx engine.Querier, n int, opposite []effects.Statement) error {
	taken := slices.DeleteFunc(slices.Clone(c.captures), func(x *capture) bool { return x.Kind == Definition })
	if len(taken) == 0 {
		return nil
	}
	look := tx
	if !c.s.db.Caps.TransactionalDDL {
		look = c.s.db // see Statement
	}
	if err := c.origins(ctx, look); err != nil {
		return err
	}
	now, err := c.s.d.shapes(ctx, look)
	if err != nil {
		return err
	}
	for id, sh := range now {
		if _, before := c.track.origin[id]; before {
			continue
		}
		t, err := c.s.db.Inspect(ctx, look, sh.Name)
		if err != nil {
			return err
		}
		if !c.track.made(t) || t.Kind != "table" && t.Kind != "partitioned" && t.Kind != "partition" {
			continue
		}
		above, err := c.s.above(ctx, look, t)
		if err != nil {
			return err
		}
		into := relays(opposite, append([]engine.Name{t.Name}, above...)...)
		written := slices.DeleteFunc(slices.Clone(taken), func(x *capture) bool {
			return !slices.ContainsFunc(into, func(n string) bool { return strings.EqualFold(x.Home.Name, n) })
		})
		if len(written) == 0 {
			continue
		}
		if len(t.Keys) == 0 {
			if err := c.knownBy(ctx, look, t, written); err != nil {
				return err
			}
			if len(t.Keys) == 0 {
				continue
			}
		}
		if err := c.s.pinned(ctx, tx, func() error { return c.relay(ctx, tx, n, t, above) }); err != nil {
			return fmt.Errorf("seal rows of %s: %w", t.Name, err)
		}
	}
	return nil
}

// knownBy gives a table without a key, as CREATE TABLE AS makes them, the columns by which the rows are known that Down writes from it, where they tell
// its own rows apart.
func (c *Capturer) knownBy(ctx context.Context, q engine.Querier, t *engine.Table, written []*capture) error {
	for _, x := range written {
		var key []string
		conditions := []string{"1 = 0"}
		for _, f := range x.Key {
			if i := columnIndex(t, f.Name); i >= 0 {
				key, conditions = append(key, t.Columns[i].Name), append(conditions, "t."+c.s.q(t.Columns[i].Name)+" IS NULL")
			}
		}
		if len(key) == 0 || len(key) < len(x.Key) {
			continue
		}
		from := c.s.f.from(c.s.db, t)
		n, err := number(ctx, q, "look for a key", fmt.Sprintf("SELECT (SELECT count(*) FROM %s t WHERE %s) + (SELECT count(*) FROM (SELECT 1 AS n FROM %s t GROUP BY %s HAVING count(*) > 1) g)",
			from, strings.Join(conditions, " OR "), from, c.s.db.Idents(key)))
		if err != nil {
			return err
		}
		if n == 0 {
			t.Keys = []engine.Key{{Columns: key}}
			return nil
		}
	}
	return nil
}

func (c *Capturer) relay(ctx context.Context, tx engine.Querier, n int, t *engine.Table, above []engine.Name) error {
	y, err := c.prepare(ctx, tx, n, &action{kind: Rows, table: t, events: events{insert: true}, reason: "Down reads them"})
	if err != nil {
		return err
	}
	var keys, values []string
	for i, f := range y.Key {
		keys, values = append(keys, k(i)), append(values, c.s.f.value("t."+c.s.q(f.At), f))
	}
	y.Relay, y.Above = true, above
	y.Rows, err = exec(ctx, tx, "look at rows", fmt.Sprintf("INSERT INTO %s (op, %s) SELECT 'i', %s FROM %s t", c.s.own(y.data()), list(keys), list(values), c.s.f.from(c.s.db, t)))
	if err != nil {
		return err
	}
	if y.Rows == 0 || len(keys) == 0 {
		return c.s.drop(ctx, tx, "drop an empty capture", c.s.own(y.data()))
	}
	if err := c.record(ctx, tx, y); err != nil {
		return err
	}
	if err := c.seal(ctx, tx, len(c.captures)-1, y, nil); err != nil {
		return err
	}
	return c.s.finish(ctx, tx, y)
}

// sources are the captures of rows that the migration has put somewhere, sealed, from where the statements that run now write others.
func (r *Restorer) sources() []*restoring {
	return slices.DeleteFunc(slices.Concat(r.relays, r.tables()), func(y *restoring) bool {
		return !y.Ops || y.Rows == 0 || len(y.Key) == 0 || y.Seal.Mode != sealRows || y.Bystander || len(relays(r.run, y.from()...)) == 0
	})
}

// tie looks which rows of the sources were changed or deleted since they were sealed, and notes all their values that may tie others to them. It
// comes after Check has compared the other captures.
func (r *Restorer) tie(ctx context.Context, tx engine.Querier) error {
	s := r.s
	for _, y := range r.sources() {
		t, err := r.inspect(ctx, tx, y.Seal.Table)
		if err != nil {
			return err
		}
		if t == nil || !slices.ContainsFunc(r.captures, func(x *restoring) bool { return x != y && r.follows(x, y) }) {
			continue
		}
		if y.Relay {
			if err := s.d.lock(ctx, tx, []*engine.Table{t}, false); err != nil {
				return fmt.Errorf("lock before rollback: %w", err)
			}
		}
		place := func(i int) string { return "d." + k(i) }
		if y.Seal.Places {
			place = func(i int) string { return fmt.Sprintf("coalesce(e.%[1]s, d.%[1]s)", k(i)) }
		}
		var on []string
		for i, f := range y.Key {
			j := columnIndex(t, y.Seal.Key[i])
			if j < 0 {
				on = nil
				break
			}
			on = append(on, s.f.match("t."+s.q(y.Seal.Key[i]), place(i), f, t.Columns[j]))
		}
		if on == nil {
			continue
		}
		sealed := fmt.Sprintf("%s d JOIN %s e ON e.n = d.n", s.own(y.data()), s.own(y.companion()))
		changed := written{fmt.Sprintf("%s JOIN %s t ON %s", sealed, s.f.from(s.db, t), all(on...)), "d.op = 'i' AND e.h <> " + s.sealHash(y.capture, t, "t", "d"), true, true}
		gone := written{sealed, fmt.Sprintf("d.op = 'i' AND NOT EXISTS (SELECT 1 FROM %s t WHERE %s)", s.f.from(s.db, t), all(on...)), true, false}
		since := []written{changed, gone}
		if y.Relay { // all rows of before are sealed
			since = append(since, written{s.f.from(s.db, t) + " t", fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s WHERE d.op = 'i' AND %s)", sealed, all(on...)), false, true})
		}
		var counts []string
		for _, w := range since {
			counts = append(counts, fmt.Sprintf("(SELECT count(*) FROM %s WHERE %s)", w.from, w.where))
		}
		n, err := number(ctx, tx, "look what was written since", "SELECT "+strings.Join(counts, " + "))
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		y.ties = s.own("dbrollback_ties_" + compact(y.ID))
		if err := s.make(ctx, tx, "note what was written since", y.ties, []string{"v varchar(200)", "x varchar(36) DEFAULT ''"}, ""); err != nil {
			return err
		}
		note := func(value string, w written) error {
			_, err := exec(ctx, tx, "note what was written since", fmt.Sprintf("INSERT INTO %s (v) SELECT DISTINCT %s FROM %s WHERE %s AND length(%[2]s) <= 200", y.ties, value, w.from, w.where))
			return err
		}
		for i, f := range y.Key {
			values := []string{s.f.text(place(i), f)}
			if given(t, t.Columns[columnIndex(t, y.Seal.Key[i])]) { // it may be a number of its own, which ties nothing to it
				values = append(values, "'"+unknown+"'")
			}
			for _, v := range values {
				if err := note(v, gone); err != nil {
					return err
				}
			}
		}
		if err := r.referring(ctx, tx, y, t, place, since); err != nil {
			return err
		}
		for _, col := range r.carrying(y, t) {
			if col.Generated {
				continue
			}
			f := field{At: col.Name, Type: s.typed(col)}
			f.Decl, f.Text = s.f.store(col)
			text := s.f.text(s.f.value("t."+s.q(col.Name), f), f)
			if err := note(text, changed); err != nil {
				return err
			}
		}
	}
	return nil
}

// written are entries of a source whose rows others wrote since: d, and the row itself, t, where it is there.
type written struct {
	from, where string
	sealed, row bool // whether d, and whether t stands in it
}

// byKey among the ties of a capture: its rows are tied to the source by a foreign key alone.
const byKey = "dbrollback: by key"

// referring notes the keys of rows that point, by a foreign key or by columns that a statement joins, to rows of a source that were written since: the
// statements that run now may write into them what they read there. Where they do nothing but that, by the columns of the key, nothing else ties the rows
// to the source.
func (r *Restorer) referring(ctx context.Context, tx engine.Querier, y *restoring, of *engine.Table, place func(int) string, since []written) error {
	for _, x := range r.captures {
		if x == y || !r.follows(x, y) || x.Seal.Table == of.Name {
			continue
		}
		t, err := r.inspect(ctx, tx, x.Seal.Table)
		if err != nil {
			return err
		}
		if t == nil {
			continue
		}
		for _, fk := range t.ForeignKeys {
			if fk.Parent != of.Name || !slices.Equal(fk.ParentColumns, y.Seal.Key) {
				continue
			}
			var by []effects.Join
			for i, c := range fk.Columns {
				by = append(by, effects.Join{Target: c, Source: y.Seal.Key[i]})
			}
			if err := r.tiedBy(ctx, tx, x, y, t, by, place, since); err != nil {
				return err
			}
			if r.joinedBy(x, y, fk) {
				if _, err := exec(ctx, tx, "note what was written since", fmt.Sprintf("INSERT INTO %s (v, x) VALUES ('%s', '%s')", y.ties, byKey, x.ID)); err != nil {
					return err
				}
			}
		}
		for _, j := range r.joins(x, y) {
			if columnIndex(t, j.Target) < 0 || columnIndex(of, j.Source) < 0 {
				continue
			}
			if err := r.tiedBy(ctx, tx, x, y, t, []effects.Join{j}, place, since); err != nil {
				return err
			}
		}
	}
	return nil
}

// tiedBy notes the keys of rows of x, in t, whose columns are equal to those of rows of y that were written since.
func (r *Restorer) tiedBy(ctx context.Context, tx engine.Querier, x, y *restoring, t *engine.Table, by []effects.Join, place func(int) string, since []written) error {
	s := r.s
	keys := slices.DeleteFunc(slices.Clone(x.Key), func(f field) bool { return columnIndex(t, f.Seal) < 0 })
	if own := slices.DeleteFunc(slices.Clone(keys), func(f field) bool {
		return slices.ContainsFunc(by, func(j effects.Join) bool { return j.Target == f.Seal })
	}); len(own) > 0 {
		keys = own
	}
	for _, w := range since {
		var on []string
		for _, j := range by {
			c := j.Target
			switch k := slices.Index(y.Seal.Key, j.Source); {
			case k >= 0 && w.sealed:
				f := y.Key[k]
				f.At = c
				on = append(on, s.points("p."+s.q(c), place(k), f, t.Columns[columnIndex(t, c)]))
			case w.row:
				on = append(on, fmt.Sprintf("p.%s = t.%s", s.q(c), s.q(j.Source)))
			}
		}
		if len(on) < len(by) {
			continue
		}
		for _, f := range keys {
			key := s.f.text(s.f.value("p."+s.q(f.Seal), f), f)
			if _, err := exec(ctx, tx, "note what was written since", fmt.Sprintf("INSERT INTO %s (v, x) SELECT DISTINCT %s, '%s' FROM %s JOIN %s p ON %s WHERE %s AND length(%[2]s) <= 200",
				y.ties, key, x.ID, w.from, s.f.from(s.db, t), all(on...), w.where)); err != nil {
				return err
			}
		}
	}
	return nil
}

// joins lists the columns by which the statements that run now tell which rows of x to write from those of y.
func (r *Restorer) joins(x, y *restoring) []effects.Join {
	var out []effects.Join
	for _, st := range r.run {
		if len(relays([]effects.Statement{st}, y.from()...)) == 0 {
			continue
		}
		for _, e := range st.Effects {
			if strings.EqualFold(e.Table.Name, x.Home.Name) {
				out = append(out, e.Joins...)
			}
		}
	}
	return out
}

// joinedBy tells whether all statements that write rows of x from those of y only update them, and name the columns of a foreign key.
func (r *Restorer) joinedBy(x, y *restoring, fk engine.ForeignKey) bool {
	for _, st := range r.run {
		if !slices.ContainsFunc(relays([]effects.Statement{st}, y.from()...), func(n string) bool { return strings.EqualFold(n, x.Home.Name) }) {
			continue
		}
		if slices.ContainsFunc(st.Effects, func(e effects.Effect) bool {
			return strings.EqualFold(e.Table.Name, x.Home.Name) && e.Kind != effects.Update
		}) ||
			slices.ContainsFunc(fk.Columns, func(c string) bool { return !word(c).MatchString(st.SQL) }) {
			return false
		}
	}
	return true
}

// carrying lists the columns of a source by which the statements that run now can tell which rows to write: those that they name, or all.
func (r *Restorer) carrying(y *restoring, t *engine.Table) []engine.Column {
	var text strings.Builder
	for _, st := range r.run {
		if slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return e.Kind == effects.RenameColumn }) {
			return t.Columns // it may name them otherwise
		}
		if len(relays([]effects.Statement{st}, y.from()...)) > 0 {
			text.WriteString(countAll.ReplaceAllString(st.SQL, "") + "\n")
		}
	}
	if everyColumn.MatchString(text.String()) {
		return t.Columns
	}
	named := slices.DeleteFunc(slices.Clone(t.Columns), func(c engine.Column) bool {
		return !word(c.Name).MatchString(text.String())
	})
	if len(named) == 0 {
		return t.Columns
	}
	return named
}

var (
	countAll    = regexp.MustCompile(`(?i)count\s*\(\s*\*\s*\)`)
	everyColumn = regexp.MustCompile(`(?i)\*|\bnatural\b|\btable\b`)
)

// unknown among the ties: rows were deleted, and nothing tells which others were made of them.
const unknown = "dbrollback: deleted"

// follows tells whether the statements that run now write the rows of x from those of y.
func (r *Restorer) follows(x, y *restoring) bool {
	return len(x.Key) > 0 && x.Rows > 0 && slices.ContainsFunc(relays(r.run, y.from()...), func(n string) bool { return strings.EqualFold(n, x.Home.Name) })
}

// carriedSince marks a row that the opposite direction has written from one that was changed since.
const carriedSince = "carried since"

// newer marks the rows of a capture that look otherwise, or are gone, because what they were written from was changed or deleted since.
func (r *Restorer) newer(ctx context.Context, tx engine.Querier, g *target) error {
	s, x := r.s, g.x
	if r.capturer == nil || r.capturer.meta.Direction != "down" || x.late != nil || x.final != "" || x.Bystander || len(g.fields) == 0 {
		return nil
	}
	for _, y := range slices.Concat(r.relays, r.tables()) {
		if y.ties == "" || !r.follows(x, y) {
			continue
		}
		var tied []string
		for i, f := range x.Key {
			if columnIndex(g.t, g.name(i)) < 0 {
				return nil
			}
			tied = append(tied, s.f.text("d."+x.goal(i), f))
		}
		alone, err := number(ctx, tx, "look what ties rows", fmt.Sprintf("SELECT count(*) FROM %s WHERE x = '%s' AND v = '%s'", y.ties, x.ID, byKey))
		if err != nil {
			return err
		}
		by := fmt.Sprintf("v.x IN ('', '%s')", x.ID)
		if alone > 0 {
			by = fmt.Sprintf("v.x = '%s'", x.ID)
		}
		ties := fmt.Sprintf("EXISTS (SELECT 1 FROM %s v WHERE %s AND v.v IN (%s))", y.ties, by, list(tied))
		gone := fmt.Sprintf("EXISTS (SELECT 1 FROM %s v WHERE v.v = '%s')", y.ties, unknown)
		empty := []string{gone}
		for _, i := range g.fields {
			if n := r.live(g, i).Name; !slices.ContainsFunc(x.Key, func(f field) bool { return r.column(g.t, f.Name) == n }) {
				empty = append(empty, "t."+s.q(n)+" IS NULL")
			}
		}
		kept, live := r.images(g, g.fields, false)
		place := s.on(x.capture, g.t, "t", "d", g.name, x.goal)
		if err := r.mark(ctx, tx, x, fmt.Sprintf("SELECT d.n, '%s' FROM %s JOIN %s t ON %s WHERE %s", carriedSince, r.source(x), s.f.from(s.db, g.t), place,
			all(x.inserted(false), r.free(x), "("+ties+" OR "+all(empty...)+")", s.differ(live, kept)))); err != nil {
			return err
		}
		if !x.Whole {
			continue
		}
		if err := r.mark(ctx, tx, x, fmt.Sprintf("SELECT d.n, '%s' FROM %s WHERE %s", deletedSince, r.source(x),
			all(x.inserted(false), r.free(x), "("+ties+" OR "+gone+")", fmt.Sprintf("NOT EXISTS (SELECT 1 FROM %s t WHERE %s)", s.f.from(s.db, g.t), place)))); err != nil {
			return err
		}
	}
	return nil
}
