package lint

import (
	"regexp"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// inTable: the kinds whose names are unique within a table only.
func (m *Model) inTable(kind string) bool {
	switch kind {
	case "trigger":
		return m.dialect == effects.Postgres
	case "policy", "rule":
		return true
	}
	return false
}

// typeLength is what a type of an argument may have and a function's identity leaves out.
var typeLength = regexp.MustCompile(`\([0-9, ]+\)`)

// doubtTakers: functions that take rows of what a CASCADE drops go with it.
func (m *Model) doubtTakers(relation string) {
	for k, o := range m.allObjects() {
		if k.args != "" && !o.Doubt && mentions(m.dialect, k.args, relation) {
			m.editObject(k).Doubt = true
		}
	}
}

func (m *Model) keyOf(o effects.Object, table effects.Name) objectKey {
	k := objectKey{kind: o.Kind, name: m.key(o.Name)}
	switch {
	case m.inTable(o.Kind):
		k.name.Schema, k.table = "", m.key(table)
	case !inSchema(o.Kind):
		k.name.Schema = ""
	}
	if o.Kind == "function" || o.Kind == "procedure" || o.Kind == "aggregate" {
		k.args = typeLength.ReplaceAllString(strings.ToLower(o.Args), "")
	}
	return k
}

// materialized is the key of a materialized view, which statements name as if it were a table.
func (m *Model) materialized(n effects.Name) objectKey {
	return objectKey{kind: "materialized view", name: m.key(n)}
}

// inSchema: the kinds that lie in a schema.
func inSchema(kind string) bool {
	switch kind {
	case "schema", "extension", "role", "database", "publication", "subscription", "server", "event trigger", "tablespace", "language", "cast", "event":
		return false
	}
	return true
}

func (m *Model) objectEntity(k objectKey) string {
	name := m.show(k.name)
	if k.table.Name != "" {
		name = m.show(k.table) + "." + name
	}
	return k.kind + " " + name
}

func (m *Model) object(k objectKey) *Object {
	for l := m; l != nil; l = l.parent {
		if o, ok := l.objects[k]; ok {
			return o
		}
	}
	return nil
}

// findObject finds an object by kind and name; nil when there is none, or more than one of that name.
func (m *Model) findObject(kind string, n effects.Name) *objectKey {
	name := m.key(n)
	var found *objectKey
	for k := range m.allObjects() {
		if !sameKind(kind, k.kind) || k.name.Name != name.Name || inSchema(k.kind) && k.table.Name == "" && k.name.Schema != name.Schema {
			continue
		}
		if found != nil {
			return nil
		}
		found = &k
	}
	return found
}

// sameKind: DROP ROUTINE and the like name kinds more widely than CREATE does.
func sameKind(asked, is string) bool {
	switch asked {
	case is:
		return true
	case "routine":
		return is == "function" || is == "procedure"
	case "view":
		return is == "materialized view"
	case "type":
		return is == "domain"
	}
	return false
}

func (m *Model) editObject(k objectKey) *Object {
	o := m.object(k)
	if o.owner == m {
		return o
	}
	c := *o
	c.owner = m
	m.objects[k] = &c
	return &c
}

func (m *Model) create(e *effects.Effect) {
	if e.Object.Kind == "index" {
		m.createIndex(e)
		return
	}
	if e.Temporary {
		return
	}
	k := m.keyOf(e.Object, e.Table)
	if e.IfExists && (m.object(k) != nil || relationKind(k.kind) && m.isRelation(e.Object.Name)) {
		return
	}
	o := &Object{Object: e.Object, owner: m, Doubt: (e.IfExists || e.Replaces) && m.object(k) == nil && m.maybe(k.name.Name)}
	if e.Table.Name != "" {
		o.Table = m.key(e.Table)
	}
	if m.played.current != nil {
		o.SQL = m.saying().SQL
	}
	switch {
	case e.Object.Kind == "type" && e.Detail == "enum":
		o.Values = stringsIn(m.dialect, o.SQL)
	case e.Object.Kind == "sequence":
		o.Owned = m.ownerOf(o.SQL)
	}
	m.objects[k] = o
	m.touch(m.objectEntity(k))
	if strings.HasSuffix(k.kind, "view") && m.wasDropped(k.name) {
		// Indexes of a materialized view are kept as if it were a table.
		m.tables[k.name] = &Table{Name: k.name, Partial: true, Unknown: true, owner: m}
	}
}

// relationKind: the kinds whose names are those of tables as well.
func relationKind(kind string) bool {
	return strings.HasSuffix(kind, "view") || kind == "sequence"
}

// isRelation says whether a name is that of a table or of something that has its name where tables have theirs. IF NOT EXISTS makes
// nothing of that name then, of whatever kind.
func (m *Model) isRelation(n effects.Name) bool {
	if m.Table(n) != nil {
		return true
	}
	name := m.key(n)
	for _, kind := range []string{"view", "materialized view", "sequence"} {
		if m.object(objectKey{kind: kind, name: name}) != nil {
			return true
		}
	}
	if m.mysql() {
		return false
	}
	if _, i := m.findIndex(effects.Name{}, n); i >= 0 {
		return true
	}
	return m.dialect == effects.Postgres && strings.HasSuffix(name.Name, "_seq") && slices.ContainsFunc(m.allTables(), func(t *Table) bool {
		return t.Name.Schema == name.Schema && slices.ContainsFunc(t.Columns, func(c Column) bool {
			return (c.Serial || c.Identity) && serialSequence(t.Name.Name, c.Name) == name.Name
		})
	})
}

// ownerOf reads OWNED BY table.column.
func (m *Model) ownerOf(sql string) effects.Name {
	tokens := effects.Tokens(m.dialect, sql)
	for i := 0; i+2 < len(tokens); i++ {
		if tokens[i].Text != "owned" || tokens[i+1].Text != "by" {
			continue
		}
		var parts []string
		for j := i + 2; j < len(tokens); j += 2 {
			parts = append(parts, tokens[j].Text)
			if j+1 >= len(tokens) || tokens[j+1].Text != "." {
				break
			}
		}
		switch len(parts) {
		case 2:
			return m.key(effects.Name{Name: parts[0]})
		case 3:
			return m.key(effects.Name{Schema: parts[0], Name: parts[1]})
		}
	}
	return effects.Name{}
}

func stringsIn(d effects.Dialect, sql string) []string {
	var out []string
	tokens := effects.Tokens(d, sql)
	for i, t := range tokens {
		switch {
		case t.Kind != effects.String:
		case i > 0 && tokens[i-1].Kind == effects.String:
			out[len(out)-1] += t.Text // a comma was forgotten: to the server it is one string
		default:
			out = append(out, t.Text)
		}
	}
	return out
}

func (m *Model) alter(e *effects.Effect) {
	switch e.Detail {
	case "nextval", "setval", "currval", "lastval", "RESTART":
		return
	}
	detail := strings.ToLower(e.Detail)
	if strings.HasPrefix(detail, "owner to") || e.Object.Kind == "role" || e.Object.Kind == "database" || e.Object.Kind == "objects owned by" {
		return
	}
	k := m.keyOf(e.Object, e.Table)
	if m.object(k) == nil {
		if f := m.findObject(e.Object.Kind, e.Object.Name); f != nil {
			k = *f
		} else {
			m.alterSequence(e)
			return
		}
	}
	o := m.editObject(k)
	m.touch(m.objectEntity(k))
	switch {
	case e.Object.Kind == "type" && detail == "add value" && o.Values != nil:
		o.Values = m.addValue(o.Values)
	case e.Object.Kind == "type" && detail == "rename value" && o.Values != nil:
		if s := stringsIn(m.dialect, m.saying().SQL); len(s) == 2 {
			o.Values = renamed(o.Values, s[0], s[1])
			m.renameDefaults(k.name, s[0], s[1])
		}
	case e.Object.Kind == "sequence":
		if owner := m.ownerOf(m.saying().SQL); owner.Name != "" {
			o.Owned = owner
		}
	default:
		o.Doubt = true
	}
}

// addValue reads ADD VALUE [IF NOT EXISTS] 'new' [BEFORE|AFTER 'old'].
func (m *Model) addValue(values []string) []string {
	s := stringsIn(m.dialect, m.saying().SQL)
	if len(s) == 0 || slices.Contains(values, s[0]) {
		return values
	}
	at := len(values)
	if len(s) == 2 {
		if i := slices.Index(values, s[1]); i >= 0 {
			at = i
			for _, t := range effects.Tokens(m.dialect, m.saying().SQL) {
				if t.Kind == effects.Word && t.Text == "after" {
					at = i + 1
				}
			}
		}
	}
	return slices.Insert(slices.Clone(values), at, s[0])
}

func (m *Model) drop(e *effects.Effect) {
	if e.Object.Kind == "index" {
		m.dropIndex(e)
		return
	}
	if e.Object.Kind == "constraint" {
		m.dropConstraint(m.edit(e.Table), e.Object.Name.Name, e)
		return
	}
	if e.Object.Kind == "sequence" && e.Cascade && m.dialect == effects.Postgres {
		m.dropSequenceUsers(e.Object.Name)
	}
	k := m.keyOf(e.Object, e.Table)
	if m.object(k) == nil {
		f := m.findObject(e.Object.Kind, e.Object.Name)
		if f == nil || m.inTable(e.Object.Kind) || e.Object.Args != "" && arguments(e.Object.Args) != arguments(f.args) {
			m.missObject(e, k)
			return
		}
		k = *f
	}
	m.removeObject(k, e)
}

// dropSequenceUsers: the defaults that take their values from a sequence go with it.
func (m *Model) dropSequenceUsers(n effects.Name) {
	for _, t := range m.allTables() {
		for _, c := range slices.Clone(t.Columns) {
			if c.Serial && serialSequence(t.Name.Name, c.Name) == n.Name || strings.Contains(c.Default, "nextval") && readsText(m.dialect, c.Default, n.Name) {
				m.changeColumn(m.edit(t.Name), c.Name, &effects.Effect{Kind: effects.DropDefault})
			}
		}
	}
}

// serialSequence is the name that PostgreSQL gives to the sequence of a serial column: of the longer one of the two names as much as
// has to go is cut off.
func serialSequence(table, column string) string {
	a, b := len(table), len(column)
	for a+b > 63-len("__seq") {
		if a > b {
			a--
		} else {
			b--
		}
	}
	return table[:a] + "_" + column[:b] + "_seq"
}

// readsText says whether the strings of an expression name a relation: nextval('s'), nextval('public.s'::regclass).
func readsText(d effects.Dialect, expression, name string) bool {
	return slices.ContainsFunc(stringsIn(d, expression), func(s string) bool {
		return strings.Trim(s[strings.LastIndexByte(s, '.')+1:], `"`) == name
	})
}

// alterSequence follows ALTER SEQUENCE … AS type of a serial column's sequence.
func (m *Model) alterSequence(e *effects.Effect) {
	if e.Object.Kind != "sequence" || m.dialect != effects.Postgres || m.played.current == nil {
		return
	}
	kind := ""
	tokens := effects.Tokens(m.dialect, m.saying().SQL)
	for i := 0; i+1 < len(tokens); i++ {
		if tokens[i].Kind == effects.Word && tokens[i].Text == "as" {
			kind = integerType(tokens[i+1].Text)
		}
	}
	if kind == "" {
		return
	}
	for _, t := range m.allTables() {
		for _, c := range t.Columns {
			if c.Serial && serialSequence(t.Name.Name, c.Name) == e.Object.Name.Name && (e.Object.Name.Schema == "" || e.Object.Name.Schema == t.Name.Schema) {
				m.edit(t.Name).column(c.Name).Sequence = kind
				m.touch(m.childEntity("column", t.Name, c.Name))
				return
			}
		}
	}
	m.strayed = true
}

// sequenceType is the type of a serial column's sequence.
func (c *Column) sequenceType() string {
	if c.Sequence != "" {
		return c.Sequence
	}
	return integerType(strings.ToLower(c.Type))
}

// integerType is the one name of a type of whole numbers.
func integerType(name string) string {
	switch name {
	case "int2":
		return "smallint"
	case "int", "int4":
		return "integer"
	case "int8":
		return "bigint"
	}
	return name
}

// arguments counts those of a function: how their types are written is left aside.
func arguments(args string) int {
	n, depth := 0, 0
	for _, c := range strings.Trim(args, "() ") {
		switch {
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			n++
		}
	}
	if strings.Trim(args, "() ") == "" {
		return 0
	}
	return n + 1
}

func (m *Model) missObject(e *effects.Effect, k objectKey) {
	if t := m.Table(k.name); t != nil && t.Unknown && (e.Object.Kind == "materialized view" || e.Object.Kind == "view") {
		m.tables[m.key(k.name)] = nil // what was said about it as if it were a table
	}
	if m.parent.object(k) != nil && !e.IfExists && !m.maybe(k.name.Name) {
		m.fail(m.objectEntity(k) + " is not there any more")
	}
	m.miss(m.objectEntity(k), e)
}

func (m *Model) removeObject(k objectKey, e *effects.Effect) {
	if m.object(k) == nil {
		return
	}
	m.objects[k] = nil
	m.touch(m.objectEntity(k))
	switch k.kind {
	case "materialized view", "view":
		if t := m.Table(k.name); t != nil && t.Unknown {
			m.tables[m.key(k.name)] = nil
		}
		for _, ok := range m.linked().objects[k.name] { // its triggers and rules go with it
			if o := m.object(ok); o != nil && o.Table == k.name {
				m.objects[ok] = nil
				m.touch(m.objectEntity(ok))
			}
		}
	case "type", "domain":
		m.dropTypeUsers(k, e)
	case "function", "procedure":
		m.dropFunctionUsers(k, e)
	}
	if e.Cascade {
		m.doubtTakers(k.name.Name)
		m.doubtReaders(k.name.Name)
	}
}

// dropTypeUsers: columns hold a type back, or go with it.
func (m *Model) dropTypeUsers(k objectKey, e *effects.Effect) {
	for _, t := range m.allTables() {
		for _, c := range slices.Clone(t.Columns) {
			if !usesType(c.Type, k.name) {
				continue
			}
			if e.Cascade {
				m.changeColumn(m.edit(t.Name), c.Name, &effects.Effect{Kind: effects.DropColumn, Cascade: true})
			} else if !t.Doubt {
				m.fail("column " + m.show(t.Name) + "." + c.Name + " still has " + k.kind + " " + m.show(k.name))
			}
		}
	}
}

// usesType says whether a column's type, as canonically written, is the named one or an array of it.
func usesType(typ string, n effects.Name) bool {
	typ = strings.TrimSuffix(strings.ReplaceAll(typ, `"`, ""), "[]")
	return typ == n.Name && n.Schema == "public" || typ == n.Schema+"."+n.Name
}

// dropFunctionUsers: triggers hold a function back, or go with it.
func (m *Model) dropFunctionUsers(k objectKey, e *effects.Effect) {
	for ok, o := range m.allObjects() {
		if ok.kind != "trigger" || o.Doubt || triggerFunction(m.dialect, o.SQL) != k.name.Name {
			continue
		}
		if e.Cascade {
			m.objects[ok] = nil
			m.touch(m.objectEntity(ok))
		} else if m.findObject("function", k.name) == nil {
			m.fail("trigger " + ok.name.Name + " on " + m.show(ok.table) + " still calls function " + m.show(k.name))
		}
	}
}

// triggerFunction reads EXECUTE FUNCTION|PROCEDURE name.
func triggerFunction(d effects.Dialect, sql string) string {
	tokens := effects.Tokens(d, sql)
	for i := 0; i+2 < len(tokens); i++ {
		if tokens[i].Kind == effects.Word && tokens[i].Text == "execute" {
			name := tokens[i+2].Text
			if i+4 < len(tokens) && tokens[i+3].Text == "." {
				name = tokens[i+4].Text
			}
			return name
		}
	}
	return ""
}

// rekey gives an object another name.
func (m *Model) rekey(from, to objectKey) {
	o := *m.object(from)
	o.owner = m
	o.Name = to.name
	if from.name.Name != to.name.Name {
		o.SQL = called(m.dialect, o.SQL, from.name.Name, to.name.Name, from.kind)
	}
	m.objects[from] = nil
	m.objects[to] = &o
	m.touch(m.objectEntity(from))
	m.touch(m.objectEntity(to))
}

// called gives a name another one in a text, where it first stands behind one of some words.
func called(d effects.Dialect, sql, from, to string, behind ...string) string {
	at := regexp.MustCompile("(?i)\\b(?:" + strings.Join(behind, "|") + ")\\s+(?:if\\s+not\\s+exists\\s+)?(?:[\"`]?\\w+[\"`]?\\s*\\.\\s*)?([\"`]?" + regexp.QuoteMeta(from) + "[\"`]?)(?:\\W|$)").FindStringSubmatchIndex(sql)
	if at == nil {
		return sql
	}
	return sql[:at[2]] + quoteIdent(d, to) + sql[at[3]:]
}

func (m *Model) renameObject(e *effects.Effect) {
	switch e.Object.Kind {
	case "constraint":
		m.renameConstraint(m.edit(e.Table), e)
		return
	case "index":
		m.renameIndex(e)
		return
	}
	if len(e.Columns) > 0 { // a column of a view, an attribute of a type
		if k := m.findObject(e.Object.Kind, e.Object.Name); k != nil {
			m.editObject(*k).Doubt = true
		}
		return
	}
	k := m.keyOf(e.Object, e.Table)
	if m.object(k) == nil {
		f := m.findObject(e.Object.Kind, e.Object.Name)
		if f == nil {
			// It was there before the first of these migrations.
			m.played.unknown[m.objectEntity(k)], m.played.supposed[m.objectEntity(k)] = true, true
			return
		}
		k = *f
	}
	to := k
	to.name.Name = m.key(e.NewName).Name
	if e.Kind == effects.SetSchema {
		to.name.Schema = e.NewName.Schema
	}
	m.rekey(k, to)
	if k.kind == "function" {
		for ok, o := range m.allObjects() { // the server knows what a trigger calls by more than its name
			if ok.kind == "trigger" && !o.Doubt && triggerFunction(m.dialect, o.SQL) == k.name.Name {
				t := m.editObject(ok)
				t.SQL = called(m.dialect, o.SQL, k.name.Name, to.name.Name, "function", "procedure")
			}
		}
	}
	if k.kind == "type" || k.kind == "domain" {
		m.renameType(k.name, to.name)
	}
}

// renameType follows a type's name into the columns that have it.
func (m *Model) renameType(from, to effects.Name) {
	for _, t := range m.allTables() {
		for i := range t.Columns {
			if !usesType(t.Columns[i].Type, from) {
				continue
			}
			w := m.edit(t.Name)
			now := to.Name
			if to.Schema != "public" {
				now = to.String()
			}
			if strings.HasSuffix(w.Columns[i].Type, "[]") {
				now += "[]"
			}
			w.Columns[i].Type = now
		}
	}
}

func (m *Model) renameConstraint(t *Table, e *effects.Effect) {
	from, to := e.Object.Name.Name, e.NewName.Name
	m.touch(m.childEntity("constraint", t.Name, from))
	m.touch(m.childEntity("constraint", t.Name, to))
	if i := t.constraint(from); i >= 0 {
		t.Constraints[i].Name, t.Constraints[i].Generated = to, false
		return
	}
	if i := onlyGenerated(t, from); i >= 0 {
		t.Constraints[i].Name, t.Constraints[i].Generated = to, false
		return
	}
	t.Partial = true
}
