package engine

import (
	"context"
	"errors"
	"fmt"
)

// copier is a place that can hold a copy of any database of its engine, not only of a scratch database.
type copier interface {
	// copyOf makes a database that holds what the one of the URL holds, and says in a word how it was made.
	copyOf(ctx context.Context, name, dsn string, notify func(string)) (how string, err error)
}

// NewScratchBeside makes a place for copies of the database that dsn names: on its own server, or in a folder. The account needs
// the right to create databases there. The database itself is not connected to, so that it can be copied whole.
func NewScratchBeside(ctx context.Context, dsn string, notify func(string)) (*Scratch, error) {
	t, err := Parse(dsn)
	if err != nil {
		return nil, err
	}
	o := ScratchOptions{DSN: dsn, Notify: notify}
	if t.Kind != Postgres {
		return NewScratch(ctx, o)
	}
	var errs []error
	for _, database := range []string{"postgres", "template1"} { // there on almost every server
		if database == t.Database {
			continue
		}
		if o.DSN, err = otherDatabase(dsn, database); err != nil {
			return nil, err
		}
		s, err := NewScratch(ctx, o)
		if e, ok := AsError(err); err == nil || ok && e.Class == Privilege && ctx.Err() == nil {
			return s, err
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

// CopyOf makes a scratch database that holds what the database of a URL holds, and says how: by "template", from a "dump", by
// "backup".
func (s *Scratch) CopyOf(ctx context.Context, dsn string, notify func(string)) (name, how string, err error) {
	c, ok := s.place.(copier)
	if !ok {
		return "", "", &Error{Class: Unsupported, Message: fmt.Sprintf("no copies of %s databases yet", s.kind), Hint: "work on the database itself: --in-place"}
	}
	if notify == nil {
		notify = func(string) {}
	}
	name = s.reserve()
	if how, err = c.copyOf(ctx, name, dsn, notify); err != nil {
		return "", "", fmt.Errorf("copy the database: %w", err)
	}
	return name, how, nil
}
