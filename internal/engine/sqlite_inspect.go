package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// sqliteIdent quotes for the reads of this file.
func sqliteIdent(s string) string { return (&DB{Kind: SQLite}).Ident(s) }

func (d sqliteDialect) inspect(ctx context.Context, q Querier, n Name, shallow bool) (*Table, error) {
	t := &Table{Rows: -1}
	var kind string
	var withoutRowID bool
	// A temporary table hides one of the same name, unless main is asked for.
	err := q.QueryRowContext(ctx, `SELECT CASE schema WHEN 'main' THEN '' ELSE schema END, name, type, wr FROM pragma_table_list(?1)
		WHERE name = ?1 COLLATE NOCASE AND schema IN ('main', 'temp') AND (?2 = '' OR schema = ?2 COLLATE NOCASE)
		  AND name NOT LIKE 'sqlite\_%' ESCAPE '\'
		ORDER BY schema = 'temp' DESC LIMIT 1`, n.Name, n.Schema).Scan(&t.Name.Schema, &t.Name.Name, &kind, &withoutRowID)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, ErrNoTable
	}
	if err != nil {
		return nil, err
	}
	t.Kind = kind
	if kind == "shadow" {
		t.Kind = "virtual" // a virtual table's own storage
	}
	if t.Name.Schema == "temp" && kind == "table" {
		t.Kind = "temporary"
	}
	t.RowID = kind == "table" && !withoutRowID
	if shallow {
		return t, nil
	}
	for _, read := range []func(context.Context, Querier, *Table) error{
		sqliteColumns, sqliteCollations, sqliteKeys, sqliteLoose, sqliteForeignKeys, sqliteTriggers, sqliteSize,
	} {
		if err := read(ctx, q, t); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// sqliteColumns also makes the primary key: it is the first of Keys when it can hold no NULL.
func sqliteColumns(ctx context.Context, q Querier, t *Table) error {
	rows, err := q.QueryContext(ctx, `SELECT x.cid, x.name, x.type, x."notnull", coalesce(x.dflt_value, ''), x.pk, x.hidden,
			(SELECT count(*) FROM pragma_index_list(?1, ?2) i WHERE i.origin = 'pk')
		FROM pragma_table_xinfo(?1, ?2) x ORDER BY x.cid`, t.Name.Name, sqliteSchema(t.Name))
	if err != nil {
		return err
	}
	defer rows.Close()
	primary := map[int]string{}
	solid, pkIndex := true, 0
	for rows.Next() {
		var c Column
		var pk, hidden int
		if err := rows.Scan(&c.Ordinal, &c.Name, &c.Type, &c.NotNull, &c.Default, &pk, &hidden, &pkIndex); err != nil {
			return err
		}
		if hidden == 1 { // of a virtual table: no column to read or write
			continue
		}
		c.Ordinal++
		c.Generated = hidden == 2 || hidden == 3
		c.Portable = true // Base stays empty: a column without a type keeps every value as it is
		if pk > 0 {
			primary[pk] = c.Name
			solid = solid && c.NotNull
		}
		t.Columns = append(t.Columns, c)
	}
	if err := rows.Err(); err != nil || len(primary) == 0 {
		return err
	}
	key := Key{Name: "primary key", Primary: true}
	for i := 1; i <= len(primary); i++ {
		key.Columns = append(key.Columns, primary[i])
	}
	if len(primary) == 1 && t.RowID && pkIndex == 0 {
		solid = true // another name of the rowid
		i := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == primary[1] })
		t.Columns[i].NotNull = true
	}
	if solid || t.Kind == "table" && !t.RowID {
		t.Keys = append(t.Keys, key)
	} else {
		t.Unique = append(t.Unique, key)
	}
	return nil
}

// sqliteLoose counts a primary key that could hold NULL, as most of SQLite's do (id TEXT PRIMARY KEY), among the keys while there are rows and none does. A row
// whose key is NULL later is none of those that were known by it. Of a table without rows it stays what is unique.
func sqliteLoose(ctx context.Context, q Querier, t *Table) error {
	i := slices.IndexFunc(t.Unique, func(k Key) bool { return k.Primary })
	if i < 0 || t.Kind != "table" {
		return nil
	}
	key := t.Unique[i]
	var empty []string
	for _, c := range key.Columns {
		empty = append(empty, sqliteIdent(c)+" IS NULL")
	}
	var some bool
	from := " FROM " + sqliteSchema(t.Name) + "." + sqliteIdent(t.Name.Name)
	err := q.QueryRowContext(ctx, "SELECT EXISTS (SELECT 1"+from+"), NOT EXISTS (SELECT 1"+from+" WHERE "+strings.Join(empty, " OR ")+")").Scan(&some, &key.Loose)
	t.Unique[i].Loose = key.Loose
	if err == nil && some && key.Loose {
		t.Keys, t.Unique = append(t.Keys, key), slices.Delete(t.Unique, i, i+1)
	}
	return err
}

// sqliteCollations finds the collations of columns, which SQLite tells only in the text of the table.
func sqliteCollations(ctx context.Context, q Querier, t *Table) error {
	var text sql.NullString
	err := q.QueryRowContext(ctx, "SELECT sql FROM "+sqliteSchema(t.Name)+".sqlite_schema WHERE type = 'table' AND name = ?1 COLLATE NOCASE", t.Name.Name).Scan(&text)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err != nil {
		return err
	}
	depth, column := 0, -1
	first := false // the next token starts a column or a constraint
	tokens := SQLiteScan(text.String)
	for i, token := range tokens {
		switch {
		case token.Text == "(":
			depth++
			first = depth == 1
		case token.Text == ")":
			depth--
		case depth == 1 && token.Text == ",":
			first = true
		case first:
			first = false
			column = slices.IndexFunc(t.Columns, func(c Column) bool {
				return strings.EqualFold(c.Name, token.Name) || token.Name == "" && strings.EqualFold("'"+c.Name+"'", token.Text)
			})
			if !token.Quoted && slices.Contains([]string{"CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"}, token.Text) {
				column = -1
			}
		case depth == 1 && column >= 0 && !token.Quoted && token.Text == "COLLATE" && i+1 < len(tokens):
			t.Columns[column].Collation = tokens[i+1].Text
		}
	}
	return nil
}

func sqliteKeys(ctx context.Context, q Querier, t *Table) error {
	rows, err := q.QueryContext(ctx, `SELECT i.name, x.name FROM pragma_index_list(?1, ?2) i, pragma_index_xinfo(i.name, ?2) x
		WHERE i."unique" AND NOT i.partial AND i.origin <> 'pk' AND x.key ORDER BY i.name, x.seqno`, t.Name.Name, sqliteSchema(t.Name))
	if err != nil {
		return err
	}
	defer rows.Close()
	var unique []Key
	var broken, loose []string // keys over expressions, and over columns that may be NULL
	for rows.Next() {
		var index string
		var column sql.NullString
		if err := rows.Scan(&index, &column); err != nil {
			return err
		}
		if len(unique) == 0 || unique[len(unique)-1].Name != index {
			unique = append(unique, Key{Name: index})
		}
		k := &unique[len(unique)-1]
		k.Columns = append(k.Columns, column.String)
		i := slices.IndexFunc(t.Columns, func(c Column) bool { return c.Name == column.String })
		if !column.Valid || i < 0 {
			broken = append(broken, index)
		} else if !t.Columns[i].NotNull {
			loose = append(loose, index)
		}
	}
	unique, nullable := solid(unique, broken, loose)
	t.Unique = append(t.Unique, nullable...)
	slices.SortStableFunc(unique, func(a, b Key) int { return len(a.Columns) - len(b.Columns) })
	t.Keys = append(t.Keys, unique...)
	return rows.Err()
}

func sqliteForeignKeys(ctx context.Context, q Querier, t *Table) error {
	// Only a table whose text has this one's name can refer to it: to ask each for its keys grows with the schema. A name that is
	// written in another way within quotes is looked for in all of them.
	written := t.Name.Name
	if strings.ContainsAny(written, "\"`]'") {
		written = ""
	}
	// A parent's columns may be left out: then they are its primary key.
	rows, err := q.QueryContext(ctx, `SELECT m.name, f.id, f."table", f."from",
			coalesce(f."to", (SELECT p.name FROM pragma_table_xinfo(f."table", ?2) p WHERE p.pk = f.seq + 1), ''), f.on_update, f.on_delete,
			m.name = ?1 COLLATE NOCASE, f."table" = ?1 COLLATE NOCASE, m.sql
		FROM `+sqliteSchema(t.Name)+`.sqlite_schema m, pragma_foreign_key_list(m.name, ?2) f
		WHERE m.type = 'table' AND (m.name = ?1 COLLATE NOCASE OR instr(lower(m.sql), lower(?3)) > 0) AND (m.name = ?1 COLLATE NOCASE OR f."table" = ?1 COLLATE NOCASE)
		ORDER BY m.name, f.id, f.seq`, t.Name.Name, sqliteSchema(t.Name), written)
	if err != nil {
		return err
	}
	defer rows.Close()
	type found struct {
		fk       ForeignKey
		id       int
		from, to bool
	}
	var all []*found
	for rows.Next() {
		f := found{fk: ForeignKey{Validated: true}}
		var from, to, definition string
		if err := rows.Scan(&f.fk.Table.Name, &f.id, &f.fk.Parent.Name, &from, &to, &f.fk.OnUpdate, &f.fk.OnDelete, &f.from, &f.to, &definition); err != nil {
			return err
		}
		f.fk.Table.Schema, f.fk.Parent.Schema = t.Name.Schema, t.Name.Schema
		if len(all) == 0 || all[len(all)-1].id != f.id || all[len(all)-1].fk.Table != f.fk.Table {
			f.fk.Name = fmt.Sprintf("foreign key %d", f.id)
			f.fk.Deferred = strings.Contains(strings.Join(SQLiteTokens(definition), " "), "INITIALLY DEFERRED")
			f.fk.Deferrable = f.fk.Deferred
			if f.to {
				f.fk.Parent.Name = t.Name.Name // as the catalog spells it
			}
			all = append(all, &f)
		}
		last := &all[len(all)-1].fk
		last.Columns = append(last.Columns, from)
		last.ParentColumns = append(last.ParentColumns, to)
	}
	for _, f := range all {
		if f.from {
			t.ForeignKeys = append(t.ForeignKeys, f.fk)
		}
		if f.to {
			t.Referenced = append(t.Referenced, f.fk)
		}
	}
	return rows.Err()
}

func sqliteTriggers(ctx context.Context, q Querier, t *Table) error {
	// Triggers of the temporary schema can watch a table of main, too.
	rows, err := q.QueryContext(ctx, `SELECT name, sql FROM `+sqliteSchema(t.Name)+`.sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE
		UNION ALL SELECT name, sql FROM temp.sqlite_schema WHERE type = 'trigger' AND tbl_name = ?1 COLLATE NOCASE AND ?2 = 'main'
		ORDER BY name`, t.Name.Name, sqliteSchema(t.Name))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		g := Trigger{Enabled: "O"}
		if err := rows.Scan(&g.Name, &g.SQL); err != nil {
			return err
		}
		if strings.HasPrefix(strings.ToLower(g.Name), home+"_") {
			continue
		}
		for _, word := range SQLiteTokens(g.SQL) {
			if word == "ON" {
				break
			}
			switch word {
			case "BEFORE":
				g.Before = true
			case "INSERT", "UPDATE", "DELETE":
				g.Events = word
			}
		}
		t.Triggers = append(t.Triggers, g)
	}
	return rows.Err()
}

// sqliteCountTo is how many rows are counted; a table with more has its size estimated.
const sqliteCountTo = 10_000

// sqliteSize counts a small table. For a larger one the range of its rowids, and how many rows its
// file can hold at all, bound the number from above. The width is that of the first rows.
func sqliteSize(ctx context.Context, q Querier, t *Table) error {
	if t.Kind != "table" && t.Kind != "temporary" {
		return nil
	}
	table := sqliteIdent(sqliteSchema(t.Name)) + "." + sqliteIdent(t.Name.Name)
	if err := q.QueryRowContext(ctx, fmt.Sprintf("SELECT count(*) FROM (SELECT 1 FROM %s LIMIT %d)", table, sqliteCountTo+1)).Scan(&t.Rows); err != nil {
		return err
	}
	lengths := []string{"0"}
	for _, c := range t.Columns {
		if !c.Generated {
			lengths = append(lengths, "coalesce(octet_length("+sqliteIdent(c.Name)+"), 0)")
		}
	}
	var width float64
	err := q.QueryRowContext(ctx, fmt.Sprintf("SELECT coalesce(avg(w), 0) FROM (SELECT %s + %d AS w FROM %s LIMIT 100)",
		strings.Join(lengths, " + "), len(lengths)+4, table)).Scan(&width)
	if err != nil {
		return err
	}
	if t.Rows > sqliteCountTo {
		var file, span int64
		if err := q.QueryRowContext(ctx, "SELECT page_count * page_size FROM pragma_page_count(?1), pragma_page_size(?1)", sqliteSchema(t.Name)).Scan(&file); err != nil {
			return err
		}
		t.Rows = int64(float64(file) / max(width, 1))
		if t.RowID && !slices.ContainsFunc(t.Columns, func(c Column) bool { return strings.EqualFold(c.Name, "rowid") }) {
			if err := q.QueryRowContext(ctx, fmt.Sprintf("SELECT (SELECT max(rowid) FROM %[1]s) - (SELECT min(rowid) FROM %[1]s) + 1", table)).Scan(&span); err == nil && span > 0 {
				t.Rows = min(t.Rows, span)
			}
		}
		t.Rows = max(t.Rows, sqliteCountTo)
	}
	t.Bytes = int64(float64(t.Rows) * width)
	return nil
}

// sqliteSchema is the schema that SQLite itself would say.
func sqliteSchema(n Name) string {
	if n.Schema == "" {
		return "main"
	}
	return n.Schema
}
