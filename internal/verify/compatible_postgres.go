package verify

import (
	"context"
	_ "embed"
	"fmt"

	"github.com/dbrollback/dbrollback/internal/engine"
)

//go:embed compatible_postgres.sql
var postgresChecks string

func (v postgres) checks(ctx context.Context, q engine.Querier, t *engine.Table) ([]rowCheck, error) {
	rows, err := q.QueryContext(ctx, postgresChecks, int64(t.OID))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var out []rowCheck
	for rows.Next() {
		var kind, name, expr string
		if err := rows.Scan(&kind, &name, &expr); err != nil {
			return nil, err
		}
		c := checkOf(name, expr)
		if kind == "partition" {
			c = rowCheck{kind: kind, name: t.Name.String(), expr: expr, message: "%d captured row(s) belong to no partition of %s",
				remedy: "make the partition again, or leave these rows out with --where"}
		}
		out = append(out, c)
	}
	return out, rows.Err()
}

// misfits lets the server convert all values at once. Where it refuses one, each is tried by itself, to count.
func (v postgres) misfits(ctx context.Context, q engine.Querier, f Fit, c Captured, _ engine.Column) (int64, error) {
	differ := func(ref string) string {
		kept, again := c.Round(ref)
		return v.rowHash([]string{kept}) + " <> " + v.rowHash([]string{again})
	}
	var n int64
	if _, err := q.ExecContext(ctx, "SAVEPOINT dbrollback_fit"); err != nil {
		return 0, err
	}
	err := q.QueryRowContext(ctx, "SELECT count(*) FROM "+f.From+" WHERE "+differ(c.Ref)).Scan(&n)
	if err == nil {
		_, err = q.ExecContext(ctx, "RELEASE SAVEPOINT dbrollback_fit")
		return n, err
	}
	if _, back := q.ExecContext(context.WithoutCancel(ctx), "ROLLBACK TO SAVEPOINT dbrollback_fit"); back != nil {
		return 0, err
	}
	// Nothing of this function outlives the session, nor the transaction, which does not write once a value does not fit.
	_, err = q.ExecContext(ctx, fmt.Sprintf(`CREATE OR REPLACE FUNCTION pg_temp.dbrollback_misfit(v %s) RETURNS boolean LANGUAGE plpgsql AS $dbrollback$
		BEGIN RETURN %s; EXCEPTION WHEN OTHERS THEN RETURN true; END $dbrollback$`, c.Decl, differ("v")))
	if err != nil {
		return 0, err
	}
	err = q.QueryRowContext(ctx, "SELECT count(*) FROM "+f.From+" WHERE "+c.Ref+" IS NOT NULL AND pg_temp.dbrollback_misfit("+c.Ref+")").Scan(&n)
	if err != nil {
		return 0, err
	}
	_, err = q.ExecContext(ctx, fmt.Sprintf("DROP FUNCTION pg_temp.dbrollback_misfit(%s)", c.Decl))
	return n, err
}
