package migrate

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// A line that is longer than goose reads is named, with what to do about it.
func TestLongLine(t *testing.T) {
	t.Parallel()
	text := "-- +goose Up\nSELECT 1;\nINSERT INTO t VALUES ('" + strings.Repeat("x", 5<<20) + "');\n-- +goose Down\nSELECT 1;\n"
	_, err := Load(context.Background(), fstest.MapFS{"00001_long.sql": {Data: []byte(text)}}, "m", effects.Postgres)
	if want := "m/00001_long.sql:3:1: the line has 5242906 bytes, more than goose reads"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}
