package snapshot

import (
	"context"
	"fmt"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// postgresStanding reads where sequences stand that have given a number.
func postgresStanding(ctx context.Context, q engine.Querier, s *Store, all bool, names []engine.Name) (out []Sequence, err error) {
	quoted := []string{}
	for _, n := range names {
		quoted = append(quoted, s.db.Quote(n))
	}
	rows, err := q.QueryContext(ctx, `SELECT n.nspname, c.relname, c.oid::bigint, x.last, s.seqincrement < 0
		FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
		CROSS JOIN LATERAL (SELECT CASE WHEN pg_catalog.has_sequence_privilege(c.oid, 'SELECT, USAGE') THEN pg_catalog.pg_sequence_last_value(c.oid) END AS last) x
		WHERE c.relpersistence <> 't' AND x.last IS NOT NULL
		AND ($1::boolean OR c.oid IN (SELECT pg_catalog.to_regclass(t) FROM pg_catalog.unnest($2::text[]) t))`, all, quoted)
	if err != nil {
		return nil, fmt.Errorf("read sequences: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var x Sequence
		if err := rows.Scan(&x.Name.Schema, &x.Name.Name, &x.ID, &x.Last, &x.Descending); err != nil {
			return nil, fmt.Errorf("read sequences: %w", err)
		}
		if x.Name.Schema != s.db.Own("").Schema {
			out = append(out, x)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read sequences: %w", err)
	}
	return out, nil
}

// postgresOnward lets a sequence continue after a number.
func postgresOnward(ctx context.Context, q engine.Querier, s *Store, x Sequence) error {
	order := "<"
	if x.Descending {
		order = ">"
	}
	_, err := q.ExecContext(ctx, `SELECT pg_catalog.setval(s.seqrelid, $2::bigint) FROM pg_catalog.pg_sequence s
		WHERE s.seqrelid = pg_catalog.to_regclass($1::text) AND $2::bigint BETWEEN s.seqmin AND s.seqmax AND coalesce(pg_catalog.pg_sequence_last_value(s.seqrelid) `+order+` $2::bigint, true)`,
		s.db.Quote(x.Name), x.Last)
	return err
}

// postgresHold locks a sequence as ALTER SEQUENCE does, also when that alters nothing. Its owner may; who may drop it as the owner of its schema may not.
func postgresHold(ctx context.Context, q engine.Querier, s *Store, n engine.Name) error {
	cache, err := engine.Texts(ctx, q, `SELECT s.seqcache::text FROM pg_catalog.pg_sequence s JOIN pg_catalog.pg_class c ON c.oid = s.seqrelid
		WHERE s.seqrelid = pg_catalog.to_regclass($1::text) AND pg_catalog.pg_has_role(c.relowner, 'USAGE')`, s.db.Quote(n))
	if err != nil || len(cache) == 0 {
		return err
	}
	_, err = exec(ctx, q, "lock a sequence", "ALTER SEQUENCE "+s.db.Quote(n)+" CACHE "+cache[0])
	return err
}
