package snapshot

import (
	"fmt"
	"slices"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// A foreign key compares by the collation of its columns: where that calls letters the same that differ, a row may point to "Go" with "go". So what
// leads from a row to the one that it points to must compare like it, while rows themselves are known by their bytes.

// points compares a live column with a kept value as a foreign key does.
func (s *Store) points(live, kept string, f field, now engine.Column) string {
	if s.f.alike != nil {
		return s.f.alike(live, kept, f, now)
	}
	return s.f.match(live, kept, f, now)
}

// meeting is a kept value of a key and one that points to it.
type meeting struct {
	kept, ref   string
	field, kind field
	now         engine.Column // that of the key
}

// meet gives conditions of which one holds where all values of a row point to those of a key. The first one compares bytes, by an index of ours.
func (s *Store) meet(all []meeting) (any []string) {
	if len(all) == 0 {
		return nil
	}
	var exact, folded []string
	for _, m := range all {
		is := fmt.Sprintf("%s = %s", m.kept, m.ref)
		exact = append(exact, is)
		if s.f.alike != nil && m.now.Collation != "" && !strings.EqualFold(m.now.Collation, "binary") {
			is = s.f.alike(s.f.back(m.kept, m.field, m.now), m.ref, m.kind, m.now)
		}
		folded = append(folded, is)
	}
	any = []string{strings.Join(exact, " AND ")}
	if !slices.Equal(exact, folded) {
		any = append(any, strings.Join(folded, " AND "))
	}
	return any
}
