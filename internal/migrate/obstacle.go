package migrate

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// Obstacle is data of now that a statement of Down may stumble over: the application wrote it since, and the older schema
// has no place for it. It was counted on the server before anything ran.
type Obstacle struct {
	Version int64    `json:"migration"`
	File    string   `json:"file"`
	Line    int      `json:"line"`
	Column  int      `json:"column"`
	Table   string   `json:"table"`
	Columns []string `json:"columns"`
	Problem string   `json:"problem"` // null | no value | too large | taken | check | no parent
	Rows    int64    `json:"rows"`
	Samples []string `json:"samples"`
	Message string   `json:"message"`
	certain bool     // nothing that runs before the statement can change it
	remade  bool     // no statement stumbles over it, but what makes again what Down leaves out
}

// mostSamples are shown of each obstacle.
const mostSamples = 3

// scout looks for obstacles in the way of some Downs, in the order in which they would run.
type scout struct {
	m       *Migrator
	q       engine.Querier
	s       *engine.Session // nil within a transaction
	found   []Obstacle
	notes   []string                      // what could not be looked at
	made    map[string]*effects.TableDef  // tables that the Downs make
	written map[engine.Name]bool          // tables whose rows statements so far may have written
	retyped map[string]bool               // columns, with their tables, whose values they have turned into another type: NULL stays NULL
	gone    map[string]bool               // columns, with their tables, that they have dropped or given another name
	any     bool                          // or any table's
	creates bool                          // something has a name since that later statements may use: a type, a function, a column
	puts    map[int64]map[string]struct{} // tables that a migration's captures go back to
	side    string                        // whose statements they are, in words
	asked   map[string]bool               // questions about the migration at hand
	remakes bool                          // what asks is not a statement, but what makes again what Down leaves out
}

// down is a migration that is to be undone, and what its Up changed.
type down struct {
	*Migration
	undo changes
}

func newScout(m *Migrator, q engine.Querier) *scout {
	return &scout{m: m, q: q, side: "Down", made: map[string]*effects.TableDef{}, written: map[engine.Name]bool{}, retyped: map[string]bool{}, gone: map[string]bool{},
		puts: map[int64]map[string]struct{}{}, asked: map[string]bool{}}
}

// captured notes which tables the captures of migrations go back to.
func (c *scout) captured(ctx context.Context) error {
	if ok, err := c.m.catalog.exists(ctx, c.q); err != nil || !ok {
		return err
	}
	all, err := c.m.store.List(ctx, c.q)
	if err != nil {
		return err
	}
	for _, sn := range all {
		for _, x := range sn.Captures {
			if x.Kind == snapshot.Definition {
				continue // it puts no rows back
			}
			if c.puts[sn.Migration] == nil {
				c.puts[sn.Migration] = map[string]struct{}{}
			}
			c.puts[sn.Migration][x.Table] = struct{}{}
		}
	}
	return nil
}

// obstacles looks at the tables as they are now. What a statement before it will have changed by then, it cannot know:
// what is found is a suspicion, unless it is certain.
func (m *Migrator) obstacles(ctx context.Context, s *engine.Session, downs []down) (_ []Obstacle, notes []string, err error) {
	c := newScout(m, s)
	c.s = s
	if err := c.captured(ctx); err != nil {
		return nil, nil, err
	}
	for _, d := range downs {
		c.asked, c.remakes = map[string]bool{}, false
		for _, st := range d.Down {
			for _, e := range st.Effects {
				if err := c.effect(ctx, d.Migration, st, e); err != nil {
					return nil, nil, err
				}
			}
			c.follow(ctx, st)
		}
		c.remakes = true
		if err := c.remade(ctx, d); err != nil {
			return nil, nil, err
		}
	}
	return c.found, c.notes, nil
}

// follow remembers what a statement may do to rows that later ones read.
func (c *scout) follow(ctx context.Context, st Statement) {
	for _, e := range st.Effects {
		switch {
		case e.Kind == effects.RenameColumn:
			c.creates = true
			c.mark(ctx, c.gone, e)
		case e.Kind == effects.Create || e.Kind == effects.AddColumn:
			c.creates = true
		case e.Kind == effects.CreateTable && e.Define != nil:
			c.made[strings.ToLower(e.Table.Name)] = e.Define
		case e.Kind == effects.Opaque || e.Kind == effects.RenameTable || e.Kind == effects.SetSchema || e.Kind == effects.DropSchema:
			c.any = true
		case e.Kind == effects.DropColumn: // the other columns stay as they are
			c.mark(ctx, c.gone, e)
		case e.Kind == effects.AlterColumnType && len(e.Columns) > 0:
			c.mark(ctx, c.retyped, e)
		case e.DestroysData() || e.Kind == effects.Insert:
			if t, err := c.m.db.Inspect(ctx, c.q, engine.Name(e.Table)); err == nil {
				c.written[t.Name] = true
				c.any = c.any || e.Kind != effects.AlterColumnType && writesElsewhere(t, e)
			}
		}
	}
}

// writesElsewhere tells whether what writes rows of a table may write some of other ones: by a trigger, or as foreign keys carry it on.
func writesElsewhere(t *engine.Table, e effects.Effect) bool {
	return len(t.Triggers) > 0 || e.Kind != effects.Insert && slices.ContainsFunc(t.Referenced, func(k engine.ForeignKey) bool {
		return e.Kind != effects.Update || len(e.Columns) == 0 || slices.ContainsFunc(k.ParentColumns, func(c string) bool {
			return slices.ContainsFunc(e.Columns, func(x string) bool { return strings.EqualFold(x, c) })
		})
	})
}

// mark puts the columns of an effect on a list.
func (c *scout) mark(ctx context.Context, list map[string]bool, e effects.Effect) {
	n, err := c.m.db.Resolve(ctx, c.q, engine.Name(e.Table))
	if err != nil {
		return
	}
	for _, col := range e.Columns {
		list[n.String()+"."+strings.ToLower(col)] = true
	}
}

// marked tells whether one of some columns of a table, or any column where none is named, is on a list.
func marked(list map[string]bool, t engine.Name, columns ...string) bool {
	for col := range list {
		if name, of := strings.CutPrefix(col, t.String()+"."); of && (len(columns) == 0 || slices.ContainsFunc(columns, func(x string) bool { return strings.EqualFold(x, name) })) {
			return true
		}
	}
	return false
}

// suspect is one question to the server.
type suspect struct {
	problem string
	columns []string
	what    string // what Down does, for the message
	count   func(ctx context.Context, t *engine.Table) (engine.Misfit, bool, error)
	where   func(t *engine.Table) string // the condition of count, where there is one; may be nil
	exprs   []string                     // what is to be unique; nil when the question is another one
	reads   engine.Name                  // the other table that it looks at; the zero Name when none
}

// effect asks about one effect of a statement.
func (c *scout) effect(ctx context.Context, mig *Migration, st Statement, e effects.Effect) error {
	if e.Table.Name == "" {
		return nil
	}
	if def := c.made[strings.ToLower(e.Table.Name)]; def != nil {
		if e.Kind == effects.Insert {
			return c.refill(ctx, mig, st, e, def)
		}
		return nil
	}
	questions := c.questions(mig, e)
	if len(questions) == 0 {
		return nil
	}
	t, err := c.m.db.Inspect(ctx, c.q, engine.Name(e.Table))
	if errors.Is(err, engine.ErrNoTable) {
		return nil // made by an earlier statement
	}
	if err != nil {
		return err
	}
	for _, q := range questions {
		asked := strings.ToLower(t.Name.String() + " " + q.problem + " " + strings.Join(q.columns, ","))
		if c.remakes && c.asked[asked] {
			continue // a statement makes it
		}
		c.asked[asked] = true
		if q.reads.Name != "" {
			if q.reads, err = c.m.db.Resolve(ctx, c.q, q.reads); errors.Is(err, engine.ErrNoTable) {
				continue // made by an earlier statement, or it comes back
			}
			if err != nil {
				return err
			}
		}
		m, known, err := q.count(ctx, t)
		if err := c.harmless(ctx, err); err != nil {
			return err
		}
		switch {
		case err != nil && (c.creates || len(c.made) > 0) && isClass(err, engine.Syntax): // it names what this rollback makes
		case err != nil:
			c.notes = append(c.notes, fmt.Sprintf("%s:%d:%d: whether the rows of %s stand in its way could not be told: %v", mig.File, st.Line, st.Column, t.Name, err))
		case known && m.Rows > 0:
			_, filled := c.puts[mig.Version][t.Name.String()]
			still := !c.any && !c.written[t.Name]
			if q.problem != noValue {
				still = still && !marked(c.gone, t.Name, q.columns...) && (q.problem == "null" || !marked(c.retyped, t.Name, q.columns...))
			}
			if q.reads.Name != "" {
				_, comes := c.puts[mig.Version][q.reads.String()]
				still = still && !comes && !c.written[q.reads] && !marked(c.retyped, q.reads) && !marked(c.gone, q.reads)
			}
			certain := still && (!filled || q.problem == noValue)
			if still && !certain && !(c.m.db.Caps.TransactionalDDL && mig.Transactional) { // there a rehearsal decides
				sure, err := c.untouched(ctx, mig, t, q)
				if err := c.harmless(ctx, err); err != nil {
					return err
				}
				if err == nil && sure.Rows > 0 {
					m, certain = sure, true
				}
			}
			c.add(mig, st, t.Name.String(), q, m, certain)
		}
	}
	return nil
}

// untouched counts the rows of a suspicion that no captured data goes back to: nothing will have changed them by then.
func (c *scout) untouched(ctx context.Context, mig *Migration, t *engine.Table, q suspect) (engine.Misfit, error) {
	if q.where == nil {
		return engine.Misfit{}, nil
	}
	where := q.where(t)
	if where == "" {
		return engine.Misfit{}, nil
	}
	uncovered, known, err := c.m.store.Uncovered(ctx, c.q, mig.Version, t)
	if err != nil || !known {
		return engine.Misfit{}, err
	}
	if where = "(" + where + ") AND " + uncovered; q.exprs != nil {
		return c.m.db.CountTwins(ctx, c.q, t, q.exprs, where, mostSamples)
	}
	shown := q.columns
	if q.problem == "null" {
		shown = nil
	}
	return c.m.db.CountRows(ctx, c.q, t, where, shown, mostSamples)
}

// harmless passes on only what ends the run: that a question cannot be asked must not keep anybody from rolling back.
func (c *scout) harmless(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if isClass(err, engine.ConnectionLost, engine.Unreachable) {
		return err
	}
	return nil
}

const noValue = "no value"

// wantsValues tells of a new column that no row can do without, and that has no value by itself.
func wantsValues(e effects.Effect) bool {
	return e.Kind == effects.AddColumn && e.Column != nil && e.Column.NotNull && !e.Column.HasDefault && !e.Column.Generated && !e.Column.Identity && !e.Column.Serial
}

// untilRows says which tables must get no new rows behind an Up, as far as that is certain, or else its rollback is refused; "" when there is no such
// table. The database is as Up has left it.
func (m *Migrator) untilRows(ctx context.Context, q engine.Querier, mig *Migration) string {
	c := newScout(m, q)
	for _, st := range mig.Down {
		for _, e := range st.Effects {
			if !wantsValues(e) || c.any || c.made[strings.ToLower(e.Table.Name)] != nil {
				continue
			}
			if t, err := m.db.Inspect(ctx, q, engine.Name(e.Table)); err == nil && !c.written[t.Name] {
				return fmt.Sprintf("rows come into %s: Down adds %s NOT NULL without a default", t.Name, e.Column.Name)
			}
		}
		c.follow(ctx, st)
	}
	return ""
}

func (c *scout) questions(mig *Migration, e effects.Effect) []suspect {
	db := c.m.db
	var out []suspect
	rows := func(problem, what, where string, columns ...string) {
		out = append(out, suspect{problem: problem, columns: columns, what: what, count: func(ctx context.Context, t *engine.Table) (engine.Misfit, bool, error) {
			shown := columns
			if problem == "null" {
				shown = nil
			}
			m, err := db.CountRows(ctx, c.q, t, where, shown, mostSamples)
			return m, true, err
		}, where: func(*engine.Table) string { return where }})
	}
	twins := func(what string, exprs []string, where string, columns ...string) {
		out = append(out, suspect{problem: "taken", columns: columns, what: what, count: func(ctx context.Context, t *engine.Table) (engine.Misfit, bool, error) {
			m, err := db.CountTwins(ctx, c.q, t, exprs, where, mostSamples)
			return m, true, err
		}, where: func(*engine.Table) string { return cmp.Or(where, "1 = 1") }, exprs: exprs})
	}
	switch {
	case e.Kind == effects.SetNotNull:
		for _, col := range e.Columns {
			rows("null", "makes "+col+" NOT NULL", db.Ident(col)+" IS NULL", col)
		}
	case wantsValues(e):
		col := e.Column.Name
		out = append(out, suspect{problem: noValue, columns: []string{col}, what: "adds " + col + " NOT NULL without a default",
			count: func(ctx context.Context, t *engine.Table) (engine.Misfit, bool, error) {
				n, keys, err := c.m.store.Uncaptured(ctx, c.q, mig.Version, t, col, mostSamples)
				return engine.Misfit{Rows: n, Samples: keys}, true, err
			}})
	case e.Kind == effects.AlterColumnType && e.Column != nil:
		for _, col := range e.Columns {
			out = append(out, suspect{problem: "too large", columns: []string{col}, what: "changes " + col + " to " + e.Column.Type,
				count: func(ctx context.Context, t *engine.Table) (engine.Misfit, bool, error) {
					if c.s == nil {
						where := db.TooLarge(t, col, e.Column.Type, e.Column.Using)
						if where == "" {
							return engine.Misfit{}, false, nil
						}
						m, err := db.CountRows(ctx, c.q, t, where, []string{col}, mostSamples)
						return m, true, err
					}
					return c.s.Misfits(ctx, t, col, e.Column.Type, e.Column.Using, mostSamples)
				}, where: func(t *engine.Table) string { return db.TooLarge(t, col, e.Column.Type, e.Column.Using) }})
			if e.Column.NotNull && !(c.side == "Up" && (e.Column.Identity || strings.HasPrefix(strings.ToLower(e.Column.Type), "timestamp"))) { // the server may have a value for those
				rows("null", "makes "+col+" NOT NULL", db.Ident(col)+" IS NULL", col)
			}
		}
	case e.Kind == effects.AddConstraint && e.Constraint != nil && !e.Constraint.NotValid && !e.Constraint.NotEnforced:
		k := e.Constraint
		quoted := make([]string, len(k.Columns))
		for i, col := range k.Columns {
			quoted[i] = db.Ident(col)
		}
		switch {
		case k.Kind == "check" && k.Expression != "":
			rows("check", "demands "+k.Expression, "NOT ("+k.Expression+")")
		case (k.Kind == "unique" || k.Kind == "primary key") && len(quoted) > 0:
			twins("makes "+strings.Join(k.Columns, ", ")+" unique", quoted, "", k.Columns...)
			for i, col := range k.Columns {
				if k.Kind == "primary key" {
					rows("null", "makes "+col+" a key", quoted[i]+" IS NULL", col)
				}
			}
		case k.Kind == "foreign key" && len(quoted) > 0 && len(quoted) == len(k.ParentColumns):
			var same, set []string
			for i := range quoted {
				same = append(same, "p."+db.Ident(k.ParentColumns[i])+" = "+db.Ident(e.Table.Name)+"."+quoted[i])
				set = append(set, quoted[i]+" IS NOT NULL")
			}
			rows("no parent", "refers to "+k.Parent.String(), strings.Join(set, " AND ")+
				" AND NOT EXISTS (SELECT 1 FROM "+db.Quote(engine.Name(k.Parent))+" p WHERE "+strings.Join(same, " AND ")+")", k.Columns...)
			out[len(out)-1].reads = engine.Name(k.Parent)
		}
	case e.Kind == effects.Create && e.Index != nil && e.Index.Unique && len(e.Index.Columns) > 0:
		exprs := make([]string, len(e.Index.Columns))
		for i, col := range e.Index.Columns {
			if exprs[i] = db.Ident(col); e.Index.Expressions && !plainName.MatchString(col) {
				exprs[i] = col
			}
		}
		twins("makes "+strings.Join(e.Index.Columns, ", ")+" unique", exprs, e.Index.Where, e.Index.Columns...)
	}
	return out
}

var (
	plainName  = regexp.MustCompile(`^\w+$`)
	fromSelect = regexp.MustCompile(`(?is)\b((?:SELECT|WITH)\b.*)$`)
)

// refill asks about the rows that go into a table which Down makes: the way in which SQLite's tables are changed.
func (c *scout) refill(ctx context.Context, mig *Migration, st Statement, e effects.Effect, def *effects.TableDef) error {
	db := c.m.db
	columns := slices.Clone(e.Columns)
	if len(columns) == 0 {
		for _, d := range def.Columns {
			if !d.Generated {
				columns = append(columns, d.Name)
			}
		}
	}
	source := fromSelect.FindString(st.SQL)
	if source == "" || len(columns) == 0 {
		return nil
	}
	has := func(name string) bool {
		return slices.ContainsFunc(columns, func(c string) bool { return strings.EqualFold(c, name) })
	}
	with := fmt.Sprintf("WITH dbrollback_rows(%s) AS (%s) ", db.Idents(columns), source)
	ask := func(problem, what, query string, columns ...string) error {
		var n int64
		err := c.q.QueryRowContext(ctx, with+query).Scan(&n)
		if err := c.harmless(ctx, err); err != nil {
			return err
		}
		if err == nil && n > 0 { // an error: it reads what the Down itself makes
			c.add(mig, st, e.Table.String(), suspect{problem: problem, columns: columns, what: what}, engine.Misfit{Rows: n}, false)
		}
		return nil
	}
	for _, d := range def.Columns {
		if d.NotNull && has(d.Name) {
			if err := ask("null", "makes "+d.Name+" NOT NULL", "SELECT count(*) FROM dbrollback_rows WHERE "+db.Ident(d.Name)+" IS NULL", d.Name); err != nil {
				return err
			}
		}
	}
	for _, k := range def.Constraints {
		if (k.Kind != "unique" && k.Kind != "primary key") || len(k.Columns) == 0 || slices.ContainsFunc(k.Columns, func(n string) bool { return !has(n) }) {
			continue
		}
		var set []string
		for _, n := range k.Columns {
			set = append(set, db.Ident(n)+" IS NOT NULL")
		}
		if err := ask("taken", "makes "+strings.Join(k.Columns, ", ")+" unique", fmt.Sprintf("SELECT count(*) FROM (SELECT 1 FROM dbrollback_rows WHERE %s GROUP BY %s HAVING count(*) > 1) AS twins",
			strings.Join(set, " AND "), db.Idents(k.Columns)), k.Columns...); err != nil {
			return err
		}
	}
	return nil
}

func (c *scout) add(mig *Migration, st Statement, table string, q suspect, m engine.Misfit, certain bool) {
	o := Obstacle{remade: c.remakes, Version: mig.Version, File: mig.File, Line: st.Line, Column: st.Column, Table: table, Columns: q.columns, Problem: q.problem, Rows: m.Rows, Samples: m.Samples, certain: certain}
	what := map[string]string{
		"null": "%s of %s without a value", noValue: "%s of %s for which no value was captured", "too large": "%s of %s with a value that does not fit",
		"taken": "%s of %s that several rows have", "check": "%s of %s that break it", "no parent": "%s of %s whose parent is not there",
	}[q.problem]
	rows := "1 row"
	switch {
	case q.problem == "taken" && m.Rows == 1:
		rows = "1 value"
	case q.problem == "taken":
		rows = fmt.Sprintf("%d values", m.Rows)
	case m.Rows != 1:
		rows = fmt.Sprintf("%d rows", m.Rows)
	}
	subject := c.side + " "
	if c.remakes {
		subject = "what Down leaves out is made again, which "
	}
	o.Message = subject + q.what + ", but there " + map[bool]string{true: "is ", false: "are "}[m.Rows == 1] + fmt.Sprintf(what, rows, table)
	if len(m.Samples) > 0 {
		o.Message += " (" + strings.Join(m.Samples, "; ")
		if m.Rows > int64(len(m.Samples)) {
			o.Message += "; …"
		}
		o.Message += ")"
	}
	if o.Columns == nil {
		o.Columns = []string{}
	}
	if o.Samples == nil {
		o.Samples = []string{}
	}
	c.found = append(c.found, o)
}
