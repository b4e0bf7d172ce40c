package verify

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// PopulateOptions say what rows to make.
type PopulateOptions struct {
	Tables []engine.Name     // those to fill, with the tables that their foreign keys need; nil: all
	Rows   int               // a table
	Tame   bool              // no edge values: small numbers, short words, and texts that a change of type to Types can read
	Types  map[string]string // by "table.column", the type that it is about to be changed to
	Skip   []engine.Name     // stay as they are
	Fits   *Fits             // what is known from earlier calls; nil: nothing
	Seen   engine.Seen       // what is known of the tables
}

// Population is what Populate did.
type Population struct {
	Rows  map[engine.Name]int // added
	Notes []string            // tables that got fewer rows than were asked for, and why
}

// filler is what an engine knows about making rows.
type filler interface {
	// facts completes what Inspect says of a table's columns.
	facts(ctx context.Context, q engine.Querier, t *engine.Table) (*fillTable, error)
	// value gives the expression and the argument by which a value is written to a column.
	value(db *engine.DB, c *fillColumn, v any, n int) (expr string, arg any)
	// text is the expression that reads a column so that fromText can write it again.
	text(db *engine.DB, c *fillColumn) string
	// override stands in INSERT before VALUES, so that every column can be written.
	override() string
	// defaults stands there instead of columns and values, for a row of nothing but defaults.
	defaults() string
	// calm keeps the user's triggers from firing until the transaction ends, as far as the account may.
	calm(ctx context.Context, q engine.Querier) error
	stir(ctx context.Context, q engine.Querier) error
}

func newFiller(db *engine.DB) (filler, error) {
	switch db.Kind {
	case engine.Postgres:
		return postgresFiller{db}, nil
	case engine.SQLite:
		return sqliteFiller{}, nil
	case engine.MySQL, engine.MariaDB:
		return mysqlFiller{db}, nil
	}
	return nil, fmt.Errorf("no rows are generated on %s", db.Kind)
}

// fillTable is a table as far as its rows are concerned.
type fillTable struct {
	*engine.Table
	columns []*fillColumn
	source  string // all that facts read; "" when it is not one text
}

// fillColumn is a column as far as its values are concerned.
type fillColumn struct {
	engine.Column
	class      class
	size       int // characters, digits or bits; 0: no limit
	scale      int
	labels     []string // of an enum
	element    *fillColumn
	unique     bool
	integerKey bool     // SQLite: it is the row's number
	unsigned   bool     // MySQL
	ascii      bool     // its character set does not hold every character
	hints      []string // literals of the checks that mention it
	numbers    []int64  // numbers of those
	bounds     []string // values of a partition key that some partition takes
	as         class    // a text that is to read like this
}

// Populate fills tables with rows that satisfy their types, keys, checks and foreign keys, parents first, the same ones
// every time. It wants a transaction. A table for which no row can be found gets none, and a note says so; the
// error is only ever the connection's.
func Populate(ctx context.Context, db *engine.DB, q engine.Querier, o PopulateOptions) (*Population, error) {
	f, err := newFiller(db)
	if err != nil {
		return nil, err
	}
	if o.Tables == nil {
		if o.Tables, err = db.Tables(ctx, q); err != nil {
			return nil, err
		}
	}
	p := &populating{db: db, q: q, f: f, o: o, tables: map[engine.Name]*fillTable{}, out: &Population{Rows: map[engine.Name]int{}}}
	for _, n := range o.Tables {
		if err := p.learn(ctx, n, true); err != nil {
			return nil, err
		}
	}
	if err := within(ctx, q, func() error { return f.calm(ctx, q) }); err == nil {
		p.calm = true
	} else if ctx.Err() != nil {
		return nil, err
	}
	for _, n := range slices.Clone(p.names) {
		if slices.Contains(o.Skip, n) {
			continue
		}
		if err := p.fillWithParents(ctx, p.tables[n]); err != nil {
			return nil, fmt.Errorf("generate rows for %s: %w", n, err)
		}
	}
	if err := p.closeCycles(ctx); err != nil {
		return nil, err
	}
	if err := within(ctx, q, func() error { return f.stir(ctx, q) }); err != nil && ctx.Err() != nil {
		return nil, err
	}
	return p.out, nil
}

// populating is one run of Populate.
type populating struct {
	db     *engine.DB
	q      engine.Querier
	f      filler
	o      PopulateOptions
	tables map[engine.Name]*fillTable
	names  []engine.Name // in the order in which they were learned: depth first, so that parents come first and only cycles are out of order
	later  []laterKey
	calm   bool // no trigger fires
	out    *Population
}

// laterKey is a foreign key whose parent is filled after its child.
type laterKey struct {
	table *fillTable
	key   engine.ForeignKey
}

// learn reads a table and those that its rows refer to. Parents of parents are only wanted where a row must have one: else the
// chain of foreign keys, and the work, would be as long as the history.
func (p *populating) learn(ctx context.Context, n engine.Name, wanted bool) error {
	if _, ok := p.tables[n]; ok || p.db.Mine(n) {
		return nil
	}
	t, err := p.o.Seen.Inspect(ctx, p.db, p.q, n)
	if errors.Is(err, engine.ErrNoTable) {
		return nil
	}
	if err != nil {
		return err
	}
	switch t.Kind {
	case "table", "partitioned":
	case "partition": // filled through its parent
		return p.learn(ctx, t.Parent, wanted)
	default:
		return nil
	}
	ft, err := p.f.facts(ctx, p.q, t)
	if err != nil {
		return fmt.Errorf("read the columns of %s: %w", n, err)
	}
	for _, c := range ft.columns {
		if as := p.o.Types[n.Name+"."+c.Name]; p.o.Tame && as != "" {
			c.as = readsLike(as)
		}
	}
	p.tables[n] = ft
	for _, fk := range t.ForeignKeys {
		if !wanted && ft.allNullable(fk.Columns) {
			continue
		}
		if err := p.learn(ctx, fk.Parent, false); err != nil {
			return err
		}
	}
	p.names = append(p.names, n)
	return nil
}

// fillWithParents fills a table, and when it does not take all rows, perhaps because a check wants one of several parents,
// once more with the parents that were left out.
func (p *populating) fillWithParents(ctx context.Context, t *fillTable) error {
	notes := len(p.out.Notes)
	if err := p.fill(ctx, t); err != nil || p.out.Rows[t.Name] == p.o.Rows {
		return err
	}
	from := len(p.names)
	for _, fk := range t.ForeignKeys {
		if err := p.learn(ctx, fk.Parent, false); err != nil {
			return err
		}
	}
	if len(p.names) == from || p.out.Rows[t.Name] > 0 {
		return nil
	}
	parents := slices.Clone(p.names[from:])
	p.names = slices.Insert(p.names[:from], slices.Index(p.names, t.Name), parents...)
	for _, n := range parents {
		if slices.Contains(p.o.Skip, n) {
			continue
		}
		if err := p.fillWithParents(ctx, p.tables[n]); err != nil {
			return err
		}
	}
	p.out.Notes = p.out.Notes[:notes]
	return p.fill(ctx, t)
}

// before says whether a's rows are there when b's are made.
func (p *populating) before(a, b engine.Name) bool {
	return slices.Index(p.names, a) < slices.Index(p.names, b)
}

// row is one row to be: a value for each column that is written.
type row map[string]any

// parentRow holds the referenced columns of a row of a parent.
type parentRow []any

// fill makes the rows of one table.
func (p *populating) fill(ctx context.Context, t *fillTable) error {
	m := &maker{p: p, t: t, parents: map[string][]parentRow{}}
	for _, fk := range t.ForeignKeys {
		if fk.Parent == t.Name || !p.before(fk.Parent, t.Name) {
			if fk.Parent != t.Name {
				p.later = append(p.later, laterKey{t, fk})
			}
			continue
		}
		rows, err := p.read(ctx, fk.Parent, fk.ParentColumns)
		if err != nil {
			return err
		}
		m.parents[fk.Name+strings.Join(fk.Columns, ",")] = rows
	}
	m.first = m.row(0, 0)
	all := make([]row, p.o.Rows)
	for i := range all {
		all[i] = m.row(i, 0)
	}
	if err := within(ctx, p.q, func() error { return p.insert(ctx, t, all) }); err == nil {
		p.out.Rows[t.Name] += len(all)
		return nil
	} else if fatal(ctx, err) {
		return err
	}
	key, err := p.fitKey(ctx, t, m, all)
	if err != nil {
		return err
	}
	if known, ok := p.o.Fits.get(key); ok {
		err := within(ctx, p.q, func() error { return p.insertAll(ctx, t, known.rows) })
		if err == nil {
			p.took(t, known)
			return nil
		} else if fatal(ctx, err) {
			return err
		}
	}
	fits, err := p.oneByOne(ctx, t, m)
	if err != nil {
		return err
	}
	p.o.Fits.put(key, fits)
	p.took(t, fits)
	return nil
}

// attempts is how often a row is varied before it is given up; a table that takes none of the first ones is
// given up with it.
const attempts = 24

func (p *populating) oneByOne(ctx context.Context, t *fillTable, m *maker) (out fit, err error) {
	m.first = nil
	way, left := 0, 4*p.o.Rows
	var last error
	var good row
	for i := 0; i < p.o.Rows && left > 0; i++ {
		done := false
		for k := 0; k < attempts && !done && left > 0; k++ {
			// What worked for the row before is tried first.
			r := m.row(i, (way+k)%attempts)
			if good != nil && k%2 == 1 {
				r = m.like(good, r)
			}
			err := within(ctx, p.q, func() error { return p.insert(ctx, t, []row{r}) })
			switch {
			case err == nil:
				done, way, good = true, (way+k)%attempts, r
				if out.rows = append(out.rows, r); len(out.rows) == 1 {
					m.first = r
				}
			case fatal(ctx, err):
				return out, err
			default:
				last = err
				left--
			}
		}
		if !done && len(out.rows) == 0 && i > 0 {
			break
		}
	}
	if last != nil {
		out.reason = last.Error()
		if e, ok := engine.AsError(last); ok {
			out.reason, _, _ = strings.Cut(e.Message, ": Failing row") // the row is made up
		}
	}
	return out, nil
}

// took counts the rows that a table has taken.
func (p *populating) took(t *fillTable, f fit) {
	p.out.Rows[t.Name] += len(f.rows)
	if len(f.rows) < p.o.Rows && f.reason != "" {
		p.out.Notes = append(p.out.Notes, fmt.Sprintf("%d of %d rows could be generated for %s: %s", len(f.rows), p.o.Rows, t.Name, f.reason))
	}
}

// fatal tells the end of a connection from a value that does not fit.
func fatal(ctx context.Context, err error) bool {
	e, ok := engine.AsError(err)
	return ctx.Err() != nil || !ok || e.Class == engine.ConnectionLost || e.Class == engine.Cancelled || e.Class == engine.DiskFull
}

// insert writes rows in one statement.
func (p *populating) insert(ctx context.Context, t *fillTable, rows []row) error {
	var columns []*fillColumn
	for _, c := range t.columns {
		if _, ok := rows[0][c.Name]; ok {
			columns = append(columns, c)
		}
	}
	if len(columns) == 0 {
		for range rows {
			if _, err := p.q.ExecContext(ctx, "INSERT INTO "+p.db.Quote(t.Name)+p.f.defaults()); err != nil {
				return err
			}
		}
		return nil
	}
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = c.Name
	}
	var args []any
	tuples := make([]string, len(rows))
	for i, r := range rows {
		exprs := make([]string, len(columns))
		for j, c := range columns {
			expr, arg := p.f.value(p.db, c, r[c.Name], len(args)+1)
			exprs[j], args = expr, append(args, arg)
		}
		tuples[i] = "(" + strings.Join(exprs, ", ") + ")"
	}
	_, err := p.q.ExecContext(ctx, "INSERT INTO "+p.db.Quote(t.Name)+" ("+p.db.Idents(names)+")"+p.f.override()+" VALUES "+strings.Join(tuples, ", "), args...)
	return err
}

// mostParents is how many rows of a parent are chosen from.
const mostParents = 500

// read gives columns of a table's rows, in an order that does not change.
func (p *populating) read(ctx context.Context, n engine.Name, columns []string) ([]parentRow, error) {
	t, ok := p.tables[n]
	if !ok {
		return nil, nil
	}
	exprs := make([]string, len(columns))
	for i, name := range columns {
		at := slices.IndexFunc(t.columns, func(c *fillColumn) bool { return strings.EqualFold(c.Name, name) })
		if at < 0 {
			return nil, nil
		}
		exprs[i] = p.f.text(p.db, t.columns[at])
	}
	list := strings.Join(exprs, ", ")
	var not []string
	for _, c := range columns {
		not = append(not, p.db.Ident(c)+" IS NOT NULL")
	}
	rows, err := p.q.QueryContext(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT %d", list, p.db.Quote(n), strings.Join(not, " AND "), list, mostParents))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []parentRow
	for rows.Next() {
		r := make(parentRow, len(columns))
		into := make([]any, len(columns))
		for i := range r {
			into[i] = &r[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	return out, rows.Err()
}

// closeCycles gives the rows of tables that refer to each other in a circle their parents, where NULL stood.
func (p *populating) closeCycles(ctx context.Context) error {
	for _, l := range p.later {
		parents, err := p.read(ctx, l.key.Parent, l.key.ParentColumns)
		if err != nil {
			return err
		}
		if len(parents) == 0 || len(l.table.Keys) == 0 {
			continue
		}
		keys, err := p.read(ctx, l.table.Name, l.table.Keys[0].Columns)
		if err != nil {
			return err
		}
		give := func(i int, key parentRow) error {
			var set, where []string
			var args []any
			put := func(name string, v any) string {
				at := slices.IndexFunc(l.table.columns, func(c *fillColumn) bool { return c.Name == name })
				expr, arg := p.f.value(p.db, l.table.columns[at], v, len(args)+1)
				args = append(args, arg)
				return p.db.Ident(name) + " = " + expr
			}
			for j, c := range l.key.Columns {
				set = append(set, put(c, parents[i%len(parents)][j]))
			}
			for j, c := range l.table.Keys[0].Columns {
				where = append(where, put(c, key[j]))
			}
			_, err := p.q.ExecContext(ctx, "UPDATE "+p.db.Quote(l.table.Name)+" SET "+strings.Join(set, ", ")+" WHERE "+strings.Join(where, " AND "), args...)
			return err
		}
		for { // up to the first row that does not take its parent
			failed := 0
			err := within(ctx, p.q, func() error {
				for i, key := range keys {
					if i%7 == 6 {
						continue // some stay without
					}
					if err := give(i, key); err != nil {
						failed = i
						return err
					}
				}
				return nil
			})
			if err == nil {
				break
			}
			if fatal(ctx, err) {
				return err
			}
			keys = keys[:failed]
		}
	}
	return nil
}

// within runs f in a savepoint, which is rolled back when f fails.
func within(ctx context.Context, q engine.Querier, f func() error) error {
	if _, err := q.ExecContext(ctx, "SAVEPOINT dbrollback_rows"); err != nil {
		return err
	}
	err := f()
	if err != nil {
		if _, rerr := q.ExecContext(context.WithoutCancel(ctx), "ROLLBACK TO SAVEPOINT dbrollback_rows"); rerr != nil {
			return errors.Join(err, rerr)
		}
	}
	_, rerr := q.ExecContext(context.WithoutCancel(ctx), "RELEASE SAVEPOINT dbrollback_rows")
	return errors.Join(err, rerr)
}

// seed mixes what a value depends on into a number that is the same every time.
func seed(parts ...any) uint64 {
	h := fnv.New64a()
	fmt.Fprintln(h, parts...)
	// FNV's low bits move little when only the end of the text changes.
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	return x ^ x>>33
}
