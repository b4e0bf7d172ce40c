package main

import (
	"encoding/csv"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dbrollback/dbrollback/internal/audit"
)

// logColumns are the columns of `log --format csv`. More may follow at the end; none is renamed.
var logColumns = []string{"at", "run", "action", "outcome", "user", "from", "to", "migrations", "duration_seconds",
	"tables", "inserted", "updated", "deleted", "conflicts", "not_undone", "error", "detail", "id", "hash"}

// writeLogCSV writes a line a run. Rows are summed over the tables: the JSON has each.
func writeLogCSV(out io.Writer, entries []audit.Entry) error {
	w := csv.NewWriter(out)
	if err := w.Write(logColumns); err != nil {
		return err
	}
	for _, e := range entries {
		var sum audit.Change
		var tables, detail []string
		for _, t := range e.Tables {
			tables = append(tables, t.Table)
			sum.Inserted, sum.Updated, sum.Deleted, sum.Conflicts = sum.Inserted+t.Inserted, sum.Updated+t.Updated, sum.Deleted+t.Deleted, sum.Conflicts+t.Conflicts
		}
		for _, k := range slices.Sorted(maps.Keys(e.Detail)) {
			detail = append(detail, k+": "+e.Detail[k])
		}
		record := []string{e.At.UTC().Format(time.RFC3339Nano), e.Run, e.Action, e.Outcome, e.User, fmt.Sprint(e.From), fmt.Sprint(e.To),
			versions(e.Versions), strconv.FormatFloat(e.DurationSeconds, 'f', 3, 64), strings.Join(tables, ", "),
			fmt.Sprint(sum.Inserted), fmt.Sprint(sum.Updated), fmt.Sprint(sum.Deleted), fmt.Sprint(sum.Conflicts),
			strings.Join(e.NotUndone, "; "), e.Error, strings.Join(detail, "; "), e.ID, e.Hash}
		for i := range record {
			record[i] = plainCell(record[i])
		}
		if err := w.Write(record); err != nil {
			return err
		}
	}
	w.Flush()
	return w.Error()
}

// plainCell keeps a spreadsheet from taking a text for a formula: names of users and tables come from outside.
func plainCell(s string) string {
	if s == "" || !strings.ContainsRune("=+-@\t\r", rune(s[0])) {
		return s
	}
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return s
	}
	return "'" + s
}
