package verify

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Fits remembers which rows tables took that do not take any: to find them takes many statements, and the tables of a history are filled
// again and again. What is remembered is tried, and looked for anew when it does not fit any more. It is for any number of goroutines.
type Fits struct {
	mu    sync.Mutex
	known map[string]fit
}

// fit is what came of looking for rows.
type fit struct {
	rows   []row
	reason string // why there are not more
}

// mostFits is how many are remembered; then it begins anew.
const mostFits = 2_000

func (f *Fits) get(key string) (fit, bool) {
	if f == nil || key == "" {
		return fit{}, false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	out, ok := f.known[key]
	return out, ok
}

func (f *Fits) put(key string, found fit) {
	if f == nil || key == "" {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.known == nil || len(f.known) >= mostFits {
		f.known = map[string]fit{}
	}
	f.known[key] = found
}

// fitKey names all that decides on which rows a table takes: what generates them, what they must respect, and how many there are already. It is ""
// when that is not known, or when triggers have a say.
func (p *populating) fitKey(ctx context.Context, t *fillTable, m *maker, all []row) (string, error) {
	if p.o.Fits == nil || t.source == "" || !p.calm {
		return "", nil
	}
	there, err := engine.Texts(ctx, p.q, "SELECT count(*) FROM "+p.db.Quote(t.Name))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintln(&b, t.Name, t.source, there, p.o.Rows, p.o.Tame, p.o.Types, all, m.parents, t.Keys)
	for _, c := range t.columns {
		fmt.Fprintf(&b, "%+v\n", c.Column)
	}
	return b.String(), nil
}

// insertAll writes rows that need not have the same columns each, as few statements as that takes.
func (p *populating) insertAll(ctx context.Context, t *fillTable, rows []row) error {
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && alike(rows[0], rows[n]) {
			n++
		}
		if err := p.insert(ctx, t, rows[:n]); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

func alike(a, b row) bool {
	for c := range a {
		if _, ok := b[c]; !ok {
			return false
		}
	}
	return len(a) == len(b)
}
