package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// past is where rows as they were at a moment come from: the captures, and of tables that have one the journal.
type past interface {
	// held lists what there is of that moment, a table each.
	held() []*held
	// entries gives the rows of a table, in the transaction: one entry a row that is to be as it was (op u or d) or, in a source
	// that knows, to be gone (op i). Entries whose place was written since are in its table of conflicts.
	entries(ctx context.Context, tx engine.Querier, h *held) (*restoring, error)
	// has tells whether another table could come along.
	has(ctx context.Context, q engine.Querier, ask Ask, n engine.Name) (bool, error)
}

// held is what a source holds of one table.
type held struct {
	home     engine.Name // when it was captured
	live     *engine.Table
	moment   time.Time
	snapshot string
	captures []*capture // oldest first
	changes  *Changes   // of a journal: what was written since; captures has its form alone
	mapped   []string   // columns that --map gave another name
	busy     bool       // others write while it is compared
	along    bool       // nobody named it: a foreign key ties it to one that was
	// sealed: what was written since is told from what the migration (or restore) left, and is a conflict.
	sealed bool
}

// complete tells whether rows that are not held were not there.
func (h *held) complete() bool {
	return slices.ContainsFunc(h.captures, func(c *capture) bool { return !c.Ops })
}

// whole tells whether every row is held with every column.
func (h *held) whole() bool {
	return h.changes != nil || slices.ContainsFunc(h.captures, func(c *capture) bool { return !c.Ops && c.Whole })
}

// holds says what a partial source holds.
func (h *held) holds() string {
	if h.whole() {
		return ""
	}
	var parts []string
	restored := int64(0) // in as many captures as there were batches
	for _, c := range h.captures {
		if c.Direction == Restored && c.Whole && c.Kind != Columns {
			restored += c.Rows
		}
	}
	if restored > 0 {
		parts = append(parts, fmt.Sprintf("the %d row(s) that a restore hit", restored))
	}
	for _, c := range h.captures {
		if c.Direction == Restored && c.Whole && c.Kind != Columns {
			continue
		}
		by := fmt.Sprintf("statement %d of migration %d %s", c.Statement, c.Migration, c.Direction)
		if c.Direction == Restored {
			by = "a restore"
		}
		switch {
		case c.Kind == Columns && !c.Whole:
			parts = append(parts, fmt.Sprintf("column %s of every row, before %s", strings.Join(c.Columns, ", "), by))
		case c.Whole:
			parts = append(parts, fmt.Sprintf("the %d row(s) that %s hit", c.Rows, by))
		case len(c.Columns) == 0:
			parts = append(parts, fmt.Sprintf("the key of %d row(s) that %s inserted", c.Rows, by))
		default:
			parts = append(parts, fmt.Sprintf("%s of the %d row(s) that %s hit", strings.Join(c.Columns, ", "), c.Rows, by))
		}
	}
	return strings.Join(parts, "; ")
}

// captures are the captures as a source.
type captures struct {
	s        *Store
	mode     Mode
	tables   []*held
	all, one []row // of the catalog: all, and those of the snapshot that was asked for
}

func (p *captures) held() []*held { return p.tables }

// spread lays the rows of a kept table out as those of a copy; the table itself stays where it is.
func (s *Store) spread(ctx context.Context, tx engine.Querier, kept *capture) (*capture, error) {
	if err := s.sound(ctx, tx, kept); err != nil {
		return nil, err
	}
	c := *kept
	c.ID, c.Kind = newID(), Table
	if err := s.room(ctx, tx, &c); err != nil {
		return nil, err
	}
	return &c, s.fill(ctx, tx, &c, &engine.Table{Name: s.db.Own(kept.data()), Kind: "table"})
}

// usable tells whether a capture's data are there and sealed. One that was taken out of use is still what was there then.
func (c *capture) usable() bool {
	if c.Kind.Stays() && c.Status == statusRestored {
		return false // the rows are back in their place
	}
	return c.Kind != Definition && (c.Status == statusComplete || c.Status == statusWaiting || c.Status == statusRestored || c.Status == statusVoid)
}

// captured finds the captures that an ask is about.
func (s *Store) captured(ctx context.Context, q engine.Querier, ask Ask) (*captures, error) {
	if ask.Written {
		return s.written(ctx, q, ask)
	}
	if _, err := s.db.Resolve(ctx, q, s.catalog); errors.Is(err, engine.ErrNoTable) {
		return nil, &NothingError{Message: "nothing was ever captured in this database", Hint: "dbrollback snapshot create --table NAME captures a table by hand"}
	} else if err != nil {
		return nil, err
	}
	all, err := s.load(ctx, q, "")
	if err != nil {
		return nil, err
	}
	all = slices.DeleteFunc(all, func(r row) bool { return r.Kind == Definition || r.Relay })
	one, err := within(all, ask)
	if err != nil {
		return nil, err
	}
	p := &captures{s: s, mode: ask.Mode, all: all, one: one}
	tables := ask.Tables
	if len(tables) == 0 {
		for _, r := range one {
			if !slices.Contains(tables, r.Home) {
				tables = append(tables, r.Home)
			}
		}
	}
	for _, n := range tables {
		h, err := p.find(ctx, q, ask, n)
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(p.tables, func(o *held) bool { return o.home == h.home }) {
			p.tables = append(p.tables, h)
		}
	}
	if ask.Related {
		if err := p.related(ctx, q, ask); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// within picks the rows of the catalog that the snapshot or the migration of an ask made, oldest first; none when it names a time.
func within(all []row, ask Ask) ([]row, error) {
	var id string
	switch {
	case ask.Snapshot != "":
		for _, r := range all {
			if r.ID == ask.Snapshot { // one capture alone
				return []row{r}, nil
			}
		}
		id = ask.Snapshot
		for _, r := range all { // the newest that was given this name
			if r.Direction == Manual && r.label != nil && *r.label == ask.Snapshot {
				id = r.Snapshot
			}
		}
		if !slices.ContainsFunc(all, func(r row) bool { return r.Snapshot == id }) {
			return nil, &AskError{Message: fmt.Sprintf("there is no snapshot %q in this database", id), Hint: "dbrollback snapshot list shows those that there are"}
		}
	case ask.HasMigration:
		for _, r := range all { // sorted by snapshot: the last one counts
			if r.Migration == ask.Migration && r.Direction == "up" && r.usable() {
				id = r.Snapshot
			}
		}
		if id == "" {
			n := &NothingError{Message: fmt.Sprintf("there are no captures of migration %d", ask.Migration), Hint: "dbrollback snapshot list shows which migrations captured something"}
			if slices.ContainsFunc(all, func(r row) bool { return r.Migration == ask.Migration && r.Direction == "up" }) {
				n.Message = fmt.Sprintf("the captures of migration %d have expired, and their data was dropped", ask.Migration)
			}
			return nil, n
		}
	default:
		return nil, nil
	}
	return slices.DeleteFunc(slices.Clone(all), func(r row) bool { return r.Snapshot != id }), nil
}

// find asks the journal of a table, and the captures where there is none.
func (p *captures) find(ctx context.Context, q engine.Querier, ask Ask, n engine.Name) (*held, error) {
	h, err := p.s.journalled(ctx, q, ask, n)
	if err != nil || h != nil {
		return h, err
	}
	if ask.Written {
		err = &NoTableError{Table: n}
	} else {
		h, err = p.s.hold(ctx, q, ask, p.all, p.one, n)
	}
	var missing *NoTableError
	if errors.As(err, &missing) && missing.Kind == "" {
		err = p.s.gone(ctx, q, ask, n, err, nil)
	}
	return h, err
}

// gone is the error about a table that is not there: what the journal says of it, if anything, else the other one.
func (s *Store) gone(ctx context.Context, q engine.Querier, ask Ask, n engine.Name, otherwise error, have []string) error {
	if !s.asksJournal(ask) {
		return otherwise
	}
	err := s.Journal.Gone(ctx, q, n)
	var nothing *NothingError
	if errors.As(err, &nothing) {
		nothing.Have = have
	}
	if err != nil {
		return err
	}
	return otherwise
}

// hold finds what is captured of one table.
func (s *Store) hold(ctx context.Context, q engine.Querier, ask Ask, all, one []row, n engine.Name) (*held, error) {
	live, err := s.db.Inspect(ctx, q, n)
	if errors.Is(err, engine.ErrNoTable) {
		live = nil
	} else if err != nil {
		return nil, err
	}
	if live != nil && s.db.Mine(live.Name) {
		return nil, &NoTableError{Table: n, Kind: "table of dbrollback's own"}
	}
	of := func(r row) bool {
		if live != nil && (r.Home == live.Name || live.OID != 0 && r.Identity == identity(live)) {
			return true
		}
		return live == nil && (r.Home == n || n.Schema == "" && s.sameName(r.Home.Name, n.Name))
	}
	var mine []row
	for _, r := range all {
		if of(r) {
			mine = append(mine, r)
		}
	}
	if len(mine) == 0 && live == nil {
		return nil, &NoTableError{Table: n}
	}
	if len(mine) == 0 && unfit(live) != "" {
		return nil, &NoTableError{Table: live.Name, Kind: unfit(live)}
	}
	if live != nil {
		n = live.Name
	}
	if i := slices.IndexFunc(mine, func(r row) bool { return r.Home != mine[0].Home }); live == nil && n.Schema == "" && i >= 0 {
		return nil, &AskError{Message: fmt.Sprintf("%s was captured in more than one schema: %s and %s", n, mine[0].Home, mine[i].Home), Hint: "name it with its schema"}
	}
	if live == nil && n != mine[0].Home { // not in the search path, but captured under this name
		return s.hold(ctx, q, ask, all, one, mine[0].Home)
	}
	var chosen []row
	if one != nil {
		for _, r := range one {
			if of(r) {
				chosen = append(chosen, r)
			}
		}
		if len(chosen) == 0 {
			return nil, none(ask, n, mine, fmt.Sprintf("snapshot %s holds nothing of %s", one[0].Snapshot, n))
		}
	} else if chosen = newest(ask, mine); len(chosen) == 0 {
		e := none(ask, n, mine, fmt.Sprintf("no capture at or before %s holds %s whole", ask.At.UTC().Format(time.RFC3339), n))
		if parts := s.partsWritten(ctx, q, ask, live); parts != "" {
			e.Message, e.Hint = e.Message+"; its partitions are journalled", "name them instead:"+parts
		}
		if live == nil && !slices.ContainsFunc(mine, func(r row) bool { return !r.Ops && r.Whole && r.usable() }) {
			return nil, s.gone(ctx, q, ask, n, e, e.Have)
		}
		return nil, e
	}
	h := &held{home: n, live: live, snapshot: chosen[0].Snapshot, moment: chosen[0].CapturedAt}
	for _, r := range chosen {
		if r.Status == statusExpired {
			return nil, &NothingError{Message: fmt.Sprintf("the data of snapshot %s was dropped: it has expired", r.Snapshot), Have: had(mine), Hint: "dbrollback snapshot list shows what is left"}
		}
		if !r.usable() {
			why := "was never finished"
			if r.Kind == KeptColumns {
				why = "held the columns themselves, which a rollback has put back"
			}
			if r.Kind == Kept {
				why = "held the table itself, which a rollback has put back"
			}
			return nil, &NothingError{Message: fmt.Sprintf("snapshot %s %s", r.Snapshot, why), Have: had(mine), Hint: "dbrollback snapshot list shows what else there is"}
		}
		h.captures = append(h.captures, r.capture)
		if !ask.HasMigration && !r.Ops && r.Whole {
			break // it holds every row that was there; the ones after it tell what the migration did next
		}
	}
	h.sealed = ask.HasMigration || !h.whole()
	return h, s.rename(ask, h)
}

// newest picks the captures of the newest snapshot at or before the ask's moment that hold the table whole, or the columns asked.
func newest(ask Ask, mine []row) []row {
	enough := func(r row) bool {
		if r.Ops || !r.usable() || r.CapturedAt.After(ask.At) {
			return false
		}
		return r.Whole || len(ask.Columns) > 0 && !slices.ContainsFunc(ask.Columns, func(c string) bool {
			return !slices.ContainsFunc(r.Fields, func(f field) bool { return f.Name == c || ask.Map[f.Name] == c })
		})
	}
	for i := len(mine) - 1; i >= 0; i-- {
		if !enough(mine[i]) {
			continue
		}
		// The captures before it in the same snapshot are of the same migration: with them it is as before that began.
		return slices.DeleteFunc(slices.Clone(mine[:i+1]), func(r row) bool { return r.Snapshot != mine[i].Snapshot || !r.usable() })
	}
	return nil
}

// partsWritten names the partitions of a table of which the journal knows that moment, for a command line; "" unless it knows it of all.
func (s *Store) partsWritten(ctx context.Context, q engine.Querier, ask Ask, live *engine.Table) string {
	if live == nil || live.Kind != "partitioned" || s.Journal == nil || ask.Captures || ask.At.IsZero() {
		return ""
	}
	out := ""
	for _, n := range live.Children {
		part, err := s.db.Inspect(ctx, q, n)
		if err != nil {
			return ""
		}
		if c, err := s.Journal.Since(ctx, q, part, ask.At); err != nil || c == nil {
			return "" // it is a hint only
		}
		out += " --table " + n.Arg()
	}
	return out
}

// none says what is held of a table when that is not what was asked for.
func none(ask Ask, n engine.Name, mine []row, message string) *NothingError {
	e := &NothingError{Message: message, Have: had(mine)}
	var first, last *capture
	for _, r := range mine {
		if !r.Ops && r.Whole && r.usable() {
			if last = r.capture; first == nil {
				first = r.capture
			}
		}
	}
	switch {
	case first == nil:
		e.Message += "; none holds it whole at any time"
		e.Hint = fmt.Sprintf("dbrollback snapshot create --table %s makes one for the next time", n.Arg())
		if len(e.Have) > 0 {
			e.Hint = "what migrations captured of it can be put back with --migration VERSION; " + e.Hint
		}
	case ask.At.IsZero():
		e.Hint = "dbrollback snapshot list shows which snapshots hold it"
	default:
		e.Message += fmt.Sprintf("; captures that do are from %s to %s", stampOf(first.CapturedAt), stampOf(last.CapturedAt))
		e.Hint = "--at " + stampOf(first.CapturedAt) + " is the earliest that can be had"
	}
	return e
}

// stampOf writes a moment so that it can be given to --at again: rounded up to the second would miss nothing.
func stampOf(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.999999Z07:00") }

// had lists captures for a person, the newest first, a few.
func had(mine []row) []string {
	var out []string
	for i := len(mine) - 1; i >= 0 && len(out) < 8; i-- {
		r := mine[i]
		if !r.usable() {
			continue
		}
		what := (&held{captures: []*capture{r.capture}}).holds()
		if what == "" {
			what = fmt.Sprintf("all %d row(s)", r.Rows)
		}
		out = append(out, fmt.Sprintf("%s: snapshot %s holds %s", stampOf(r.CapturedAt), r.Snapshot, what))
	}
	return out
}

// rename gives captured columns their names of now, all at once: two may have changed names. Of several tables each takes what is about
// its columns.
func (s *Store) rename(ask Ask, h *held) error {
	names := map[string]string{}
	for old, now := range ask.Map {
		if ask.several() && !h.takes(old, now) {
			continue
		}
		if err := h.mappable(old, now); err != nil {
			return err
		}
		h.mapped, names[old] = append(h.mapped, old), now
	}
	for _, c := range h.captures {
		for _, fields := range [][]field{c.Fields, c.Key} {
			for i, f := range fields {
				if now, ok := names[f.Name]; ok {
					fields[i].Name = now
				}
			}
		}
	}
	for _, c := range ask.Columns {
		if !slices.Contains(h.columns(), c) {
			return &AskError{Message: fmt.Sprintf("--columns: %s was captured without a column %s", h.home, c), Hint: "captured columns: " + strings.Join(h.columns(), ", ")}
		}
	}
	return nil
}

// several tells whether an ask can be about more than one table.
func (a Ask) several() bool { return len(a.Tables) != 1 || a.Related }

// takes tells whether a column was captured that is gone, and there is one of the name of now.
func (h *held) takes(old, now string) bool {
	return h.has(old) && (h.live == nil || columnIndex(h.live, old) < 0 && columnIndex(h.live, now) >= 0)
}

// has tells whether a column was captured, be it to know rows by.
func (h *held) has(column string) bool {
	is := func(f field) bool { return f.Name == column }
	return slices.ContainsFunc(h.captures, func(c *capture) bool { return slices.ContainsFunc(c.Fields, is) || slices.ContainsFunc(c.Key, is) })
}

// mappable refuses a column that was not captured, and a name that no column has.
func (h *held) mappable(old, now string) error {
	if !h.has(old) {
		return &AskError{Message: fmt.Sprintf("--map %s=%s: %s was captured without a column %s", old, now, h.home, old), Hint: "captured columns: " + strings.Join(h.columns(), ", ")}
	}
	if h.live != nil && columnIndex(h.live, now) < 0 {
		return &AskError{Message: fmt.Sprintf("--map %s=%s: %s has no column %s", old, now, h.home, now), Hint: "its columns: " + strings.Join(columnNames(h.live), ", ")}
	}
	return nil
}

// unmapped refuses what --map says of no table.
func unmapped(ask Ask, all []*held) error {
	for old, now := range ask.Map {
		if slices.ContainsFunc(all, func(h *held) bool { return slices.Contains(h.mapped, old) }) {
			continue
		}
		if len(all) == 1 {
			if err := all[0].mappable(old, now); err != nil {
				return err
			}
		}
		return &AskError{Message: fmt.Sprintf("--map %s=%s: no table was captured with a column %[1]s that is gone, and has a column %[2]s now", old, now), Hint: "dbrollback snapshot show lists the columns that were captured"}
	}
	return nil
}

// columns are the names of the held columns.
func (h *held) columns() []string {
	var out []string
	for _, c := range h.captures {
		for _, f := range c.Fields {
			if !slices.Contains(out, f.Name) {
				out = append(out, f.Name)
			}
		}
	}
	return out
}

func columnNames(t *engine.Table) []string {
	var out []string
	for _, c := range t.Columns {
		out = append(out, c.Name)
	}
	return out
}

// related adds the tables that foreign keys tie to the ones held, parents and children, as far as they are held as well.
func (p *captures) related(ctx context.Context, q engine.Querier, ask Ask) error {
	for i := 0; i < len(p.tables); i++ {
		if p.tables[i].live == nil {
			continue
		}
		var near []engine.Name
		for _, fk := range p.tables[i].live.ForeignKeys {
			near = append(near, fk.Parent)
		}
		for _, fk := range p.tables[i].live.Referenced {
			near = append(near, fk.Table)
		}
		for _, n := range near {
			if slices.ContainsFunc(p.tables, func(h *held) bool { return h.home == n }) {
				continue
			}
			h, err := p.neighbour(ctx, q, ask, n)
			if err != nil {
				return err
			}
			if h != nil {
				p.tables = append(p.tables, h)
			}
		}
	}
	return nil
}

// neighbour finds what is held of a table that nobody named; nil when nothing is.
func (p *captures) neighbour(ctx context.Context, q engine.Querier, ask Ask, n engine.Name) (*held, error) {
	ask.Columns, ask.Where = nil, "" // these are of the tables that were named
	h, err := p.find(ctx, q, ask, n)
	var nothing *NothingError
	if errors.As(err, &nothing) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	h.along = true
	return h, nil
}

func (p *captures) has(ctx context.Context, q engine.Querier, ask Ask, n engine.Name) (bool, error) {
	h, err := p.neighbour(ctx, q, ask, n)
	return h != nil, err
}

// entries gives what the captures hold of a table as one.
func (p *captures) entries(ctx context.Context, tx engine.Querier, h *held) (*restoring, error) {
	if h.changes != nil {
		return p.s.invert(ctx, tx, h, h.live, p.mode == Merge, false)
	}
	r := &Restorer{s: p.s, report: map[engine.Name]*TableReport{}}
	for _, c := range h.captures {
		if c.Kind == KeptColumns {
			lies, err := p.s.holder(ctx, tx, c)
			if err == nil && lies == nil {
				err = columnsGone(c)
			}
			if err != nil {
				return nil, err
			}
			if c, err = p.s.spreadColumns(ctx, tx, c, lies, newID()); err != nil {
				return nil, err
			}
		}
		if c.Kind == Kept {
			var err error
			if c, err = p.s.spread(ctx, tx, c); err != nil {
				return nil, err
			}
		}
		x := &restoring{capture: c}
		x.Home = h.home
		r.captures = append(r.captures, x)
	}
	if h.sealed && h.live != nil {
		for i := len(r.captures) - 1; i >= 0; i-- {
			x := r.captures[i]
			t := h.live
			if len(x.Key) == 0 {
				continue
			}
			if err := r.compare(ctx, tx, x, t); err != nil {
				return nil, fmt.Errorf("compare %s with its capture: %w", h.home, err)
			}
			if x.work && x.Moved {
				if err := r.spread(ctx, tx, x, r.captures[:i]); err != nil {
					return nil, err
				}
			}
		}
	}
	if len(r.captures) == 1 {
		return r.captures[0], nil
	}
	return p.s.fold(ctx, tx, r, h)
}
