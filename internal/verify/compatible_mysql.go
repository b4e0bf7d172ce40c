package verify

import (
	"context"
	"fmt"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

func (v mysql) checks(ctx context.Context, q engine.Querier, t *engine.Table) ([]rowCheck, error) {
	f, err := v.take(ctx, q, Scope{Tables: []engine.Name{t.Name}})
	if err != nil {
		return nil, err
	}
	var out []rowCheck
	for _, o := range f {
		if expr, ok := strings.CutPrefix(o.Definition, "CHECK "); ok && o.Kind == "check" && !strings.Contains(expr, "NOT ENFORCED") {
			out = append(out, checkOf(o.Name, expr))
		}
	}
	return out, nil
}

// misfits lets a column of the type of now take every value, in the mode that cuts what is too long, and then one of the type
// that it had: what does not come back the same does not fit.
func (v mysql) misfits(ctx context.Context, q engine.Querier, f Fit, c Captured, now engine.Column) (int64, error) {
	for _, query := range []string{
		fmt.Sprintf("CREATE TEMPORARY TABLE dbrollback_fit (raw %[1]s, v %[2]s, again %[1]s)", c.Decl, now.Type),
		fmt.Sprintf("INSERT IGNORE INTO dbrollback_fit (raw, v) SELECT %s, %s FROM %s", c.Ref, c.Ref, f.From),
		"UPDATE IGNORE dbrollback_fit SET again = v",
	} {
		if _, err := q.ExecContext(ctx, query); err != nil {
			return 0, err
		}
	}
	var n int64
	if err := q.QueryRowContext(ctx, "SELECT COUNT(*) FROM dbrollback_fit WHERE NOT CAST(again AS BINARY) <=> CAST(raw AS BINARY)").Scan(&n); err != nil {
		return 0, err
	}
	_, err := q.ExecContext(ctx, "DROP TEMPORARY TABLE dbrollback_fit")
	return n, err
}
