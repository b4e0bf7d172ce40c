package journal_test

import (
	"testing"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// TestSlotModel: what TestModel says holds of a replication slot as well, which nobody reads until somebody wants to know.
func TestSlotModel(t *testing.T) {
	t.Parallel()
	one := newWorld(t, testdb.Postgres(t))
	one.source = "slot"
	for seed := range cases(4) {
		w := *one
		playModel(t, &w, uint64(seed))
	}
}
