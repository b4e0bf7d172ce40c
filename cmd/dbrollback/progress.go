package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/dbrollback/dbrollback/internal/migrate"
)

// progress tells on stderr what a run does: on a terminal the last line is live, elsewhere every line stays.
type progress struct {
	out   *output
	w     io.Writer // nowhere with --no-progress; warnings come through all the same
	live  bool
	mu    sync.Mutex
	doing string // the live line's text
	since time.Time
	stop  chan struct{}
	done  chan struct{}
}

// redraw is how often the live line is drawn again.
const redraw = 200 * time.Millisecond

func newProgress(s *session) *progress {
	p := &progress{out: s.out, w: s.Err, live: s.ErrTerminal && !s.plain()}
	if s.NoProgress {
		p.w, p.live = io.Discard, false
	}
	return p
}

// event is migrate's callback.
func (p *progress) event(e migrate.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e.Kind {
	case migrate.MigrationStart:
		p.say("%s %s", e.Direction, e.File)
	case migrate.MigrationDone:
		p.say("%s %s: done in %s", e.Direction, e.File, seconds(e.Elapsed.Seconds()))
	case migrate.StatementStart:
		p.busy(fmt.Sprintf("%s: statement %d of %d: %s", e.File, e.Statement, e.Of, firstWords(e.Text, 50)))
	case migrate.CaptureStart:
		if e.Rows > 0 {
			p.busy(fmt.Sprintf("capturing %s: %s", e.Table, moved(e)))
			return
		}
		text := "capturing " + e.Table
		if e.Estimate >= 0 {
			text += fmt.Sprintf(" (about %s)", number(e.Estimate, "row", "rows"))
		}
		if !p.live && e.Estimate >= 100_000 {
			p.say("  %s", text)
		}
		p.busy(text)
	case migrate.CaptureDone:
		p.say("  captured %s: %s", e.Table, moved(e))
	case migrate.RestoreDone:
		p.say("  put back %s: %s", e.Table, moved(e))
	case migrate.Backfilling:
		p.busy(fmt.Sprintf("putting back %s: %s of %s", e.Table, count(e.Rows), number(e.Estimate, "row", "rows")))
	case migrate.RehearsalDone:
		p.say("  rehearsed statement %d: %s", e.Statement, firstWords(e.Text, 80))
	case migrate.WaitingForLock:
		what := e.Table
		if what == "" {
			what = "another run to end"
		}
		p.say("  waiting for %s", what)
	case migrate.WaitingForReplica:
		p.say("  waiting for a replica, %s", e.Text)
	case migrate.WarningEvent:
		p.clear()
		p.out.warn("%s", e.Text)
	case migrate.CapturesExpired:
		p.say("  %s expired and dropped", number(int64(e.Of), "capture", "captures"))
	}
}

// moved writes rows, bytes and rate.
func moved(e migrate.Event) string {
	text := number(e.Rows, "row", "rows")
	if e.Bytes > 0 {
		text += ", " + size(e.Bytes)
	}
	switch {
	case e.Elapsed > 0 && e.Kind == migrate.CaptureDone && e.Text != "": // what is captured while the statement runs takes no time of its own
		text += ", with the statement itself in " + seconds(e.Elapsed.Seconds())
	case e.Elapsed > 0:
		text += " in " + seconds(e.Elapsed.Seconds())
	}
	if e.Elapsed >= time.Second && e.Rows > 0 {
		text += fmt.Sprintf(" (%s rows/s)", count(int64(float64(e.Rows)/e.Elapsed.Seconds())))
	}
	return text
}

// say writes a line that stays.
func (p *progress) say(format string, args ...any) {
	p.clear()
	fmt.Fprintln(p.w, printable(redact(fmt.Sprintf(format, args...), p.out.secret)))
}

// busy sets the live line; a goroutine keeps its clock going.
func (p *progress) busy(text string) {
	if !p.live {
		return
	}
	p.doing, p.since = printable(redact(text, p.out.secret)), time.Now()
	if p.stop == nil {
		p.stop, p.done = make(chan struct{}), make(chan struct{})
		go p.tick(p.stop, p.done)
	}
}

func (p *progress) tick(stop, done chan struct{}) {
	defer close(done)
	t := time.NewTicker(redraw)
	defer t.Stop()
	for {
		select {
		case <-stop:
			return
		case <-t.C:
			p.mu.Lock()
			if p.doing != "" {
				// Cut to a narrow terminal's width: a line that wraps cannot be taken back.
				fmt.Fprintf(p.w, "\r\x1b[K  %s … %s", firstWords(p.doing, 66), seconds(time.Since(p.since).Seconds()))
			}
			p.mu.Unlock()
		}
	}
}

func (p *progress) clear() {
	if p.live && p.doing != "" {
		fmt.Fprint(p.w, "\r\x1b[K")
		p.doing = ""
	}
}

// end takes the live line away and stops its clock.
func (p *progress) end() {
	p.mu.Lock()
	p.clear()
	stop, done := p.stop, p.done
	p.stop, p.done = nil, nil
	p.mu.Unlock()
	if stop != nil {
		close(stop)
		<-done
	}
}
