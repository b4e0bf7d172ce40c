package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// Misfit counts the rows whose value another type does not take, and shows some.
type Misfit struct {
	Rows    int64
	Samples []string // "id=4: abcdef"
}

// Misfits counts the values of a column that the server would not take into another type. known is false when it cannot be
// told beforehand. using is the expression of the statement that changes the type, "" when it has none. Nothing lasts of what
// it does.
func (s *Session) Misfits(ctx context.Context, t *Table, column, newType, using string, most int) (m Misfit, known bool, err error) {
	var now *Column
	for i := range t.Columns {
		if t.Columns[i].Name == column {
			now = &t.Columns[i]
		}
	}
	if now == nil {
		return m, false, nil
	}
	if using == "" {
		if where := tooLarge(s.db, *now, newType); where != "" {
			m, err = s.db.CountRows(ctx, s, t, where, []string{column}, most)
			return m, err == nil, err
		}
	}
	if s.db.Kind != Postgres {
		return m, false, nil
	}
	err = s.Tx(ctx, func(tx *sql.Tx) error {
		where, err := postgresFits(ctx, s.db, tx, t, column, newType, using)
		if err != nil {
			return err
		}
		if m, err = s.db.CountRows(ctx, tx, t, where, []string{column}, most); err != nil {
			return err
		}
		return errNothingLasts
	})
	if errors.Is(err, errNothingLasts) {
		return m, true, nil
	}
	return m, false, err
}

var errNothingLasts = errors.New("nothing lasts")

// CountRows counts the rows of a table for which a condition holds, and shows some: their key, and the values of the columns.
func (db *DB) CountRows(ctx context.Context, q Querier, t *Table, where string, columns []string, most int) (Misfit, error) {
	var m Misfit
	from := db.Quote(t.Name) + " WHERE " + where
	if err := q.QueryRowContext(ctx, "SELECT count(*) FROM "+from).Scan(&m.Rows); err != nil || m.Rows == 0 {
		return m, err
	}
	var exprs, heads []string
	if len(t.Keys) > 0 {
		for _, c := range t.Keys[0].Columns {
			exprs, heads = append(exprs, db.shown(c)), append(heads, c+"=")
		}
	}
	keys := len(exprs)
	for _, c := range columns {
		exprs, heads = append(exprs, db.shown(c)), append(heads, "")
	}
	if len(exprs) == 0 {
		return m, nil
	}
	var err error
	m.Samples, err = samples(ctx, q, fmt.Sprintf("SELECT %s FROM %s LIMIT %d", strings.Join(exprs, ", "), from, most), heads, keys)
	return m, err
}

// CountTwins counts the combinations of values that more than one row of a table has, and shows some. where may be empty.
func (db *DB) CountTwins(ctx context.Context, q Querier, t *Table, exprs []string, where string, most int) (Misfit, error) {
	var m Misfit
	conditions := make([]string, 0, len(exprs)+1)
	for _, e := range exprs {
		conditions = append(conditions, "("+e+") IS NOT NULL")
	}
	if where != "" {
		conditions = append(conditions, "("+where+")")
	}
	list := strings.Join(exprs, ", ")
	from := fmt.Sprintf("%s WHERE %s GROUP BY %s HAVING count(*) > 1", db.Quote(t.Name), strings.Join(conditions, " AND "), list)
	if err := q.QueryRowContext(ctx, "SELECT count(*) FROM (SELECT 1 AS one FROM "+from+") AS twins").Scan(&m.Rows); err != nil || m.Rows == 0 {
		return m, err
	}
	shown := make([]string, len(exprs))
	for i, e := range exprs {
		shown[i] = db.asText(e)
	}
	var err error
	m.Samples, err = samples(ctx, q, fmt.Sprintf("SELECT %s FROM %s LIMIT %d", strings.Join(shown, ", "), from, most), make([]string, len(exprs)), 0)
	return m, err
}

func (db *DB) shown(column string) string { return db.asText(db.Ident(column)) }

// asText shows the value of an expression to a person.
func (db *DB) asText(expr string) string {
	switch db.Kind {
	case Postgres:
		return "coalesce((" + expr + ")::pg_catalog.text, 'NULL')"
	case SQLite:
		return "quote(" + expr + ")"
	}
	return "coalesce(CAST(" + expr + " AS CHAR), 'NULL')"
}

// longestSample keeps a document in a column from filling the screen.
const longestSample = 40

// samples reads rows as text: the first keys columns are what the row is told by.
func samples(ctx context.Context, q Querier, query string, heads []string, keys int) ([]string, error) {
	rows, err := q.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []string
	for rows.Next() {
		values := make([]string, len(heads))
		into := make([]any, len(heads))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		for i, v := range values {
			if r := []rune(v); len(r) > longestSample {
				v = string(r[:longestSample-1]) + "…"
			}
			values[i] = heads[i] + v
		}
		text := strings.Join(values[:keys], " ")
		if rest := strings.Join(values[keys:], ", "); rest != "" && text != "" {
			text += ": " + rest
		} else if text == "" {
			text = rest
		}
		out = append(out, text)
	}
	return out, rows.Err()
}

var (
	sizedText    = regexp.MustCompile(`(?i)^(?:varchar|character varying|char|character|bpchar|nvarchar)\s*\((\d+)\)(?: binary| character set \w+)*$`)
	sizedNumber  = regexp.MustCompile(`(?i)^(?:numeric|decimal)\s*\((\d+)(?:\s*,\s*(\d+))?\)$`)
	integerRange = map[string][2]string{
		"smallint": {"-32768", "32767"}, "int2": {"-32768", "32767"},
		"integer": {"-2147483648", "2147483647"}, "int": {"-2147483648", "2147483647"}, "int4": {"-2147483648", "2147483647"},
		"bigint": {"-9223372036854775808", "9223372036854775807"}, "int8": {"-9223372036854775808", "9223372036854775807"},
		"tinyint": {"-128", "127"}, "mediumint": {"-8388608", "8388607"},
	}
	textual = regexp.MustCompile(`(?i)^(?:text|(?:tiny|medium|long)text|varchar|character varying|char|character|bpchar|citext)\b`)
	numeral = regexp.MustCompile(`(?i)^(?:smallint|integer|int|tinyint|mediumint|bigint|numeric|decimal|real|double precision|double|float)\b`)
)

// TooLarge is the condition under which a value of a column does not fit into a type that it is narrowed to; "" where nothing as simple
// is known.
func (db *DB) TooLarge(t *Table, column, newType, using string) string {
	for _, c := range t.Columns {
		if c.Name == column && using == "" {
			return tooLarge(db, c, newType)
		}
	}
	return ""
}

// tooLarge is the condition that a value does not fit a type, for the common narrowings; "" when the types are others.
func tooLarge(db *DB, c Column, newType string) string {
	col := db.Ident(c.Name)
	if m := sizedText.FindStringSubmatch(newType); m != nil && textual.MatchString(c.Type) {
		n, err := strconv.Atoi(m[1])
		if err != nil {
			return ""
		}
		if db.Kind == Postgres { // blanks at the end are cut off without a word
			return fmt.Sprintf("pg_catalog.rtrim(pg_catalog.substr(%s::pg_catalog.text, %d)) <> ''", col, n+1)
		}
		return fmt.Sprintf("char_length(%s) > %d", col, n)
	}
	if !numeral.MatchString(c.Type) {
		return ""
	}
	number := col
	if db.Kind == Postgres {
		number = col + "::pg_catalog.numeric"
	}
	if r, ok := integerRange[strings.ToLower(newType)]; ok {
		return fmt.Sprintf("round(%s) NOT BETWEEN %s AND %s", number, r[0], r[1])
	}
	if m := sizedNumber.FindStringSubmatch(newType); m != nil {
		precision, err := strconv.Atoi(m[1])
		scale := 0
		if m[2] != "" && err == nil {
			scale, err = strconv.Atoi(m[2])
		}
		if err != nil || scale > precision {
			return ""
		}
		return fmt.Sprintf("abs(round(%s, %d)) >= 1%s", number, scale, strings.Repeat("0", precision-scale))
	}
	return ""
}

// postgresFits makes a function, for as long as the connection lives, that tries the conversion of one row, and gives the condition that it
// fails: there is no other way to count them before version 16.
func postgresFits(ctx context.Context, db *DB, q Querier, t *Table, column, newType, using string) (string, error) {
	if using == "" {
		using = db.Ident(column)
	}
	body := fmt.Sprintf("DECLARE x %s; BEGIN SELECT %s INTO x FROM (SELECT ($1).*) AS %s; RETURN true; EXCEPTION WHEN data_exception OR check_violation THEN RETURN false; END",
		newType, using, db.Ident(t.Name.Name))
	_, err := q.ExecContext(ctx, fmt.Sprintf("CREATE FUNCTION pg_temp.dbrollback_fits(%s) RETURNS boolean LANGUAGE plpgsql AS %s", db.Quote(t.Name), literal(body)))
	return "NOT pg_temp.dbrollback_fits(" + db.Ident(t.Name.Name) + ")", err
}
