package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/migrate"
)

func terminal(answer string) (*session, *bytes.Buffer) {
	var err bytes.Buffer
	s := streams{In: strings.NewReader(answer), Out: io.Discard, Err: &err, InTerminal: true, Getenv: func(string) string { return "" }}
	return &session{streams: s, settings: &settings{}, out: newOutput(s)}, &err
}

func TestConfirm(t *testing.T) {
	for answer, agreed := range map[string]bool{"y\n": true, "YES\n": true, "yes": true, "n\n": false, "\n": false, "": false, "yeah\n": false} {
		s, shown := terminal(answer)
		err := s.confirm(t.Context(), "drop it?")
		var refused *refusedError
		if agreed != (err == nil) || !agreed && !errors.As(err, &refused) {
			t.Errorf("%q: %v", answer, err)
		}
		if !strings.Contains(shown.String(), "drop it? [y/N]") {
			t.Errorf("shown: %q", shown)
		}
	}
	s, shown := terminal("n\n")
	s.Yes = true
	if err := s.confirm(t.Context(), "?"); err != nil || shown.Len() > 0 {
		t.Errorf("--yes: %v, %q", err, shown)
	}
	// Without a terminal a deploy script goes ahead, but what must be said expressly is not.
	s, _ = terminal("")
	s.InTerminal = false
	if err := s.confirm(t.Context(), "?"); err != nil {
		t.Error(err)
	}
	if err := s.insist(t.Context(), "?", "dbrollback x"); explain(t.Context(), err).Exit != 3 {
		t.Errorf("insist: %v", err)
	}
}

// Ctrl-C at a question ends the wait.
func TestConfirmInterrupted(t *testing.T) {
	s, _ := terminal("")
	r, w := io.Pipe()
	defer w.Close()
	s.In = r
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(10*time.Millisecond, cancel)
	if err := s.confirm(ctx, "?"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestProgress(t *testing.T) {
	s, shown := terminal("")
	s.Getenv = func(name string) string { return map[string]string{"NO_COLOR": "1"}[name] }
	s.ErrTerminal = true
	p := newProgress(s)
	p.event(migrate.Event{Kind: migrate.MigrationStart, Direction: migrate.Up, File: "2_x.sql"})
	p.event(migrate.Event{Kind: migrate.CaptureStart, Table: "users", Estimate: 2_000_000})
	p.event(migrate.Event{Kind: migrate.CaptureDone, Table: "users", Rows: 2_000_000, Bytes: 90_000_000, Elapsed: 4 * time.Second})
	p.event(migrate.Event{Kind: migrate.CaptureDone, Text: "DELETE FROM orders", Table: "orders", Rows: 12_000, Bytes: 90_000, Elapsed: 4 * time.Second})
	p.event(migrate.Event{Kind: migrate.WarningEvent, Text: "careful"})
	p.end()
	want := `up 2_x.sql
  capturing users (about 2,000,000 rows)
  captured users: 2,000,000 rows, 90.0 MB in 4s (500,000 rows/s)
  captured orders: 12,000 rows, 90.0 kB, with the statement itself in 4s (3,000 rows/s)
warning: careful
`
	if shown.String() != want {
		t.Errorf("got\n%q\nwant\n%q", shown, want)
	}

	s, shown = terminal("")
	s.NoProgress = true
	p = newProgress(s)
	p.event(migrate.Event{Kind: migrate.MigrationStart, File: "2_x.sql"})
	p.event(migrate.Event{Kind: migrate.WarningEvent, Text: "careful"})
	p.end()
	if shown.String() != "warning: careful\n" {
		t.Errorf("--no-progress: %q", shown)
	}
}

// On a terminal the line is live, and gone when something else is written.
func TestProgressLive(t *testing.T) {
	s, _ := terminal("")
	s.ErrTerminal = true
	r, w := io.Pipe()
	s.Err = w
	p := newProgress(s)
	got := make(chan string, 1)
	go func() {
		b := make([]byte, 200)
		n, err := r.Read(b)
		if err != nil {
			n = 0
		}
		got <- string(b[:n])
		_, _ = io.Copy(io.Discard, r)
	}()
	p.event(migrate.Event{Kind: migrate.CaptureStart, Table: "users", Estimate: 7})
	select {
	case line := <-got:
		if !strings.HasPrefix(line, "\r\x1b[K  capturing users (about 7 rows) … ") {
			t.Errorf("live line %q", line)
		}
	case <-time.After(10 * time.Second):
		t.Error("no live line")
	}
	p.end()
}

func TestPanicIsAnError(t *testing.T) {
	var out, errs bytes.Buffer
	s := streams{Out: &out, Err: &errs, Getenv: func(name string) string {
		if name == "DBROLLBACK_CONFIG" {
			panic("boom")
		}
		return ""
	}}
	if code := run(t.Context(), []string{"dbrollback", "status"}, s); code != 1 {
		t.Errorf("exit %d", code)
	}
	if got := errs.String(); got != "error: internal error, please report it: boom\nhint: dbrollback status shows where things stand\n" {
		t.Errorf("%q", got)
	}
}
