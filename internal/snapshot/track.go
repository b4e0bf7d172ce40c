package snapshot

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
)

// shapes are the names and identities of all tables and columns.
type shapes map[string]tableShape // by identity

type tableShape struct {
	Name    engine.Name
	Columns map[string]columnShape // by identity
	Storage string                 // changes when the rows are replaced wholesale
	Foreign bool
}

type columnShape struct {
	Name, Type string
}

// identity names a table so that a rename does not change it, where the engine has such; else by its name.
func identity(t *engine.Table) string {
	if t.OID != 0 {
		return strconv.FormatUint(uint64(t.OID), 10)
	}
	if t.Engine != "" {
		return t.Name.String() // MySQL: names that differ in case are two, or the server folds them
	}
	return identityOf(t.Name)
}

// identityOf is the identity of a table where names are all there is.
func identityOf(n engine.Name) string { return strings.ToLower(n.String()) }

// columnIdentity does the same for a column.
func columnIdentity(t *engine.Table, c engine.Column) string {
	if t.OID != 0 {
		return strconv.Itoa(c.Ordinal)
	}
	return strings.ToLower(c.Name)
}

// tracker knows what tables and columns were called when the migration began, and which of them it made itself.
type tracker struct {
	s      *Store
	origin shapes // nil until something happens for which it matters
	// Before origin is read: what was made so far, by name. Nothing was renamed until then.
	tables  []engine.Name
	columns []madeColumn
	stands  map[string]engine.Name // by the name that a table had: the one that it was given instead
	began   []engine.Name          // all tables, when the migration began
	// replaced: what tables were called then that are captured whole; another one may stand in their place by now.
	replaced []engine.Name
	standing map[string]map[string]field // by a name of those: what was captured of its columns, by their names then, all in lower case
	// names: by the name that a table had in the beginning, in small letters, and by that of its column: what the column is called
	// now, be it in a table that was made in the place of the first; "" when it was dropped. What is not there kept its name.
	names   map[string]map[string]string
	feeds   []feed
	given   map[string]bool // "table.column", in small letters: names of now that a column was given by a rename
	unkeyed map[string]bool // by its name, in small letters: what may have lost a key on the way; see keyless.go
	loosely map[string]bool // by what they were called in the beginning: tables of SQLite that had rows, each with a key that could be NULL
	up      bool
	loses   bool // the author accepts that what no capture can hold is lost
}

func (t *tracker) accepts() bool { return t != nil && t.loses }

type madeColumn struct {
	table  engine.Name
	column string
}

// made reports whether the migration made the table.
func (t *tracker) made(x *engine.Table) bool {
	if t == nil || t.origin == nil || t.elsewhere(x) {
		return false
	}
	_, there := t.origin[identity(x)]
	return !there
}

// madeColumn reports whether the migration made the column.
func (t *tracker) madeColumn(x *engine.Table, c engine.Column) bool {
	if t == nil || t.origin == nil || t.elsewhere(x) {
		return false
	}
	o, there := t.origin[identity(x)]
	if !there {
		_, stands := t.standsFor(x, c)
		return !stands
	}
	_, there = o.Columns[columnIdentity(x, c)]
	return !there
}

// adopts takes the columns of a table that came while its lock was waited for for somebody else's, and tells whether there are any: nothing of the migration ran
// meanwhile. had is the table as it was before.
func (t *tracker) adopts(now, had *engine.Table) bool {
	o, there := t.origin[identity(now)]
	if !there || now.OID == 0 || now.OID != had.OID {
		return false
	}
	found := false
	for _, c := range now.Columns {
		id := columnIdentity(now, c)
		if _, known := o.Columns[id]; known || slices.ContainsFunc(had.Columns, func(x engine.Column) bool { return x.Ordinal == c.Ordinal }) {
			continue
		}
		o.Columns[id], found = columnShape{Name: c.Name, Type: c.Type}, true
	}
	return found
}

// elsewhere: in another database, whose names are not followed.
func (t *tracker) elsewhere(x *engine.Table) bool { return x.Name.Schema != "" && !t.s.db.Caps.Schemas }

// home gives the names that the table and its column had when the migration began.
func (t *tracker) home(x *engine.Table) engine.Name {
	if o, ok := t.origin[identity(x)]; ok {
		return o.Name
	}
	if n, ok := t.beganAs(x.Name.Name); ok { // it was made anew in the place of one that was renamed
		return n
	}
	return x.Name
}

func (t *tracker) homeColumn(x *engine.Table, c engine.Column) string {
	if o, ok := t.origin[identity(x)]; ok {
		if n, ok := o.Columns[columnIdentity(x, c)]; ok {
			return n.Name
		}
	} else if f, ok := t.standsFor(x, c); ok {
		return f.Name
	}
	return c.Name
}

// standsIn tells whether a table that the migration made stands in the place of a captured one, where others write to it by now.
func (t *tracker) standsIn(x *engine.Table) bool {
	return t.made(x) && t.standing[strings.ToLower(t.home(x).Name)] != nil
}

// standsFor gives the captured column in whose place one of such a table stands.
func (t *tracker) standsFor(x *engine.Table, c engine.Column) (field, bool) {
	home := strings.ToLower(t.home(x).Name)
	columns, was := t.standing[home], strings.ToLower(c.Name)
	if columns == nil || c.Generated {
		return field{}, false
	}
	if _, renamed := t.names[home][was]; renamed {
		was = ""
	}
	for from, now := range t.names[home] {
		if strings.EqualFold(now, c.Name) {
			was = from
		}
	}
	f, ok := columns[was]
	decl, text := t.s.f.store(c)
	return f, ok && decl == f.Decl && text == f.Text
}

// harmless are the statements for which names at the start do not matter: they neither destroy nor rename.
func harmless(e effects.Effect) bool {
	if e.Cascade { // it may take columns along
		return false
	}
	switch e.Kind {
	case effects.CreateTable, effects.AddColumn, effects.SetDefault, effects.DropDefault, effects.SetNotNull, effects.DropNotNull,
		effects.AlterColumn, effects.AddConstraint, effects.ValidateConstraint, effects.AlterTable, effects.Create, effects.Comment,
		effects.Grant, effects.Session, effects.Read, effects.Maintenance, effects.DropConstraint, effects.DetachPartition:
		return true
	case effects.Drop, effects.Alter, effects.Rename:
		return slices.Contains([]string{"index", "view", "trigger", "policy", "rule", "constraint"}, e.Object.Kind)
	}
	return false
}

// before prepares for a statement. It reads the names of everything the first time that they may matter.
func (t *tracker) before(ctx context.Context, q engine.Querier, es []effects.Effect) error {
	if t.origin != nil {
		return nil
	}
	if !slices.ContainsFunc(es, func(e effects.Effect) bool { return !harmless(e) }) {
		for _, e := range es {
			if err := t.making(ctx, q, e); err != nil {
				return err
			}
		}
		return nil
	}
	return t.read(ctx, q)
}

// read reads the names of everything, and leaves out what was made already.
func (t *tracker) read(ctx context.Context, q engine.Querier) error {
	now, err := t.s.d.shapes(ctx, q)
	if err != nil {
		return err
	}
	t.origin = now
	for _, n := range t.tables {
		if x, err := t.s.db.Inspect(ctx, q, n); err == nil {
			delete(t.origin, identity(x))
		} else if !errors.Is(err, engine.ErrNoTable) {
			return err
		}
	}
	for _, o := range t.origin {
		t.began = append(t.began, o.Name)
	}
	columns := slices.Clone(t.columns)
	for i := 0; i < len(columns); i++ {
		m := columns[i]
		x, err := t.s.db.Inspect(ctx, q, m.table)
		if errors.Is(err, engine.ErrNoTable) {
			continue
		}
		if err != nil {
			return err
		}
		for _, child := range x.Children { // it has the column, too
			columns = append(columns, madeColumn{child, m.column})
		}
		for _, c := range x.Columns {
			if strings.EqualFold(c.Name, m.column) && (c.Name == m.column || x.OID == 0) {
				delete(t.origin[identity(x)].Columns, columnIdentity(x, c))
			}
		}
	}
	return nil
}

// making notes what a harmless statement is about to make.
func (t *tracker) making(ctx context.Context, q engine.Querier, e effects.Effect) error {
	n := engine.Name{Schema: e.Table.Schema, Name: e.Table.Name}
	switch e.Kind {
	case effects.CreateTable:
		if e.IfExists {
			if _, err := t.s.db.Resolve(ctx, q, n); err == nil {
				return nil // it is there: nothing is made
			} else if !errors.Is(err, engine.ErrNoTable) {
				return err
			}
		}
		t.tables = append(t.tables, n)
	case effects.AddColumn:
		for _, c := range e.Columns {
			if e.IfExists {
				x, err := t.s.db.Inspect(ctx, q, n)
				if err != nil && !errors.Is(err, engine.ErrNoTable) {
					return err
				}
				if err == nil && slices.ContainsFunc(x.Columns, func(y engine.Column) bool {
					return y.Name == c || x.OID == 0 && strings.EqualFold(y.Name, c)
				}) {
					continue
				}
			}
			t.columns = append(t.columns, madeColumn{n, c})
		}
	}
	return nil
}

// key is the identity of a table where names are all there is.
func (t *tracker) key(n engine.Name) string {
	if t.s.f.choose != nil {
		return n.String()
	}
	return identityOf(n)
}

// after follows a statement's renames where identities are names, and forgets what is gone.
func (t *tracker) after(es []effects.Effect, named bool) {
	for _, e := range es {
		switch e.Kind {
		case effects.RenameTable:
			t.renamed(engine.Name{Schema: e.Table.Schema, Name: e.Table.Name}, e.NewName.Name)
			t.fedRenamed(e)
		case effects.Insert:
			t.feed(e, t.called)
		case effects.RenameColumn, effects.DropColumn:
			for _, c := range e.Columns {
				t.renamedColumn(e.Table.Name, c, e.NewName.Name)
			}
		}
	}
	if t.origin == nil || !named {
		return
	}
	for _, e := range es {
		key := t.key(engine.Name(e.Table))
		o, ok := t.origin[key]
		if !ok {
			continue
		}
		switch e.Kind {
		case effects.DropTable:
			delete(t.origin, key)
		case effects.RenameTable:
			delete(t.origin, key)
			t.origin[t.key(engine.Name{Name: e.NewName.Name})] = o
		case effects.RenameColumn:
			for _, c := range e.Columns {
				if n, ok := o.Columns[strings.ToLower(c)]; ok {
					delete(o.Columns, strings.ToLower(c))
					o.Columns[strings.ToLower(e.NewName.Name)] = n
				}
			}
		case effects.DropColumn:
			for _, c := range e.Columns {
				delete(o.Columns, strings.ToLower(c))
			}
		}
	}
}

// renamed follows tables from name to name.
func (t *tracker) renamed(from engine.Name, to string) {
	if t.stands == nil {
		t.stands = map[string]engine.Name{}
	}
	now := engine.Name{Schema: from.Schema, Name: to}
	for was, n := range t.stands {
		if strings.EqualFold(n.Name, from.Name) {
			t.stands[was] = now
		}
	}
	t.stands[strings.ToLower(from.Name)] = now
}

// feed is what an INSERT … SELECT took from one table, column by column.
type feed struct {
	into, from string // what the table is called now, and what the other one was called when the migration began
	fills      []effects.Fill
}

// filled names the columns that an INSERT … SELECT fills by their order, which is not the one of later.
func (s *Store) filled(ctx context.Context, q engine.Querier, es []effects.Effect) ([]effects.Effect, error) {
	out := es
	for i, e := range es {
		if e.Kind != effects.Insert || !slices.ContainsFunc(e.Fills, func(f effects.Fill) bool { return f.Column == "" }) {
			continue
		}
		t, err := s.db.Inspect(ctx, q, engine.Name(e.Table))
		if errors.Is(err, engine.ErrNoTable) {
			continue
		}
		if err != nil {
			return nil, err
		}
		fills := slices.Clone(e.Fills)
		for j := range fills[:min(len(fills), len(t.Columns))] {
			fills[j].Column = t.Columns[j].Name
		}
		out = slices.Clone(out)
		out[i].Fills = fills
	}
	return out, nil
}

// feed notes what an INSERT takes from one table. home gives what a table of now was called when the migration began, or what it is called where the migration
// made it; false for a name of no table.
func (t *tracker) feed(e effects.Effect, home func(effects.Name) (string, bool)) {
	if len(e.Fills) == 0 {
		return
	}
	var from []string
	for _, s := range e.Sources { // among them may be names of no tables
		if n, ok := home(s); ok {
			from = append(from, n)
		}
	}
	if len(from) == 1 {
		t.feeds = append(t.feeds, feed{e.Table.Name, from[0], e.Fills})
	}
}

// fedRenamed follows the tables that were filled from name to name.
func (t *tracker) fedRenamed(e effects.Effect) {
	for i := range t.feeds {
		if strings.EqualFold(t.feeds[i].into, e.Table.Name) {
			t.feeds[i].into = e.NewName.Name
		}
	}
}

// called is home for feed.
func (t *tracker) called(s effects.Name) (string, bool) {
	if n, ok := t.beganAs(s.Name); ok {
		return n.Name, true
	}
	named := func(n engine.Name) bool { return strings.EqualFold(n.Name, s.Name) }
	return s.Name, slices.ContainsFunc(t.began, named) || slices.ContainsFunc(t.tables, named)
}

// copied gives the column of a table that the migration made into which a column of one that was there was copied; "" where it was not. known tells whether
// what was taken from there is known column by column.
func (t *tracker) copied(home engine.Name, column string, into *engine.Table) (now string, known bool) {
	if renamed := t.names[strings.ToLower(home.Name)][strings.ToLower(column)]; renamed != "" {
		column = renamed
	}
	for _, f := range slices.Backward(t.feeds) {
		if !strings.EqualFold(f.into, into.Name.Name) || !strings.EqualFold(f.from, home.Name) {
			continue
		}
		known = true
		for i, fill := range f.fills {
			name := fill.Column
			if name == "" && len(f.fills) <= len(into.Columns) {
				name = into.Columns[i].Name // by their order
			}
			if j := columnIndex(into, name); fill.Copies != "" && strings.EqualFold(fill.Copies, column) && j >= 0 && !into.Columns[j].Generated {
				return into.Columns[j].Name, true
			}
		}
	}
	return "", known
}

// beganAs gives the name that the table of a name of now had when the migration began, by the renames alone.
func (t *tracker) beganAs(name string) (engine.Name, bool) {
	for _, n := range t.began {
		if now, ok := t.stands[strings.ToLower(n.Name)]; ok && strings.EqualFold(now.Name, name) {
			return n, true
		}
	}
	return engine.Name{}, false
}

// renamedColumn follows a column to another name, or to none.
func (t *tracker) renamedColumn(now, from, to string) {
	table := now
	if n, ok := t.beganAs(table); ok {
		table = n.Name
	}
	if t.names == nil {
		t.names, t.given = map[string]map[string]string{}, map[string]bool{}
	}
	delete(t.given, place(now, from))
	if to != "" {
		t.given[place(now, to)] = true
	}
	table, from = strings.ToLower(table), strings.ToLower(from)
	columns := t.names[table]
	if columns == nil {
		columns = map[string]string{}
		t.names[table] = columns
	}
	for was, now := range columns {
		if strings.EqualFold(now, from) {
			columns[was] = to
			return
		}
	}
	if _, another := columns[from]; !another {
		columns[from] = to
	}
}

func place(table, column string) string { return strings.ToLower(table + "." + column) }
