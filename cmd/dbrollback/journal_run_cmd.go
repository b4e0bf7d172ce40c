package main

import (
	"context"
	"errors"

	"github.com/dbrollback/dbrollback/internal/journal"
)

// journalRunOptions are the options of `journal run`.
type journalRunOptions struct{ UntilNow bool }

// Validate has nothing to refuse.
func (journalRunOptions) Validate() error { return nil }

// journalReadDocument is the JSON of `journal run`.
type journalReadDocument struct {
	Version int `json:"version"`
	journal.ReadSoFar
}

func runJournalRun(ctx context.Context, s *session, o journalRunOptions) error {
	m, err := s.migrator(ctx, false)
	if err != nil {
		return err
	}
	s.announce()
	begun := 0
	read, err := m.RunJournal(ctx, journal.RunOptions{
		UntilNow: o.UntilNow,
		Reading: func(_ string, l journal.Lag) {
			if begun++; begun == 1 {
				s.progress.say("reading the replication slot %s, %s behind", l.Name, size(l.Bytes))
				return
			}
			s.progress.say("reading again, %s behind", size(l.Bytes))
		},
		Lost: func(err error, n int) {
			if n == 1 {
				s.out.warn("%s; trying again", oneLine(err.Error()))
			}
		},
	})
	s.progress.end()
	if err != nil && (!errors.Is(err, context.Canceled) || o.UntilNow) {
		return err
	}
	// To be told to end is how it ends.
	return s.out.result(journalReadDocument{Version: 1, ReadSoFar: read}, func(w *page) {
		w.line("read %s of %s", number(read.Rows, "row", "rows"), number(read.Transactions, "transaction", "transactions"))
	})
}

// lag is how far the slot of the journals is read; nil when none has one.
func lag(all []journal.Status) *journal.Lag {
	for _, j := range all {
		if j.Slot != nil {
			return j.Slot
		}
	}
	return nil
}

func writeLag(w *page, l *journal.Lag) {
	switch {
	case l.Status == "":
		w.line("the replication slot %s is gone", l.Name)
	case l.Active:
		w.line("the replication slot %s (%s) is being read, %s behind", l.Name, l.Status, size(l.Bytes))
	default:
		w.line("the replication slot %s (%s) is read by nobody, %s behind, and the server keeps %s of its log for it: dbrollback journal run", l.Name, l.Status, size(l.Bytes), size(l.Kept))
	}
}
