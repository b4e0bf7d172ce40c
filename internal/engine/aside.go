package engine

import (
	"regexp"
	"strings"
)

// A column that a migration dropped and that is kept for its rollback lies in its table under one of these names, which end in the id of the
// capture. Nobody else's schema has them, so fingerprints leave them out.
const (
	AsideColumn = "dbrollback_col_" // the column
	SinceColumn = "dbrollback_new_" // beside it: whether a row was inserted since
)

var asideColumn = regexp.MustCompile(`^dbrollback_(col|new)_[0-9a-f]{32}(_[0-9]+)?$`)

// Aside tells whether a column is one that is kept for a rollback, or stands beside one.
func Aside(column string) bool {
	return strings.HasPrefix(column, "dbrollback_") && asideColumn.MatchString(column)
}
