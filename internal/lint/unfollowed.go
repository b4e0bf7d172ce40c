package lint

import (
	"slices"
	"strconv"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// partition is one of a table of MySQL or MariaDB, with all that its definition says.
type partition struct{ name, def string }

// partitionsIn reads the definitions PARTITION name VALUES …, behind "PARTITION BY" or in an action of ALTER TABLE; nil when there are none, or
// when they are not written out one by one.
func partitionsIn(d effects.Dialect, sql string) []partition {
	tokens := effects.Tokens(d, sql)
	var out []partition
	for i := 0; i+1 < len(tokens); i++ {
		if !isWord("partition")(tokens[i]) || i == 0 || tokens[i-1].Text != "(" && tokens[i-1].Text != "," {
			continue
		}
		end, depth := i+1, 0
		for ; end < len(tokens) && (depth > 0 || tokens[end].Text != "," && tokens[end].Text != ")" || tokens[end].Kind != effects.Punct); end++ {
			switch {
			case tokens[end].Kind != effects.Punct:
			case tokens[end].Text == "(":
				depth++
			case tokens[end].Text == ")":
				depth--
			}
		}
		out = append(out, partition{tokens[i+1].Text, written(d, tokens[i:end])})
		i = end - 1
	}
	return out
}

// charsetIn reads which character set and collation a table has by the words behind its columns, or is given by an action of ALTER TABLE.
func charsetIn(d effects.Dialect, sql string) (charset, collation string) {
	tokens := effects.Tokens(d, sql)
	depth := 0
	for i, t := range tokens {
		switch {
		case t.Kind == effects.Punct && t.Text == "(":
			depth++
		case t.Kind == effects.Punct && t.Text == ")":
			depth--
		}
		value := func(at int) string {
			if at < len(tokens) && tokens[at].Text == "=" {
				at++
			}
			if at < len(tokens) {
				return tokens[at].Text
			}
			return ""
		}
		switch {
		case depth > 0 || t.Kind != effects.Word:
		case t.Text == "charset":
			charset = value(i + 1)
		case t.Text == "character" && i+1 < len(tokens) && tokens[i+1].Text == "set":
			charset = value(i + 2)
		case t.Text == "collate":
			collation = value(i + 1)
		case t.Text == "partition":
			return charset, collation
		}
	}
	return charset, collation
}

// tableOptions takes down what CREATE TABLE of MySQL says behind the columns.
func (m *Model) tableOptions(t *Table) {
	if !m.mysql() || m.played.current == nil || len(m.saying().Effects) != 1 {
		return
	}
	t.Charset, t.Collation = charsetIn(m.dialect, m.saying().SQL)
	t.Partitions = partitionsIn(m.dialect, m.saying().SQL)
}

// alterOptions follows an action of ALTER TABLE on character set or partitions.
func (m *Model) alterOptions(e *effects.Effect) {
	if !m.mysql() || e.Table.Name == "" || m.Table(e.Table) == nil {
		return
	}
	detail := strings.ToUpper(e.Detail)
	switch {
	case e.Kind == effects.DropPartition:
		t := m.edit(e.Table)
		t.Partitions = slices.DeleteFunc(slices.Clone(t.Partitions), func(p partition) bool { return strings.EqualFold(p.name, e.Object.Name.Name) })
	case strings.HasPrefix(detail, "ADD PARTITION"):
		if t := m.edit(e.Table); t.Partitions != nil {
			t.Partitions = append(slices.Clone(t.Partitions), partitionsIn(m.dialect, actionText(m.played.current, e))...)
		}
	case e.Kind == effects.AlterTable && strings.Contains(detail, "PARTITION"):
		m.edit(e.Table).Partitions = nil
	case strings.Contains(detail, "CHARACTER SET"), strings.Contains(detail, "CHARSET"):
		if e.Kind == effects.AlterTable || len(e.Columns) == 0 {
			t := m.edit(e.Table)
			t.Charset, t.Collation = charsetIn(m.dialect, actionText(m.played.current, e))
		}
	}
}

// actionText is the text of an action of ALTER TABLE: that of the statement when it has no other, because what stands with an effect may be cut short.
func actionText(st *Statement, e *effects.Effect) string {
	switch {
	case st != nil && len(st.Effects) == 1:
		return st.SQL
	case strings.HasSuffix(e.Detail, "…"):
		return ""
	}
	return e.Detail
}

// unfollowed is what takes back an effect that comparing two schemas does not show, or why nobody can say. It is for drafts.
func (m *Model) unfollowed(st *Statement, e *effects.Effect) []change {
	say := func(entity string, undo []string, note string) []change {
		return []change{{verdict: changed, entity: entity, up: st, undo: undo, note: note}}
	}
	if e.Kind == effects.Opaque && m.guarded(st) != nil {
		return nil
	}
	if e.Kind == effects.Opaque {
		where := ""
		if st.Line > 0 {
			where = " on line " + strconv.Itoa(st.Line)
		}
		return say("statement", nil, "the "+e.Detail+where+": its text does not tell what it changes; write here what takes it back, and above both -- +dbrollback affects: <the tables>")
	}
	if entity, undo, note := m.untold(e); entity != "" {
		return say(entity, undo, note)
	}
	t := m.Table(e.Table)
	if !m.mysql() || e.Table.Name == "" {
		return nil
	}
	d := &differ{before: m, mid: m, after: m}
	table, entity, detail := d.name(m.key(e.Table)), m.tableEntity(m.key(e.Table)), strings.ToUpper(e.Detail)
	switch {
	case e.Kind == effects.DropPartition:
		return m.undoDropPartition(st, e, t, say)
	case strings.HasPrefix(detail, "ADD PARTITION"):
		var names []string
		for _, p := range partitionsIn(m.dialect, actionText(st, e)) {
			names = append(names, d.ident(p.name))
		}
		if names == nil {
			return say(entity, nil, table+": which partitions this adds is left to the server; write: ALTER TABLE "+table+" COALESCE PARTITION <how many>")
		}
		return say(entity, []string{"ALTER TABLE " + table + " DROP PARTITION " + strings.Join(names, ", ")}, "")
	case strings.HasPrefix(detail, "CONVERT TO"), e.Kind == effects.AlterTable && (strings.Contains(detail, "CHARACTER SET") || strings.Contains(detail, "CHARSET")):
		verb := " CONVERT TO CHARACTER SET "
		if e.Kind == effects.AlterTable {
			verb = " DEFAULT CHARACTER SET "
		}
		if t == nil || t.Charset == "" && t.Collation == "" {
			return say(entity, nil, table+": no migration says which character set it has now (SHOW CREATE TABLE does); write: ALTER TABLE "+table+verb+"<that one>")
		}
		charset := t.Charset
		if charset == "" {
			charset, _, _ = strings.Cut(t.Collation, "_")
		}
		undo := []string{"ALTER TABLE " + table + verb + charset}
		if t.Collation != "" {
			undo[0] += " COLLATE " + t.Collation
		}
		if e.Kind != effects.AlterTable {
			for i := range t.Columns { // what has a length of its own, or a character set
				if c := &t.Columns[i]; texts[typeBase(c.Type)] > 0 || c.Collation != "" || strings.Contains(c.Type, " character set ") {
					undo = append(undo, d.modify(t, c)...)
				}
			}
		}
		return say(entity, undo, "")
	case e.Kind == effects.AlterTable && strings.Contains(detail, "PARTITION"):
		return say(entity, nil, table+": "+strings.Join(strings.Fields(e.Detail), " ")+": write here the partitions of before (SHOW CREATE TABLE "+table+" has them)")
	}
	return nil
}

// undoDropPartition makes a dropped partition again in its place: behind the others, or in front of the one that is next.
func (m *Model) undoDropPartition(st *Statement, e *effects.Effect, t *Table, say func(string, []string, string) []change) []change {
	d := &differ{before: m, mid: m, after: m}
	table, entity := d.name(m.key(e.Table)), m.tableEntity(m.key(e.Table))
	i := -1
	if t != nil {
		i = slices.IndexFunc(t.Partitions, func(p partition) bool { return strings.EqualFold(p.name, e.Object.Name.Name) })
	}
	if i < 0 {
		return say(entity, nil, table+": no migration says what partition "+e.Object.Name.Name+" holds (SHOW CREATE TABLE "+table+" does); write: ALTER TABLE "+table+" ADD PARTITION (…)")
	}
	dropped := func(p partition) bool {
		return slices.ContainsFunc(st.Effects, func(o effects.Effect) bool {
			return o.Kind == effects.DropPartition && strings.EqualFold(o.Object.Name.Name, p.name)
		})
	}
	p := t.Partitions[i]
	if rest := t.Partitions[i+1:]; strings.Contains(strings.ToLower(p.def), "values") {
		if n := slices.IndexFunc(rest, func(o partition) bool { return !dropped(o) }); n >= 0 {
			next := rest[n]
			return say(entity, []string{"ALTER TABLE " + table + " REORGANIZE PARTITION " + d.ident(next.name) + " INTO (" + p.def + ", " + next.def + ")"}, "")
		}
	}
	return say(entity, []string{"ALTER TABLE " + table + " ADD PARTITION (" + p.def + ")"}, "")
}
