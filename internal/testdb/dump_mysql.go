package testdb

import (
	"context"
	"database/sql"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dumpMySQL lists what SHOW CREATE says about every object, the privileges on tables and every value.
func dumpMySQL(t testing.TB, dsn string, anyOrder bool) string {
	t.Helper()
	var out []string
	use(t, dsn, func(ctx context.Context, db *sql.DB) error {
		d := mysqlDump{ctx: ctx, db: db, anyOrder: anyOrder}
		if _, err := db.ExecContext(ctx, `SET time_zone = '+00:00'`); err != nil {
			return err
		}
		if err := db.QueryRowContext(ctx, `SELECT DATABASE()`).Scan(&d.name); err != nil {
			return err
		}
		for _, section := range []func() error{d.tables, d.programs, d.properties} {
			if err := section(); err != nil {
				return err
			}
		}
		out = d.out
		return nil
	})
	return strings.Join(out, "\n") + "\n"
}

type mysqlDump struct {
	ctx      context.Context
	db       *sql.DB
	name     string
	anyOrder bool
	out      []string
}

// tables writes tables, views and sequences, with their rows.
func (d *mysqlDump) tables() error {
	list, err := column(d.ctx, d.db, `SELECT CONCAT(table_type, '|', table_name) FROM information_schema.tables
		WHERE table_schema = DATABASE() ORDER BY table_name`)
	if err != nil {
		return err
	}
	for _, entry := range list {
		kind, name, _ := strings.Cut(entry, "|")
		if mine(name) {
			continue
		}
		switch {
		case strings.Contains(kind, "VIEW"):
			err = d.show("VIEW", name, "Create View")
		case kind == "SEQUENCE":
			err = d.show("SEQUENCE", name, "Create Table")
		default:
			if err = d.show("TABLE", name, "Create Table"); err == nil {
				err = d.rows(name)
			}
		}
		if err != nil {
			return fmt.Errorf("%s %s: %w", kind, name, err)
		}
	}
	return nil
}

// programs writes triggers, routines and events.
func (d *mysqlDump) programs() error {
	list, err := column(d.ctx, d.db, `SELECT CONCAT_WS('|', 'TRIGGER', trigger_name, event_object_table, action_order) AS n
		FROM information_schema.triggers WHERE trigger_schema = DATABASE()
		UNION ALL SELECT CONCAT_WS('|', routine_type, routine_name) FROM information_schema.routines WHERE routine_schema = DATABASE()
			AND routine_type IN ('FUNCTION', 'PROCEDURE')
		UNION ALL SELECT CONCAT_WS('|', 'EVENT', event_name) FROM information_schema.events WHERE event_schema = DATABASE()
		ORDER BY n`)
	if err != nil {
		return err
	}
	fields := map[string]string{"TRIGGER": "SQL Original Statement", "FUNCTION": "Create Function", "PROCEDURE": "Create Procedure",
		"EVENT": "Create Event"}
	for _, entry := range list {
		f := strings.Split(entry, "|")
		if mine(f[1]) || len(f) > 2 && mine(f[2]) {
			continue
		}
		d.out = append(d.out, entry)
		if err := d.show(f[0], f[1], fields[f[0]], "sql_mode"); err != nil {
			return fmt.Errorf("%s: %w", entry, err)
		}
	}
	return nil
}

// properties writes the database's defaults and who may do what with its tables.
func (d *mysqlDump) properties() error {
	list, err := column(d.ctx, d.db, `SELECT CONCAT_WS(' ', 'database', default_character_set_name, default_collation_name) AS p
		FROM information_schema.schemata WHERE schema_name = DATABASE()
		UNION ALL SELECT CONCAT_WS(' ', 'grant', privilege_type, 'on', table_name, 'to', grantee, is_grantable)
		FROM information_schema.table_privileges WHERE table_schema = DATABASE()
		UNION ALL SELECT CONCAT_WS(' ', 'grant', privilege_type, '(', column_name, ') on', table_name, 'to', grantee, is_grantable)
		FROM information_schema.column_privileges WHERE table_schema = DATABASE() ORDER BY p`)
	d.out = append(d.out, list...)
	return err
}

// autoIncrement is the position of a table's counter, which must not go back.
var autoIncrement = regexp.MustCompile(` AUTO_INCREMENT=\d+`)

// show writes fields of SHOW CREATE, without the database's own name.
func (d *mysqlDump) show(kind, name string, fields ...string) error {
	rows, err := d.db.QueryContext(d.ctx, "SHOW CREATE "+kind+" `"+strings.ReplaceAll(name, "`", "``")+"`")
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	values := make([]sql.NullString, len(names))
	into := make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	if !rows.Next() {
		return fmt.Errorf("nothing is known about it: %w", rows.Err())
	}
	if err := rows.Scan(into...); err != nil {
		return err
	}
	for _, field := range fields {
		i := slices.Index(names, field)
		if i < 0 {
			return fmt.Errorf("SHOW CREATE %s has no field %s", kind, field)
		}
		text := strings.ReplaceAll(values[i].String, "`"+d.name+"`.", "")
		if kind == "TABLE" {
			text = autoIncrement.ReplaceAllString(text, "")
		}
		lines := strings.Split(text, "\n")
		if d.anyOrder && kind == "TABLE" {
			lines = sortColumns(lines)
		}
		d.out = append(d.out, lines...)
	}
	return rows.Err()
}

// rows writes a table's rows in an order that does not depend on where they lie. Text is read as the bytes
// that are stored, whatever their character set, and FLOAT with all its digits.
func (d *mysqlDump) rows(table string) error {
	order := "ordinal_position"
	if d.anyOrder {
		order = "column_name"
	}
	cols, err := column(d.ctx, d.db, `SELECT CONCAT(data_type, '|', column_name) FROM information_schema.columns
		WHERE table_schema = DATABASE() AND table_name = ? ORDER BY `+order, table)
	if err != nil {
		return err
	}
	names, exprs := make([]string, len(cols)), make([]string, len(cols))
	for i, c := range cols {
		kind, name, _ := strings.Cut(c, "|")
		names[i] = name
		q := "`" + strings.ReplaceAll(name, "`", "``") + "`"
		switch kind {
		case "char", "varchar", "tinytext", "text", "mediumtext", "longtext", "enum", "set", "json":
			exprs[i] = "QUOTE(CAST(" + q + " AS BINARY))"
		case "float", "double":
			exprs[i] = "QUOTE(" + q + " + 0e0)"
		case "tinyint", "smallint", "mediumint", "int", "bigint", "decimal", "date", "datetime", "timestamp", "time", "year", "uuid", "inet4", "inet6":
			exprs[i] = "QUOTE(CAST(" + q + " AS CHAR))"
		default: // binary, blob, bit, geometry, vector
			exprs[i] = "IFNULL(CONCAT('x', HEX(" + q + ")), 'NULL')"
		}
	}
	rows, err := column(d.ctx, d.db, "SELECT CONCAT_WS(', ', "+strings.Join(exprs, ", ")+") FROM `"+strings.ReplaceAll(table, "`", "``")+"`")
	if err != nil {
		return err
	}
	slices.Sort(rows)
	d.out = append(d.out, fmt.Sprintf("rows of %s (%s): %d", table, strings.Join(names, ", "), len(rows)))
	for _, r := range rows {
		d.out = append(d.out, "  "+strings.ReplaceAll(r, "\n", `\n`))
	}
	return nil
}
