package snapshot

import (
	"context"
	_ "embed"
	"fmt"
	"slices"

	"github.com/dbrollback/dbrollback/internal/engine"
)

//go:embed postgres_triggers.sql
var postgresTriggers string

//go:embed postgres_keys.sql
var postgresKeys string

// shield switches off what would answer to rows that come back: the user's triggers and rules, each of them by name and put
// back exactly as it was (an owner may do that, a superuser is not needed, and foreign keys stay on). Foreign keys are
// checked by lift.
func (d postgresDialect) shield(ctx context.Context, q engine.Querier, tables []*engine.Table) (func(context.Context, map[engine.Name]int64) error, error) {
	var off, on []string
	for _, t := range tables {
		more, back, err := d.silence(ctx, q, t)
		if err != nil {
			return nil, err
		}
		off, on = append(off, more...), append(on, back...)
	}
	foreign, back, err := d.defers(ctx, q, tables)
	if err != nil {
		return nil, err
	}
	off, on = append(off, foreign...), append(on, back...)
	run := func(ctx context.Context, what string, queries ...string) error {
		for _, query := range queries {
			if _, err := q.ExecContext(ctx, query); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
		}
		return nil
	}
	if len(off) > 0 {
		// ALTER TABLE is refused while checks of the table are outstanding.
		if err := run(ctx, "check constraints", "SET CONSTRAINTS ALL IMMEDIATE"); err != nil {
			return nil, err
		}
	}
	if err := run(ctx, "switch triggers off", append(off, "SET CONSTRAINTS ALL DEFERRED")...); err != nil {
		return nil, err
	}
	if err := d.unique(ctx, q, tables); err != nil {
		return nil, err
	}
	return func(ctx context.Context, _ map[engine.Name]int64) error {
		if err := run(ctx, "check constraints", "SET CONSTRAINTS ALL IMMEDIATE"); err != nil {
			return err
		}
		if err := run(ctx, "switch triggers on again", on...); err != nil {
			return err
		}
		// What is deferred by its definition is deferred again for the statements that follow.
		var names *string
		if err := q.QueryRowContext(ctx, `SELECT string_agg(DISTINCT format('%I.%I', n.nspname, c.conname), ', ') FROM pg_constraint c
			JOIN pg_namespace n ON n.oid = c.connamespace WHERE c.condeferred AND c.conrelid <> 0`).Scan(&names); err != nil {
			return fmt.Errorf("read constraints: %w", err)
		}
		if names == nil {
			return nil
		}
		return run(ctx, "defer constraints", "SET CONSTRAINTS "+*names+" DEFERRED")
	}, nil
}

// postgresSlacken makes a foreign key one that was never validated: shield knows how to write rows that such a one would refuse.
func postgresSlacken(ctx context.Context, s *Store, q engine.Querier, fk engine.ForeignKey) error {
	if !fk.Validated {
		return nil
	}
	table, name := s.db.Quote(fk.Table), s.q(fk.Name)
	var definition string
	err := q.QueryRowContext(ctx, "SELECT pg_catalog.pg_get_constraintdef(c.oid) FROM pg_catalog.pg_constraint c WHERE c.conrelid = pg_catalog.to_regclass($1) AND c.conname = $2", table, fk.Name).Scan(&definition)
	if err != nil {
		return fmt.Errorf("read foreign key %s: %w", fk.Name, err)
	}
	for _, query := range []string{"SET CONSTRAINTS ALL IMMEDIATE", "ALTER TABLE " + table + " DROP CONSTRAINT " + name, "ALTER TABLE " + table + " ADD CONSTRAINT " + name + " " + definition + " NOT VALID"} {
		if _, err := exec(ctx, q, "leave foreign key "+fk.Name+" unchecked", query); err != nil {
			return err
		}
	}
	return nil
}

// unique has unique values of the tables checked with each statement: one that was taken is to stay out then, not to fail everything in the end.
func (d postgresDialect) unique(ctx context.Context, q engine.Querier, tables []*engine.Table) error {
	for _, t := range tables {
		var names *string
		if err := q.QueryRowContext(ctx, `SELECT string_agg(format('%I.%I', n.nspname, c.conname), ', ') FROM pg_constraint c
			JOIN pg_namespace n ON n.oid = c.connamespace WHERE c.conrelid = $1 AND c.condeferrable AND c.contype IN ('p', 'u', 'x')`, int64(t.OID)).Scan(&names); err != nil {
			return fmt.Errorf("read constraints: %w", err)
		}
		if names == nil {
			continue
		}
		if _, err := exec(ctx, q, "check unique values of "+t.Name.String(), "SET CONSTRAINTS "+*names+" IMMEDIATE"); err != nil {
			return err
		}
	}
	return nil
}

// silence gives the statements that switch triggers and rules of a table and its partitions off, and on again as they were.
func (d postgresDialect) silence(ctx context.Context, q engine.Querier, t *engine.Table) (off, on []string, err error) {
	rows, err := q.QueryContext(ctx, postgresTriggers, int64(t.OID))
	if err != nil {
		return nil, nil, fmt.Errorf("read triggers: %w", err)
	}
	defer rows.Close()
	mode := map[string]string{"O": "ENABLE", "R": "ENABLE REPLICA", "A": "ENABLE ALWAYS"}
	for rows.Next() {
		var schema, table, what, name, enabled string
		if err := rows.Scan(&schema, &table, &what, &name, &enabled); err != nil {
			return nil, nil, fmt.Errorf("read triggers: %w", err)
		}
		alter := "ALTER TABLE ONLY " + d.s.db.Quote(engine.Name{Schema: schema, Name: table})
		off = append(off, fmt.Sprintf("%s DISABLE %s %s", alter, what, d.s.q(name)))
		on = append(on, fmt.Sprintf("%s %s %s %s", alter, mode[enabled], what, d.s.q(name)))
	}
	return off, on, rows.Err()
}

// defers gives the statements that let foreign keys among the tables wait until all rows are back, and make them as they
// were: one that is never checked late, and one that was never validated (NOT VALID) and would refuse rows that were there.
func (d postgresDialect) defers(ctx context.Context, q engine.Querier, tables []*engine.Table) (off, on []string, err error) {
	written := map[int64]bool{}
	for _, t := range tables {
		written[int64(t.OID)] = true
	}
	var seen []int64
	collect := func(t *engine.Table) error {
		rows, err := q.QueryContext(ctx, postgresKeys, int64(t.OID))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, child, parent int64
			var schema, table, name, definition string
			var deferrable, validated bool
			if err := rows.Scan(&id, &child, &parent, &schema, &table, &name, &definition, &deferrable, &validated); err != nil {
				return err
			}
			if slices.Contains(seen, id) {
				continue
			}
			seen = append(seen, id)
			alter := "ALTER TABLE " + d.s.db.Quote(engine.Name{Schema: schema, Name: table})
			switch {
			case !validated && written[child]:
				off = append(off, alter+" DROP CONSTRAINT "+d.s.q(name))
				on = append(on, alter+" ADD CONSTRAINT "+d.s.q(name)+" "+definition)
			case !deferrable && written[child] && written[parent]:
				off = append(off, alter+" ALTER CONSTRAINT "+d.s.q(name)+" DEFERRABLE INITIALLY IMMEDIATE")
				on = append(on, alter+" ALTER CONSTRAINT "+d.s.q(name)+" NOT DEFERRABLE")
			}
		}
		return rows.Err()
	}
	for _, t := range tables {
		if err := collect(t); err != nil {
			return nil, nil, fmt.Errorf("read foreign keys: %w", err)
		}
	}
	return off, on, nil
}
