package effects

import "strings"

// sqliteFacts is what a stretch of a statement holds that matters for its effects.
type sqliteFacts struct {
	calls     []string
	volatile  bool
	unordered bool
}

// sqliteFunctions are the built-in functions that give the same again; those of the list below do not.
var sqliteFunctions = wordSet(`abs acos acosh asin asinh atan atan2 atanh avg ceil ceiling char coalesce concat concat_ws cos cosh count
	cume_dist degrees dense_rank exp first_value floor format generate_series glob group_concat hex highlight if ifnull iif instr json
	json_array json_array_insert json_array_length json_each json_error_position json_extract json_group_array json_group_object json_insert
	json_object json_patch json_pretty json_quote json_remove json_replace json_set json_tree json_type json_valid jsonb jsonb_array
	jsonb_array_insert jsonb_each jsonb_extract jsonb_group_array jsonb_group_object jsonb_insert jsonb_object jsonb_patch jsonb_remove jsonb_replace
	jsonb_set jsonb_tree lag last_value lead length like likelihood likely ln log log10 log2 lower ltrim max median min mod nth_value
	ntile nullif octet_length percent_rank percentile percentile_cont percentile_disc pi pow power printf quote radians rank regexp replace
	round row_number rtrim sign sin sinh snippet soundex sqlite_compileoption_get sqlite_compileoption_used sqlite_offset
	sqlite_source_id sqlite_version sqrt string_agg strpos substr substring sum tan tanh total trim trunc typeof unhex unicode unistr
	unistr_quote unlikely upper zeroblob bm25 matchinfo offsets subtype`)

var sqliteVolatile = wordSet(`random randomblob changes total_changes last_insert_rowid current_timestamp current_date current_time`)

// sqliteClock gives the time when asked for 'now', which is what it means without arguments.
var sqliteClock = wordSet(`date time datetime julianday unixepoch strftime timediff`)

// sqliteNotCalls are the keywords that a bracket may follow.
var sqliteNotCalls = wordSet(`AND AS BETWEEN BY CASE CHECK CAST COLLATE CONFLICT DEFAULT DISTINCT ALL ELSE ESCAPE EXCEPT EXISTS FILTER FROM GROUP
	HAVING IN INTERSECT INTO IS ISNULL JOIN KEY LIMIT MATCH MATERIALIZED NOT NOTNULL OFFSET ON OR ORDER OVER PARTITION REFERENCES
	RETURNING SELECT SET THEN UNION UNIQUE USING VALUES WHEN WHERE WINDOW GLOB LIKE REGEXP RANGE ROWS GROUPS`)

// facts collects from the tokens [from, to), all brackets included.
func (p *sqliteParser) facts(from, to int) sqliteFacts {
	var f sqliteFacts
	ordered := []bool{false}
	for i := from; i < to; i++ {
		switch p.punct(i) {
		case '(':
			ordered = append(ordered, false)
			continue
		case ')':
			if len(ordered) > 1 {
				ordered = ordered[:len(ordered)-1]
			}
			continue
		}
		w := p.word(i)
		lower := strings.ToLower(w)
		switch {
		case p.punct(i-1) == '.':
			continue
		case w == "ORDER" && p.word(i+1) == "BY":
			ordered[len(ordered)-1] = true
		case w == "LIMIT" && !ordered[len(ordered)-1]:
			f.unordered = true
		case w != "" && sqliteVolatile[lower] && strings.HasPrefix(lower, "current_"):
			f.calls, f.volatile = append(f.calls, lower), true
		}
		if p.punct(i+1) != '(' || i+1 >= to || sqliteNotCalls[w] || p.afterTable(i) {
			continue
		}
		name := lower
		if p.tokens[i].kind == tokenQuoted {
			name = strings.ToLower(unquoteToken(&p.source, i))
		}
		if name == "" {
			continue
		}
		f.calls = append(f.calls, name)
		if sqliteVolatile[name] || sqliteClock[name] && p.asksNow(i+1) {
			f.volatile = true
		}
	}
	return f
}

// afterTable: a name behind these is a table or a type, and its bracket a list of columns or a length.
func (p *sqliteParser) afterTable(i int) bool {
	switch p.word(i - 1) {
	case "REFERENCES", "INTO", "AS", "WITH", "RECURSIVE", "COLLATE":
		return true
	}
	// A common table: name (columns) AS (…).
	end := p.skip(i + 1)
	return p.word(end) == "AS" && (p.punct(end+1) == '(' || p.word(end+1) == "MATERIALIZED" || p.word(end+1) == "NOT")
}

// asksNow looks at the arguments of a date function: none means now, too.
func (p *sqliteParser) asksNow(open int) bool {
	end := p.skip(open) - 1
	if end == open+1 {
		return true
	}
	args := strings.ToLower(p.span(open+1, end))
	return strings.Contains(args, "'now'") || strings.Contains(args, `"now"`) || strings.HasPrefix(args, "'subsec") || strings.HasPrefix(args, "'%") && !strings.Contains(args, ",")
}

// reads are the columns that the noted expressions may mean of the target; nil for a whole row.
func (p *sqliteParser) reads(e Effect) []string {
	alias := firstOf(e.Alias, e.Table.Name)
	out := []string{}
	for _, r := range p.read {
		for i := r[0]; i < r[1]; i++ {
			name := p.columnAt(i)
			switch {
			case name == "":
			case p.punct(i+1) == '.':
				if strings.EqualFold(name, alias) && p.punct(i+2) == '*' {
					return nil
				}
			case p.punct(i-1) == '.' && !strings.EqualFold(unquoteToken(&p.source, i-2), alias):
			default:
				out = append(out, name)
			}
		}
	}
	return distinct(out)
}

// columnAt is the name that token i spells, "" when it cannot be a column's or a table's.
func (p *sqliteParser) columnAt(i int) string {
	t := p.tokens[i]
	if p.punct(i+1) == '(' || t.kind == tokenWord && sqliteVolatile[strings.ToLower(p.word(i))] || t.kind != tokenQuoted && (t.kind != tokenWord || sqliteReserved[p.word(i)] || sqliteNotCalls[p.word(i)]) {
		return ""
	}
	return unquoteToken(&p.source, i)
}

// addWithCalls adds an effect, and what the functions that it calls do besides.
func (p *sqliteParser) addWithCalls(e Effect, f sqliteFacts) {
	e.Calls = unique(f.calls)
	e.Volatile = e.Volatile || f.volatile || e.Unordered
	var more []Effect
	if sqliteSchemaTable(e.Table.Name) && e.Kind != Read {
		more = append(more, Effect{Kind: Opaque, Table: e.Table, Volatile: true, Detail: "writes the schema table by hand"})
	}
	for _, name := range e.Calls {
		switch {
		case sqliteFunctions[name], sqliteVolatile[name], sqliteClock[name], strings.HasPrefix(name, "pragma_"), strings.HasPrefix(name, "dbrollback_"):
		case name == "load_extension" || name == "writefile" || name == "readfile" || name == "edit":
			e.Volatile = true
			more = append(more, Effect{Kind: External, Detail: "calls " + name + "()"})
		default:
			e.Volatile = true
			more = append(more, Effect{Kind: Opaque, Volatile: true, Detail: "calls " + name + "()"})
		}
	}
	p.add(e)
	p.effects = append(p.effects, more...)
}

func sqliteSchemaTable(name string) bool {
	switch strings.ToLower(name) {
	case "sqlite_master", "sqlite_schema", "sqlite_temp_master", "sqlite_temp_schema":
		return true
	}
	return false
}
