package guard

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

func TestStore(t *testing.T) {
	testdb.Each(t, func(t *testing.T, dsn string) {
		open := func() *Store {
			db, err := engine.Open(t.Context(), dsn, engine.Options{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			return NewStore(db)
		}
		s := open()
		if r, err := s.Latest(t.Context()); err != nil || r != nil || r.Open() {
			t.Fatalf("at first: %v, %v", r, err)
		}
		for i := range 2 {
			r := &Record{Started: start.Add(time.Duration(i) * time.Hour), From: 1, To: 1, Work: "work", Policy: Policy{Threshold: 3, Interval: time.Second}}
			if err := s.Begin(t.Context(), r); err != nil {
				t.Fatal(err)
			}
		}
		r, err := open().Latest(t.Context())
		if err != nil || !r.Open() || r.State != Applying || !r.Started.Equal(start.Add(time.Hour)) || r.Policy.Threshold != 3 || r.Work != "work" {
			t.Fatalf("%+v, %v", r, err)
		}
		r.To, r.Seen = 7, Progress{Since: start, Consecutive: 2, Failing: []string{"a"}}
		if ok, err := s.Advance(t.Context(), r, Watching); !ok || err != nil || r.State != Watching {
			t.Fatalf("%v, %v", ok, err)
		}
		r.Seen.Rounds = 5
		if err := s.Save(t.Context(), r); err != nil {
			t.Fatal(err)
		}
		// Of many guards that want to roll back, one does.
		var winners atomic.Int32
		var wg sync.WaitGroup
		var guards []*Record
		for range 8 {
			mine, err := open().Latest(t.Context())
			if err != nil || mine.To != 7 || mine.Seen.Rounds != 5 || mine.Seen.Consecutive != 2 {
				t.Fatalf("%+v, %v", mine, err)
			}
			guards = append(guards, mine)
		}
		for _, mine := range guards {
			store := open()
			wg.Add(1)
			go func() {
				defer wg.Done()
				ok, err := store.Advance(t.Context(), mine, RollingBack)
				if err != nil {
					t.Error(err)
				}
				if ok {
					winners.Add(1)
				}
			}()
		}
		wg.Wait()
		if winners.Load() != 1 {
			t.Errorf("%d guards roll back", winners.Load())
		}
		if err := s.Save(t.Context(), r); !errors.Is(err, ErrTaken) {
			t.Errorf("saved over another guard's: %v", err)
		}
	}, testdb.OnPostgres, testdb.OnSQLite, testdb.OnMariaDB, testdb.OnMySQL)
}
