package engine

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strings"
)

//go:embed grants_postgres.sql
var grantsPostgres string

// OperatorGrants gives the statements, each with a comment before it, that let an account run a rollback here, and no
// more. They are for a person with the right to grant; nothing is run. The account may not exist yet.
//
// On PostgreSQL only the owner of a table can alter it, so that the account must become the owner of everything for as
// long as it works: it is made a member of that role, and acts as it in this database, so that what Down makes
// again belongs to whom it belonged. A superuser's role is never granted.
func (db *DB) OperatorGrants(ctx context.Context, q Querier, account string) ([]string, error) {
	switch db.Kind {
	case Postgres:
		return db.postgresGrants(ctx, q, account)
	case SQLite:
		return []string{fmt.Sprintf("-- SQLite has no accounts: whoever can write the file %s and the folder it lies in can roll back.\n"+
			"-- As root: chown :%[2]s FILE FOLDER, then chmod g+rw FILE and chmod g+rwx FOLDER, for a group %[2]s.", db.Target.Database, account)}, nil
	}
	return db.mysqlGrants(account), nil
}

func (db *DB) postgresGrants(ctx context.Context, q Querier, account string) ([]string, error) {
	rows, err := q.QueryContext(ctx, grantsPostgres, home, account)
	if err != nil {
		return nil, fmt.Errorf("read the owners: %w", err)
	}
	defer rows.Close()
	var runner, database string
	var exists, super bool
	var others, supers []string
	for rows.Next() {
		var owner string
		var isRunner, isSuper, covered bool
		if err := rows.Scan(&owner, &isRunner, &isSuper, &covered, &exists, &database); err != nil {
			return nil, fmt.Errorf("read the owners: %w", err)
		}
		switch {
		case isRunner:
			runner, super = owner, isSuper
		case isSuper:
			supers = append(supers, owner)
		case !covered:
			others = append(others, owner)
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read the owners: %w", err)
	}
	if runner == "" {
		return nil, errors.New("read the owners: the server names none")
	}
	if super || len(supers) > 0 {
		who := runner
		if !super {
			who = supers[0]
		}
		return nil, &Error{Class: Privilege,
			Message: fmt.Sprintf("tables of this database belong to the superuser %s: only its owner can alter a table, and granting that role would hand over the server", who),
			Hint:    fmt.Sprintf("run migrations as a role of their own, and let it own the tables: ALTER TABLE … OWNER TO …; ALTER SCHEMA %s OWNER TO …", home)}
	}
	if account == runner {
		return []string{fmt.Sprintf("-- %s owns everything a rollback touches already.", db.Ident(account))}, nil
	}
	me, they, base := db.Ident(account), db.Ident(runner), db.Ident(database)
	var out []string
	if !exists {
		out = append(out, "-- the account; give it a password, or another way to log in\nCREATE ROLE "+me+" LOGIN;")
	}
	out = append(out,
		"-- it may connect\nGRANT CONNECT ON DATABASE "+base+" TO "+me+";",
		fmt.Sprintf("-- it may act as %s, the role that runs migrations: PostgreSQL lets only the owner alter a table.\n-- That goes for journals as well: it can enable them, and restore from what they recorded\nGRANT %s TO %s;", they, they, me),
		fmt.Sprintf("-- and does so from its login on, in this database, so that what a rollback makes belongs to %s\nALTER ROLE %s IN DATABASE %s SET role TO %s;", they, me, base, literal(runner)))
	var slots bool
	if err := q.QueryRowContext(ctx, "SELECT EXISTS (SELECT FROM pg_catalog.pg_publication WHERE pubname = 'dbrollback_journal')").Scan(&slots); err != nil {
		return nil, fmt.Errorf("look for journals: %w", err)
	}
	if slots {
		out = append(out, "-- tables are journalled by a replication slot: restore --at reads what of it nobody has read yet\nALTER ROLE "+me+" REPLICATION;")
	}
	for _, o := range others {
		out = append(out, fmt.Sprintf("-- tables of %[1]s, which %[2]s cannot alter either: it needs this for its own migrations, too\nGRANT %[1]s TO %[2]s;", db.Ident(o), they))
	}
	return out, nil
}

// mysqlGrants gives the rights on the database that a session of ours demands, and those that a Down with views or
// routines needs.
func (db *DB) mysqlGrants(account string) []string {
	who := literal(account) + "@'%'"
	if name, host, ok := strings.Cut(account, "@"); ok {
		who = literal(name) + "@" + literal(host)
	}
	base := strings.NewReplacer("_", "\\_", "%", "\\%").Replace(db.Target.Database)
	more := slices.Clone(mysqlNeeded)
	more = append(more, "REFERENCES", "CREATE VIEW", "SHOW VIEW", "CREATE ROUTINE", "ALTER ROUTINE", "EXECUTE", "EVENT")
	return []string{
		"-- the account; give it a password of its own\nCREATE USER IF NOT EXISTS " + who + ";",
		"-- what a rollback may do within this database, and nowhere else.\n" +
			// It reaches beyond the database, so it is shown and not given.
			"-- Triggers give way while rows come back, and views and routines may have to be made again. Those of other accounts take " +
			map[bool]string{true: "SET USER", false: "SET_ANY_DEFINER"}[db.Kind == MariaDB] + " ON *.*\n" +
			"-- `journal enable` and `restore --at` from a journal take PROCESS ON *.* (shows what all accounts are at): it lets them notice TRUNCATE, which fires no trigger.\nGRANT " + strings.Join(more, ", ") + " ON " + db.Ident(base) + ".* TO " + who + ";",
	}
}
