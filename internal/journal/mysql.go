package journal

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// mysql records with row triggers, on MySQL and MariaDB. They see every row that is written but those that a foreign key of InnoDB
// changes along and those that TRUNCATE takes away: tables with the one are refused, the other shows in what the server knows of the table
// (mysql_made.go).
type mysql struct{ j *Journal }

const mysqlFormat = "DATE_FORMAT(%s, '%%Y-%%m-%%dT%%H:%%i:%%s.%%fZ')"

func mysqlMoment(t time.Time) string { return "'" + t.UTC().Format("2006-01-02 15:04:05.000000") + "'" }

func (m mysql) spelling() spelling {
	return spelling{
		columns: []string{"n bigint NOT NULL AUTO_INCREMENT PRIMARY KEY", "at datetime(6) NOT NULL", "who varchar(300) NOT NULL", "x bigint NOT NULL"},
		x:       "0", s: "j.n", at: fmt.Sprintf(mysqlFormat, "j.at"), who: "j.who", tx: "CONCAT('connection ', j.x)", now: fmt.Sprintf(mysqlFormat, "UTC_TIMESTAMP(6)"),
		note:    "changes are known by the time of their statement: a transaction that was open at the moment asked for may come back in part",
		indexes: []string{"CREATE INDEX %[2]s ON %[1]s (at)"},
		size:    "SELECT data_length + index_length FROM information_schema.tables WHERE table_schema = database() AND table_name = ?",
		since:   func(_ *segment, _ []*segment, at time.Time) string { return "j.at > " + mysqlMoment(at) },
		old:     func(_ *segment, _ []*segment, before time.Time) string { return "j.at <= " + mysqlMoment(before) },
		some:    pruneByNumber,
		sides: func(at time.Time) (string, string) {
			return "j.at <= " + mysqlMoment(at), "j.at > " + mysqlMoment(at)
		},
	}
}

func (m mysql) ensure(context.Context, engine.Querier) error { return nil }

func (m mysql) unfit(ctx context.Context, q engine.Querier, t *engine.Table) (string, string, error) {
	switch {
	case !strings.EqualFold(t.Engine, "InnoDB"):
		return "rows of the storage engine " + t.Engine + " take part in no transaction: what is rolled back of the journal stays in them", "ALTER TABLE " + t.Name.String() + " ENGINE = InnoDB", nil
	case t.Name.Schema != "":
		return "it is in another database", "name that database in --dsn", nil
	}
	quiet := []string{"NO ACTION", "RESTRICT", ""}
	for _, fk := range t.ForeignKeys {
		if !slices.Contains(quiet, fk.OnDelete) || !slices.Contains(quiet, fk.OnUpdate) {
			return fmt.Sprintf("its foreign key %s changes rows along with those of %s, and that fires no trigger here", fk.Name, fk.Parent),
				"let the key be NO ACTION, and the application delete the rows; dbrollback snapshot create captures it whole", nil
		}
	}
	made, err := m.made(ctx, q, t, "")
	if err != nil {
		return "", "", err
	}
	if why := made.dark(); why != "" {
		return why, wantsProcess, nil
	}
	return "", "", nil
}

var mysqlEvents = []struct{ name, op, old, now string }{{"insert", "i", "", "NEW"}, {"update", "u", "OLD", "NEW"}, {"delete", "d", "OLD", ""}}

func (m mysql) install(ctx context.Context, q engine.Querier, g *segment, t *engine.Table) (err error) {
	j, db := m.j, m.j.db
	// A trigger keeps the settings that it was made under.
	var mode string
	if err := q.QueryRowContext(ctx, "SELECT @@SESSION.sql_mode").Scan(&mode); err != nil {
		return err
	}
	if _, err := q.ExecContext(ctx, "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION'"); err != nil {
		return err
	}
	defer func() {
		if _, back := q.ExecContext(context.WithoutCancel(ctx), "SET SESSION sql_mode = '"+mode+"'"); err == nil {
			err = back
		}
	}()
	if err := m.settle(ctx, q, t); err != nil {
		return err
	}
	names, _ := g.form.Columns()
	for _, e := range mysqlEvents {
		values := append([]string{"UTC_TIMESTAMP(6)", "USER()", "CONNECTION_ID()", "'" + e.op + "'"}, j.store.Values(g.form, e.old, e.now)...)
		query := fmt.Sprintf("CREATE TRIGGER %s AFTER %s ON %s FOR EACH ROW INSERT INTO %s (at, who, x, %s) VALUES (%s)", db.Ident(g.trigger(e.name)), strings.ToUpper(e.name), db.Quote(t.Name),
			db.Ident(g.data()), strings.Join(names, ", "), strings.Join(values, ", "))
		if _, err := q.ExecContext(ctx, query); err != nil { // it waits for every transaction that has written the table
			return err
		}
	}
	made, err := m.made(ctx, q, t, g.id)
	if err != nil {
		return err
	}
	if why := made.dark(); why != "" {
		return &RefusedError{Message: fmt.Sprintf("%s cannot be journalled: %s", t.Name, why), Hint: wantsProcess}
	}
	if made.age < settledAfter {
		return &engine.Error{Class: engine.LockTimeout, Message: t.Name.String() + " was altered at the moment at which its journal was to begin", Hint: "run it again: what was begun of it is taken away then"}
	}
	g.mark = made.mark()
	g.started, err = j.now(ctx, q)
	return err
}

func (m mysql) remove(ctx context.Context, q engine.Querier, g *segment) error {
	for _, e := range mysqlEvents {
		if _, err := q.ExecContext(ctx, "DROP TRIGGER IF EXISTS "+m.j.db.Ident(g.trigger(e.name))); err != nil {
			return err
		}
	}
	return nil
}

func (m mysql) sound(ctx context.Context, q engine.Querier, g *segment, t *engine.Table) (string, error) {
	var on int
	err := q.QueryRowContext(ctx, "SELECT count(*) FROM information_schema.triggers WHERE event_object_schema = database() AND event_object_table = ? AND right(trigger_name, 32) = ?", t.Name.Name, g.id).Scan(&on)
	if err != nil {
		return "", fmt.Errorf("look for triggers: %w", err)
	}
	if on < len(mysqlEvents) {
		return "its triggers are gone", nil
	}
	made, err := m.made(ctx, q, t, g.id)
	if err != nil {
		return "", err
	}
	if why := made.dark(); why != "" {
		return "", &engine.Error{Class: engine.Privilege, Message: fmt.Sprintf("whether the journal of %s can be used cannot be told: %s", t.Name, why), Hint: wantsProcess}
	}
	if made.mark() != g.mark {
		return "it was altered, rebuilt (OPTIMIZE TABLE), made anew or emptied by TRUNCATE, or its triggers were, by something else than dbrollback up: what that changed fired no trigger", nil
	}
	return "", nil
}
