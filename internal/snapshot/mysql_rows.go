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

// named says how the rows that a statement will hit can be asked for before it runs.
type named struct {
	query   string // FROM …, with the table under the name ref; "" when only foreign keys lead to the table
	ref     string
	op      string
	moves   map[string]string // what the statement makes of columns of the key, as expressions
	cascade bool              // foreign keys lead to the table, too: what became of its rows is looked at after the statement
}

// choose settles how the rows of each table are captured, as neither server can observe them: asked for by the statement's own
// predicate where that gives the same rows twice, else by a copy of all of them.
func (c *Capturer) choose(ctx context.Context, tx engine.Querier, p *plan, maria bool) error {
	nameable := !p.rewrites
	for _, a := range p.actions {
		if !a.observed() {
			continue
		}
		if a.table.Engine != "InnoDB" && a.table.Engine != "" {
			p.alone = true
		}
		switch {
		case a.events == events{insert: true} && !a.lossy:
			continue
		case a.effect == nil && a.cascade && !c.carried(a, p.actions) && hangs(a, p.actions):
		case a.effect == nil:
			nameable = false
		case a.twice || a.table.Engine != "InnoDB" || !c.name(a, p):
			nameable = false
		}
	}
	for _, a := range p.actions {
		if !a.observed() {
			continue
		}
		ev := a.events
		a.events = events{}
		for _, col := range a.table.Columns {
			if col.OnUpdate && a.columns != nil && !slices.Contains(a.columns, col.Name) {
				a.columns = append(a.columns, col.Name)
			}
		}
		switch {
		case ev == events{insert: true} && !a.lossy:
			a.reduce, a.keysOnly, a.named = true, true, nil
		case !nameable || p.alone:
			a.named, a.reduce = nil, true
			a.whole = ev.remove || a.chain || a.moved || a.twice
		case a.named == nil:
			a.named, a.whole, a.moved = &named{cascade: true, op: "u"}, true, false
		default:
			a.named.cascade = a.cascade
			a.moved = a.named.moves != nil
			a.whole = ev.remove || a.chain
		}
	}
	return nil
}

// hangs tells whether the rows that lead to those of a table by its foreign keys are captured, too: by them its own are asked for. Those of a table that
// the migration made are not.
func hangs(a *action, all []*action) bool {
	return slices.ContainsFunc(a.table.ForeignKeys, func(fk engine.ForeignKey) bool {
		return slices.ContainsFunc(all, func(b *action) bool { return b != a && b.observed() && b.table.Name == fk.Parent })
	})
}

// carried tells whether foreign keys change the very key by which rows of a table are known.
func (c *Capturer) carried(a *action, all []*action) bool {
	for _, fk := range a.table.ForeignKeys {
		if fk.OnUpdate == "CASCADE" && a.events.update && len(a.table.Keys) > 0 &&
			slices.ContainsFunc(fk.Columns, func(n string) bool { return slices.Contains(a.table.Keys[0].Columns, n) }) &&
			slices.ContainsFunc(all, func(b *action) bool { return b.table.Name == fk.Parent && b.events.update }) {
			return true
		}
	}
	return false
}

// name finds the query for the rows that an UPDATE or DELETE will hit; false when asking and running may hit others.
func (c *Capturer) name(a *action, p *plan) bool {
	e, t, s := a.effect, a.table, c.s
	if e.Kind != effects.Update && e.Kind != effects.Delete || strings.Contains(e.Detail, "LIMIT") || a.cascade && c.carried(a, p.actions) {
		return false
	}
	a.named = &named{op: "u", ref: s.q(t.Name.Name)}
	if e.Kind == effects.Delete {
		a.named.op = "d"
	}
	if e.Alias != "" {
		a.named.ref = s.q(e.Alias)
	}
	from := e.From
	if from == "" {
		from = s.db.Quote(t.Name)
		if e.Alias != "" {
			from += " AS " + s.q(e.Alias)
		}
	}
	where := ""
	if e.HasWhere {
		where = " WHERE " + e.Where
	}
	var moves bool
	if a.named.moves, moves = c.movesKey(a); moves && a.named.moves == nil {
		return false
	}
	chosen := []string{"1"}
	for _, n := range t.Keys[0].Columns {
		if expr, ok := a.named.moves[n]; ok {
			chosen = append(chosen, "("+expr+")")
		}
	}
	query := e.With + " SELECT " + list(chosen) + " FROM " + from + where
	parsed, err := effects.Parse(effects.Dialect(s.db.Kind), query)
	if err != nil || len(parsed) != 1 || len(parsed[0].Effects) != 1 || parsed[0].Effects[0].Kind != effects.Read {
		return false
	}
	if read := parsed[0].Effects[0]; read.Volatile && !read.Clock {
		return false
	} else if read.Clock {
		p.clock = true
	}
	a.named.query = " FROM " + from + where
	if e.From != "" || e.With != "" {
		// One row of the target may go with several of the others.
		var keys, on []string
		for i, n := range t.Keys[0].Columns {
			keys = append(keys, a.named.ref+"."+s.q(n)+" AS "+k(i))
			on = append(on, copied+"."+s.q(n)+" = dbrollback_m."+k(i))
		}
		a.named.query = fmt.Sprintf(" FROM %s AS %s JOIN (%s SELECT DISTINCT %s FROM %s%s) AS dbrollback_m ON %s", s.db.Quote(t.Name), copied,
			e.With, list(keys), from, where, all(on...))
		a.named.ref = copied
	}
	return true
}

// movesKey tells whether an UPDATE assigns columns by which rows are known, and gives what it makes of them, as far as that can be
// asked for: an assignment sees what those before it in the list have made.
func (c *Capturer) movesKey(a *action) (moves map[string]string, yes bool) {
	e, t := a.effect, a.table
	for _, n := range t.Keys[0].Columns {
		yes = yes || e.Kind == effects.Update && slices.ContainsFunc(e.Columns, func(x string) bool { return strings.EqualFold(x, n) })
	}
	if !yes || e.From != "" || e.With != "" || len(e.Assigned) == 0 {
		return nil, yes
	}
	moves = map[string]string{}
	for i, set := range e.Assigned {
		j := slices.IndexFunc(t.Keys[0].Columns, func(n string) bool { return strings.EqualFold(n, set.Column) })
		if j < 0 {
			continue
		}
		if mysqlTyped(c.s.typed(t.Columns[columnIndex(t, t.Keys[0].Columns[j])])).family() == floating {
			return nil, true // rounded as it is assigned
		}
		st, err := effects.Parse(effects.Dialect(c.s.db.Kind), "UPDATE x SET y = "+set.Value)
		if err != nil || len(st) != 1 || len(st[0].Effects) != 1 || strings.EqualFold(set.Value, "DEFAULT") {
			return nil, true
		}
		for _, before := range e.Assigned[:i] {
			if slices.ContainsFunc(st[0].Effects[0].Reads, func(r string) bool { return strings.EqualFold(r, before.Column) }) || strings.EqualFold(before.Column, set.Column) {
				return nil, true
			}
		}
		moves[t.Keys[0].Columns[j]] = set.Value
	}
	return moves, true
}

// ask captures the rows that the statement names, and those that foreign keys lead to from there, and locks them; rows cannot
// appear among them until the transaction ends. It runs under the session's own settings, as the statement will.
func (c *Capturer) ask(ctx context.Context, tx engine.Querier, p *plan, made []*capture) (answer func(context.Context) error, err error) {
	nothing := func(context.Context) error { return nil }
	if !slices.ContainsFunc(made, func(x *capture) bool { return x.named != nil }) {
		return nothing, nil
	}
	if p.clock { // now is the same moment for both
		if _, err := exec(ctx, tx, "stop the clock", "SET @dbrollback_now = now(6), SESSION timestamp = unix_timestamp(@dbrollback_now)"); err != nil {
			return nil, err
		}
	}
	var direct int64
	err = loosely(ctx, tx, func() error {
		for _, x := range made {
			if x.named == nil || x.named.query == "" {
				continue
			}
			n, err := exec(ctx, tx, "capture "+x.At.String(), c.insertNamed(x, x.named.op, x.named.ref)+x.named.query+" FOR UPDATE")
			if err != nil {
				return err
			}
			direct += n
		}
		return c.carry(ctx, tx, made)
	})
	if err != nil {
		return nil, errors.Join(err, c.startClock(ctx, tx, p))
	}
	for _, x := range made { // columns may have come between the plan and the lock
		if err := c.stands(ctx, x.live); err != nil {
			return nil, err
		}
	}
	return func(ctx context.Context) error {
		n, err := number(ctx, tx, "count rows", "SELECT row_count()")
		if err != nil {
			return err
		}
		for _, x := range made {
			if err := c.landed(ctx, tx, x); err != nil {
				return err
			}
		}
		if n > direct {
			if only, err := c.only(ctx, made); err != nil || only {
				return errors.Join(err, c.startClock(ctx, tx, p))
			}
			return &UncapturedError{Tables: []string{fmt.Sprintf("%s (%d rows hit, %d captured)", made[0].At, n, direct)}}
		}
		return c.startClock(ctx, tx, p)
	}, nil
}

// only tells whether the statement at hand assigns, in a table that was not captured for that reason, nothing but columns that this
// migration has made: then it hits more rows than were captured.
func (c *Capturer) only(ctx context.Context, made []*capture) (bool, error) {
	for _, e := range c.pending {
		if e.Kind != effects.Update || len(e.Columns) == 0 || slices.ContainsFunc(made, func(x *capture) bool {
			return x.named != nil && x.named.query != "" && c.s.sameName(x.At.Name, e.Table.Name)
		}) {
			continue
		}
		t, err := c.s.db.Inspect(ctx, c.s.db, engine.Name(e.Table))
		if err != nil {
			return false, err
		}
		if t.Kind != "view" && !slices.ContainsFunc(t.Columns, func(col engine.Column) bool {
			return slices.ContainsFunc(e.Columns, func(n string) bool { return c.s.sameName(n, col.Name) }) && !c.track.madeColumn(t, col)
		}) {
			return true, nil
		}
	}
	return false, nil
}

// startClock lets the session's clock go on.
func (c *Capturer) startClock(ctx context.Context, tx engine.Querier, p *plan) error {
	if !p.clock {
		return nil
	}
	_, err := exec(context.WithoutCancel(ctx), tx, "start the clock again", "SET SESSION timestamp = DEFAULT")
	return err
}

// landed makes sure that rows whose keys a statement moved stand where they were to stand.
func (c *Capturer) landed(ctx context.Context, tx engine.Querier, x *capture) error {
	if x.named == nil || !x.Moved {
		return nil
	}
	return c.s.pinned(ctx, tx, func() error {
		n, err := number(ctx, tx, "look for moved rows", fmt.Sprintf("SELECT count(*) FROM %s AS %s WHERE NOT EXISTS (SELECT 1 FROM %s AS %s WHERE %s)", c.s.own(x.data()), x.d(),
			c.s.db.Quote(x.At), x.t(), c.s.on(x, x.live, x.t(), x.d(), func(i int) string { return x.Key[i].At }, k)))
		if err == nil && n > 0 {
			err = &UncapturedError{Tables: []string{fmt.Sprintf("%s (%d rows got another key than was foreseen)", x.At, n)}}
		}
		return err
	})
}

// stands makes sure that a table still has the shape that a capture was planned for. It is asked on another connection, as the plan
// was: the session may spell names in its own character set.
func (c *Capturer) stands(ctx context.Context, t *engine.Table) error {
	now, err := c.s.db.Inspect(ctx, c.s.db, t.Name)
	if err != nil {
		return err
	}
	if !sameShape(now, t) {
		return fmt.Errorf("%s was changed meanwhile: %w", t.Name, errBusy)
	}
	return nil
}

func sameShape(a, b *engine.Table) bool {
	return slices.Equal(a.Columns, b.Columns) && slices.EqualFunc(a.Keys, b.Keys, func(x, y engine.Key) bool { return slices.Equal(x.Columns, y.Columns) }) &&
		len(a.ForeignKeys) == len(b.ForeignKeys) && len(a.Referenced) == len(b.Referenced) && len(a.Triggers) == len(b.Triggers)
}

// loosely runs f without what in the session's sql_mode would keep an old value from being copied; what a predicate means stays.
func loosely(ctx context.Context, tx engine.Querier, f func() error) error {
	var was string
	if err := tx.QueryRowContext(ctx, "SELECT @@SESSION.sql_mode").Scan(&was); err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	modes := slices.DeleteFunc(strings.Split(was, ","), func(m string) bool {
		return slices.Contains([]string{"STRICT_TRANS_TABLES", "STRICT_ALL_TABLES", "NO_ZERO_DATE", "NO_ZERO_IN_DATE", "ERROR_FOR_DIVISION_BY_ZERO", "TRADITIONAL", "PAD_CHAR_TO_FULL_LENGTH", ""}, m)
	})
	modes = append(modes, "ALLOW_INVALID_DATES")
	set := func(ctx context.Context, mode string) error {
		_, err := exec(ctx, tx, "fix settings", "SET SESSION sql_mode = '"+mode+"'")
		return err
	}
	if err := set(ctx, strings.Join(modes, ",")); err != nil {
		return err
	}
	return errors.Join(f(), set(context.WithoutCancel(ctx), was))
}

// insertNamed begins the statement that captures rows of a table, which it knows as ref.
func (c *Capturer) insertNamed(x *capture, op, ref string) string {
	names, _ := x.columns()
	values := []string{"'" + op + "'"}
	for _, f := range x.Key {
		value := c.s.f.value(ref+"."+c.s.q(f.At), f)
		if expr, ok := x.named.moves[f.At]; ok {
			value = mysqlMade("("+expr+")", f)
		}
		values = append(values, value)
	}
	if x.Moved {
		for _, f := range x.Key {
			values = append(values, c.s.f.value(ref+"."+c.s.q(f.At), f))
		}
	}
	for _, f := range x.Fields {
		values = append(values, c.s.f.value(ref+"."+c.s.q(f.At), f))
	}
	return fmt.Sprintf("INSERT INTO %s (%s) SELECT %s", c.s.own(x.data()), list(names), list(values))
}

const copied, captured = "dbrollback_t", "dbrollback_d" // the names of a live table and of the rows that lead to it

// carry captures the rows that foreign keys change or remove along with those that are captured, as far as they lead.
func (c *Capturer) carry(ctx context.Context, tx engine.Querier, made []*capture) error {
	s := c.s
	for again := true; again; {
		again = false
		for _, child := range made {
			if child.named == nil || !child.named.cascade {
				continue
			}
			for _, fk := range child.live.ForeignKeys {
				i := slices.IndexFunc(made, func(y *capture) bool { return y.named != nil && y.At == fk.Parent })
				if i < 0 || fk.OnDelete != "CASCADE" && !strings.HasPrefix(fk.OnDelete, "SET") && fk.OnUpdate != "CASCADE" && !strings.HasPrefix(fk.OnUpdate, "SET") {
					continue
				}
				parent := made[i]
				var on []string
				for j, n := range fk.Columns {
					f, kept, ok := parent.find(fk.ParentColumns[j])
					if !ok {
						on = nil
						break
					}
					on = append(on, s.points(copied+"."+s.q(n), captured+"."+kept, f, child.live.Columns[columnIndex(child.live, n)]))
				}
				if on == nil {
					continue // the statement does not write what the key points to
				}
				n, err := exec(ctx, tx, "capture "+child.At.String(), fmt.Sprintf("%s FROM %s AS %s JOIN %s AS %s ON %s LEFT JOIN %s AS dbrollback_e ON %s WHERE dbrollback_e.n IS NULL FOR UPDATE",
					c.insertNamed(child, "u", copied), s.own(parent.data()), captured, s.db.Quote(child.At), copied, all(on...),
					s.own(child.data()), s.known(child, copied, "dbrollback_e")))
				if err != nil {
					return err
				}
				again = again || n > 0
			}
		}
	}
	return nil
}

// find gives the captured field of a column, and where its value from before the statement is kept.
func (c *capture) find(column string) (field, string, bool) {
	for i, f := range c.Key {
		if f.At == column {
			return f, c.old(i), true
		}
	}
	for i, f := range c.Fields {
		if f.At == column {
			return f, c.v(i), true
		}
	}
	return field{}, "", false
}

// known compares the key of a live row with that of a captured one so that an index of ours serves.
func (s *Store) known(x *capture, live, kept string) string {
	var parts []string
	for i, f := range x.Key {
		parts = append(parts, kept+"."+k(i)+" = "+s.f.value(live+"."+s.q(f.At), f))
	}
	return all(parts...)
}

// mysqlIndex is the index over the keys of a capture, for looking rows up.
func mysqlIndex(x *capture) string { return mysqlIndexOver(x, "dbrollback_k", k) }

func mysqlIndexOver(x *capture, name string, column func(int) string) string {
	var parts []string
	for i, f := range x.Key {
		part := column(i)
		if t := mysqlTyped(f.Decl); t.kind == "varbinary" || t.kind == "longblob" {
			length := 3000 / len(x.Key)
			var most int
			if _, err := fmt.Sscanf(t.args, "(%d)", &most); err == nil {
				length = min(length, most)
			}
			part += fmt.Sprintf("(%d)", min(length, 255))
		}
		parts = append(parts, part)
	}
	return "KEY " + name + " (" + list(parts) + ")"
}

// mysqlReduce keeps of captured rows those that the statement changed or removed; of a copy of all rows it also finds those
// that the statement inserted.
func mysqlReduce(ctx context.Context, c *Capturer, tx engine.Querier, x *capture) error {
	s := c.s
	data, from := s.own(x.data()), s.live(x, x.live)
	on := s.on(x, x.live, x.t(), x.d(), func(i int) string { return x.Key[i].At }, k)
	var keys, values []string
	for i, f := range x.Key {
		keys, values = append(keys, k(i)), append(values, s.f.value(x.t()+"."+s.q(f.At), f))
	}
	same := "1 = 1"
	if len(x.Fields) > 0 {
		var kept, live []string
		for i, f := range x.Fields {
			kept = append(kept, s.image(x.d()+"."+x.v(i), f))
			live = append(live, s.image(s.f.value(x.t()+"."+s.q(f.At), f), f))
		}
		same = "NOT (" + s.differ(kept, live) + ")"
	}
	queries := []string{
		fmt.Sprintf("DELETE %[1]s FROM %[2]s AS %[1]s JOIN %[3]s ON %[4]s WHERE %[1]s.op <> 'i' AND %[5]s", x.d(), data, from, on, same),
		fmt.Sprintf("UPDATE %[2]s AS %[1]s LEFT JOIN %[3]s ON %[5]s SET %[1]s.op = IF(%[4]s.%[6]s IS NULL, 'd', 'u') WHERE %[1]s.op <> 'i'", x.d(), data, from, x.t(), on, s.q(x.Key[0].At)),
	}
	if x.reduce {
		queries = append([]string{fmt.Sprintf("INSERT INTO %[1]s (op, %[2]s) SELECT 'i', %[3]s FROM %[4]s LEFT JOIN %[1]s AS %[5]s ON %[6]s WHERE %[5]s.n IS NULL",
			data, list(keys), list(values), from, x.d(), s.known(x, x.t(), x.d()))}, queries...)
	}
	for _, query := range queries {
		if _, err := exec(ctx, tx, "reduce the capture of "+x.At.String(), query); err != nil {
			return err
		}
	}
	return nil
}

// mysqlHides refuses a temporary table with the name of a real one: nobody could tell which of the two the statements after it mean.
func mysqlHides(ctx context.Context, q engine.Querier, e effects.Effect) error {
	if e.Kind != effects.CreateTable || !e.Temporary || e.Table.Name == "" {
		return nil
	}
	n, err := number(ctx, q, "look for a table", "SELECT count(*) FROM information_schema.tables WHERE table_schema = coalesce(nullif(?, ''), database()) AND table_name = ? AND table_type NOT IN ('TEMPORARY', 'SYSTEM VIEW')",
		e.Table.Schema, e.Table.Name)
	if err != nil || n == 0 {
		return err
	}
	return &LossError{Object: e.Table.Name, Reason: "a temporary table of the same name hides it", Hint: "give the temporary one another name"}
}
