package verify

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// readViews adds the views in scope, and those that read what is in scope.
func (t *mysqlTaker) readViews(ctx context.Context) error {
	if !slices.Contains(slices.Collect(maps.Values(t.kinds)), "VIEW") || len(t.tables)+len(t.views) == 0 {
		return nil
	}
	rows, err := t.rows(ctx, `SELECT table_name, view_definition, collation_connection FROM information_schema.views WHERE table_schema = DATABASE()`)
	if err != nil {
		return err
	}
	needs := map[string][]string{}
	for _, r := range rows {
		if r[1] == "" && !t.db.Mine(engine.Name{Name: r[0]}) {
			return &engine.Error{Class: engine.Privilege, Message: "the definition of view " + r[0] + " is hidden from this account", Hint: "GRANT SHOW VIEW ON this database to it"}
		}
		needs[r[0]] = t.there(t.mentions(r[1]))
	}
	t.reach(needs)
	for _, r := range rows {
		if !slices.Contains(t.views, r[0]) || t.db.Mine(engine.Name{Name: r[0]}) {
			continue
		}
		name := engine.Name{Name: r[0]}
		_, text, err := t.show(ctx, "VIEW "+t.db.Quote(name), 1)
		if err != nil {
			return err
		}
		o := Object{
			Kind: "view", Name: r[0], Table: name, Rank: 100, Definition: strings.TrimPrefix(t.plain(text), "CREATE "),
			Create: moded("", r[2], text), Drop: []string{"DROP VIEW " + t.db.Quote(name)},
		}
		for _, n := range needs[r[0]] {
			kind := "table"
			if t.kinds[n] == "VIEW" {
				kind = "view"
			}
			o.Needs = append(o.Needs, kind+" "+n)
		}
		t.put(o)
	}
	return nil
}

// reach widens the views in scope to those that read tables or views in scope.
func (t *mysqlTaker) reach(needs map[string][]string) {
	for again := true; again; {
		again = false
		for view, names := range needs {
			if slices.Contains(t.views, view) {
				continue
			}
			if slices.ContainsFunc(names, func(n string) bool {
				return slices.Contains(t.views, n) || slices.Contains(t.tables, engine.Name{Name: n})
			}) {
				t.views, again = append(t.views, view), true
			}
		}
	}
	slices.Sort(t.views)
}

// mentions are the names that a view's text, in which all are spelt with their database, reads.
func (t *mysqlTaker) mentions(text string) []string {
	out, _ := apart(t.texts, "mentions\x00"+t.schema+"\x00"+text, func() ([]string, error) {
		var out []string
		tokens := mysqlTokens(text)
		for i := 0; i+2 < len(tokens); i++ {
			if tokens[i+1].text != "." || mysqlName(tokens[i].text) != t.schema || i > 0 && tokens[i-1].text == "." {
				continue
			}
			if name := mysqlName(tokens[i+2].text); !slices.Contains(out, name) {
				out = append(out, name)
			}
		}
		slices.Sort(out)
		return out, nil
	})
	return out
}

// there leaves out what is gone, and no longer needed.
func (t *mysqlTaker) there(names []string) []string {
	var out []string
	for _, n := range names {
		if t.kinds[n] != "" {
			out = append(out, n)
		}
	}
	return out
}

// plain is unqualified, remembered.
func (t *mysqlTaker) plain(text string) string {
	out, _ := apart(t.texts, "plain\x00"+t.schema+"\x00"+text, func() (string, error) { return t.unqualified(text), nil })
	return out
}

// unqualified takes the database's own name out of a text.
func (t *mysqlTaker) unqualified(text string) string {
	var b strings.Builder
	tokens := mysqlTokens(text)
	at := 0
	for i := 0; i+2 < len(tokens); i++ {
		if tokens[i].text == t.db.Ident(t.schema) && tokens[i+1].text == "." && (i == 0 || tokens[i-1].text != ".") {
			b.WriteString(text[at:tokens[i].start])
			at = tokens[i+1].end
		}
	}
	return b.String() + text[at:]
}

// readTriggers adds the triggers of the tables in scope, and the order of those that fire at one moment.
func (t *mysqlTaker) readTriggers(ctx context.Context) error {
	if len(t.tables) == 0 {
		return nil
	}
	rows, err := t.rows(ctx, `SELECT event_object_table, trigger_name, action_timing, event_manipulation, sql_mode, collation_connection FROM information_schema.triggers
		WHERE event_object_schema = DATABASE() ORDER BY event_object_table, action_timing, event_manipulation, action_order`)
	if err != nil {
		return err
	}
	type moment struct {
		table        engine.Name
		timing, verb string
	}
	order := map[moment][]string{}
	remake := map[moment][]string{}
	for _, r := range rows {
		n := engine.Name{Name: r[0]}
		if !slices.Contains(t.tables, n) || strings.HasPrefix(r[1], "dbrollback_") {
			continue
		}
		// The statement there has lost its backslashes.
		_, text, err := t.show(ctx, "TRIGGER "+t.db.Ident(r[1]), 2)
		if err != nil {
			return err
		}
		create := moded(r[4], r[5], text)
		t.put(Object{
			Kind: "trigger", Name: n.String() + "." + r[1], Table: n, Rank: 110, Create: create, Drop: []string{"DROP TRIGGER " + t.db.Ident(r[1])},
			Definition: t.unqualified(text) + "\nSQL_MODE " + r[4] + " COLLATION " + r[5],
		})
		m := moment{n, r[2], r[3]}
		order[m] = append(order[m], r[1])
		remake[m] = append(append(remake[m], "DROP TRIGGER IF EXISTS "+t.db.Ident(r[1])), create...)
	}
	for m, names := range order {
		if len(names) > 1 {
			t.put(Object{
				Kind: "trigger order", Name: m.table.String() + " " + m.timing + " " + m.verb, Table: m.table, Rank: 111,
				Definition: strings.Join(names, ", "), Create: remake[m], Alter: remake[m],
			})
		}
	}
	return nil
}

// readGrants adds the rights on tables and their columns, as far as the account sees them.
func (t *mysqlTaker) readGrants(ctx context.Context) error {
	if len(t.tables)+len(t.views) == 0 {
		return nil
	}
	rows, err := t.rows(ctx, `SELECT table_name, '', grantee, privilege_type, is_grantable FROM information_schema.table_privileges WHERE table_schema = DATABASE()
		UNION ALL SELECT table_name, column_name, grantee, privilege_type, is_grantable FROM information_schema.column_privileges WHERE table_schema = DATABASE()`)
	if err != nil {
		return err
	}
	type right struct{ table, column, grantee string }
	rights := map[right][]string{}
	grantable := map[right]bool{}
	for _, r := range rows {
		if !slices.Contains(t.tables, engine.Name{Name: r[0]}) && !slices.Contains(t.views, r[0]) || r[3] == "USAGE" {
			continue
		}
		k := right{r[0], r[1], r[2]}
		privilege := r[3]
		if r[1] != "" {
			privilege += " (" + t.db.Ident(r[1]) + ")"
		}
		rights[k] = append(rights[k], privilege)
		grantable[k] = grantable[k] || r[4] == "YES"
	}
	for k, list := range rights {
		slices.Sort(list)
		n := engine.Name{Name: k.table}
		o := Object{Kind: "grant", Name: k.table + " to " + k.grantee, Table: n, Definition: strings.Join(list, ", "), Rank: 130}
		if k.column != "" {
			o.Name, o.Rank = k.table+"."+k.column+" to "+k.grantee, 131
		}
		with := ""
		if grantable[k] {
			with = " WITH GRANT OPTION"
		}
		on := " ON " + t.db.Quote(n)
		o.Create = []string{"GRANT " + o.Definition + on + " TO " + k.grantee + with}
		o.Drop = []string{"REVOKE " + o.Definition + on + " FROM " + k.grantee}
		if with != "" && k.column == "" {
			o.Drop = append(o.Drop, "REVOKE GRANT OPTION"+on+" FROM "+k.grantee)
		}
		o.Definition += with
		t.put(o)
	}
	return nil
}

func (t *mysqlTaker) readDatabase(ctx context.Context) error {
	rows, err := t.rows(ctx, "SELECT default_character_set_name, default_collation_name FROM information_schema.schemata WHERE schema_name = DATABASE()")
	if err != nil || len(rows) == 0 {
		return err
	}
	set := "CHARACTER SET " + rows[0][0] + " COLLATE " + rows[0][1]
	t.put(Object{Kind: "database", Name: "defaults", Definition: set, Rank: 5, Create: []string{"ALTER DATABASE " + set}, Alter: []string{"ALTER DATABASE " + set}})
	return nil
}

// readRoutines adds functions, procedures and MariaDB's packages.
func (t *mysqlTaker) readRoutines(ctx context.Context) error {
	rows, err := t.rows(ctx, "SELECT routine_type, routine_name, sql_mode, collation_connection FROM information_schema.routines WHERE routine_schema = DATABASE() ORDER BY routine_type, routine_name")
	if err != nil {
		return err
	}
	for _, r := range rows {
		if strings.HasPrefix(r[1], "dbrollback_") {
			continue
		}
		what := r[0] + " " + t.db.Ident(r[1])
		_, text, err := t.show(ctx, what, 2)
		if err != nil {
			return err
		}
		rank := 35
		if r[0] == "PACKAGE BODY" {
			rank = 36
		}
		t.put(Object{
			Kind: strings.ToLower(r[0]), Name: r[1], Rank: rank, Definition: t.unqualified(text) + "\nSQL_MODE " + r[2] + " COLLATION " + r[3],
			Create: moded(r[2], r[3], text), Drop: []string{"DROP " + what},
		})
	}
	return nil
}

func (t *mysqlTaker) readEvents(ctx context.Context) error {
	rows, err := t.rows(ctx, "SELECT event_name, sql_mode, collation_connection, time_zone FROM information_schema.events WHERE event_schema = DATABASE() ORDER BY event_name")
	if err != nil {
		return err
	}
	for _, r := range rows {
		what := "EVENT " + t.db.Ident(r[0])
		_, text, err := t.show(ctx, what, 3)
		if err != nil {
			return err
		}
		zone := "SET @dbrollback_zone = @@SESSION.time_zone, SESSION time_zone = " + mysqlText(r[3])
		t.put(Object{
			Kind: "event", Name: r[0], Rank: 115, Definition: text + "\nSQL_MODE " + r[1] + " COLLATION " + r[2] + " TIME ZONE " + r[3],
			Create: moded(r[1], r[2], zone, text, "SET SESSION time_zone = @dbrollback_zone"), Drop: []string{"DROP " + what},
		})
	}
	return nil
}

// readSequences adds MariaDB's, without their values.
func (t *mysqlTaker) readSequences(ctx context.Context) error {
	for name, kind := range t.kinds {
		if kind != "SEQUENCE" || t.db.Mine(engine.Name{Name: name}) {
			continue
		}
		quoted := t.db.Ident(name)
		_, text, err := t.show(ctx, "SEQUENCE "+quoted, 1)
		if err != nil {
			return err
		}
		definition, _, _ := strings.Cut(strings.TrimPrefix(text, "CREATE SEQUENCE "+quoted+" "), " ENGINE=")
		t.put(Object{
			Kind: "sequence", Name: name, Definition: definition, Rank: 40, Create: []string{text},
			Alter: []string{"ALTER SEQUENCE " + quoted + " " + definition}, Drop: []string{"DROP SEQUENCE " + quoted},
		})
	}
	return nil
}
