package engine

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"
)

// Object is a view, trigger, procedure, function or event, by its kind and name.
type Object struct{ Kind, Name string }

// Remakes refuses an account that could not make the triggers of some tables, or some other objects, again as they are: where triggers cannot be
// switched off they give way while rows of their tables come back, and what a migration drops is made again. The error is an *Error. Where
// nothing has an owner of its own kind, or whoever may drop a thing may make it again, it is nil.
func (db *DB) Remakes(ctx context.Context, q Querier, tables []Name, objects []Object) error {
	if d, ok := db.dialect.(mysqlDialect); ok {
		return d.remakes(ctx, q, tables, objects)
	}
	return nil
}

// mysqlDefiners are where the server says whose an object is.
var mysqlDefiners = map[string]string{
	"view":      "SELECT table_name, definer FROM information_schema.views WHERE table_schema = coalesce(NULLIF(?, ''), database()) AND table_name = ?",
	"trigger":   "SELECT trigger_name, definer FROM information_schema.triggers WHERE trigger_schema = coalesce(NULLIF(?, ''), database()) AND trigger_name = ?",
	"procedure": "SELECT routine_name, definer FROM information_schema.routines WHERE routine_schema = coalesce(NULLIF(?, ''), database()) AND routine_name = ? AND routine_type = 'PROCEDURE'",
	"function":  "SELECT routine_name, definer FROM information_schema.routines WHERE routine_schema = coalesce(NULLIF(?, ''), database()) AND routine_name = ? AND routine_type = 'FUNCTION'",
	"event":     "SELECT event_name, definer FROM information_schema.events WHERE event_schema = coalesce(NULLIF(?, ''), database()) AND event_name = ?",
}

const mysqlTriggersOf = "SELECT trigger_name, definer FROM information_schema.triggers WHERE event_object_schema = coalesce(NULLIF(?, ''), database()) AND event_object_table = ?"

func (d mysqlDialect) remakes(ctx context.Context, q Querier, tables []Name, objects []Object) error {
	type owned struct{ what, definer string }
	var found []owned
	look := func(kind, query, schema, name string) error {
		rows, err := q.QueryContext(ctx, query, schema, name)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var o owned
			if err := rows.Scan(&o.what, &o.definer); err != nil {
				return err
			}
			o.what = kind + " " + o.what
			if o.definer != "" && !slices.Contains(found, o) && !strings.Contains(o.what, " dbrollback_") { // "": hidden, which is told elsewhere
				found = append(found, o)
			}
		}
		return rows.Err()
	}
	for _, n := range tables {
		if err := look("trigger", mysqlTriggersOf, n.Schema, n.Name); err != nil {
			return fmt.Errorf("look for triggers of %s: %w", n, err)
		}
	}
	for _, o := range objects {
		if query := mysqlDefiners[o.Kind]; query != "" {
			if err := look(o.Kind, query, "", o.Name); err != nil {
				return fmt.Errorf("look for %s %s: %w", o.Kind, o.Name, err)
			}
		}
	}
	if len(found) == 0 {
		return nil
	}
	grants, err := d.grants(ctx, q)
	if err != nil {
		return err
	}
	has := mysqlEverywhere(grants)
	may := func(rights ...string) bool {
		return slices.ContainsFunc(rights, func(r string) bool { return has[r] || has["ALL PRIVILEGES"] || has["SUPER"] })
	}
	var me string
	var logs, trusts bool
	if err := q.QueryRowContext(ctx, "SELECT current_user(), @@log_bin, @@log_bin_trust_function_creators").Scan(&me, &logs, &trusts); err != nil {
		return err
	}
	for _, o := range found {
		refused := func(why, hint string) error {
			return &Error{Class: Privilege, Message: fmt.Sprintf("this account could not make %s again, which a rollback may have to: %s; nothing was done", o.what, why), Hint: hint}
		}
		switch right := map[bool]string{true: "SET USER", false: "SET_ANY_DEFINER"}[d.maria]; {
		case o.definer != me && !may(right, "SET_USER_ID"):
			return refused("it is of "+o.definer, fmt.Sprintf("GRANT %s ON *.* TO it%s; or run migrations as %s", right, map[bool]string{false: " (before MySQL 8.2: SET_USER_ID), and SYSTEM_USER if " + o.definer + " has that"}[d.maria], o.definer))
		case logs && !trusts && !may("BINLOG ADMIN") && (strings.HasPrefix(o.what, "trigger ") || strings.HasPrefix(o.what, "function ")):
			return refused("the server has a binary log and trusts only accounts with SUPER", hintFunction)
		}
	}
	return nil
}

// grants lists the account's grants, and those of its active roles.
func (d mysqlDialect) grants(ctx context.Context, q Querier) ([]string, error) {
	var roles sql.NullString
	if err := q.QueryRowContext(ctx, "SELECT current_role()").Scan(&roles); err != nil {
		return nil, err
	}
	show := "SHOW GRANTS"
	if !d.maria && roles.String != "" && roles.String != "NONE" { // MariaDB shows those of the role as well
		show += " FOR CURRENT_USER() USING " + roles.String
	}
	return Texts(ctx, q, show)
}

// mysqlEverywhere are the rights that grants give on the whole server.
func mysqlEverywhere(grants []string) map[string]bool {
	has := map[string]bool{}
	for _, line := range grants {
		if m := mysqlGrant.FindStringSubmatch(line); m != nil && m[2] == "*" {
			for _, right := range strings.FieldsFunc(m[1], func(r rune) bool { return r == ',' }) {
				has[strings.TrimSpace(right)] = true
			}
		}
	}
	return has
}
