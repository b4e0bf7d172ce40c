package migrate_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/migrate"
)

// Each gives what Load gives, in its order, and ends where the reader or the first bad file does.
func TestEach(t *testing.T) {
	files := fstest.MapFS{}
	for i := range 100 {
		files[fmt.Sprintf("%05d_m.sql", i+1)] = &fstest.MapFile{Data: []byte(migration(fmt.Sprintf("CREATE TABLE t%d (id integer);", i), fmt.Sprintf("DROP TABLE t%d;", i)))}
	}
	versions := func(stop int) (out []int64, err error) {
		for m, err := range migrate.Each(t.Context(), files, "m", effects.SQLite) {
			if err != nil {
				return out, err
			}
			if out = append(out, m.Version); len(out) == stop {
				break
			}
		}
		return out, nil
	}
	all, err := migrate.Load(t.Context(), files, "m", effects.SQLite)
	if err != nil {
		t.Fatal(err)
	}
	listed, err := migrate.List(files, "m", effects.SQLite)
	if err != nil || len(listed) != len(all) {
		t.Fatalf("%d listed, %d loaded, %v", len(listed), len(all), err)
	}
	var want []int64
	for i, m := range all {
		want = append(want, m.Version)
		if l := listed[i]; l.Version != m.Version || l.File != m.File || l.Name != m.Name {
			t.Errorf("listed as %d %s, loaded as %d %s", l.Version, l.File, m.Version, m.File)
		}
	}
	for _, stop := range []int{0, 1, 37} {
		got, err := versions(stop)
		if w := want[:max(stop, len(want)*(1-min(stop, 1)))]; err != nil || !slices.Equal(got, w) {
			t.Errorf("%d versions, want %d, %v", len(got), len(w), err)
		}
	}
	files["00051_m.sql"] = &fstest.MapFile{Data: []byte("-- +goose Up\nSELECT '\xff';\n")}
	if got, err := versions(0); err == nil || !slices.Equal(got, want[:50]) {
		t.Errorf("%d versions before the bad file, %v", len(got), err)
	}
}

// A folder of goose's may hold migrations in Go, which no other program can run: one line says so, however many there are.
func TestGoMigrationsAreTold(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"00001_a.sql": {Data: []byte(migration("SELECT 1;", ""))}, "00002_b.go": {}, "00003_c.go": {}, "00003_c_test.go": {}, "helper.go": {}}
	_, err := migrate.Load(t.Context(), files, "m", effects.SQLite)
	if want := "m/00002_b.go and 1 other files are Go migrations: "; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
}
