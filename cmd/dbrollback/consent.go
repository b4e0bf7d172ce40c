package main

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/guard"
	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// consent is a person's approval of one run that somebody else asked for. Without it that run does not start.
type consent struct {
	key      ed25519.PublicKey
	approval *guard.Approval
}

// used is the name under which the log keeps the approval of a run, so that none is used twice.
const used = "approval"

// mark tells approvals apart.
func (c *consent) mark() string {
	sum := sha256.Sum256([]byte(c.approval.Plan + c.approval.Signature))
	return hex.EncodeToString(sum[:8])
}

// fresh refuses an approval that a run was made with already: the same plan may come up again, a person's answer does not. One that
// was refused, or failed, may be tried again.
func (c *consent) fresh(ctx context.Context, db *engine.DB) error {
	entries, err := audit.New(db).List(ctx, db, 0)
	if err != nil {
		return err
	}
	for _, e := range entries {
		if e.Detail[used] == c.mark() && e.Outcome != audit.Refused && e.Outcome != audit.Failed {
			return &guard.RefusedApproval{Reason: "the approval was used already, by run " + e.Run}
		}
	}
	return nil
}

// check says whether the person consented to the plan of this hash.
func (c *consent) check(hash string) error { return c.approval.Check(c.key, hash, time.Now()) }

func (c *consent) detail() map[string]string {
	return map[string]string{"approved": c.approval.By, used: c.mark(), "asked by": "mcp"}
}

// agreedPlan is what a rollback asks before it begins: nothing, but for one that wants consent.
func (s *session) agreedPlan(ctx context.Context) (func(*migrate.Plan) error, map[string]string) {
	if s.consent == nil {
		return nil, nil
	}
	return func(p *migrate.Plan) error {
		if err := s.consent.check(p.Hash); err != nil {
			return err
		}
		return s.consent.fresh(ctx, s.db)
	}, s.consent.detail()
}

// agreedRestore is the same for a restore.
func (s *session) agreedRestore(ctx context.Context, o restoreOptions) (func([]snapshot.Preview) error, map[string]string, error) {
	if s.consent == nil {
		return nil, nil, nil
	}
	if err := s.consent.fresh(ctx, s.db); err != nil {
		return nil, nil, err
	}
	return func(tables []snapshot.Preview) error { return s.consent.check(restoreHash(s.db.Target, o, tables)) }, s.consent.detail(), nil
}

// restoreHash is over what a restore does: the database, the question, and where each table's rows come from. How many rows that are by now
// is left out, as estimates are of a plan's hash.
func restoreHash(target engine.Target, o restoreOptions, tables []snapshot.Preview) string {
	type source struct {
		Table, Into, Snapshot string
		Moment                time.Time
	}
	ask := o.Ask
	ask.Samples = 0
	text := struct {
		What    string
		Target  engine.Target
		Ask     snapshot.Ask
		Release string
		Online  bool
		Sources []source
	}{What: "restore", Target: target, Ask: ask, Release: o.Release, Online: o.Online}
	for _, t := range tables {
		text.Sources = append(text.Sources, source{t.Table, t.Into, t.Snapshot, t.Moment.UTC()})
	}
	b, err := json.Marshal(text)
	if err != nil {
		panic(err) // plain fields: it cannot fail
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
