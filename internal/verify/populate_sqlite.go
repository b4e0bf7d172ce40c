package verify

import (
	"context"
	"regexp"
	"strconv"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// sqliteFiller writes values as they are: SQLite converts them as the column's affinity demands.
type sqliteFiller struct{}

var sizes = regexp.MustCompile(`\((\d+)(?:\s*,\s*(\d+))?\)`)

func (sqliteFiller) facts(ctx context.Context, q engine.Querier, t *engine.Table) (*fillTable, error) {
	var text string
	err := q.QueryRowContext(ctx, "SELECT coalesce(sql, '') FROM main.sqlite_schema WHERE type = 'table' AND name = ? COLLATE NOCASE", t.Name.Name).Scan(&text)
	if err != nil {
		return nil, err
	}
	unique, err := sqliteUnique(ctx, q, t.Name.Name)
	if err != nil {
		return nil, err
	}
	split, _ := splitTable(text)
	out := &fillTable{Table: t}
	for _, c := range t.Columns {
		fc := &fillColumn{Column: c, class: sqliteClass(c.Type)}
		if m := sizes.FindStringSubmatch(c.Type); m != nil {
			fc.size, _ = strconv.Atoi(m[1]) // digits
			fc.scale, _ = strconv.Atoi(m[2])
		}
		if fc.class == integers {
			fc.size = 8
		}
		for _, u := range unique {
			if strings.EqualFold(u, c.Name) {
				fc.unique = true
			}
		}
		for _, k := range t.Keys {
			if !containsName(k.Columns, c.Name) {
				continue
			}
			fc.unique = true
			if k.Primary && len(k.Columns) == 1 && t.RowID && strings.EqualFold(c.Type, "INTEGER") {
				fc.integerKey = true
			}
		}
		mentions := regexp.MustCompile(`(?i)(^|\W)` + regexp.QuoteMeta(c.Name) + `(\W|$)`)
		for _, sc := range split.columns {
			if strings.EqualFold(sc.name, c.Name) || mentions.MatchString(sc.text) {
				if at := strings.Index(strings.ToUpper(sc.text), "CHECK"); at >= 0 {
					fc.read(sc.text[at:])
				}
			}
		}
		for _, k := range split.constraints {
			if k.kind == "check" && mentions.MatchString(k.definition) {
				fc.read(k.definition)
			}
		}
		out.columns = append(out.columns, fc)
	}
	return out, nil
}

// sqliteUnique lists the columns of unique indexes.
func sqliteUnique(ctx context.Context, q engine.Querier, table string) ([]string, error) {
	return engine.Texts(ctx, q, `SELECT coalesce(c.name, '') FROM pragma_index_list(?) i, pragma_index_info(i.name) c WHERE i."unique"`, table)
}

// sqliteClass reads a declared type as people mean it; SQLite itself only knows its affinity.
func sqliteClass(declared string) class {
	d := strings.ToUpper(declared)
	for _, k := range []struct {
		part  string
		class class
	}{
		{"BOOL", booleans}, {"INT", integers}, {"JSON", jsons}, {"UUID", uuids}, {"CHAR", strs}, {"CLOB", strs}, {"TEXT", strs}, {"BLOB", bytess},
		{"REAL", floats}, {"FLOA", floats}, {"DOUB", floats}, {"DATETIME", moments}, {"TIMESTAMP", moments}, {"DATE", dates}, {"TIME", times},
		{"NUM", numerics}, {"DEC", numerics},
	} {
		if strings.Contains(d, k.part) {
			return k.class
		}
	}
	if d == "" {
		return bytess
	}
	return strs
}

func (sqliteFiller) value(_ *engine.DB, _ *fillColumn, v any, _ int) (string, any) {
	if b, ok := v.(bool); ok {
		if b {
			return "?", int64(1)
		}
		return "?", int64(0)
	}
	return "?", v
}

func (sqliteFiller) text(db *engine.DB, c *fillColumn) string { return db.Ident(c.Name) }

func (sqliteFiller) override() string { return "" }

func (sqliteFiller) defaults() string { return " DEFAULT VALUES" }

func (sqliteFiller) calm(context.Context, engine.Querier) error { return nil }

func (sqliteFiller) stir(context.Context, engine.Querier) error { return nil }
