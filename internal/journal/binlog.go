package journal

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// Reads says what a statement of the binary log does; ok is false when it is not understood. What has no schema is of the database that
// the statement ran in.
type Reads func(text string) (touched []Touched, ok bool)

// Touched is a table that a statement changes in another way than by rows that are written down. Schema alone: all of its tables.
type Touched struct {
	engine.Name
	Kept bool // its columns and what is in them stay as they are
}

// Binlog is the binary log of MySQL and MariaDB as a source: what was written to tables that nobody prepared. It is read when it is asked
// for, from the file that covers the moment to the end, into a table of the session's for each table asked for.
//
// Rows that were written since are locked as soon as they are known, and the log is read on until nothing new comes. In the
// end it is asked whether a row of those that were gone was made anew meanwhile.
type Binlog struct {
	j       *Journal
	reads   Reads
	tables  []engine.Name
	related bool
	at      time.Time
	upto    position
	x       int64      // number of the transaction that was read last
	watched []*watched // nil before the log was read
	note    string
	folds   bool // names of tables are the same in capitals
	whole   bool
	held    *engine.Session // keeps writers from the tables while all of their rows are read
}

// Binlog reads the binary log for one restoration. The caller closes it.
func (j *Journal) Binlog(ask snapshot.Ask, reads Reads) *Binlog {
	return &Binlog{j: j, reads: reads, tables: ask.Tables, related: ask.Related, whole: ask.Mode == snapshot.Copy}
}

// Begin forgets what was read: what was held for it is let go.
func (b *Binlog) Begin() error {
	b.watched = nil
	if b.held == nil {
		return nil
	}
	s := b.held
	b.held = nil
	return s.Close()
}

// watched is a table whose rows are read from the log.
type watched struct {
	name    engine.Name
	live    *engine.Table
	form    *snapshot.Form
	refused error // why nothing can be had of it
	staging string
	columns []imaged            // in the order of the form: its fields
	key     []imaged            // those of its key
	keys    map[uint64]struct{} // hashes of the keys that were written
	n       int64               // records so far
	locked  int64               // of these, those whose rows are locked
	shape   string              // of the table as the log has it
	insert  *inserting
}

func nothing(hint, format string, args ...any) error {
	return &snapshot.NothingError{Message: fmt.Sprintf(format, args...), Hint: hint}
}

// Gone implements snapshot.Journal: the log begins where a table was made.
func (b *Binlog) Gone(context.Context, engine.Querier, engine.Name) error { return nil }

// Since implements snapshot.Journal.
func (b *Binlog) Since(ctx context.Context, q engine.Querier, live *engine.Table, at time.Time) (*snapshot.Changes, error) {
	if b.j.db.Kind != engine.MySQL && b.j.db.Kind != engine.MariaDB {
		return nil, &RefusedError{Message: "--from-binlog reads the binary log of MySQL and MariaDB: this is " + string(b.j.db.Kind),
			Hint: "dbrollback journal enable records from now on; dbrollback snapshot list shows captures"}
	}
	if b.watched == nil {
		if err := b.prepare(ctx, q, live, at); err != nil {
			return nil, err
		}
	}
	i := slices.IndexFunc(b.watched, func(w *watched) bool { return w.name == live.Name })
	if i < 0 { // asked whether it could come along
		w, err := b.watch(ctx, q, live)
		if err != nil {
			return nil, err
		}
		return &snapshot.Changes{Form: w.form, From: fromBinlog}, w.refused
	}
	w := b.watched[i]
	if w.refused != nil {
		return nil, w.refused
	}
	names, _ := w.form.Columns()
	for k, n := range names {
		names[k] = "j." + n + " AS " + n
	}
	return &snapshot.Changes{Form: w.form, From: fromBinlog, Notes: []string{b.note}, Settled: b.settled,
		Query: fmt.Sprintf("SELECT j.n AS n, j.x AS x, j.n AS s, %s FROM %s j", strings.Join(names, ", "), b.j.db.Ident(w.staging))}, nil
}

// fromBinlog names the source where a snapshot is named otherwise.
const fromBinlog = "binlog"

// prepare reads the log for all tables at once: a transaction is before the moment or after it in all of them.
func (b *Binlog) prepare(ctx context.Context, q engine.Querier, live *engine.Table, at time.Time) error {
	b.at = at
	if err := b.usable(ctx); err != nil {
		return err
	}
	shapes := []*engine.Table{live}
	for _, n := range b.tables {
		t, err := b.j.inspect(ctx, q, n)
		if err != nil {
			return err
		}
		shapes = append(shapes, t)
	}
	var all []*watched
	for i := 0; i < len(shapes); i++ {
		t := shapes[i]
		if slices.ContainsFunc(all, func(w *watched) bool { return w.name == t.Name }) {
			continue
		}
		w, err := b.watch(ctx, q, t)
		if err != nil {
			return err
		}
		if w.refused != nil && i <= len(b.tables) {
			return w.refused // one that was named
		}
		all = append(all, w)
		if !b.related {
			continue
		}
		for _, n := range neighbours(t) {
			o, err := b.j.inspect(ctx, q, n)
			if err != nil {
				continue // it cannot come along
			}
			shapes = append(shapes, o)
		}
	}
	back, err := b.settings(ctx, q)
	if err != nil {
		return err
	}
	defer back()
	for _, w := range all {
		if w.refused == nil {
			if err := b.stage(ctx, q, w); err != nil {
				return err
			}
		}
	}
	end, files, err := b.end(ctx)
	if err != nil {
		return err
	}
	from, err := b.cover(ctx, files, at)
	if err != nil {
		return err
	}
	b.watched, b.upto = all, from
	for range 100 {
		if err := b.read(ctx, q, end, false); err != nil {
			return err
		}
		more, err := b.lock(ctx, q)
		if err != nil || !more {
			return err
		}
		if end, _, err = b.end(ctx); err != nil {
			return err
		}
	}
	return b.busy(all[0].name)
}

// busy says that rows are written faster than they are read.
func (b *Binlog) busy(n engine.Name) error {
	return &engine.Error{Class: engine.LockTimeout, Err: snapshot.ErrMoved, Message: fmt.Sprintf("rows of %s that were to come back are written all the while", n), Hint: "run it again, or when fewer write the table"}
}

func neighbours(t *engine.Table) []engine.Name {
	var out []engine.Name
	for _, fk := range t.ForeignKeys {
		out = append(out, fk.Parent)
	}
	for _, fk := range t.Referenced {
		out = append(out, fk.Table)
	}
	return out
}

// usable refuses a server whose log cannot have what is needed.
func (b *Binlog) usable(ctx context.Context) error {
	v, err := b.variables(ctx)
	if err != nil {
		return err
	}
	b.folds = v["lower_case_table_names"] != "0"
	format, image := v["binlog_format"], v["binlog_row_image"]
	deaf := v["log_slave_updates"] == "OFF" || v["log_replica_updates"] == "OFF"
	if b.j.db.Kind == engine.MariaDB { // there it is off unless somebody wants it, also where nothing is replicated
		deaf = deaf && v["gtid_slave_pos"] != ""
	}
	hint := "what was written so far cannot be had; from now on: dbrollback journal enable"
	switch {
	case v["log_bin"] != "ON":
		return nothing(hint+", or log_bin", "the server writes no binary log (log_bin is OFF)")
	case deaf:
		return nothing(hint+"; or ask the server that it replicates from", "the binary log lacks what the server replicated from another one (log_slave_updates is OFF)")
	case format != "ROW" && format != "": // a server that knows no other has no setting
		return nothing(hint+", or binlog_format=ROW", "the binary log holds statements instead of rows (binlog_format is %s)", format)
	case image != "FULL":
		return nothing(hint+", or binlog_row_image=FULL", "the binary log holds rows in part only (binlog_row_image is %s)", image)
	}
	b.note = "a transaction counts by the moment of its commit"
	if b.j.db.Kind == engine.MariaDB {
		b.note = "the binary log of MariaDB knows whole seconds: ± 1 s, and a long statement outside of a transaction counts from its beginning"
	}
	return nil
}

// variables are the server's settings that matter.
func (b *Binlog) variables(ctx context.Context) (map[string]string, error) {
	rows, err := b.j.db.QueryContext(ctx, "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('log_bin', 'binlog_format', 'binlog_row_image', 'log_slave_updates', 'log_replica_updates', 'lower_case_table_names', 'gtid_slave_pos')")
	if err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	defer rows.Close()
	out := map[string]string{}
	for rows.Next() {
		var name, value string
		if err := rows.Scan(&name, &value); err != nil {
			return nil, fmt.Errorf("read settings: %w", err)
		}
		out[strings.ToLower(name)] = value
	}
	return out, rows.Err()
}

// watch prepares to read what was written to a table.
func (b *Binlog) watch(ctx context.Context, q engine.Querier, t *engine.Table) (*watched, error) {
	w := &watched{name: t.Name, live: t, keys: map[uint64]struct{}{}, staging: "dbrollback_binlog_" + newID()}
	refuse := func(format string, args ...any) {
		if w.refused == nil {
			w.refused = nothing("dbrollback snapshot list shows captures, to be given to --snapshot", "%s cannot be brought back from the binary log: %s", t.Name, fmt.Sprintf(format, args...))
		}
	}
	if len(t.Keys) == 0 {
		refuse("it has no primary key, and no unique key over NOT NULL columns, by which a row could be known again")
		return w, nil
	}
	why, _, err := mysql{b.j}.unfit(ctx, q, t)
	if err != nil {
		return nil, err
	}
	if why != "" {
		why = strings.Replace(why, "that fires no trigger here", "such changes are not in it", 1)
		refuse("%s", why)
		return w, nil
	}
	if t.Versioned {
		refuse("MariaDB keeps its past itself: SELECT … FOR SYSTEM_TIME AS OF")
		return w, nil
	}
	w.form = b.j.store.Form(t)
	_, decls := w.form.Columns()
	key, names := w.form.Key(), w.form.Names()
	for i, n := range append(slices.Clone(key), names...) {
		c := t.Columns[indexOf(t, n)]
		place := 1 + i // behind op
		if i >= len(key) {
			place += len(key)
		}
		m, ok := newImaged(c, indexOf(t, n), decls[place])
		if !ok {
			refuse("column %s is %s, of which the log has another form", n, c.Type)
		}
		if c.Generated {
			refuse("column %s of its key is generated", n)
		}
		if i < len(key) {
			w.key = append(w.key, m)
		} else {
			w.columns = append(w.columns, m)
		}
	}
	return w, nil
}

// settings of the session under which what was read is put by: nothing is cut to fit.
func (b *Binlog) settings(ctx context.Context, q engine.Querier) (back func(), err error) {
	var mode string
	if err := q.QueryRowContext(ctx, "SELECT @@SESSION.sql_mode").Scan(&mode); err != nil {
		return nil, fmt.Errorf("read settings: %w", err)
	}
	if _, err := q.ExecContext(ctx, "SET SESSION sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES,NO_ENGINE_SUBSTITUTION'"); err != nil {
		return nil, fmt.Errorf("fix settings: %w", err)
	}
	return func() { // should it fail the connection is gone
		_, _ = q.ExecContext(context.WithoutCancel(ctx), "SET SESSION sql_mode = '"+mode+"'")
	}, nil
}

// stage makes the table for what is read. It is the session's, and goes with it.
func (b *Binlog) stage(ctx context.Context, q engine.Querier, w *watched) error {
	names, decls := w.form.Columns()
	defs := []string{"n bigint NOT NULL PRIMARY KEY", "x bigint NOT NULL"}
	for i := range names {
		defs = append(defs, names[i]+" "+decls[i])
	}
	if _, err := q.ExecContext(ctx, "CREATE TEMPORARY TABLE "+b.j.db.Ident(w.staging)+" ("+strings.Join(defs, ", ")+")"+b.j.db.Caps.TableOptions); err != nil {
		return b.explain("make a table for what is read", err)
	}
	w.insert = &inserting{into: b.j.db.Ident(w.staging), columns: append([]string{"n", "x"}, names...), table: w.name}
	return nil
}

// lock keeps others from the rows that were written; more tells that some were written before that. Where rows that nobody wrote are read
// as well, it keeps them from the tables.
func (b *Binlog) lock(ctx context.Context, q engine.Querier) (more bool, err error) {
	if b.whole {
		if b.held != nil {
			return false, nil
		}
		if b.held, err = b.j.db.Session(ctx); err != nil {
			return false, err
		}
		var tables []string
		for _, w := range b.watched {
			if w.refused == nil {
				tables = append(tables, b.j.db.Quote(w.name)+" READ")
			}
		}
		if _, err := b.held.ExecContext(ctx, "LOCK TABLES "+strings.Join(tables, ", ")); err != nil {
			return false, fmt.Errorf("keep writers from the tables: %w", err)
		}
		return true, nil
	}
	// Triggers are switched off by another session, which has to lock the table, and with it those that foreign keys tie to it.
	switched := slices.ContainsFunc(b.watched, func(w *watched) bool { return w.refused == nil && len(w.live.Triggers) > 0 })
	for _, w := range b.watched {
		if w.refused != nil || w.locked == w.n {
			continue
		}
		more = true
		if switched {
			w.locked = w.n
			continue
		}
		for _, old := range []bool{false, true} {
			var n int64 // of a column of the table, or MariaDB leaves the table out
			err := q.QueryRowContext(ctx, fmt.Sprintf("SELECT count(t.%s) FROM %s j LEFT JOIN %s t ON %s WHERE j.n > %d FOR UPDATE", b.j.db.Ident(w.live.Keys[0].Columns[0]),
				b.j.db.Ident(w.staging), b.j.db.Quote(w.name), b.j.store.Found(w.form, w.live, "t", "j", old), w.locked)).Scan(&n)
			if err != nil {
				return false, fmt.Errorf("lock rows of %s: %w", w.name, err)
			}
		}
		w.locked = w.n
	}
	return more, nil
}

// settled looks whether a row of those that were written was written again since.
func (b *Binlog) settled(ctx context.Context) error {
	if b.whole {
		return nil // nobody could
	}
	end, _, err := b.end(ctx)
	if err != nil {
		return err
	}
	return b.read(ctx, nil, end, true)
}
