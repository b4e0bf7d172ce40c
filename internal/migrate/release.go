package migrate

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/audit"
	"github.com/dbrollback/dbrollback/internal/engine"
	"github.com/dbrollback/dbrollback/internal/snapshot"
)

// What Release.State says.
const (
	ReleaseCurrent    = "current"     // the target is at it
	ReleaseReachable  = "reachable"   // rollback --to-release leads to it, with its data
	ReleaseUncaptured = "uncaptured"  // what some migration after it destroyed was not captured, or has expired
	ReleaseNotApplied = "not applied" // the target is below it
)

// Release is a name for a schema version, and whether a rollback leads there.
type Release struct {
	Name     string    `json:"name"`
	Version  int64     `json:"migration"`
	TaggedAt time.Time `json:"tagged_at"`
	Undoes   int       `json:"undoes"` // migrations that a rollback to it undoes
	State    string    `json:"state"`
	Lost     []int64   `json:"lost,omitempty"` // migrations whose captured data is not there (any more)
}

// maxReleaseName is what the catalog's column holds.
const maxReleaseName = 200

// CheckReleaseName says what is wrong with a name; "" when nothing is.
func CheckReleaseName(name string) string {
	switch {
	case strings.TrimSpace(name) == "":
		return "is empty"
	case name != strings.TrimSpace(name):
		return "begins or ends with a blank"
	case len(name) > maxReleaseName:
		return fmt.Sprintf("is longer than %d bytes", maxReleaseName)
	case strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return "has a control character"
	}
	return ""
}

// Tag names the version of the target, or another applied one (-1: the current). A name that stands for another
// version is moved only when that is asked for: whoever goes back to it must land where its makers were.
func (m *Migrator) Tag(ctx context.Context, name string, version int64, move bool) (*Release, error) {
	if wrong := CheckReleaseName(name); wrong != "" {
		return nil, &RefusedError{Reasons: []Refusal{{Message: "the release's name " + wrong, Hint: "name it like v2.4.1"}}}
	}
	r := &Release{Name: name, TaggedAt: time.Now().UTC().Truncate(time.Microsecond)}
	err := m.locked(ctx, func(s *engine.Session) error {
		return s.Tx(ctx, func(tx *sql.Tx) error {
			applied, err := m.applied(ctx, tx)
			if err != nil {
				return err
			}
			if r.Version = version; version < 0 {
				r.Version = current(applied)
			}
			if r.Version != 0 && !slices.Contains(applied, r.Version) {
				return &RefusedError{Reasons: []Refusal{{Message: fmt.Sprintf("migration %d is not applied, so it is no release of this database", r.Version),
					Hint: "dbrollback status shows what is applied"}}}
			}
			list, err := m.catalog.releases(ctx, tx)
			if err != nil {
				return err
			}
			for _, old := range list {
				switch {
				case old.Name != name:
				case old.Version == r.Version:
					r.TaggedAt = old.At
					return nil
				case !move:
					return &RefusedError{Reasons: []Refusal{{Message: fmt.Sprintf("release %s is migration %d already", name, old.Version),
						Hint: "take another name, or move it with --move"}}}
				}
			}
			if err := m.catalog.tag(ctx, tx, release{Name: name, Version: r.Version, At: r.TaggedAt}); err != nil {
				return err
			}
			return m.log.Append(ctx, tx, audit.Entry{At: r.TaggedAt, User: m.o.User, Action: "release", From: current(applied), To: current(applied),
				Versions: []int64{r.Version}, Outcome: audit.Done, Detail: map[string]string{"release": name}})
		})
	})
	if err != nil {
		return nil, err
	}
	return r, nil
}

// Releases lists the releases, newest first. It only reads.
func (m *Migrator) Releases(ctx context.Context) (_ []Release, err error) {
	s, err := m.db.Session(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	out := []Release{}
	if ok, err := m.catalog.exists(ctx, s); err != nil || !ok {
		return out, err
	}
	applied, err := m.applied(ctx, s)
	if err != nil {
		return nil, err
	}
	known, err := m.catalog.applied(ctx, s)
	if err != nil {
		return nil, err
	}
	list, err := m.catalog.releases(ctx, s)
	if err != nil {
		return nil, err
	}
	expired, err := m.expired(ctx, s)
	if err != nil {
		return nil, err
	}
	for _, l := range list {
		r := Release{Name: l.Name, Version: l.Version, TaggedAt: l.At, State: ReleaseReachable}
		for _, v := range applied {
			if v <= l.Version {
				continue
			}
			r.Undoes++
			if _, ok := known[v]; !ok || expired[v] {
				r.Lost = append(r.Lost, v)
			}
		}
		switch {
		case l.Version != 0 && !slices.Contains(applied, l.Version):
			r.State, r.Undoes, r.Lost = ReleaseNotApplied, 0, nil
		case r.Undoes == 0:
			r.State = ReleaseCurrent
		case len(r.Lost) > 0:
			r.State = ReleaseUncaptured
		}
		out = append(out, r)
	}
	return out, nil
}

// expired tells of which migrations the captures of the latest Up were dropped.
func (m *Migrator) expired(ctx context.Context, q engine.Querier) (map[int64]bool, error) {
	all, err := m.store.List(ctx, q)
	if err != nil {
		return nil, err
	}
	out, seen := map[int64]bool{}, map[int64]bool{}
	for _, sn := range all { // newest first
		if sn.Direction != string(Up) || seen[sn.Migration] {
			continue
		}
		seen[sn.Migration] = true
		out[sn.Migration] = slices.ContainsFunc(sn.Captures, func(c snapshot.Info) bool { return c.Status == "expired" })
	}
	return out, nil
}
