package verify

import (
	"context"
	"fmt"
	"sync"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Texts takes fingerprints and remembers what the texts of definitions came apart into, where an engine keeps definitions as texts:
// the next fingerprint costs little more than to read them. They are read each time, so that nothing of it can be stale. It is for any
// number of databases of one kind, and for any number of goroutines.
type Texts struct {
	mu    sync.Mutex
	known map[string]any
}

// mostTexts is how many texts are remembered; then it begins anew.
const mostTexts = 20_000

// Take is like the function Take. What the objects hold must not be changed by the caller.
func (t *Texts) Take(ctx context.Context, db *engine.DB, q engine.Querier, s Scope) (Fingerprint, error) {
	v, err := verifier(db)
	if err != nil {
		return nil, err
	}
	if r, ok := v.(reader); ok {
		v = r.reading(t)
	}
	f, err := v.take(ctx, q, s)
	if err != nil {
		return nil, fmt.Errorf("fingerprint: %w", err)
	}
	return withoutOurs(db, f), nil
}

// reader is an engine that takes texts apart.
type reader interface {
	reading(t *Texts) engineVerifier
}

// apart gives what came of a text before, or makes it. The key names all that the result depends on; nil makes it each time.
func apart[T any](t *Texts, key string, of func() (T, error)) (T, error) {
	if t == nil {
		return of()
	}
	t.mu.Lock()
	known, ok := t.known[key]
	t.mu.Unlock()
	if ok {
		return known.(T), nil
	}
	out, err := of()
	if err != nil {
		return out, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil || len(t.known) >= mostTexts {
		t.known = map[string]any{}
	}
	t.known[key] = out
	return out, nil
}
