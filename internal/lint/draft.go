package lint

import (
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// DraftDown drafts the Down that undoes statements of Up on a schema: what they made is dropped, what they dropped or
// changed is brought back from the model, in the reverse order. It gives "" when there is nothing to undo. What
// the model cannot tell stands in the draft as a comment.
func DraftDown(model *Model, up []Statement) string {
	after := model.fork()
	var unfollowed []change
	unchecked := false
	for i := range up {
		after.begin(&up[i])
		for j := range up[i].Effects {
			unfollowed = append(unfollowed, after.unfollowed(&up[i], &up[i].Effects[j])...)
			after.apply(&up[i].Effects[j])
			unchecked = unchecked || after.played.unchecked
		}
	}
	down := draft(append(compare(model, after, after), unfollowed...), model, after)
	if unchecked && down != "" { // the types of the columns of a foreign key go back one by one, as they came
		down = "SET foreign_key_checks = 0;\n" + down + "SET foreign_key_checks = 1;\n"
	}
	return down
}

// draft writes the statements that undo changes, those of the last statement of Up first.
func draft(changes []change, before, after *Model) string {
	type step struct {
		order, rank int
		text        string
	}
	var steps []step
	drop, add := (&differ{before: before, mid: after, after: after}).retyped(changes)
	if len(drop) > 0 {
		steps = append(steps, step{order: len(after.played.order) + 2, text: script(drop)}, step{order: -1, text: script(add)})
	}
	for _, c := range beyondAlter(changes, before, after) {
		if c.verdict == taken || c.verdict == extra || c.up == nil {
			continue
		}
		s := step{order: after.played.order[c.up], rank: rank(c)}
		if c.first {
			s.order = len(after.played.order) + 1
		}
		if c.verdict == left && strings.HasPrefix(c.entity, "function ") {
			s.order = min(s.order, heldBy(c, changes, after))
		}
		switch {
		case c.note != "":
			s.text = "-- " + strings.Join(strings.Fields(c.note), " ") + "\n"
		case strings.Join(c.undo, "") == "":
			s.text = "-- " + c.entity + ": say here how it is brought back\n"
		default:
			s.text = script(c.undo)
		}
		if remade(c) { // what holds columns back, or goes with them, is dropped before they go, and made again when they are there
			at := s.order
			if needs := columnsOf(c, lost, changes, after); needs > 0 {
				at = min(at, needs)
			}
			s.order = max(s.order, columnsOf(c, left, changes, after))
			s.text, s.rank = script(c.undo[:1]), rank(change{verdict: left, entity: c.entity, before: c.before})
			steps = append(steps, step{order: at, rank: rank(change{verdict: lost, entity: c.entity, before: c.before}), text: script(c.undo[1:])})
		}
		steps = append(steps, s)
	}
	slices.SortStableFunc(steps, func(a, b step) int {
		if a.order != b.order {
			return b.order - a.order
		}
		return a.rank - b.rank
	})
	var b strings.Builder
	seen := map[string]bool{}
	for _, s := range steps {
		if !seen[s.text] { // one MODIFY gives back all that was changed of a column
			b.WriteString(s.text)
		}
		seen[s.text] = true
	}
	return b.String()
}

// heldBy gives the order of the first table that Up makes with a trigger which calls a function of Up's: the function goes when the table has gone.
func heldBy(c change, changes []change, after *Model) int {
	_, name, _ := strings.Cut(c.entity, " ")
	name, _, _ = strings.Cut(name[strings.LastIndexByte(name, '.')+1:], "(")
	at := after.played.order[c.up]
	for k := range after.allObjects() {
		o := after.object(k)
		if o == nil || o.Kind != "trigger" || !slices.ContainsFunc(effects.Tokens(after.dialect, o.SQL), func(t effects.Token) bool { return t.Text == name }) {
			continue
		}
		for _, x := range changes {
			if x.verdict == left && x.up != nil && x.entity == after.tableEntity(o.Table) {
				at = min(at, after.played.order[x.up])
			}
		}
	}
	return at
}

// beyondAlter puts the making of the table anew in the place of all that would change a table of SQLite back when ALTER TABLE cannot do a part of it: the rest
// alone fails, or leaves a third table. Where the table is not known well enough a note says what to write.
func beyondAlter(changes []change, before, after *Model) []change {
	if after.dialect != effects.SQLite {
		return changes
	}
	stuck := map[string][]string{}
	for _, c := range changes {
		if c.table != "" && !strings.HasPrefix(c.entity, "table ") && c.up != nil && c.verdict <= changed && c.note == "" && strings.Join(c.undo, "") == "" {
			stuck[c.table] = append(stuck[c.table], c.entity)
		}
	}
	var out []change
	var told []string // by a table that is made anew
	for _, c := range changes {
		what := stuck[c.table]
		if c.table == "" || what == nil {
			out = append(out, c)
			continue
		}
		if c.up == nil || c.entity != what[0] {
			continue
		}
		d := &differ{before: before, mid: after, after: after}
		if c.undo = d.anew(c.of); c.undo != nil {
			c.entity = "table " + c.table
			told = append(told, d.triggersOf(c.of)...)
			out = append(out, c)
			continue
		}
		c.note = "table " + c.table + ": ALTER TABLE of SQLite cannot bring back " + strings.Join(what, ", ") +
			". Write here: CREATE TABLE under another name, as it was; INSERT INTO it from " + c.table + "; DROP TABLE " + c.table + "; RENAME the new one; and its indexes and triggers again"
		out = append(out, c)
	}
	return slices.DeleteFunc(out, func(c change) bool { return slices.Contains(told, c.entity) })
}

// remade tells of a constraint or an index that is dropped and made again.
func remade(c change) bool {
	kind, _, _ := strings.Cut(c.entity, " ")
	return (kind == "constraint" || kind == "index") && (c.property == "definition" || c.property == "name") && len(c.undo) == 2 && c.undo[0] != "" && c.undo[1] != ""
}

// columnsOf tells of a constraint or an index that is dropped and made again which statement of Up was the last to take a column of its table, or with left to make one, by its
// order; 0 when none did.
func columnsOf(c change, v verdict, changes []change, after *Model) int {
	_, name, _ := strings.Cut(c.entity, " ")
	table := name[:max(strings.LastIndexByte(name, '.'), 0)]
	at := 0
	for _, x := range changes {
		if x.verdict == v && x.up != nil && strings.HasPrefix(x.entity, "column "+table+".") {
			at = max(at, after.played.order[x.up])
		}
	}
	return at
}

// rank orders what undoes one statement: what hangs on others goes first and comes back last.
func rank(c change) int {
	kind, _, _ := strings.Cut(c.entity, " ")
	n := map[string]int{"schema": 1, "extension": 2, "type": 3, "domain": 3, "sequence": 3, "function": 4, "table": 5, "column": 6, "index": 7, "constraint": 8, "view": 9,
		"materialized": 9}[kind]
	if n == 0 {
		n = 10
	}
	if kind == "constraint" && strings.HasPrefix(c.before, "foreign key") {
		n = 9
	}
	if c.verdict == left {
		return -n
	}
	return n
}

// script ends each statement as goose reads it: one that holds a semicolon at the end of a line is marked.
func script(statements []string) string {
	var b strings.Builder
	for _, s := range statements {
		s = strings.TrimRight(strings.TrimSpace(s), ";")
		if s == "" {
			continue
		}
		if strings.Contains(s, ";") {
			b.WriteString("-- +goose StatementBegin\n" + s + ";\n-- +goose StatementEnd\n")
			continue
		}
		b.WriteString(s + ";\n")
	}
	return b.String()
}

// joinSQL writes statements on one line.
func joinSQL(statements []string) string {
	var out []string
	for _, s := range statements {
		if s = strings.TrimSpace(s); s != "" {
			out = append(out, strings.Join(strings.Fields(s), " ")+";")
		}
	}
	return strings.Join(out, " ")
}

// Play folds the Up of migrations into a model: the schema that DraftDown wants.
func Play(d effects.Dialect, migrations []*Migration) *Model {
	model := NewModel(d)
	for _, m := range migrations {
		quiet := *m
		quiet.Skip = true
		p := newPass(&quiet, model, Options{Engine: d})
		p.play()
		model.commit(p.After)
	}
	return model
}
