package lint

import (
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// played is what the statements of one direction do to a layer.
type played struct {
	current  *Statement
	within   *effects.Statement // of current, when that is a block of statements
	index    int
	last     map[string]*Statement // entity -> the last statement that changed it
	order    map[*Statement]int
	failures []failure
	missed   []missed // drops of what is not there
	// supposed are things that the model does not know, but that a statement takes for granted.
	supposed map[string]bool
	// unknown are things that a statement drops and the model does not know: they may have been there.
	unknown  map[string]bool
	inserted map[effects.Name]*Statement
	cleared  map[effects.Name]bool // rows were deleted, or the table truncated or dropped
	// unchecked: foreign_key_checks are off on MySQL.
	unchecked bool
	doubted   bool                  // some statement may have made or dropped anything
	opaque    bool                  // some statement is not understood
	defines   bool                  // and it may change the schema
	columns   map[string]string     // renamed columns: entity of the new name -> the name when the layer began
	settings  map[string]*Statement // alterations that the model does not follow, by object
}

// failure is a statement that the engine will reject, as far as the model can tell.
type failure struct {
	at      *Statement
	message string
}

// missed is a drop of an object that is not there.
type missed struct {
	at   *Statement
	kind string
	name string
}

func newPlayed() *played {
	return &played{last: map[string]*Statement{}, order: map[*Statement]int{}, inserted: map[effects.Name]*Statement{},
		cleared: map[effects.Name]bool{}, settings: map[string]*Statement{}, columns: map[string]string{},
		supposed: map[string]bool{}, unknown: map[string]bool{}}
}

// touch notes that the current statement changes an entity.
func (m *Model) touch(entity string) {
	if m.played.current != nil {
		m.played.last[entity] = m.played.current
	}
}

// fail notes why the current statement will fail. Of several reasons the same one comes first in every run.
func (m *Model) fail(message string) {
	if m.played.current == nil {
		return
	}
	f := append(m.played.failures, failure{m.played.current, message})
	for i := len(f) - 1; i > 0 && f[i-1].at == f[i].at && f[i].message < f[i-1].message; i-- {
		f[i], f[i-1] = f[i-1], f[i]
	}
	m.played.failures = f
}

// miss notes a drop of something that the model does not know. Without IF EXISTS it must be there all the same.
func (m *Model) miss(entity string, e *effects.Effect) {
	m.touch(entity)
	m.played.unknown[entity] = true
	if !e.IfExists {
		m.played.supposed[entity] = true
	}
	kind, name, _ := strings.Cut(entity, " ")
	if m.maybe(name[strings.LastIndexByte(name, '.')+1:]) {
		return
	}
	m.played.missed = append(m.played.missed, missed{m.played.current, kind, name})
}

func (m *Model) tableEntity(n effects.Name) string { return "table " + m.show(m.key(n)) }

func (m *Model) childEntity(kind string, table effects.Name, name string) string {
	return kind + " " + m.show(m.key(table)) + "." + name
}

func (m *Model) indexEntity(t *Table, name string) string {
	if m.mysql() {
		return m.childEntity("index", t.Name, name)
	}
	return "index " + name
}

func (m *Model) mysql() bool { return m.dialect == effects.MySQL || m.dialect == effects.MariaDB }

// begin says which statement the effects that follow belong to.
func (m *Model) begin(st *Statement) {
	m.played.current = st
	if _, ok := m.played.order[st]; !ok {
		m.played.index++
		m.played.order[st] = m.played.index
	}
}

// saying is the statement whose words are followed: the current one, or one within it.
func (m *Model) saying() *effects.Statement {
	if m.played.within != nil {
		return m.played.within
	}
	return &m.played.current.Statement
}

// guarded are the statements of a DO block that makes what is missing, and does nothing else.
func (m *Model) guarded(st *Statement) []effects.Statement {
	if m.dialect != effects.Postgres || st == nil || st.ParseError != "" || len(st.Effects) != 1 || st.Effects[0].Detail != "DO block" {
		return nil
	}
	list, _ := effects.Guarded(st.SQL)
	return list
}

// follow folds the statements of such a block into the model; it is false when there are none.
func (m *Model) follow() bool {
	list := m.guarded(m.played.current)
	for i := range list {
		m.played.within = &list[i]
		for j := range list[i].Effects {
			m.apply(&list[i].Effects[j])
		}
	}
	m.played.within, m.played.defines = nil, m.played.defines || list != nil
	return list != nil
}

// spell takes down how a name is written that an effect gives.
func (m *Model) spell(e *effects.Effect) {
	var n effects.Name
	switch e.Kind {
	case effects.CreateTable:
		n = e.Table
	case effects.RenameTable:
		n = effects.Name{Schema: e.Table.Schema, Name: e.NewName.Name}
	case effects.Create:
		n = e.Object.Name
	}
	if n.Name != "" && m.dialect != effects.Postgres {
		m.spelled[m.key(n)] = n
	}
}

// apply folds one effect of the current statement into the model.
func (m *Model) apply(e *effects.Effect) {
	m.spell(e)
	if adds(e.Kind) {
		m.links = nil
		defer func() { m.links = nil }() // it may have dropped something first, and looked them up
	}
	if e.IfTable && e.Table.Name != "" && !m.isRelation(e.Table) {
		return
	}
	m.alterOptions(e)
	switch e.Kind {
	case effects.CreateTable:
		m.createTable(e)
	case effects.DropTable:
		m.dropTable(e)
	case effects.RenameTable:
		m.moveTable(e.Table, effects.Name{Schema: m.key(e.Table).Schema, Name: e.NewName.Name})
	case effects.SetSchema:
		if e.Table.Name != "" {
			m.moveTable(e.Table, e.NewName)
		} else {
			m.renameObject(e)
		}
	case effects.AddColumn, effects.DropColumn, effects.RenameColumn, effects.AlterColumnType, effects.SetDefault, effects.DropDefault,
		effects.SetNotNull, effects.DropNotNull, effects.AlterColumn, effects.DropExpression:
		m.applyColumn(e)
	case effects.AddConstraint:
		if e.Constraint != nil && m.present(e) {
			t := m.edit(e.Table)
			m.addConstraint(t, *e.Constraint, e.IfExists)
		}
	case effects.DropConstraint:
		if m.present(e) {
			m.dropConstraint(m.edit(e.Table), e.Object.Name.Name, e)
		}
	case effects.ValidateConstraint:
		t := m.edit(e.Table)
		if i := t.constraint(e.Object.Name.Name); i >= 0 {
			t.Constraints[i].NotValid = false
		}
	case effects.AlterTable:
		m.alterTable(e)
	case effects.AttachPartition, effects.DetachPartition:
		m.partition(e)
	case effects.DropPartition:
		m.edit(e.Table).Doubt = true
	case effects.Create:
		m.create(e)
	case effects.Alter:
		m.alter(e)
	case effects.Drop:
		m.drop(e)
	case effects.Rename:
		m.renameObject(e)
	case effects.DropSchema:
		m.dropSchema(e)
	case effects.Comment:
		m.comment(e)
	case effects.Session:
		m.session(e)
	case effects.Opaque:
		if !m.follow() {
			m.opaque(e)
		}
	default:
		m.data(e)
	}
}

// present says whether the table that an ALTER names can be there. What the model knows to be gone makes
// the statement fail; the model then leaves it out.
func (m *Model) present(e *effects.Effect) bool {
	if m.Table(e.Table) != nil || e.Table.Name == "" {
		return true
	}
	k := m.key(e.Table)
	if _, gone := m.tables[k]; gone || m.wasDropped(k) {
		if !e.IfExists && !m.maybe(k.Name) {
			m.fail("table " + m.show(k) + " is not there any more")
		}
		return false
	}
	return true
}

// wasDropped says whether some layer knows the table to be gone.
func (m *Model) wasDropped(k effects.Name) bool {
	for l := m; l != nil; l = l.parent {
		if t, ok := l.tables[k]; ok {
			return t == nil
		}
	}
	return false
}

// data notes which tables get and lose rows.
func (m *Model) data(e *effects.Effect) {
	k := m.key(e.Table)
	m.checkWritten(e)
	switch e.Kind {
	case effects.Insert, effects.Upsert, effects.Replace:
		if m.played.inserted[k] == nil {
			m.played.inserted[k] = m.played.current
		}
	case effects.Merge:
		if slices.Contains(e.Actions, "insert") && m.played.inserted[k] == nil {
			m.played.inserted[k] = m.played.current
		}
		m.played.cleared[k] = m.played.cleared[k] || slices.Contains(e.Actions, "delete")
	case effects.Delete, effects.Truncate:
		m.played.cleared[k] = true
		if e.Cascade {
			for _, t := range m.allTables() {
				m.played.cleared[t.Name] = true
			}
		}
		for _, t := range m.hangers(k) { // cascades of foreign keys
			for _, c := range t.Constraints {
				if c.Kind == "foreign key" && c.OnDelete == "CASCADE" && m.key(c.Parent) == k {
					m.played.cleared[t.Name] = true
				}
			}
		}
	}
}

// session follows SET search_path, which decides where unqualified names lie.
func (m *Model) session(e *effects.Effect) {
	if m.mysql() && m.played.current != nil {
		m.foreignKeyChecks(effects.Tokens(m.dialect, m.saying().SQL))
	}
	if e.Object.Name.Name != "search_path" || m.dialect != effects.Postgres || m.played.current == nil {
		return
	}
	// SET [LOCAL|SESSION] search_path TO|= first, …
	tokens := effects.Tokens(m.dialect, m.saying().SQL)
	for i, t := range tokens {
		if t.Kind == effects.Word && t.Text == "search_path" && i+2 < len(tokens) {
			first := tokens[i+2]
			if first.Kind != effects.Punct && first.Text != "default" && first.Text != "" && first.Text != "$user" {
				m.schema = first.Text
			} else {
				m.schema = "public"
			}
			return
		}
	}
}

// foreignKeyChecks follows SET foreign_key_checks = 0, ON, @before …: without them MySQL drops what foreign keys need, and those stay.
func (m *Model) foreignKeyChecks(tokens []effects.Token) {
	for i, t := range tokens {
		if !strings.EqualFold(t.Text, "foreign_key_checks") || i+1 >= len(tokens) {
			continue
		}
		to := tokens[i+1:]
		if to[0].Text == ":" && len(to) > 1 { // :=
			to = to[1:]
		}
		if len(to) > 1 && strings.HasSuffix(to[0].Text, "=") {
			m.played.unchecked = slices.Contains([]string{"0", "off", "false"}, strings.ToLower(to[1].Text))
		}
	}
}

// opaque puts in doubt what a statement that is not understood may have changed: what its text mentions when it
// defines anything, and everything when it makes SQL up as it runs.
func (m *Model) opaque(e *effects.Effect) {
	m.played.opaque = true
	if m.played.current == nil {
		m.played.defines = true
		m.doubtAll(false)
		return
	}
	r := reading{dialect: m.dialect, functions: m.functions(), words: map[string]bool{}}
	if called := r.functions[callOf(e)]; called != nil && m.played.current.understood() {
		for _, f := range called { // the statement itself is followed; what it calls is not
			r.text(codeOf(m.dialect, f.SQL), 1)
		}
	} else {
		r.text(m.saying().SQL, 0)
	}
	switch {
	case r.rowsOnly() && !m.foreign(e, r.functions):
		return
	case r.executes && r.builds:
		m.played.defines = true
		m.doubtAll(r.sparesFunctions())
		return
	case !r.defines && !m.foreign(e, r.functions):
		return // rows only
	}
	m.played.defines = true
	for w := range r.words {
		m.mentioned[w] = true
	}
	for _, t := range m.allTables() {
		if r.words[strings.ToLower(t.Name.Name)] && !t.Doubt {
			m.edit(t.Name).Doubt = true
		}
	}
	spared := r.sparesFunctions()
	for k, o := range m.allObjects() {
		if r.words[strings.ToLower(k.name.Name)] && !o.Doubt && !(spared && (k.kind == "function" || k.kind == "procedure")) {
			m.editObject(k).Doubt = true
		}
	}
}

// foreign says whether an opaque statement runs what no migration defines, or what no grammar reads.
func (m *Model) foreign(e *effects.Effect, functions map[string][]*Object) bool {
	if m.played.current.ParseError != "" {
		return true
	}
	if name := callOf(e); name != "" {
		return functions[name] == nil && m.dialect != effects.SQLite // whose functions are the application's, and compute
	}
	return e.Detail != "DO block"
}

// callOf is the function that an opaque effect calls, without its schema; "" when it is another kind of effect.
func callOf(e *effects.Effect) string {
	for _, verb := range []string{"calls ", "CALL "} {
		if call, ok := strings.CutPrefix(e.Detail, verb); ok {
			name := strings.TrimSuffix(call, "()")
			return strings.ToLower(name[strings.LastIndexByte(name, '.')+1:])
		}
	}
	return ""
}

// understood says whether something is known of what a statement does.
func (s *Statement) understood() bool {
	return slices.ContainsFunc(s.Effects, func(e effects.Effect) bool { return e.Kind != effects.Opaque && e.Kind != effects.Read })
}

// reading is what the text of an opaque statement, of the strings in it and of the functions that it calls, holds.
type reading struct {
	dialect   effects.Dialect
	functions map[string][]*Object
	words     map[string]bool
	defines   bool // a word that begins DDL
	executes  bool // EXECUTE of a string
	builds    bool // strings are put together, or names taken from the catalog
	runs      int  // how often SQL is executed
	queries   int  // how many strings begin as a statement about rows does
}

// rowsOnly says whether SQL that is made up as it runs is about rows: there is a string that begins so for each time that some is run, and no
// word of DDL anywhere.
func (r *reading) rowsOnly() bool {
	return r.executes && r.queries >= r.runs && !slices.ContainsFunc(definingWords, func(w string) bool { return r.words[w] })
}

// definingWords begin DDL.
var definingWords = []string{"create", "alter", "drop", "rename", "comment", "import", "truncate", "grant", "revoke", "reassign"}

func (r *reading) text(sql string, depth int) {
	if depth > 3 {
		return
	}
	tokens := effects.Tokens(r.dialect, sql)
	for i, t := range tokens {
		switch t.Kind {
		case effects.Word, effects.Quoted:
			if i > 0 && strings.EqualFold(t.Text, "execute") && slices.Contains([]string{"query", "in", "for"}, tokens[i-1].Text) {
				continue // RETURN QUERY EXECUTE, FOR … IN EXECUTE, OPEN … FOR EXECUTE: a query, which defines nothing
			}
			if strings.EqualFold(t.Text, "comment") && (i+1 == len(tokens) || tokens[i+1].Text != "on") {
				r.words["comment"] = true // something of that name
				continue
			}
			r.word(strings.ToLower(t.Text), depth)
		case effects.String:
			r.builds = r.builds || strings.Contains(t.Text, "%I") || strings.Contains(t.Text, "%s") || strings.Contains(t.Text, "||")
			if first := effects.Tokens(r.dialect, t.Text); len(first) > 1 && slices.Contains([]string{"insert", "update", "delete", "select"}, strings.ToLower(first[0].Text)) {
				r.queries++
			}
			r.text(t.Text, depth+1)
		case effects.Punct:
			r.builds = r.builds || t.Text == "|"
		}
	}
}

func (r *reading) word(w string, depth int) {
	switch w {
	case "execute", "prepare":
		r.executes, r.defines = true, true
		r.runs++
	case "create", "alter", "drop", "rename", "comment", "import":
		r.defines = true
	case "quote_ident", "pg_class", "pg_tables", "information_schema", "pg_constraint", "pg_attribute", "pg_namespace", "concat":
		r.builds = true
	}
	if r.words[w] {
		return
	}
	r.words[w] = true
	for _, f := range r.functions[w] {
		r.text(codeOf(r.dialect, f.SQL), depth+1)
	}
}

// functions gives the functions by name.
func (m *Model) functions() map[string][]*Object {
	out := map[string][]*Object{}
	for l := m; l != nil; l = l.parent {
		for k, o := range l.objects {
			if o != nil && (k.kind == "function" || k.kind == "procedure") && !m.objectAbove(l, k) {
				name := strings.ToLower(k.name.Name)
				out[name] = append(out[name], o)
			}
		}
	}
	return out
}

// codeOf is the body of a function: on PostgreSQL its longest string, else the whole statement.
func codeOf(d effects.Dialect, sql string) string {
	if d != effects.Postgres {
		return sql
	}
	code := ""
	for _, t := range effects.Tokens(d, sql) {
		if t.Kind == effects.String && len(t.Text) > len(code) {
			code = t.Text
		}
	}
	if code == "" {
		return sql
	}
	return code
}

// sparesFunctions says whether SQL that is made up as it runs is about other things than functions: the words of DDL stand in it, and none of them speaks of
// functions, or of what they go with.
func (r *reading) sparesFunctions() bool {
	return (r.words["create"] || r.words["alter"] || r.words["drop"]) &&
		!slices.ContainsFunc([]string{"function", "procedure", "routine", "schema", "owned", "extension", "language"}, func(w string) bool { return r.words[w] })
}

// doubtAll puts everything in doubt, or all but functions.
func (m *Model) doubtAll(spareFunctions bool) {
	m.doubt, m.played.doubted = true, true
	for _, t := range m.allTables() {
		if !t.Doubt {
			m.edit(t.Name).Doubt = true
		}
	}
	for k, o := range m.allObjects() {
		if !o.Doubt && !(spareFunctions && (k.kind == "function" || k.kind == "procedure")) {
			m.editObject(k).Doubt = true
		}
	}
}
