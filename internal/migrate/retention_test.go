package migrate_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/dbrollback/dbrollback/internal/migrate"
	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestRetentionOfReleases: an up drops the captures that have expired, but for those that the last releases need to be rolled back: back to
// the one before them. Without a release none is needed.
func TestRetentionOfReleases(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		releases map[int]string // by the version that an up reaches
		keep     int
		want     []int64 // whose captures are left by an up of the seventh
	}{
		"the last":               {map[int]string{2: "v1", 4: "v2", 5: "v3"}, 1, []int64{5, 6, 7}},
		"the last two":           {map[int]string{2: "v1", 4: "v2", 5: "v3"}, 2, []int64{3, 4, 5, 6, 7}},
		"all that there are":     {map[int]string{2: "v1", 4: "v2", 5: "v3"}, 3, []int64{1, 2, 3, 4, 5, 6, 7}},
		"more than there are":    {map[int]string{4: "v1"}, 2, []int64{1, 2, 3, 4, 5, 6, 7}},
		"none":                   {map[int]string{2: "v1", 4: "v2"}, 0, []int64{7}}, // the youngest
		"of those that are none": {nil, 2, []int64{7}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testdb.Each(t, func(t *testing.T, dsn string) {
				f := newFixture(t, dsn, people, nil)
				for v := range 7 {
					f.add(fmt.Sprintf("%05d_x.sql", v+1), migration(fmt.Sprintf("UPDATE people SET score = %d;", v), "SELECT 1;"))
					o := migrate.Options{DB: f.db, Files: f.files, Dir: "migrations"}
					if v == 6 {
						o.KeepCount, o.KeepReleases = 1, tc.keep
					}
					m, err := migrate.Open(t.Context(), o)
					if err != nil {
						t.Fatal(err)
					}
					if _, err := m.Up(t.Context(), migrate.UpRequest{To: -1, Release: tc.releases[v+1]}); err != nil {
						t.Fatal(err)
					}
				}
				var left []int64
				for _, c := range verified(t, f) {
					left = append(left, c.Migration)
				}
				slices.Sort(left)
				if left = slices.Compact(left); !slices.Equal(left, tc.want) {
					t.Errorf("captures of %v are left, want %v", left, tc.want)
				}
			})
		})
	}
}
