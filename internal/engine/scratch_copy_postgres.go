package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5/pgconn"
)

// otherDatabase is a postgres:// URL with another database.
func otherDatabase(dsn, database string) (string, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return "", &Error{Class: Usage, Message: "the postgres:// URL cannot be read", Hint: schemes}
	}
	u.Path, u.RawPath = "/"+database, ""
	q := u.Query()
	q.Del("dbname")
	q.Del("database")
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// copyOf lets the server copy the files of the database, which it does while nobody is connected to it. Otherwise a dump
// fills an empty database.
func (p *postgresScratch) copyOf(ctx context.Context, name, dsn string, notify func(string)) (string, error) {
	t, err := Parse(dsn)
	if err != nil {
		return "", err
	}
	p.mu.Lock()
	busy, err := Texts(ctx, p.s, `SELECT coalesce(usename, '') || coalesce(' ' || nullif(application_name, ''), '') FROM pg_catalog.pg_stat_activity
		WHERE datname = $1 AND pid <> pg_backend_pid() AND backend_type = 'client backend' LIMIT 3`, t.Database)
	p.mu.Unlock()
	if err != nil {
		return "", err
	}
	if len(busy) == 0 {
		err := p.create(ctx, name, t.Database)
		var pg *pgconn.PgError
		if !errors.As(err, &pg) || pg.Code != "55006" && pg.Code != "42501" { // somebody has come meanwhile; it belongs to somebody else
			return "template", err
		}
	}
	notify("others are connected: the copy is filled from a dump")
	return "dump", p.fill(ctx, name, dsn, t.Database)
}

// dumpLockWait is how long a dump waits for a table that somebody has locked, in milliseconds.
const dumpLockWait = "30000"

// fill makes an empty database with the locale of another one and streams a dump of that into it. pg_dump sees one moment.
func (p *postgresScratch) fill(ctx context.Context, name, dsn, from string) error {
	bin, err := dumpPrograms()
	if err != nil {
		return err
	}
	if err := p.createLike(ctx, name, from); err != nil {
		return err
	}
	source, env, err := forPrograms(dsn)
	if err != nil {
		return err
	}
	target, err := otherDatabase(source, name)
	if err != nil {
		return err
	}
	dump := exec.CommandContext(ctx, filepath.Join(bin, "pg_dump"), "--format=custom", "--compress=0", "--lock-wait-timeout="+dumpLockWait, "--dbname="+source)
	restore := exec.CommandContext(ctx, filepath.Join(bin, "pg_restore"), "--dbname="+target)
	var dumpSays, restoreSays bytes.Buffer
	dump.Env, restore.Env = env, env
	dump.Stderr, restore.Stderr, restore.Stdout = &dumpSays, &restoreSays, &restoreSays
	pipe, err := dump.StdoutPipe()
	if err != nil {
		return err
	}
	restore.Stdin = pipe
	if err := dump.Start(); err != nil {
		return fmt.Errorf("pg_dump: %w", err)
	}
	rerr := restore.Run()
	if rerr != nil && newer(restoreSays.String()) {
		rerr = nil
	}
	if rerr != nil {
		_ = pipe.Close() // so that pg_dump does not wait for a reader
	}
	derr := dump.Wait()
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case derr != nil && dumpSays.Len() > 0 && !strings.Contains(dumpSays.String(), "could not write"): // pg_restore had nothing to read
		return fmt.Errorf("pg_dump: %s", firstLine(dumpSays.String()))
	case rerr != nil && restoreSays.Len() > 0:
		return fmt.Errorf("pg_restore: %s", firstLine(strings.Join(slices.DeleteFunc(strings.Split(restoreSays.String(), "\n"), newer), "\n")))
	case derr != nil:
		return fmt.Errorf("pg_dump: %s", firstLine(dumpSays.String()))
	case rerr != nil:
		return fmt.Errorf("pg_restore: %w", rerr)
	}
	return nil
}

// newer tells whether all that pg_restore complained of are settings that a server older than itself does not know. It sets these for
// its session alone.
func newer(says string) bool {
	errors := 0
	for line := range strings.Lines(says) {
		if !strings.Contains(line, "error: ") {
			continue
		}
		if !strings.Contains(line, "unrecognized configuration parameter") {
			return false
		}
		errors++
	}
	return errors > 0
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(strings.TrimSpace(s), "\n")
	return Redact(line)
}

// createLike makes an empty database with the encoding and locale of another one.
func (p *postgresScratch) createLike(ctx context.Context, name, from string) error {
	p.mu.Lock()
	var encoding, collate, ctype, provider, locale, role string
	var may bool
	err := p.s.QueryRowContext(ctx, strings.Replace(postgresScratchFacts, "current_database()", "$1", 1), from).
		Scan(&encoding, &collate, &ctype, &provider, &locale, &role, &may)
	if err == nil {
		p.shape = postgresShape(encoding, collate, ctype, provider, locale)
	}
	p.mu.Unlock()
	if err != nil {
		return fmt.Errorf("read the settings of %s: %w", from, err)
	}
	return p.create(ctx, name, "")
}

// dumpPrograms is the folder of pg_dump and pg_restore.
func dumpPrograms() (string, error) {
	folders := []string{postgresPrograms()}
	if p, err := exec.LookPath("pg_dump"); err == nil {
		folders = append([]string{filepath.Dir(p)}, folders...)
	}
	for _, dir := range slices.Compact(folders) {
		_, derr := os.Stat(filepath.Join(dir, "pg_dump"))
		_, rerr := os.Stat(filepath.Join(dir, "pg_restore"))
		if dir != "" && derr == nil && rerr == nil {
			return dir, nil
		}
	}
	return "", &Error{Class: Usage, Message: "others are connected to the database, so the server cannot copy it, and there is no pg_dump on this machine to do it otherwise",
		Hint: "end the other connections, install pg_dump and pg_restore, or work on the database itself: --in-place"}
}

// forPrograms turns a URL into one for PostgreSQL's own programs, with the password in their environment, where no list of
// processes shows it, and without the parameters that only our driver knows.
func forPrograms(dsn string) (string, []string, error) {
	u, err := url.Parse(dsn)
	if err != nil {
		return "", nil, &Error{Class: Usage, Message: "the postgres:// URL cannot be read", Hint: schemes}
	}
	env := os.Environ()
	if u.User != nil {
		if password, has := u.User.Password(); has {
			env = append(env, "PGPASSWORD="+password)
		}
		u.User = url.User(u.User.Username())
	}
	q := u.Query()
	if password := q.Get("password"); password != "" {
		env = append(env, "PGPASSWORD="+password)
	}
	for key := range q {
		if !strings.HasPrefix(key, "ssl") && !slices.Contains([]string{"host", "port", "user", "connect_timeout", "passfile", "service", "krbsrvname", "target_session_attrs"}, key) {
			q.Del(key)
		}
	}
	u.RawQuery = q.Encode()
	return u.String(), env, nil
}
