package verify

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// mysqlPlain are modes that do not change how the server prints a definition.
var mysqlPlain = []string{
	"", "ONLY_FULL_GROUP_BY", "STRICT_TRANS_TABLES", "STRICT_ALL_TABLES", "NO_ZERO_IN_DATE", "NO_ZERO_DATE", "ALLOW_INVALID_DATES",
	"ERROR_FOR_DIVISION_BY_ZERO", "NO_AUTO_CREATE_USER", "NO_AUTO_VALUE_ON_ZERO", "NO_ENGINE_SUBSTITUTION",
}

// bare reads tables of the database at hand by what SHOW CREATE TABLE prints of them alone: information_schema, which takes ten times as long on
// these servers and more with each table that there is, is not asked at all. whole: it does not tell this time, the long way does.
func (t *mysqlTaker) bare(ctx context.Context, s Scope) (whole bool, err error) {
	b := s.Bare
	if !b.known {
		var mode string
		var quoted, apart int
		if err := t.q.QueryRowContext(ctx, "SELECT DATABASE(), @@SESSION.sql_mode, @@SESSION.sql_quote_show_create, @@lower_case_table_names, @@innodb_file_per_table").
			Scan(&b.schema, &mode, &quoted, &b.lower, &apart); err != nil {
			return false, err
		}
		other := func(m string) bool { return !slices.Contains(mysqlPlain, m) }
		b.known, b.whole = true, quoted != 1 || apart == 0 || b.lower > 1 || slices.ContainsFunc(strings.Split(mode, ","), other)
	}
	if b.whole {
		return true, nil
	}
	t.schema = b.schema
	for _, n := range s.Tables {
		if n.Schema != "" {
			return true, nil
		}
		if b.lower == 1 {
			n.Name = strings.ToLower(n.Name)
		}
		if t.db.Mine(n) || slices.Contains(t.tables, n) {
			continue
		}
		_, text, err := t.show(ctx, "TABLE "+t.db.Quote(n), 1)
		if e, ok := engine.AsError(err); ok && e.Missing {
			continue
		}
		if err != nil {
			return false, err
		}
		if !strings.HasPrefix(text, "CREATE TABLE ") { // a view, or a temporary table in front of another one
			return true, nil
		}
		objects, err := t.objects(n, text)
		if err != nil {
			return false, err
		}
		t.tables = append(t.tables, n)
		maps.Copy(t.f, objects)
	}
	return false, nil
}
