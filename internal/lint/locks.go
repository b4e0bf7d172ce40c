package lint

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

func buildsIndex(p *Pass) {
	e := p.Effect
	if e.Kind == effects.Create && e.Object.Kind == "index" && !e.Concurrently && p.existing(e.Table) {
		p.Report("writes to "+p.show(e.Table)+" wait while the index is built", "CREATE INDEX CONCURRENTLY in a migration of its own, with -- +goose NO TRANSACTION")
	}
}

func concurrentlyInTransaction(p *Pass) {
	if !p.Migration.Transactional || !p.Effect.Concurrently || !p.Statement.Autocommit {
		return
	}
	p.Report("CONCURRENTLY does not run inside a transaction", "-- +goose NO TRANSACTION")
}

func validatesAtOnce(p *Pass) {
	e := p.Effect
	if e.Kind != effects.AddConstraint || e.Constraint == nil || e.Constraint.NotValid || !p.existing(e.Table) {
		return
	}
	switch e.Constraint.Kind {
	case "check":
	case "foreign key":
		if p.onlyNew(e.Table, e.Constraint.Columns) {
			return
		}
	default:
		return
	}
	p.Report("the whole of "+p.show(e.Table)+" is checked under lock", "add it NOT VALID, and VALIDATE CONSTRAINT in a later migration")
}

func rewrites(p *Pass) {
	e := p.Effect
	if !p.existing(e.Table) {
		return
	}
	table := p.show(e.Table)
	switch {
	case e.Kind == effects.AddColumn && e.Column != nil && p.Engine == effects.Postgres:
		switch c := e.Column; {
		case c.Generated && c.Stored:
			p.Report("a stored generated column rewrites "+table+" under lock", "")
		case c.Serial || c.Identity:
			p.Report("numbering the rows rewrites "+table+" under lock", "")
		case c.HasDefault && slices.ContainsFunc(e.Calls, volatileDefault):
			p.Report("a default that differs from row to row rewrites "+table+" under lock", "add the column without it, SET DEFAULT, and fill it in batches")
		}
	case e.Kind == effects.AlterColumnType && len(e.Columns) == 0:
		p.Report("CONVERT TO CHARACTER SET copies "+table+" under lock", "")
	case e.Kind == effects.AlterColumnType:
		from, to := p.oldType()
		if to == "" || sameType(p.Engine, from, to) || from != "" && sameBytes(p.Engine, from, to) {
			return
		}
		how := " rewrites "
		if p.Engine != effects.Postgres {
			how = " copies "
		}
		p.Report("changing the type of "+p.show(e.Table)+"."+e.Columns[0]+how+table+" under lock", "")
	}
}

// volatileDefault: now() and its like have one value for all rows.
func volatileDefault(call string) bool {
	switch strings.TrimPrefix(call, "pg_catalog.") {
	case "random", "gen_random_uuid", "uuid_generate_v4", "uuid_generate_v1", "uuidv4", "uuidv7", "clock_timestamp", "timeofday", "nextval", "gen_random_bytes":
		return true
	}
	return false
}

// sameBytes: the stored values need not change.
func sameBytes(d effects.Dialect, from, to string) bool {
	a, b := typeBase(from), typeBase(to)
	m, n := lengths(from), lengths(to)
	switch {
	case d != effects.Postgres:
		return a == "varchar" && b == a && len(m) == 1 && len(n) == 1 && n[0] >= m[0] && (m[0] < 64) == (n[0] < 64)
	case isText(from) && isText(to) && a != "character":
		return len(n) == 0 && b != "character" || b == a && len(m) > 0 && len(n) > 0 && n[0] >= m[0]
	case a == "numeric" && b == a:
		return len(n) == 0 || len(m) == 2 && len(n) == 2 && n[1] == m[1] && n[0] >= m[0]
	case a == "cidr" && b == "inet":
		return true
	}
	return false
}

func scansForNulls(p *Pass) {
	e := p.Effect
	if e.Kind != effects.SetNotNull || !p.existing(e.Table) {
		return
	}
	for _, name := range e.Columns {
		if !p.existingColumn(e.Table, name) || p.provenNotNull(e.Table, name) {
			continue
		}
		p.Report("the whole of "+p.show(e.Table)+" is read under lock to find NULLs in "+name,
			"ADD CONSTRAINT … CHECK ("+name+" IS NOT NULL) NOT VALID, validate it, then SET NOT NULL and drop the check")
	}
}

// provenNotNull: a valid check tells the server that there are no NULLs.
func (p *Pass) provenNotNull(table effects.Name, column string) bool {
	t := p.Model.Table(table)
	if t == nil {
		return false
	}
	if c := t.column(column); c != nil && c.NotNull {
		return true
	}
	for _, c := range t.Constraints {
		if c.Kind == "check" && !c.NotValid && strings.Contains(canonical(p.Engine, c.Expression), strings.ToLower(column)+" is not null") {
			return true
		}
	}
	return false
}

func buildsKey(p *Pass) {
	e := p.Effect
	if e.Kind != effects.AddConstraint || e.Constraint == nil || e.Constraint.UsingIndex != "" || !p.existing(e.Table) {
		return
	}
	if e.Constraint.Kind == "unique" || e.Constraint.Kind == "primary key" {
		p.Report("reads and writes of "+p.show(e.Table)+" wait while the key's index is built", "CREATE UNIQUE INDEX CONCURRENTLY first, then ADD CONSTRAINT … USING INDEX")
	}
}

func backfills(p *Pass) {
	e := p.Effect
	if e.Kind != effects.Update && e.Kind != effects.Delete || !p.Migration.Transactional || !p.existing(e.Table) || e.HasWhere && !wholeTable(p.Engine, e.Where) {
		return
	}
	for i := range p.Migration.Up {
		for _, o := range p.Migration.Up[i].Effects {
			if strong(o) && p.Before.Table(o.Table) != nil {
				p.Report("every row of "+p.show(e.Table)+" is changed while the lock of line "+fmt.Sprint(p.Migration.Up[i].Line)+" is held", "put it into a migration of its own")
				return
			}
		}
	}
}

// wholeTable: a predicate that a column which was just added meets in every row.
func wholeTable(d effects.Dialect, where string) bool {
	tokens := effects.Tokens(d, where)
	return len(tokens) == 3 && tokens[1].Text == "is" && tokens[2].Text == "null"
}

func changesKey(p *Pass) {
	e := p.Effect
	if !p.existing(e.Table) {
		return
	}
	t := p.Model.Table(e.Table)
	switch {
	case e.Kind == effects.AddConstraint && e.Constraint != nil && e.Constraint.Kind == "primary key":
		p.Report("the primary key of "+p.show(e.Table)+" changes", "")
	case e.Kind == effects.DropConstraint && t != nil:
		i := t.constraint(e.Object.Name.Name)
		if i >= 0 && t.Constraints[i].Kind == "primary key" || p.Before.mysql() && constraintKind(e) == "primary key" {
			p.Report("the primary key of "+p.show(e.Table)+" changes", "")
		}
	case e.Kind == effects.DropColumn && t != nil:
		for _, c := range e.Columns {
			if hasName(t.primary(), c) {
				p.Report("the primary key of "+p.show(e.Table)+" loses column "+c, "")
			}
		}
	}
}

// strong: effects that lock readers of a table out.
func strong(e effects.Effect) bool {
	switch e.Kind {
	case effects.DropTable, effects.RenameTable, effects.SetSchema, effects.Truncate, effects.AddColumn, effects.DropColumn, effects.RenameColumn,
		effects.AlterColumnType, effects.SetDefault, effects.DropDefault, effects.SetNotNull, effects.DropNotNull, effects.AlterColumn,
		effects.DropExpression, effects.AddConstraint, effects.DropConstraint, effects.AlterTable, effects.AttachPartition, effects.DetachPartition:
		return e.Table.Name != ""
	}
	return false
}

// many is how many tables locked by one migration are worth a word.
const many = 3

func locksMany(p *Pass) {
	if !p.Migration.Transactional {
		return
	}
	var tables []string
	for i := range p.Migration.Up {
		for _, e := range p.Migration.Up[i].Effects {
			if !strong(e) || p.Before.Table(e.Table) == nil {
				continue
			}
			name := p.show(e.Table)
			if slices.Contains(tables, name) {
				continue
			}
			if tables = append(tables, name); len(tables) == many {
				p.reportAt("up", &p.Migration.Up[i], "readers of "+strings.Join(tables, ", ")+" are locked out until the end of this migration", "a migration a table")
				return
			}
		}
	}
}

func maintains(p *Pass) {
	e := p.Effect
	if e.Kind != effects.Maintenance || e.Concurrently {
		return
	}
	if e.Detail == "VACUUM FULL" || e.Detail == "CLUSTER" || e.Detail == "REINDEX" {
		fix := ""
		if e.Detail == "REINDEX" {
			fix = "REINDEX … CONCURRENTLY, with -- +goose NO TRANSACTION"
		}
		p.Report(e.Detail+" locks the table while it is written anew", fix)
	}
}

func controlsTransaction(p *Pass) {
	if p.Effect.Kind == effects.Transaction {
		p.Report("transactions are dbrollback's business: "+p.Effect.Detail+" is refused when the migration runs", "leave it out; -- +goose NO TRANSACTION if there must be none")
	}
}
