package verify

import (
	"context"
	"fmt"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// Memory takes fingerprints and remembers them: a scope that was taken before, and in which nothing has changed since,
// costs a fraction of the first time where the engine can tell. It is for one goroutine.
//
// What it can tell is a change of the tables themselves. Names that their definitions quote (a type, a function, a column
// of another table) can be changed by statements about other objects: Forget after such a statement.
type Memory struct {
	db   *engine.DB
	held map[string]held
}

// held is a fingerprint and what tells whether it still holds; an empty digest says that it must be taken again.
type held struct {
	Fingerprint
	digest string
}

// rememberer is an engine that can tell cheaply whether a scope has changed; it gives was back when it has not.
type rememberer interface {
	takeSince(ctx context.Context, q engine.Querier, s Scope, was held) (held, error)
}

// NewMemory gives an empty memory of db.
func NewMemory(db *engine.DB) *Memory { return &Memory{db: db, held: map[string]held{}} }

// Forget forgets all fingerprints.
func (m *Memory) Forget() { clear(m.held) }

// Take is like the function Take. The fingerprint must not be changed by the caller.
func (m *Memory) Take(ctx context.Context, q engine.Querier, s Scope) (Fingerprint, error) {
	v, err := verifier(m.db)
	if err != nil {
		return nil, err
	}
	r, ok := v.(rememberer)
	if !ok {
		return Take(ctx, m.db, q, s)
	}
	key := s.key()
	was := m.held[key]
	now, err := r.takeSince(ctx, q, s, was)
	if err != nil {
		return nil, fmt.Errorf("fingerprint: %w", err)
	}
	if now.digest == "" || now.digest != was.digest {
		withoutOurs(m.db, now.Fingerprint)
	}
	m.held[key] = now
	return now.Fingerprint, nil
}

// key tells scopes apart.
func (s Scope) key() string {
	var b strings.Builder
	fmt.Fprint(&b, s.Others, s.Bare != nil)
	for _, n := range s.Tables {
		fmt.Fprintf(&b, " %q %q", n.Schema, n.Name)
	}
	return b.String()
}
