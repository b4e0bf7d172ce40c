package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

func (d mysqlDialect) inspect(ctx context.Context, q Querier, n Name, shallow bool) (*Table, error) {
	t := &Table{Rows: -1}
	var kind, options string
	var current bool
	var rows, bytes sql.NullInt64
	err := q.QueryRowContext(ctx, `SELECT table_schema, table_name, table_type, coalesce(create_options, ''), table_rows, data_length, table_schema = database(), coalesce(engine, '')
		FROM information_schema.tables
		WHERE table_schema = coalesce(nullif(?, ''), database()) AND table_name = ? AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED', 'VIEW')`, n.Schema, n.Name).
		Scan(&t.Name.Schema, &t.Name.Name, &kind, &options, &rows, &bytes, &current, &t.Engine)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNoTable
	}
	if err != nil {
		return nil, err
	}
	database := t.Name.Schema
	if current {
		t.Name.Schema = ""
	}
	switch {
	case kind == "VIEW":
		t.Kind = "view"
	case strings.Contains(options, "partitioned"):
		t.Kind = "partitioned"
	default:
		t.Kind = "table"
	}
	if shallow {
		return t, nil
	}
	if rows.Valid {
		t.Rows = rows.Int64
	}
	t.Bytes, t.Versioned = bytes.Int64, kind == "SYSTEM VERSIONED"
	if t.Kind == "partitioned" {
		if t.Partitions, err = Texts(ctx, q, `SELECT partition_name FROM information_schema.partitions
			WHERE table_schema = ? AND table_name = ? GROUP BY partition_name ORDER BY min(partition_ordinal_position)`, database, t.Name.Name); err != nil {
			return nil, err
		}
	}
	if err := d.columns(ctx, q, t, database); err != nil {
		return nil, err
	}
	for _, read := range []func(context.Context, Querier, *Table, string) error{mysqlKeys, d.foreignKeys, mysqlTriggers} {
		if err := read(ctx, q, t, database); err != nil {
			return nil, err
		}
	}
	return t, nil
}

func (d mysqlDialect) columns(ctx context.Context, q Querier, t *Table, database string) error {
	rows, err := q.QueryContext(ctx, `SELECT column_name, ordinal_position, column_type, is_nullable = 'NO', column_default, coalesce(extra, ''),
			coalesce(generation_expression, '') <> '', coalesce(character_set_name, ''), coalesce(collation_name, '')
		FROM information_schema.columns WHERE table_schema = ? AND table_name = ? ORDER BY ordinal_position`, database, t.Name.Name)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		c := Column{Portable: true}
		var value sql.NullString
		var extra, charset string
		if err := rows.Scan(&c.Name, &c.Ordinal, &c.Type, &c.NotNull, &value, &extra, &c.Generated, &charset, &c.Collation); err != nil {
			return err
		}
		extra = strings.ToLower(extra)
		if strings.Contains(extra, "auto_increment") {
			c.Identity = "auto_increment"
		}
		c.Invisible, c.OnUpdate = strings.Contains(extra, "invisible"), strings.Contains(extra, "on update")
		c.Base = c.Type
		if charset != "" {
			c.Base += " CHARACTER SET " + charset + " COLLATE " + c.Collation
		}
		if value.Valid && !c.Generated {
			c.Default = d.defaultExpr(value.String, extra)
		}
		t.Columns = append(t.Columns, c)
	}
	return rows.Err()
}

// defaultExpr spells a default as SQL. MariaDB stores it so; MySQL stores a literal bare and says when
// it is an expression instead.
func (d mysqlDialect) defaultExpr(value, extra string) string {
	switch {
	case d.maria && value == "NULL":
		return ""
	case d.maria:
		return value
	case strings.HasPrefix(strings.ToUpper(value), "CURRENT_TIMESTAMP") && strings.Contains(extra, "default_generated"):
		return value
	case strings.Contains(extra, "default_generated"):
		return "(" + strings.NewReplacer(`\'`, `'`, `\\`, `\`).Replace(value) + ")" // the catalog escapes what it shows
	case strings.HasPrefix(value, "b'") || strings.HasPrefix(value, "0x"):
		return value
	}
	return "'" + strings.ReplaceAll(strings.ReplaceAll(value, `\`, `\\`), "'", "''") + "'"
}

// mysqlKeys takes no key over an expression; one over what can be NULL is kept apart. Where the first letters of a column are unique, so is the column: such a key comes last.
func mysqlKeys(ctx context.Context, q Querier, t *Table, database string) error {
	rows, err := q.QueryContext(ctx, `SELECT index_name, column_name, sub_part IS NOT NULL, coalesce(nullable, '') = 'YES'
		FROM information_schema.statistics WHERE table_schema = ? AND table_name = ? AND non_unique = 0
		ORDER BY index_name <> 'PRIMARY', index_name, seq_in_index`, database, t.Name.Name)
	if err != nil {
		return err
	}
	defer rows.Close()
	var broken, loose, short []string
	for rows.Next() {
		var name string
		var column sql.NullString
		var part, nullable bool
		if err := rows.Scan(&name, &column, &part, &nullable); err != nil {
			return err
		}
		if n := len(t.Keys); n == 0 || t.Keys[n-1].Name != name {
			t.Keys = append(t.Keys, Key{Name: name, Primary: name == "PRIMARY"})
		}
		k := &t.Keys[len(t.Keys)-1]
		k.Columns = append(k.Columns, column.String)
		if !column.Valid {
			broken = append(broken, name)
		}
		if part {
			short = append(short, name)
		}
		if nullable {
			loose = append(loose, name)
		}
	}
	t.Keys, t.Unique = solid(t.Keys, broken, loose)
	slices.SortStableFunc(t.Keys, func(a, b Key) int {
		if x, y := slices.Contains(short, a.Name), slices.Contains(short, b.Name); x != y {
			return map[bool]int{false: -1, true: 1}[x]
		}
		if a.Primary != b.Primary {
			return map[bool]int{true: -1, false: 1}[a.Primary]
		}
		return len(a.Columns) - len(b.Columns)
	})
	return rows.Err()
}

var mysqlPlain = regexp.MustCompile(`^[A-Za-z0-9_]+$`)

// foreignKeys asks MariaDB first which tables have any: its information_schema opens every table of the server to tell, unless it is asked
// about one, and a join of two of its tables does so in any case.
func (d mysqlDialect) foreignKeys(ctx context.Context, q Querier, t *Table, database string) error {
	if d.maria {
		if holders, ok := MariaDBForeign(ctx, q, database, t.Name.Name, true); ok {
			for _, h := range holders {
				if err := mariaForeignKeys(ctx, q, t, h, database); err != nil {
					return err
				}
			}
			return nil
		}
	}
	// The second half of the condition is on the parent; both are one scan of the server's dictionary.
	rows, err := q.QueryContext(ctx, mysqlForeignColumns+`, r.delete_rule, r.update_rule
		FROM information_schema.key_column_usage k
		JOIN information_schema.referential_constraints r
			ON r.constraint_schema = k.constraint_schema AND r.constraint_name = k.constraint_name AND r.table_name = k.table_name
		WHERE k.referenced_table_name IS NOT NULL
			AND (k.table_schema = ? AND k.table_name = ? OR k.referenced_table_schema = ? AND k.referenced_table_name = ?)
		ORDER BY k.table_schema, k.table_name, k.constraint_name, k.ordinal_position`, database, t.Name.Name, database, t.Name.Name)
	if err != nil {
		return err
	}
	return mysqlForeignKeys(rows, t, nil)
}

// mariaForeignKeys adds the foreign keys of one holder that a table of a database has part in.
func mariaForeignKeys(ctx context.Context, q Querier, t *Table, holder Name, database string) error {
	rules := map[string][2]string{}
	rows, err := q.QueryContext(ctx, `SELECT constraint_name, delete_rule, update_rule FROM information_schema.referential_constraints
		WHERE constraint_schema = ? AND table_name = ?`, holder.Schema, holder.Name)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var name, onDelete, onUpdate string
		if err := rows.Scan(&name, &onDelete, &onUpdate); err != nil {
			return err
		}
		rules[name] = [2]string{onDelete, onUpdate}
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	columns, err := q.QueryContext(ctx, mysqlForeignColumns+`, '', '' FROM information_schema.key_column_usage k
		WHERE k.table_schema = ? AND k.table_name = ? AND k.referenced_table_name IS NOT NULL
			AND (k.table_schema = ? AND k.table_name = ? OR k.referenced_table_schema = ? AND k.referenced_table_name = ?)
		ORDER BY k.constraint_name, k.ordinal_position`, holder.Schema, holder.Name, database, t.Name.Name, database, t.Name.Name)
	if err != nil {
		return err
	}
	return mysqlForeignKeys(columns, t, rules)
}

const mysqlForeignColumns = `SELECT k.constraint_name, k.table_schema, k.table_name, k.column_name,
	k.referenced_table_schema, k.referenced_table_name, k.referenced_column_name, database()`

// mysqlForeignKeys adds the foreign keys of and to a table, with what they do on DELETE and UPDATE from rules where those are not in the rows.
func mysqlForeignKeys(rows *sql.Rows, t *Table, rules map[string][2]string) error {
	defer rows.Close()
	var all []ForeignKey
	for rows.Next() {
		f := ForeignKey{Validated: true}
		var column, parent, current string
		if err := rows.Scan(&f.Name, &f.Table.Schema, &f.Table.Name, &column, &f.Parent.Schema, &f.Parent.Name, &parent, &current, &f.OnDelete, &f.OnUpdate); err != nil {
			return err
		}
		if rules != nil {
			rule, ok := rules[f.Name]
			if !ok {
				continue // of another kind, or gone since
			}
			f.OnDelete, f.OnUpdate = rule[0], rule[1]
		}
		for _, n := range []*Name{&f.Table, &f.Parent} {
			if n.Schema == current {
				n.Schema = ""
			}
		}
		if last := len(all) - 1; last < 0 || all[last].Name != f.Name || all[last].Table != f.Table {
			all = append(all, f)
		}
		last := &all[len(all)-1]
		last.Columns = append(last.Columns, column)
		last.ParentColumns = append(last.ParentColumns, parent)
	}
	for _, f := range all {
		if f.Table == t.Name {
			t.ForeignKeys = append(t.ForeignKeys, f)
		}
		if f.Parent == t.Name {
			t.Referenced = append(t.Referenced, f)
		}
	}
	return rows.Err()
}

// MariaDBForeign gives the tables with foreign keys that point to a table, and the table itself when own is set and it has some, from a small
// table of InnoDB's; false where that does not tell: it takes the right PROCESS, and names with other signs are spelt in another way there.
func MariaDBForeign(ctx context.Context, q Querier, database, table string, own bool) ([]Name, bool) {
	if !mysqlPlain.MatchString(database + table) {
		return nil, false
	}
	name := database + "/" + table
	rows, err := q.QueryContext(ctx, "SELECT DISTINCT for_name FROM information_schema.innodb_sys_foreign WHERE ref_name = ? OR for_name = ? AND ? ORDER BY for_name", name, name, own)
	if err != nil {
		return nil, false
	}
	defer rows.Close()
	var out []Name
	for rows.Next() {
		var holder string
		if err := rows.Scan(&holder); err != nil {
			return nil, false
		}
		schema, name, _ := strings.Cut(holder, "/")
		if !mysqlPlain.MatchString(schema) || !mysqlPlain.MatchString(name) {
			return nil, false
		}
		out = append(out, Name{Schema: schema, Name: name})
	}
	return out, rows.Err() == nil
}

func mysqlTriggers(ctx context.Context, q Querier, t *Table, database string) error {
	rows, err := q.QueryContext(ctx, `SELECT trigger_name, action_timing, event_manipulation FROM information_schema.triggers
		WHERE event_object_schema = ? AND event_object_table = ? AND trigger_name NOT LIKE 'dbrollback\_%' ORDER BY action_timing, event_manipulation, action_order`, database, t.Name.Name)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		g := Trigger{Enabled: "O"}
		var timing string
		if err := rows.Scan(&g.Name, &timing, &g.Events); err != nil {
			return err
		}
		g.Before = timing == "BEFORE"
		t.Triggers = append(t.Triggers, g)
	}
	if err := errors.Join(rows.Err(), rows.Close()); err != nil {
		return err
	}
	ident := (&DB{Kind: MySQL}).Ident
	for i := range t.Triggers {
		name := t.Triggers[i].Name
		if t.Triggers[i].SQL, err = ShowCreate(ctx, q, "SHOW CREATE TRIGGER "+ident(database)+"."+ident(name), "SQL Original Statement"); err != nil {
			return fmt.Errorf("trigger %s: %w", name, err)
		}
	}
	return nil
}

// ShowCreate runs a SHOW CREATE and returns one column of its row: how many there are differs by server.
func ShowCreate(ctx context.Context, q Querier, query, column string) (string, error) {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return "", err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return "", err
	}
	i := slices.Index(columns, column)
	if i < 0 || !rows.Next() {
		return "", errors.Join(rows.Err(), fmt.Errorf("the server's answer has no %q", column))
	}
	values := make([]any, len(columns))
	for k := range values {
		values[k] = new(sql.RawBytes)
	}
	if err := rows.Scan(values...); err != nil {
		return "", err
	}
	text := string(*values[i].(*sql.RawBytes))
	return text, errors.Join(rows.Err(), rows.Close())
}
