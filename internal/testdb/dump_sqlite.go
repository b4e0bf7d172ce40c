package testdb

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// dumpSQLite lists every object's SQL and every value with its storage class. The SQL is compared
// without layout: SQLite keeps the text of CREATE, to which ALTER adds.
func dumpSQLite(t testing.TB, dsn string, anyOrder bool) string {
	t.Helper()
	var out []string
	use(t, dsn, func(ctx context.Context, db *sql.DB) error {
		objects, err := column(ctx, db, `SELECT type || ' ' || name || char(10) || tbl_name || char(10) || coalesce(sql, '')
			FROM sqlite_schema WHERE name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY type, name`)
		if err != nil {
			return err
		}
		for _, o := range objects {
			parts := strings.SplitN(o, "\n", 3)
			if mine(parts[1]) || mine(strings.SplitN(parts[0], " ", 2)[1]) {
				continue
			}
			out = append(out, parts[0]+": "+sqliteDDL(parts[2], anyOrder))
		}
		tables, err := column(ctx, db, `SELECT name FROM pragma_table_list
			WHERE schema = 'main' AND type IN ('table', 'virtual') AND name NOT LIKE 'sqlite\_%' ESCAPE '\' ORDER BY name`)
		if err != nil {
			return err
		}
		for _, table := range tables {
			if mine(table) {
				continue
			}
			rows, err := sqliteRows(ctx, db, table, anyOrder)
			if err != nil {
				return fmt.Errorf("table %s: %w", table, err)
			}
			out = append(out, rows...)
		}
		for _, pragma := range []string{"user_version", "application_id"} {
			v, err := column(ctx, db, "SELECT "+pragma+" FROM pragma_"+pragma)
			if err != nil {
				return err
			}
			out = append(out, pragma+" "+strings.Join(v, ""))
		}
		return nil
	})
	return strings.Join(out, "\n") + "\n"
}

// sqliteRows is a headline with the columns and a line per row, sorted.
func sqliteRows(ctx context.Context, db *sql.DB, table string, anyOrder bool) ([]string, error) {
	cols, err := column(ctx, db, `SELECT name FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid`, table)
	if err != nil {
		return nil, err
	}
	if anyOrder {
		slices.Sort(cols)
	}
	exprs := make([]string, len(cols))
	for i, c := range cols {
		q := quoteIdent(c)
		// quote() ends a text at its first NUL
		exprs[i] = `typeof(` + q + `) || ' ' || CASE WHEN typeof(` + q + `) = 'text' AND instr(CAST(` + q + ` AS BLOB), x'00') > 0
			THEN 'x' || quote(CAST(` + q + ` AS BLOB)) ELSE quote(` + q + `) END`
	}
	rows, err := column(ctx, db, `SELECT `+strings.Join(exprs, ` || ', ' || `)+` FROM `+quoteIdent(table))
	if err != nil {
		return nil, err
	}
	slices.Sort(rows)
	out := []string{"rows of " + table + " (" + strings.Join(cols, ", ") + "): " + fmt.Sprint(len(rows))}
	for _, r := range rows {
		out = append(out, "  "+strings.ReplaceAll(r, "\n", `\n`))
	}
	return out, nil
}

// column returns the first column of a query's rows.
func column(ctx context.Context, db *sql.DB, query string, args ...any) (out []string, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		out = append(out, s)
	}
	return out, rows.Err()
}

func quoteIdent(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// tokens of SQLite's SQL, as far as layout is concerned
var (
	sqliteToken = regexp.MustCompile(`(?s)--[^\n]*|/\*.*?(?:\*/|$)|'(?:[^']|'')*'|"(?:[^"]|"")*"|` + "`(?:[^`]|``)*`" + `|\[[^\]]*\]|[\p{L}\p{N}_$.]+|\s+|[^\s]`)
	plainIdent  = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// sqliteDDL is the statement with one space between tokens, without comments, and with identifiers that
// need no quotes bare, as RENAME adds quotes. For anyOrder the parts of a table's outermost parenthesis
// are sorted.
func sqliteDDL(ddl string, anyOrder bool) string {
	var tokens []string
	for _, tok := range sqliteToken.FindAllString(ddl, -1) {
		switch {
		case strings.TrimSpace(tok) == "", strings.HasPrefix(tok, "--"), strings.HasPrefix(tok, "/*"):
			continue
		case tok[0] == '"', tok[0] == '`', tok[0] == '[':
			if bare := tok[1 : len(tok)-1]; len(tok) > 2 && plainIdent.MatchString(bare) {
				tok = bare
			}
		}
		tokens = append(tokens, tok)
	}
	if anyOrder && len(tokens) > 2 && strings.EqualFold(tokens[0], "CREATE") && strings.EqualFold(tokens[1], "TABLE") {
		tokens = sortParts(tokens)
	}
	return strings.Join(tokens, " ")
}

// sortParts sorts what the commas of the first parenthesis separate.
func sortParts(tokens []string) []string {
	open := slices.Index(tokens, "(")
	if open < 0 {
		return tokens
	}
	var parts []string
	depth, from := 0, open+1
	for i := open; i < len(tokens); i++ {
		switch tokens[i] {
		case "(":
			depth++
		case ")":
			depth--
		}
		if depth == 0 || depth == 1 && tokens[i] == "," {
			parts = append(parts, strings.Join(tokens[from:i], " "))
			from = i + 1
		}
		if depth == 0 {
			slices.Sort(parts)
			return slices.Concat(tokens[:open+1], []string{strings.Join(parts, " , ")}, tokens[i:])
		}
	}
	return tokens
}
