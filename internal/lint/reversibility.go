package lint

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// does says whether statements change anything that lasts.
func does(statements []Statement) *Statement {
	for i := range statements {
		for j := range statements[i].Effects {
			e := &statements[i].Effects[j]
			switch e.Kind {
			case effects.Read, effects.Session, effects.Maintenance, effects.Transaction:
			default:
				if !e.Temporary && !isRestart(e) {
					return &statements[i]
				}
			}
		}
	}
	return nil
}

// isRestart: where a sequence goes on is no part of its definition, and never goes back.
func isRestart(e *effects.Effect) bool {
	return e.Kind == effects.Alter && e.Object.Kind == "sequence" && slices.Contains([]string{"RESTART", "setval", "nextval"}, e.Detail)
}

func noDown(p *Pass) {
	first := does(p.Migration.Up)
	if first == nil || p.irreversible() || does(p.Migration.Down) != nil {
		return
	}
	rows := !p.options.NoCapture && onlyCaptured(p.Migration.Up)
	if rows && len(p.Migration.Down) > 0 {
		return // the rows come back by themselves, and somebody said that there is nothing to write
	}
	message := "no Down section: this migration cannot be undone"
	switch {
	case len(p.Migration.Down) > 0:
		message = "the Down section changes nothing: this migration cannot be undone"
	case p.Migration.HasDown:
		message = "the Down section is empty: this migration cannot be undone"
	}
	if rows {
		// Nothing of the schema is in danger, and captures would give the rows back; goose takes a Down without a
		// statement for none, so it has to have one.
		p.reportAt("up", first, "the Down has no statement, so that nothing takes back the rows that Up changes", "SELECT 1;")
		p.out[len(p.out)-1].Severity = Warning
		return
	}
	p.reportAt("up", first, message, strings.TrimSpace(draft(append(slices.Clone(p.changes), p.more...), p.Before, p.After)))
	if (p.Migration.HasDown || len(p.Migration.Down) > 0) && (onlyRows(p) || inVain(p) || p.After.played.doubted && onlyOpaque(p.Migration.Up)) {
		p.out[len(p.out)-1].Severity = Warning // the schema is in no danger, and somebody said that there is nothing to write
	}
}

// wants says whether the rules that compare Down with Up have something to compare.
func (p *Pass) wants() bool {
	return !p.irreversible() && does(p.Migration.Down) != nil
}

func notUndone(p *Pass) {
	if !p.wants() {
		return
	}
	for _, c := range p.changes {
		if c.verdict != left && c.verdict != lost && c.verdict != changed || c.up == nil || c.quiet || p.addedValue(c) {
			continue
		}
		p.tell("up", c.up, c)
	}
	p.rowsLeft()
}

// tell reports a difference; one of writing alone is no error.
func (p *Pass) tell(section string, st *Statement, c change) {
	n := len(p.out)
	p.reportAt(section, st, p.words(c), joinSQL(c.undo))
	if c.mild && len(p.out) > n {
		p.out[n].Severity = Warning
	}
}

// words tell a difference.
func (p *Pass) words(c change) string {
	var s string
	switch c.verdict {
	case left:
		s = "Down does not drop " + c.entity + hint(p, c)
	case lost:
		s = "Down does not bring back " + c.entity
		if c.before != "" && c.before != "exists" {
			s += " (" + c.before + ")"
		}
	case changed:
		switch {
		case c.mild:
			s = "Down leaves the text of " + c.entity + " as Up wrote it: the same code in other blanks, letters or comments"
		case c.property == "name":
			s = fmt.Sprintf("Down does not rename %s back: it stays %s", c.entity, c.after)
		case c.before == "" && c.after == "" || c.before == "another definition":
			s = fmt.Sprintf("Down does not take back the change of the %s of %s", c.property, c.entity)
		default:
			s = fmt.Sprintf("Down leaves the %s of %s changed: it was %s, it stays %s", c.property, c.entity, shown(c.before), shown(c.after))
		}
	case wrong:
		switch {
		case c.mild:
			s = "Down brings back " + c.entity + " with the same code in other blanks, letters or comments: its text is not what it was"
		case c.property == "":
			s = "Down makes the table anew without " + c.entity
			if c.before != "" && c.before != "exists" {
				s += " (" + c.before + ")"
			}
		case c.property == "definition" && c.before == "another definition":
			s = "Down brings back " + c.entity + " with another definition than it had"
		default:
			s = fmt.Sprintf("Down brings back %s with another %s: it was %s, it becomes %s", c.entity, c.property, shown(c.before), shown(c.after))
		}
	case extra:
		s = "Down makes " + c.entity + ", which was not there before Up"
	case taken:
		s = "Down drops " + c.entity + ", which Up did not make"
	}
	return s
}

func shown(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

// hint names a drop in Down of something that is not there: most likely a misspelling.
func hint(p *Pass, c change) string {
	kind, _, _ := strings.Cut(c.entity, " ")
	for _, m := range p.Undone.played.missed {
		if m.kind == kind && m.at != nil {
			where := fmt.Sprintf("line %d", m.at.Line)
			if m.at.File != "" && m.at.File != p.Migration.File {
				where = fmt.Sprintf("%s:%d", m.at.File, m.at.Line)
			}
			return fmt.Sprintf("; %s drops %s, which is not there", where, m.name)
		}
	}
	return ""
}

// rowsLeft: rows that Up inserts into a table which was there, and which Down does not delete from.
func (p *Pass) rowsLeft() {
	if p.Undone.played.opaque || p.Undone.played.doubted {
		return
	}
	names := make([]effects.Name, 0, len(p.After.played.inserted))
	for k := range p.After.played.inserted {
		names = append(names, k)
	}
	slices.SortFunc(names, func(a, b effects.Name) int { return strings.Compare(a.String(), b.String()) })
	for _, k := range names {
		t := p.Undone.Table(k)
		if p.Before.Table(k) == nil || t == nil || t.Doubt || p.Undone.played.cleared[k] || p.After.wasDropped(k) || t.Origin.Name != "" && t.Origin != k {
			continue
		}
		if madeAnew(p.After, k, p.After.Table(k)) && (madeAnew(p.Undone, k, t) || p.carried(k)) {
			continue // the table of that name was exchanged, and its rows came along
		}
		before := len(p.out)
		p.reportAt("up", p.After.played.inserted[k], "Down does not delete the rows that Up inserts into "+p.show(k), "")
		if len(p.out) > before {
			p.out[before].Severity = Warning // the schema is undone
		}
	}
}

// carried says whether the first rows that Up inserts into a table which it made anew are those of the one that was there.
func (p *Pass) carried(k effects.Name) bool {
	return slices.ContainsFunc(p.After.played.inserted[k].Effects, func(e effects.Effect) bool {
		return slices.ContainsFunc(e.Sources, func(n effects.Name) bool {
			from := p.After.key(n)
			return from == k || p.After.wasDropped(from) || p.After.Table(from) != nil && p.After.Table(from).Origin == k
		})
	})
}

func undoneDifferently(p *Pass) {
	if !p.wants() {
		return
	}
	for _, c := range p.changes {
		if c.verdict != wrong && c.verdict != extra || c.quiet || c.down == nil && c.up == nil {
			continue
		}
		section, st := "down", c.down
		if st == nil {
			section, st = "up", c.up
		}
		p.tell(section, st, c)
	}
}

func undoesTooMuch(p *Pass) {
	if !p.wants() {
		return
	}
	for _, c := range p.changes {
		if c.verdict == taken && c.down != nil && !c.quiet {
			p.reportAt("down", c.down, p.words(c), "")
		}
	}
	p.emptied()
}

// emptied reports what Down drops and makes again, so that the schema is as it was, and nothing is in it.
func (p *Pass) emptied() {
	for _, o := range effects.Overreaches(bare(p.Migration.Up), bare(p.Migration.Down)) {
		name := effects.Name{Schema: o.Schema, Name: o.Table}
		was, what := name, p.show(name)
		if o.Column == "" {
			was.Name = o.Was
		} else {
			what += "." + o.Column
		}
		there := func(m *Model) bool {
			t := m.Table(was)
			return t != nil && (o.Column == "" || t.column(o.Was) != nil)
		}
		if !o.Captured && !o.Carried && there(p.Before) && there(p.Undone) {
			p.reportAt("down", &p.Migration.Down[o.Statement], "Down drops "+what+", which was there before Up, and carries nothing of what is in it over to the one that it makes", "")
		}
	}
}

func bare(list []Statement) []effects.Statement {
	var out []effects.Statement
	for _, st := range list {
		out = append(out, st.Statement)
	}
	return out
}

func notUnderstood(p *Pass) {
	if p.Effect.Kind != effects.Opaque || p.declared() != nil || p.Statement.Unreadable(p.Engine) {
		return
	}
	what := p.Effect.Detail
	if p.Statement.ParseError != "" {
		what = "the grammar rejects it: " + p.Statement.ParseError
	}
	consequence := "it is rehearsed before it runs, so that what it touches can be captured"
	switch {
	case p.Effect.Refused != "":
		consequence = "up refuses it, as there is no client that could send the rows"
	case p.Before.mysql():
		consequence = "what it destroys cannot be captured"
	}
	p.Report("the effect of this statement is not known ("+what+"); "+consequence, "-- +dbrollback affects: <the tables that it changes>")
}

// addedValue: RV006 tells it better.
func (p *Pass) addedValue(c change) bool {
	return p.Engine == effects.Postgres && c.up != nil && slices.ContainsFunc(c.up.Effects, isAddValue)
}

func isAddValue(e effects.Effect) bool {
	return e.Kind == effects.Alter && e.Object.Kind == "type" && e.Detail == "ADD VALUE"
}

func addsEnumValue(p *Pass) {
	if p.irreversible() {
		return
	}
	for i := range p.Migration.Up {
		st := &p.Migration.Up[i]
		for _, e := range st.Effects {
			if isAddValue(e) && !p.enumUndone(e.Object) {
				p.reportAt("up", st, "a value added to "+e.Object.String()+" stays: PostgreSQL cannot remove it", p.enumFix(e.Object))
			}
		}
	}
}

// enumFix is what takes the value away again; where more than columns hang on the type, what has to be written.
func (p *Pass) enumFix(o effects.Object) string {
	entity := p.Before.objectEntity(p.Before.keyOf(o, effects.Name{}))
	for _, c := range p.changes {
		if c.entity == entity && len(c.undo) > 0 {
			return joinSQL(c.undo)
		}
	}
	return "in Down, make the type anew: " + enumByHand
}

// enumByHand says how a type is made anew.
const enumByHand = "ALTER TYPE … RENAME TO …_old; CREATE TYPE …; for each column of it ALTER TABLE … ALTER COLUMN … DROP DEFAULT, " +
	"ALTER COLUMN … TYPE … USING …::text::…, ALTER COLUMN … SET DEFAULT …; DROP TYPE …_old. Views, functions, checks and partial indexes on them are dropped before, and made again behind"

// enumUndone says whether Down makes the type anew, or drops what this migration made.
func (p *Pass) enumUndone(o effects.Object) bool {
	k := p.Before.keyOf(o, effects.Name{})
	before, after := p.Before.object(k), p.Undone.object(k)
	if before == nil && p.After.object(k) != nil {
		return true // made by this migration: whether it goes is RV002's business
	}
	if before != nil && after != nil {
		return after.Doubt || slices.Equal(before.Values, after.Values)
	}
	if p.Undone.played.opaque && p.Undone.maybe(o.Name.Name) {
		return true
	}
	for _, st := range p.Migration.Down {
		for _, e := range st.Effects {
			if (e.Kind == effects.Drop || e.Kind == effects.Rename) && e.Object.Kind == "type" && strings.EqualFold(e.Object.Name.Name, o.Name.Name) {
				return true
			}
		}
	}
	return false
}

func losesUncaptured(p *Pass) {
	if !p.options.NoCapture || p.irreversible() || p.Effect.Kind == effects.Opaque {
		return
	}
	if p.Effect.Loss() < effects.LossData || p.Effect.Table.Name != "" && !p.existing(p.Effect.Table) {
		return
	}
	for _, n := range p.Migration.Notes {
		if n.Kind == effects.NoCapture && n.Applies(p.Section, p.Statement.Line) {
			return
		}
	}
	p.Report("captures are switched off, and Down cannot know the data that this destroys", "switch captures on, or declare it: -- +dbrollback no-capture: <reason>")
}

func willFail(p *Pass) {
	p.unreadable("up", p.Migration.Up)
	if p.wants() {
		p.unreadable("down", p.Migration.Down)
	}
	if !p.After.played.opaque {
		p.failures("up", p.After, "this statement of Up will fail: ", "")
	}
	if p.wants() && !p.Undone.played.opaque {
		p.failures("down", p.Undone, "this statement of Down will fail: ", "undo in the reverse order of Up")
	}
}

// unreadable reports statements that no server takes for SQL.
func (p *Pass) unreadable(section string, statements []Statement) {
	for i := range statements {
		if st := &statements[i]; st.Unreadable(p.Engine) {
			p.reportAt(section, st, "this statement of "+strings.ToUpper(section[:1])+section[1:]+" will fail, it is no SQL: "+st.ParseError, "")
		}
	}
}

func (p *Pass) failures(section string, m *Model, says, fix string) {
	var last *Statement
	for _, f := range m.played.failures {
		if f.at != last {
			p.reportAt(section, f.at, says+f.message, fix)
		}
		last = f.at
	}
}

func leavesDatabase(p *Pass) {
	if p.Effect.Kind == effects.External {
		p.Report("this reaches out of the database and cannot be undone: "+p.Effect.Detail, "")
	}
}

func changesUnkeyed(p *Pass) {
	switch p.Effect.Kind {
	case effects.Update, effects.Delete, effects.Upsert, effects.Replace, effects.Merge:
	default:
		return
	}
	t := p.Model.Table(p.Effect.Table)
	if t == nil || t.Partial || t.Doubt || t.keyed() || t.Temporary || !p.existing(p.Effect.Table) || rowID(p.Engine, t) {
		return
	}
	p.Report("table "+p.show(p.Effect.Table)+" has no primary or unique key: it is captured and restored whole", "")
}

// rowID: a row of SQLite has a key of its own, unless the table does without.
func rowID(d effects.Dialect, t *Table) bool { return d == effects.SQLite && !t.NoRowID }

// deadPragmas have no effect inside a transaction.
var deadPragmas = []string{"foreign_keys", "journal_mode", "auto_vacuum", "page_size", "encoding", "wal_checkpoint"}

// notAtomic warns: such a migration may well be right, and undone. It is an error where the engine rejects it.
func notAtomic(p *Pass) {
	if p.Engine == effects.SQLite {
		p.pragmas("up", p.Migration.Up, p.Before)
		p.pragmas("down", p.Migration.Down, p.After)
		return
	}
	commits := 0
	for i := range p.Migration.Up {
		st := &p.Migration.Up[i]
		if !slices.ContainsFunc(st.Effects, commitsByItself) {
			continue
		}
		if commits++; commits == 2 {
			p.reportAt("up", st, "a second statement that commits by itself: after a failure here the migration is half applied", "put each into a migration of its own")
			return
		}
	}
}

// pragmas looks at the statements of a section; m is the schema before them.
func (p *Pass) pragmas(section string, statements []Statement, m *Model) {
	if !p.Migration.Transactional {
		return
	}
	for i := range statements {
		tokens := effects.Tokens(p.Engine, statements[i].SQL)
		if len(tokens) < 4 || tokens[0].Text != "pragma" {
			continue
		}
		name, set := tokens[1].Text, tokens[2].Text
		if set == "." && len(tokens) > 5 {
			name, set = tokens[3].Text, tokens[4].Text
		}
		switch {
		case set != "=" && set != "(":
		case name == "synchronous":
			n := len(p.out)
			p.reportAt(section, &statements[i], "SQLite rejects PRAGMA synchronous inside a transaction", "-- +goose NO TRANSACTION")
			for ; n < len(p.out); n++ {
				p.out[n].Severity = Error
			}
		case slices.Contains(deadPragmas, name):
			what := "PRAGMA " + name + " has no effect inside a transaction"
			if name == "foreign_keys" {
				what += p.enforced(statements[i:], m)
			}
			p.reportAt(section, &statements[i], what, "-- +goose NO TRANSACTION")
		}
	}
}

// enforced says what happens to rows when foreign keys are not switched off after all.
func (p *Pass) enforced(statements []Statement, m *Model) string {
	defer func(was *Model) { p.Model = was }(p.Model)
	p.Model = m.fork() // a table that is there already is not of this migration
	for i := range statements {
		for _, e := range statements[i].Effects {
			if e.Kind != effects.DropTable {
				continue
			}
			if to := p.deleteReaches(e.Table); to != "" {
				return ": on a connection that enforces foreign keys, DROP TABLE " + p.show(e.Table) + " deletes the rows of " + to
			}
		}
	}
	return ""
}

// commitsByItself: what ends a transaction of MySQL.
func commitsByItself(e effects.Effect) bool {
	switch e.Kind {
	case effects.Insert, effects.Update, effects.Delete, effects.Upsert, effects.Replace, effects.Merge, effects.Read, effects.Session, effects.Opaque,
		effects.External, effects.Transaction:
		return false
	}
	return !e.Temporary
}

// fresh are functions whose value is another at each run.
var fresh = []string{"random", "rand", "gen_random_uuid", "uuid_generate_v4", "uuid_generate_v1", "uuid", "uuidv4", "uuidv7", "now", "current_timestamp", "current_date",
	"current_time", "localtimestamp", "localtime", "clock_timestamp", "statement_timestamp", "transaction_timestamp", "sysdate", "curdate", "curtime", "utc_timestamp",
	"unix_timestamp", "randomblob", "gen_random_bytes", "random_bytes", "timeofday"}

func notDeterministic(p *Pass) {
	switch p.Effect.Kind {
	case effects.Insert, effects.Update, effects.Delete, effects.Upsert, effects.Replace, effects.Merge:
	default:
		return
	}
	if p.Effect.Unordered {
		p.Report("LIMIT without ORDER BY: which rows this changes is left to chance", "add ORDER BY a unique key")
		return
	}
	for _, c := range p.Effect.Calls {
		name := strings.TrimPrefix(c, "pg_catalog.")
		if slices.Contains(fresh, name) {
			p.Report("the data depends on "+name+"(): Up gives something else each time it runs", "")
			return
		}
	}
}

func badAnnotations(p *Pass) {
	for _, n := range p.Migration.Notes {
		problem := n.Problem
		if problem == "" && n.Kind == effects.Ignore && !p.codes(n.Code) {
			problem = "no rule is called " + n.Code
		}
		if problem != "" {
			file := p.Migration.File
			if n.Section == "down" {
				file = cmp.Or(p.Migration.DownFile, file)
			}
			p.reportAt("", &Statement{File: file, Line: n.Line, Column: n.Column}, problem, "")
		}
	}
}
