package snapshot

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// Watch says, by "schema.table" ("table" where there are no schemas), what the opposite direction computes from its rows: values
// that come from columns which have changed since are newer than a capture.
type Watch map[string][]Computed

// Computed are columns that one statement reads and those that it sets; "*" reads the whole row, and no column sets any.
type Computed struct {
	Reads, Sets []string
	Into        []string // what the table that it fills may be called in the end; nil when it is the one that it reads
}

// Seal ends the captures of a migration, in its transaction: it records how the place of each captured row looks now, so
// that writes made after the migration can be told apart. Nothing captured changes after; its checksum is made once that is committed, by Sums.
func (c *Capturer) Seal(ctx context.Context, tx engine.Querier, watch Watch) error {
	if c.sealed {
		return nil
	}
	c.sealed = true
	if err := c.known(ctx, tx, nil); err != nil {
		return err
	}
	if len(c.captures) == 0 && (!c.s.f.lasting || c.meta.First && len(c.trails) == 0) { // nothing to write under settings of ours
		if err := c.forgetTrails(ctx, tx); err != nil {
			return err
		}
		return c.supersede(ctx, tx)
	}
	return c.s.pinned(ctx, tx, func() error {
		for _, x := range slices.Clone(c.captures) {
			if err := c.newcomers(ctx, tx, x); err != nil {
				return fmt.Errorf("capture what was inserted into %s: %w", x.Home, err)
			}
		}
		for i, x := range c.captures {
			if !c.s.db.Caps.TransactionalDDL && c.awaits(x) { // that table is there still, under another name: nothing of it is in this one
				if err := c.s.setStatus(ctx, tx, x.ID, statusVoid); err != nil {
					return err
				}
				continue
			}
			if x.Kind == KeptColumns { // sealed when they were put aside
				x.Status = statusComplete
				if err := c.s.finish(ctx, tx, x); err != nil {
					return err
				}
				continue
			}
			if x.Kind == Kept && x.Emptied && x.stale { // rows of the table were written by other means: they are told apart one by one
				if err := c.s.copied(ctx, tx, x); err != nil {
					return err
				}
				x.Seal, x.stale = seal{}, false
			}
			if x.Kind != Definition {
				if c.meta.Direction == Manual { // nobody changed anything: there is nothing to tell apart later
					x.Seal.Mode = sealNone
				} else if x.stale && x.Seal.Mode != "" && c.bySteps() {
					if err := c.sealAgain(ctx, tx, x, i, watch); err != nil {
						return fmt.Errorf("seal the capture of %s: %w", x.Home, err)
					}
				} else if x.Seal.Mode == "" || c.s.db.Caps.TransactionalDDL && (x.Kind == Kept || !c.meta.Steps) && c.touched(i, x) {
					if err := c.unseal(ctx, tx, x); err != nil {
						return err
					}
					if err := c.seal(ctx, tx, i, x, watch); err != nil {
						return fmt.Errorf("seal the capture of %s: %w", x.Home, err)
					}
				}
				if err := c.come(ctx, tx, x); err != nil {
					return fmt.Errorf("capture what was inserted into %s: %w", x.Home, err)
				}
				if err := c.s.measure(ctx, tx, x); err != nil {
					return fmt.Errorf("seal the capture of %s: %w", x.Home, err)
				}
			}
			x.Status = statusComplete
			if err := c.s.finish(ctx, tx, x); err != nil {
				return err
			}
		}
		if err := c.forgetTrails(ctx, tx); err != nil {
			return err
		}
		return c.supersede(ctx, tx)
	})
}

// supersede takes earlier captures of the same migration and direction out of use: they belong to a run that was
// undone without being put back.
func (c *Capturer) supersede(ctx context.Context, tx engine.Querier) error {
	if c.meta.First || c.meta.Direction == Manual || c.meta.Direction == Restored {
		return nil
	}
	if len(c.captures) == 0 {
		if _, err := c.s.db.Resolve(ctx, tx, c.s.catalog); errors.Is(err, engine.ErrNoTable) {
			return nil
		} else if err != nil {
			return err
		}
	}
	a := c.s.db.Arg
	_, err := exec(ctx, tx, "write the catalog", fmt.Sprintf("UPDATE %s SET status = %s WHERE migration = %s AND direction = %s AND status = %s AND snapshot_id <> %s",
		c.s.db.Quote(c.s.catalog), a(1), a(2), a(3), a(4), a(5)), statusVoid, c.meta.Migration, c.meta.Direction, statusComplete, c.id)
	return err
}

// measure notes how many rows and bytes a capture has.
func (s *Store) measure(ctx context.Context, q engine.Querier, x *capture) (err error) {
	if x.Kind == Kept {
		return nil // nobody can write to it; it is measured when it is verified
	}
	if x.Rows, err = number(ctx, q, "count captured rows", "SELECT count(*) FROM "+s.own(x.data())); err != nil {
		return err
	}
	x.Bytes, err = s.f.size(ctx, q, s.own(x.data()))
	return err
}

// Sums gives the captures that are complete their checksums. That is done after the commit, when nobody waits for locks any more: captured rows never change.
// What a run that was cut off before this left gets its checksum from the next one.
func (s *Store) Sums(ctx context.Context, q engine.Querier) error {
	a := s.db.Arg
	rows, err := s.load(ctx, q, fmt.Sprintf("checksum = '' AND status = %s AND kind IN (%s, %s, %s)", a(1), a(2), a(3), a(4)),
		statusComplete, string(Rows), string(Columns), string(Table))
	if err != nil {
		return err
	}
	for _, r := range rows {
		sum, err := s.checksum(ctx, q, r.capture)
		if err != nil {
			return fmt.Errorf("checksum of the capture of %s: %w", r.Home, err)
		}
		if sum.Rows != r.Rows {
			return fmt.Errorf("checksum of the capture of %s: it has %d row(s) instead of %d", r.Home, sum.Rows, r.Rows)
		}
		if err := s.setSum(ctx, q, r.capture, sum); err != nil {
			return err
		}
	}
	return nil
}

func (s *Store) checksum(ctx context.Context, q engine.Querier, x *capture) (verify.Checksum, error) {
	if x.Kind == Kept {
		return s.keptSum(ctx, q, x)
	}
	names, _ := x.columns()
	exprs := []string{"d.n"}
	for _, n := range names[:len(names)-len(x.Fields)] {
		exprs = append(exprs, "d."+n)
	}
	for i, f := range x.Fields {
		exprs = append(exprs, s.image("d."+x.v(i), f))
	}
	return verify.Sum(ctx, s.db, q, s.own(x.data())+" d", exprs)
}

// now finds the table that a capture belongs to as it is at the end of the migration: the same one, or else one
// of the same name. nil when there is none.
func (c *Capturer) now(ctx context.Context, tx engine.Querier, x *capture) (*engine.Table, error) {
	if x.coming != nil {
		return x.coming, nil
	}
	names := []engine.Name{x.Home}
	if x.Here {
		names[0] = x.sealedAt()
	}
	if !c.s.db.Caps.TransactionalDDL && (x.New || x.Stands) { // what had the name first may be there under another one
		names[0] = x.At
	} else if x.live.OID != 0 {
		if c.last == nil {
			current, err := c.s.d.shapes(ctx, tx)
			if err != nil {
				return nil, err
			}
			c.last = current
		}
		if sh, ok := c.last[x.Identity]; ok {
			names = []engine.Name{sh.Name}
		}
	} else if !x.Here && !c.track.elsewhere(x.live) {
		for key, o := range c.track.origin {
			if o.Name == x.Home {
				names = []engine.Name{{Name: key}}
			}
		}
	}
	t, err := c.look(ctx, tx, names[0])
	if err == nil {
		t = c.track.seen(t)
	}
	if stand, ok := c.track.stands[strings.ToLower(x.Home.Name)]; ok && errors.Is(err, engine.ErrNoTable) {
		// One that the migration made, that stood in its place and was renamed.
		if t, err = c.s.db.Inspect(ctx, tx, stand); err == nil && !c.track.made(t) {
			return nil, nil
		}
	}
	if errors.Is(err, engine.ErrNoTable) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if t.Kind == "view" || t.Kind == "materialized view" || t.Kind == "foreign" || t.Kind == "temporary" {
		return nil, nil
	}
	return t, nil
}

// nameNow finds what a captured column is called in t; "" when it is gone. A column of the same name counts when the
// captured one is gone: it stands in its place.
func (c *Capturer) nameNow(x *capture, t *engine.Table, f field) string {
	if identity(t) == x.Identity && t.OID != 0 {
		for _, col := range t.Columns {
			if columnIdentity(t, col) == f.Num && !col.Generated {
				return col.Name
			}
		}
	} else if i := columnIndex(t, f.At); f.Made && i >= 0 && c.track.madeColumn(t, t.Columns[i]) && !t.Columns[i].Generated {
		return f.At
	} else if t.OID == 0 && !f.Made {
		if o, ok := c.track.origin[identity(t)]; ok {
			for now, was := range o.Columns {
				if was.Name != f.Name {
					continue
				}
				for _, col := range t.Columns {
					if strings.EqualFold(col.Name, now) && !col.Generated {
						return col.Name
					}
				}
			}
		}
	}
	now, renamed := c.track.names[strings.ToLower(x.Home.Name)][strings.ToLower(f.Name)]
	if renamed && now != "" {
		for _, col := range t.Columns {
			if c.s.sameName(col.Name, now) && !col.Generated {
				return col.Name
			}
		}
	}
	if i := columnIndex(t, f.Name); i >= 0 && !t.Columns[i].Generated && !(renamed && len(x.Key) == 0 && c.givenBack(t, f.Name)) {
		return t.Columns[i].Name
	}
	return ""
}

// keyNow is nameNow for a column of the key. In a table that the migration made it is the one that has its values: one of the same name may be another,
// as where a number gives way to a UUID, and the number is kept beside it.
func (c *Capturer) keyNow(x *capture, t *engine.Table, f field) string {
	name := c.nameNow(x, t, f)
	if x.Stands || !c.track.made(t) {
		return name
	}
	copied, known := c.track.copied(x.Home, f.Name, t)
	if copied != "" {
		return copied
	}
	if i := columnIndex(t, name); known && i >= 0 && (c.s.akin(f.Type, "bigint") || !c.s.akin(f.Type, c.s.typed(t.Columns[i]))) {
		return "" // made of something else: a number that is reckoned is another one
	}
	return name
}

// seal records how the places of one capture look now.
func (c *Capturer) seal(ctx context.Context, tx engine.Querier, index int, x *capture, watch Watch) error {
	x.full = false
	t, err := c.now(ctx, tx, x)
	if err != nil {
		return err
	}
	if t != nil && x.Kind == Kept {
		// Another table stands in its place: which rows of it are whose is told row by row.
		if err := c.s.copied(ctx, tx, x); err != nil {
			return err
		}
	}
	if t == nil {
		if x.Seal.Mode = sealAbsent; x.theirs > 0 {
			x.Seal.Mode = sealRows // of those that somebody else wrote
		}
		return nil
	}
	x.Seal.Table = t.Name
	if x.coming != nil { // the name that it is about to get
		x.Seal.Table = x.Home
	}
	dropped := false
	for i, f := range x.Fields {
		x.Fields[i].Seal = c.nameNow(x, t, f)
		if n := x.Fields[i].Seal; n != "" {
			x.Seal.Columns = append(x.Seal.Columns, n)
		} else {
			dropped = true
		}
	}
	for _, col := range t.Columns {
		if !col.Generated {
			x.Seal.All = append(x.Seal.All, col.Name)
		}
	}
	if len(x.Key) == 0 {
		return c.sealBag(ctx, tx, x, t)
	}
	for i, f := range x.Key {
		x.Key[i].Seal = c.keyNow(x, t, f)
		// Behind a Down, rows that others point to stay known by their keys: the next up finds them by what is unique.
		if x.Key[i].Seal == "" && x.Whole && !x.Stands && c.track.made(t) && (c.meta.Direction == "up" || len(t.Referenced) == 0) {
			return c.sealUntold(ctx, tx, x, t) // no row of the one that stands in its place can be told to be one of these
		}
		if x.Key[i].Seal == "" {
			x.Seal.Mode = sealCovered
			return nil
		}
		x.Seal.Key = append(x.Seal.Key, x.Key[i].Seal)
	}
	if x.Whole && !x.Stands && c.track.made(t) {
		if double, err := c.double(ctx, tx, x, t); err != nil {
			return err
		} else if double {
			return c.sealUntold(ctx, tx, x, t)
		}
	}
	if dropped || x.Bystander {
		c.watch(x, t, watch[x.Seal.Table.String()])
	}
	c.watchMade(x, t, watch[x.Seal.Table.String()])
	return c.sealRows(ctx, tx, index, x, t)
}

// sealUntold seals the capture of a table with a key as if it had none.
func (c *Capturer) sealUntold(ctx context.Context, tx engine.Querier, x *capture, t *engine.Table) error {
	if x.next != "" && !c.s.db.Caps.TransactionalDDL { // there is room for rows with keys alone, and no other can be made under the locks of a statement: it is sealed in the end
		x.Seal = seal{}
		return nil
	}
	if x.next != "" {
		if err := c.s.drop(ctx, tx, "seal", c.s.own(x.companionAt(x.next))); err != nil {
			return err
		}
	}
	x.Key, x.Seal.Key = nil, nil
	return c.sealBag(ctx, tx, x, t)
}

// double tells whether the table that stands in the place of a capture has several rows under one key of it.
func (c *Capturer) double(ctx context.Context, tx engine.Querier, x *capture, t *engine.Table) (bool, error) {
	if slices.ContainsFunc(slices.Concat(t.Keys, t.Unique), func(k engine.Key) bool {
		return !slices.ContainsFunc(k.Columns, func(n string) bool { return !slices.Contains(x.Seal.Key, n) })
	}) {
		return false, nil
	}
	from, _ := c.s.ref(c.s.f.from(c.s.db, t), "t")
	n, err := number(ctx, tx, "look for a key", fmt.Sprintf("SELECT count(*) FROM (SELECT 1 AS n FROM %s GROUP BY %s HAVING count(*) > 1) g", from, c.s.db.Idents(x.Seal.Key)))
	return n > 0, err
}

// watch adds to what a seal covers the columns from which values of dropped ones are computed.
func (c *Capturer) watch(x *capture, t *engine.Table, computed []Computed) {
	for _, w := range computed {
		if w.Into != nil && !slices.ContainsFunc(w.Into, func(n string) bool { return strings.EqualFold(n, x.Home.Name) }) {
			continue
		}
		var from []string // what of it is there now: the rest Down itself makes first
		for _, col := range t.Columns {
			if slices.ContainsFunc(w.Reads, func(n string) bool { return n == "*" || c.s.sameName(col.Name, n) }) {
				from = append(from, col.Name)
			}
		}
		if len(from) == 0 {
			continue
		}
		concerns := false
		for i, f := range x.Fields {
			if (f.Seal == "" || x.Bystander) && (len(w.Sets) == 0 || slices.ContainsFunc(w.Sets, func(n string) bool { return c.s.sameName(f.Name, n) })) {
				x.Fields[i].Watched, concerns = f.Seal == "", true
			}
		}
		for _, n := range from {
			if concerns && !slices.Contains(x.Seal.Columns, n) {
				x.Seal.Columns = append(x.Seal.Columns, n)
			}
			if concerns && !slices.Contains(x.Seal.Sources, n) && c.s.db.Caps.TransactionalDDL {
				x.Seal.Sources = append(x.Seal.Sources, n)
			}
		}
	}
}

// watchMade adds the columns that the migration made, and from which Down computes captured ones that are there still: what is written into them since is
// only in what Down computes.
func (c *Capturer) watchMade(x *capture, t *engine.Table, computed []Computed) {
	for _, w := range computed {
		if w.Into != nil || !slices.ContainsFunc(x.Fields, func(f field) bool {
			return f.Seal != "" && slices.ContainsFunc(w.Sets, func(n string) bool { return c.s.sameName(f.Name, n) })
		}) {
			continue
		}
		for _, col := range t.Columns {
			if !col.Generated && c.track.madeColumn(t, col) && !c.track.made(t) && !slices.Contains(x.Seal.Columns, col.Name) &&
				slices.ContainsFunc(w.Reads, func(n string) bool { return n == "*" || c.s.sameName(col.Name, n) }) {
				x.Seal.Columns = append(x.Seal.Columns, col.Name)
			}
		}
	}
}

// sameName compares column names as the engine does.
func (s *Store) sameName(a, b string) bool {
	return a == b || s.db.Kind != engine.Postgres && strings.EqualFold(a, b)
}

// sealRows seals a capture of a table with a key.
func (c *Capturer) sealRows(ctx context.Context, tx engine.Querier, index int, x *capture, t *engine.Table) error {
	s := c.s
	places := c.places(index, x, t)
	data := s.own(x.data())
	live, at := s.ref(s.f.from(s.db, t), "t")
	name := func(i int) string { return x.Key[i].Seal }
	from, d := s.ref(data, "d")
	kept, first := d, from+fmt.Sprintf(" JOIN %s ON %s", live, s.on(x, t, at, d, name, k)) // where its rows were captured
	if places != "" {
		kept = "p"
		from += fmt.Sprintf(" JOIN %s p ON p.n = %s.n", places, d)
	}
	from += fmt.Sprintf(" JOIN %s ON %s", live, s.on(x, t, at, kept, name, k))
	x.Seal.Rest = c.settledOf(t, s.rest(x, t))
	if len(x.Seal.Columns) == 0 && !x.Ops && places == "" && x.theirs == 0 {
		// Nothing is left of what was captured. Only whether the row is there tells anything.
		there, err := number(ctx, tx, "seal", "SELECT count(*) FROM "+from)
		if err != nil {
			return err
		}
		if there == x.Rows {
			x.Seal.Mode, x.Seal.Places, x.full = sealPresent, false, true
			return c.sealRest(ctx, tx, x, t, from)
		}
		if there == 0 {
			x.Seal.Mode, x.Seal.Places, x.Seal.Rest = sealAbsent, false, nil
			return nil
		}
	}
	x.Seal.Places = places != "" || x.nextKeys && x.next != ""
	names, decls := []string{"n"}, []string{"n bigint NOT NULL"}
	values := []string{d + ".n"}
	if x.Seal.Places {
		for i, f := range x.Key {
			names, decls, values = append(names, k(i)), append(decls, k(i)+" "+f.Decl), append(values, kept+"."+k(i))
			if x.next != "" && !x.nextKeys && s.db.Caps.TransactionalDDL { // the room was made before it was known that rows stand elsewhere
				if err := s.ddl(ctx, tx, "seal", "ALTER TABLE "+s.own(x.companion())+" ADD COLUMN "+k(i)+" "+f.Decl); err != nil {
					return err
				}
			}
		}
	}
	names, decls, values = append(names, "h"), append(decls, "h "+s.f.hash), append(values, s.sealHash(x, t, at, d))
	if len(x.Seal.Rest) > 0 {
		names, decls, values = append(names, "r"), append(decls, "r "+s.f.hash), append(values, s.hash(s.images(x.Seal.Rest, t, at)))
	}
	if len(x.Seal.Sources) > 0 {
		names, decls, values = append(names, "w"), append(decls, "w "+s.f.hash), append(values, s.hash(s.images(x.Seal.Sources, t, at)))
	}
	into, again := s.own(x.companion()), ""
	if x.next == "" {
		if err := s.make(ctx, tx, "seal", into, decls, "n"); err != nil {
			return err
		}
	}
	if x.theirs > 0 && s.f.keyed { // those stay as they are marked
		again = " ON DUPLICATE KEY UPDATE n = " + into + ".n"
	} else if x.theirs > 0 {
		again = fmt.Sprintf(" WHERE NOT EXISTS (SELECT 1 FROM %s s WHERE s.n = d.n)", into)
	}
	there, err := exec(ctx, tx, "seal", fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s%s", into, list(names), list(values), from, again))
	if err != nil {
		return err
	}
	if places != "" && there < x.Rows && x.stood == "" && !x.atHome { // a row that was moved and then deleted: where it was first the migration may have put another one
		for i := range x.Key {
			values[1+i] = d + "." + k(i)
		}
		again = fmt.Sprintf(" WHERE NOT EXISTS (SELECT 1 FROM %s s WHERE s.n = d.n)", into)
		if s.f.keyed {
			again = " ON DUPLICATE KEY UPDATE n = " + into + ".n"
		}
		more, err := exec(ctx, tx, "seal", fmt.Sprintf("INSERT INTO %s (%s) SELECT %s FROM %s%s", into, list(names), list(values), first, again))
		if err != nil {
			return err
		}
		there += more
	}
	x.Seal.Mode, x.full = sealRows, there == x.Rows
	if there == 0 && x.theirs == 0 {
		x.Seal.Mode, x.Seal.Places, x.Seal.Rest = sealAbsent, false, nil
		if err := s.drop(ctx, tx, "seal", into); err != nil {
			return err
		}
	}
	x.Seal.Vacated, err = c.vacates(ctx, tx, x, t)
	return err
}

// ref gives a table as an item of FROM and the name by which the rest of the query knows it: its own where LOCK TABLES wants each
// name that is used.
func (s *Store) ref(table, name string) (from, ref string) {
	if s.f.keyed {
		return table, table
	}
	return table + " " + name, name
}

// sealHash gives the expression that hashes the place of a captured row kept, over the live table t, which the query knows as live.
func (s *Store) sealHash(x *capture, t *engine.Table, live, kept string) string {
	columns := func(names []string) string { return s.hash(s.images(names, t, live)) }
	if !x.Ops {
		return columns(x.Seal.Columns)
	}
	return fmt.Sprintf("CASE WHEN %s.op = 'i' THEN %s ELSE %s END", kept, columns(x.Seal.All), columns(x.Seal.Columns))
}

// places follows the captured rows through later statements of the migration that moved their keys, and those that go back from where they stood last. It gives a query, in brackets, of the
// key under which each row stands now, or "" when no key moved.
func (c *Capturer) places(index int, x *capture, t *engine.Table) string {
	s := c.s
	d := x.along()
	from, now := s.own(x.data())+" "+d, make([]string, len(x.Key))
	for i := range now {
		now[i] = d + "." + k(i)
	}
	movers := c.movers(index, x, t)
	if len(movers) == 0 && x.stood == "" && !x.atHome {
		return ""
	}
	switch {
	case x.stood != "":
		last := s.own(x.stood)
		from += fmt.Sprintf(" LEFT JOIN %[1]s ON %[1]s.n = %[2]s.n", last, d)
		for i := range now {
			now[i] = fmt.Sprintf("coalesce(%s.%s, %s)", last, k(i), now[i])
		}
	case x.atHome && x.homes != "":
		from += fmt.Sprintf(" LEFT JOIN %[1]s ON %[1]s.n = %[2]s.n AND %[1]s.born = 0", x.homes, d)
		for i := range now {
			now[i] = fmt.Sprintf("coalesce(%s.f%d, %s)", x.homes, i+1, now[i])
		}
	case x.atHome:
		for i := range now {
			now[i] = d + "." + x.old(i)
		}
	}
	for _, y := range movers {
		m := y.along()
		on := []string{m + ".op = 'u'"}
		for i := range now {
			on = append(on, fmt.Sprintf("%s.%s = %s", m, o(i), now[i]))
		}
		from += fmt.Sprintf(" LEFT JOIN %s %s ON %s", s.own(y.data()), m, all(on...))
		for i := range now {
			now[i] = fmt.Sprintf("coalesce(%s.%s, %s)", m, k(i), now[i])
		}
	}
	columns := []string{d + ".n"}
	for i := range now {
		columns = append(columns, now[i]+" AS "+k(i))
	}
	return "(SELECT " + list(columns) + " FROM " + from + ")"
}

// movers are the captures and trails of later statements that moved keys of captured rows, oldest first.
func (c *Capturer) movers(index int, x *capture, t *engine.Table) []*capture {
	var later []*capture
	for _, y := range c.captures[min(index+1, len(c.captures)):] {
		if y.Moved && !y.Still && (index >= 0 || y.Statement > x.stoodAt) && y.Identity == x.Identity && slices.EqualFunc(x.Key, y.Key, func(a, b field) bool { return a.Name == b.Name && a.Decl == b.Decl }) {
			later = append(later, y)
		}
	}
	return append(later, c.trodden(x, t)...)
}

// along names the table of a capture in the query of places: LOCK TABLES wants names that differ from all others that it locks.
func (c *capture) along() string { return c.data() + "_m" }
