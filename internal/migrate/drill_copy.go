package migrate

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/verify"
)

// CopyForDrill makes a scratch database that holds what the database of a URL holds, and says in a word how. Where the server cannot
// copy a database, it is filled by statements; original is then the name of the database that statements on the copy could reach,
// too (DrillOptions.Original), else "".
func CopyForDrill(ctx context.Context, scratch *engine.Scratch, dsn string, notify func(string)) (name, how, original string, err error) {
	if scratch.Copies() {
		name, how, err = scratch.CopyOf(ctx, dsn, notify)
		return name, how, "", err
	}
	t, err := engine.Parse(dsn)
	if err != nil {
		return "", "", "", err
	}
	if name, err = scratch.Create(ctx, ""); err != nil {
		return "", "", "", err
	}
	c := &filling{scratch: scratch, from: t.Database, to: name, notify: notify}
	if err := c.run(ctx, dsn); err != nil {
		return "", "", "", fmt.Errorf("copy the database: %w", err)
	}
	return name, "statements", t.Database, nil
}

// filling fills an empty database from another one of the same server: the tables, their rows, then what could do something of
// its own with rows that arrive.
type filling struct {
	scratch  *engine.Scratch
	from, to string
	notify   func(string)
	source   *trunk
	t        *trunk
	now      verify.Fingerprint // of the source
}

// copyLockWait is how long a copy waits for somebody who changes a table, in seconds.
const copyLockWait = 30

func (c *filling) run(ctx context.Context, dsn string) (err error) {
	db, err := engine.Open(ctx, dsn, engine.Options{MustExist: true})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	s, err := db.Session(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	c.source = &trunk{db: db, s: s}
	if c.now, err = verify.Take(ctx, db, s, verify.Scope{}); err != nil {
		return err
	}
	if err := c.outside(); err != nil {
		return err
	}
	c.t = &trunk{scratch: c.scratch, name: c.to}
	if err := c.t.open(ctx); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.t.leave()) }()
	c.t.db.Ignore = nil // goose's table is copied, too
	if err := c.t.each(ctx, []string{
		fmt.Sprintf("SET SESSION lock_wait_timeout = %d, foreign_key_checks = 0, unique_checks = 0", copyLockWait),
		"SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES'",
	}); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{c.tables, c.own, c.rows, c.sequences, c.code} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// isCode are the kinds that come last: they would fire, or read what is not there yet.
var isCode = []string{"view", "trigger", "trigger order", "function", "procedure", "package", "package body"}

// leftOut are the kinds that a copy does without: rights are other people's, and an event would begin to work.
var leftOut = []string{"grant", "event", "database"}

// part is the fingerprint of some kinds, its statements made the copy's own.
func (c *filling) part(has func(kind string) bool) verify.Fingerprint {
	out := verify.Fingerprint{}
	for key, o := range c.now {
		if !has(o.Kind) || slices.Contains(leftOut, o.Kind) {
			continue
		}
		o.Create = slices.Clone(o.Create)
		for i := range o.Create {
			o.Create[i] = c.adopt(o.Create[i])
		}
		out[key] = o
	}
	return out
}

var definer = regexp.MustCompile("^(CREATE (?:OR REPLACE )?(?:ALGORITHM=\\w+ )?)DEFINER=`(?:[^`]|``)*`(?:@`(?:[^`]|``)*`)? ")

// adopt takes out of a statement that the server printed whose rights the code has, which end at the original, and the
// original's name.
func (c *filling) adopt(statement string) string {
	statement = definer.ReplaceAllString(statement, "$1")
	return strings.ReplaceAll(statement, c.source.db.Ident(c.from)+".", "")
}

// names matches a database's name where it qualifies another.
func names(database string) *regexp.Regexp {
	return regexp.MustCompile("(?i)(?:^|[^\\w$`])(?:`" + regexp.QuoteMeta(database) + "`|" + regexp.QuoteMeta(database) + ")\\s*\\.")
}

// outside refuses code that names the original: the copy's would work on the original.
func (c *filling) outside() error {
	name := names(c.from)
	for _, o := range c.now {
		if slices.Contains(leftOut, o.Kind) {
			continue
		}
		for _, statement := range o.Create {
			if name.MatchString(c.adopt(statement)) {
				return &RefusedError{Reasons: []Refusal{{Message: fmt.Sprintf("%s %s names its database, %s: that of a copy would work on the original", o.Kind, o.Name, c.from),
					Hint: "write it without the database's name, or practise with --in-place on a database that nobody uses"}}}
			}
		}
	}
	return nil
}

func (c *filling) tables(ctx context.Context) error {
	c.notify("making the tables of the copy")
	want := c.part(func(kind string) bool { return !slices.Contains(isCode, kind) })
	if err := c.t.each(ctx, verify.Repair(want, verify.Fingerprint{})); err != nil {
		return err
	}
	have, err := verify.Take(ctx, c.t.db, c.t.s, verify.Scope{})
	if err != nil {
		return err
	}
	for key, o := range have {
		if slices.Contains(isCode, o.Kind) || slices.Contains(leftOut, o.Kind) {
			delete(have, key)
		}
	}
	if d := material(verify.Diff(want, have)); len(d) > 0 {
		return fmt.Errorf("the tables of the copy are not like those of the original: %s %s", d[0].Kind, d[0].Object)
	}
	return nil
}

// own makes our own tables, captures among them, which a fingerprint does not have.
func (c *filling) own(ctx context.Context) error {
	names, err := c.source.db.TablesOfOurs(ctx, c.source.s)
	if err != nil {
		return err
	}
	var statements []string
	for _, n := range names {
		statements = append(statements, "CREATE TABLE "+c.t.db.Quote(n)+" LIKE "+c.original(n))
	}
	return c.t.each(ctx, statements)
}

func (c *filling) original(n engine.Name) string {
	return c.t.db.Quote(engine.Name{Schema: c.from, Name: n.Name})
}

// rows copies them as of one moment: whoever wants to write to the original waits until it is done.
func (c *filling) rows(ctx context.Context) (err error) {
	tables, err := c.t.db.Tables(ctx, c.t.s)
	if err != nil {
		return err
	}
	ours, err := c.t.db.TablesOfOurs(ctx, c.t.s)
	if err != nil {
		return err
	}
	tables = append(tables, ours...)
	if len(tables) == 0 {
		return nil
	}
	var locks, inserts []string
	for _, n := range tables {
		t, err := c.t.db.Inspect(ctx, c.t.s, n)
		if err != nil {
			return err
		}
		var columns []string
		for _, col := range t.Columns {
			if !col.Generated {
				columns = append(columns, col.Name)
			}
		}
		locks = append(locks, c.original(n)+" READ", c.t.db.Quote(n)+" WRITE")
		if len(columns) > 0 {
			inserts = append(inserts, fmt.Sprintf("INSERT INTO %s (%[2]s) SELECT %[2]s FROM %[3]s", c.t.db.Quote(n), c.t.db.Idents(columns), c.original(n)))
		}
	}
	for _, o := range c.now { // a default may ask one
		if o.Kind == "sequence" {
			locks = append(locks, c.t.db.Ident(o.Name)+" WRITE")
		}
	}
	c.notify("copying the rows; who writes to the original waits meanwhile")
	if err := c.t.each(ctx, []string{"LOCK TABLES " + strings.Join(locks, ", ")}); err != nil {
		return err
	}
	err = c.t.each(ctx, inserts)
	_, uerr := c.t.s.ExecContext(context.WithoutCancel(ctx), "UNLOCK TABLES")
	return errors.Join(err, uerr)
}

// sequences takes over what was handed out.
func (c *filling) sequences(ctx context.Context) error {
	for _, o := range c.now {
		if o.Kind != "sequence" {
			continue
		}
		var next int64
		if err := c.t.s.QueryRowContext(ctx, "SELECT next_not_cached_value FROM "+c.original(engine.Name{Name: o.Name})).Scan(&next); err != nil {
			return err
		}
		if err := c.t.each(ctx, []string{fmt.Sprintf("DO SETVAL(%s, %d, 0)", c.t.db.Ident(o.Name), next)}); err != nil {
			return err
		}
	}
	return nil
}

// code makes views, triggers and routines.
func (c *filling) code(ctx context.Context) error {
	have := c.part(func(kind string) bool { return !slices.Contains(isCode, kind) })
	all := c.part(func(string) bool { return true })
	if err := c.t.each(ctx, verify.Repair(all, have)); err != nil {
		return err
	}
	if n := len(slices.DeleteFunc(sortedObjects(c.now), func(o verify.Object) bool { return o.Kind != "event" })); n > 0 {
		c.notify(plural(int64(n), "event") + " left out of the copy")
	}
	return nil
}

func sortedObjects(f verify.Fingerprint) (out []verify.Object) {
	for _, o := range f {
		out = append(out, o)
	}
	slices.SortFunc(out, func(a, b verify.Object) int { return strings.Compare(a.Key(), b.Key()) })
	return out
}

// keepsTo refuses a drill whose migrations name the database that the copy was made of: they would work on the original.
func (d *drill) keepsTo(ctx context.Context, versions []int64) error {
	if d.o.Original == "" {
		return nil
	}
	name := names(d.o.Original)
	ours, err := d.m.catalog.exists(ctx, d.m.db)
	if err != nil {
		return err
	}
	for _, v := range versions {
		var rec *record
		if ours {
			if rec, err = d.m.catalog.load(ctx, d.m.db, v); err != nil {
				return err
			}
		}
		for _, dir := range []Direction{Up, Down} {
			mig, _, err := d.m.migration(ctx, v, dir, rec)
			var refused *RefusedError
			if errors.As(err, &refused) {
				continue // it says so itself when it is to run
			}
			if err != nil {
				return err
			}
			for _, st := range mig.statements(dir) {
				if !name.MatchString(st.SQL) && !slices.ContainsFunc(st.Effects, func(e effects.Effect) bool { return strings.EqualFold(e.Table.Schema, d.o.Original) }) {
					continue
				}
				return &RefusedError{Reasons: []Refusal{{File: mig.File, Line: st.Line, Column: st.Column,
					Message: fmt.Sprintf("migration %d names the database %s: on a copy it would work on the original", v, d.o.Original),
					Hint:    "write it without the database's name, or practise with --in-place on a database that nobody uses"}}}
			}
		}
	}
	return nil
}
