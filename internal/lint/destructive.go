package lint

import (
	"slices"
	"strconv"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

func dropsSchema(p *Pass) {
	if p.Effect.Kind != effects.DropSchema {
		return
	}
	k := p.Model.keyOf(p.Effect.Object, effects.Name{})
	if o := p.Model.object(k); o != nil && o.owner == p.Model {
		return
	}
	p.Report("drops "+p.Effect.Object.String()+" with all that is in it", "")
}

func dropsTable(p *Pass) {
	if p.Effect.Kind != effects.DropTable || !p.existing(p.Effect.Table) || p.rebuilt(p.Effect.Table) || p.isPartition(p.Effect.Table) {
		return
	}
	p.Report("drops table "+p.show(p.Effect.Table)+" and its rows", "")
}

func (p *Pass) isPartition(n effects.Name) bool {
	t := p.Model.Table(n)
	return t != nil && t.PartitionOf.Name != ""
}

func dropsColumn(p *Pass) {
	if p.Effect.Kind != effects.DropColumn {
		return
	}
	for _, c := range p.Effect.Columns {
		if p.existingColumn(p.Effect.Table, c) {
			p.Report("drops column "+p.show(p.Effect.Table)+"."+c+" and its values", "")
		}
	}
}

func truncates(p *Pass) {
	if p.Effect.Kind == effects.Truncate && p.existing(p.Effect.Table) {
		p.Report("removes all rows of "+p.show(p.Effect.Table), "")
	}
}

func dropsPartition(p *Pass) {
	switch {
	case p.Effect.Kind == effects.DropPartition:
		p.Report("drops partitions of "+p.show(p.Effect.Table)+" with their rows", "")
	case p.Effect.Kind == effects.DetachPartition:
		p.Report("takes partition "+p.show(p.Effect.Object.Name)+" out of "+p.show(p.Effect.Table), "")
	case p.Effect.Kind == effects.DropTable && p.isPartition(p.Effect.Table) && p.existing(p.Effect.Table):
		p.Report("drops partition "+p.show(p.Effect.Table)+" with its rows", "")
	}
}

func deletesAll(p *Pass) {
	if p.Effect.Kind == effects.Delete && !p.Effect.HasWhere && p.existing(p.Effect.Table) {
		p.Report("deletes every row of "+p.show(p.Effect.Table), "")
	}
}

func updatesAll(p *Pass) {
	if p.Effect.Kind == effects.Update && !p.Effect.HasWhere && p.existing(p.Effect.Table) {
		p.Report("changes every row of "+p.show(p.Effect.Table), "")
	}
}

func cascades(p *Pass) {
	e := p.Effect
	switch e.Kind {
	case effects.DropTable, effects.DropColumn, effects.Truncate, effects.Drop, effects.DropConstraint, effects.DropSchema:
		if e.Cascade && p.Engine == effects.Postgres && e.Object.Kind != "database" {
			if e.Table.Name != "" && !p.existing(e.Table) {
				return
			}
			p.Report("CASCADE takes along whatever depends on it, unnamed", "name what is to go, and leave CASCADE out")
		}
	case effects.Delete:
		if to := p.deleteReaches(e.Table); to != "" {
			p.Report("rows of "+to+" go as well, by ON DELETE CASCADE", "")
		}
	}
}

// deleteReaches names the tables that lose rows through foreign keys to n.
func (p *Pass) deleteReaches(n effects.Name) string {
	if !p.existing(n) {
		return ""
	}
	k := p.Model.key(n)
	var out []string
	for _, t := range p.Model.hangers(k) {
		if t.Name == k {
			continue
		}
		for _, c := range t.Constraints {
			if c.Kind == "foreign key" && c.OnDelete == "CASCADE" && p.Model.key(c.Parent) == k {
				out = append(out, p.show(t.Name))
				break
			}
		}
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// oldType is the column's type before the current effect; "" when it is not known or the column is new.
func (p *Pass) oldType() (from, to string) {
	e := p.Effect
	if e.Kind != effects.AlterColumnType || e.Column == nil || e.Column.Type == "" || len(e.Columns) == 0 || !p.existingColumn(e.Table, e.Columns[0]) {
		return "", ""
	}
	c := p.Model.Table(e.Table).column(e.Columns[0])
	if c == nil {
		return "", e.Column.Type
	}
	return c.Type, e.Column.Type
}

func narrows(p *Pass) {
	from, to := p.oldType()
	if from == "" || !narrower(p.Engine, from, to) {
		return
	}
	p.Report("values of "+p.show(p.Effect.Table)+"."+p.Effect.Columns[0]+" may not fit any more: "+from+" becomes "+to, "")
}

// ranks order the numeric types by what they hold.
var ranks = map[string]int{"tinyint": 1, "smallint": 2, "mediumint": 3, "int": 4, "integer": 4, "bigint": 5, "numeric": 9, "decimal": 9}

var floats = map[string]int{"real": 1, "float": 1, "double": 2, "double precision": 2}

var texts = map[string]int{"tinytext": 8, "text": 16, "mediumtext": 24, "longtext": 32, "tinyblob": 8, "blob": 16, "mediumblob": 24, "longblob": 32}

// narrower says whether some value of type from has no equal in type to.
func narrower(d effects.Dialect, from, to string) bool {
	if sameType(d, from, to) {
		return false
	}
	a, b := strings.TrimSuffix(typeBase(from), " unsigned"), strings.TrimSuffix(typeBase(to), " unsigned")
	m, n := lengths(from), lengths(to)
	switch {
	case isText(to) || texts[b] > 0:
		return narrowerText(a, b, m, n)
	case a == b && len(m) == 2 && len(n) == 2: // numeric(p,s)
		return n[1] < m[1] || n[0]-n[1] < m[0]-m[1]
	case a == b && len(n) > 0:
		return len(m) == 0 || n[0] < m[0]
	case a == b:
		return strings.HasSuffix(from, "unsigned") != strings.HasSuffix(to, "unsigned")
	case ranks[a] > 0 && ranks[b] > 0:
		return ranks[b] < ranks[a] || b == "numeric" && len(n) > 0
	case floats[a] > 0 && floats[b] > 0:
		return floats[b] < floats[a]
	case ranks[a] > 0 && ranks[a] < 5 && b == "double precision", a == "json" && b == "jsonb":
		return false
	case a == "date" && strings.HasPrefix(b, "timestamp"), a == "character varying" && b == "citext", a == "text" && b == "citext":
		return false
	case strings.HasPrefix(a, "timestamp") && strings.HasPrefix(b, "timestamp"):
		return false
	case a == "enum" || a == "set":
		return false // DS111
	}
	return true
}

func narrowerText(a, b string, m, n []int) bool {
	switch {
	case texts[b] > 0 && texts[a] > 0:
		return texts[b] < texts[a]
	case texts[b] > 0 || len(n) == 0 && b == "character varying":
		return false
	case b == "character" && len(n) == 0:
		return true
	case len(n) == 0:
		return false
	}
	return len(m) == 0 && (isText(a) || texts[a] > 0) || len(m) > 0 && isText(a) && n[0] < m[0]
}

// lengths are the numbers in a type's brackets.
func lengths(t string) []int {
	_, rest, ok := strings.Cut(t, "(")
	if !ok {
		return nil
	}
	rest, _, _ = strings.Cut(rest, ")")
	var out []int
	for _, s := range strings.Split(rest, ",") {
		n, err := strconv.Atoi(strings.TrimSpace(s))
		if err != nil {
			return nil
		}
		out = append(out, n)
	}
	return out
}

func dropsType(p *Pass) {
	if p.Effect.Kind != effects.Drop {
		return
	}
	switch p.Effect.Object.Kind {
	case "type", "sequence", "domain":
	default:
		return
	}
	k := p.Model.keyOf(p.Effect.Object, effects.Name{})
	if o := p.Model.object(k); o != nil && o.owner == p.Model && p.Before.object(k) == nil {
		return
	}
	p.Report("drops "+p.Effect.Object.String(), "")
}

func shrinksEnum(p *Pass) {
	from, to := p.oldType()
	a, b := typeBase(from), typeBase(to)
	if a != b || a != "enum" && a != "set" {
		return
	}
	old, now := stringsIn(p.Engine, from), stringsIn(p.Engine, to)
	if len(now) < len(old) || !slices.Equal(old, now[:len(old)]) {
		p.Report("values of "+p.show(p.Effect.Table)+"."+p.Effect.Columns[0]+" are removed or change their number", "add values at the end only")
	}
}

func dropsSeveral(p *Pass) {
	n := 0
	for i := range p.Statement.Effects {
		e := &p.Statement.Effects[i]
		if e.Kind != effects.DropTable {
			continue
		}
		if n++; n == 2 && e == p.Effect {
			p.Report("one statement drops several tables, which MySQL and MariaDB do one after the other", "one DROP TABLE a statement")
		}
	}
}
