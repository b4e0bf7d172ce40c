package main

import (
	"context"
	"io/fs"
	"os"
	"strings"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/lint"
	"github.com/dbrollback/dbrollback/internal/migrate"
)

// emptyMigration is what create writes without --up.
const emptyMigration = `-- +goose Up


-- +goose Down
-- What takes back the schema changes of Up. The data that Up destroys is captured and comes back by itself.

`

// nothingToUndo stands in a Down whose Up changes rows only: goose takes a Down without a statement for none.
const nothingToUndo = `-- Nothing to write: the rows that Up changes are captured and come back by themselves.
SELECT 1;
`

// notKnown is no statement on purpose: up refuses the migration until a person has written one.
const notKnown = `-- Write here what takes Up back: the migrations before it do not tell.
`

// onlyRows says whether statements change rows and nothing of the schema.
func onlyRows(statements []effects.Statement) bool {
	for _, st := range statements {
		for _, e := range st.Effects {
			switch e.Kind {
			case effects.Update, effects.Delete, effects.Truncate, effects.Upsert, effects.Replace, effects.Merge,
				effects.Read, effects.Session, effects.Maintenance:
			default:
				return false
			}
		}
	}
	return true
}

// draftMigration writes a migration around the SQL of its Up. What Up drops, the Down makes again as the migrations
// before it made it.
func (s *session) draftMigration(ctx context.Context, up string) (text string, err error) {
	statements, err := effects.Parse(s.dialect(), up)
	if err != nil {
		return "", &usageError{message: "--up: " + err.Error(), hint: "correct the SQL"}
	}
	var files fs.FS // none: the folder begins with this migration
	if info, err := os.Stat(s.Dir); err == nil && info.IsDir() {
		files = os.DirFS(s.Dir)
	}
	before, err := migrate.Load(ctx, files, s.Dir, s.dialect())
	if err != nil {
		return "", err
	}
	draft := make([]lint.Statement, len(statements))
	var b strings.Builder
	b.WriteString("-- +goose Up\n")
	for i, st := range statements {
		if st.ParseError != "" {
			return "", &usageError{message: "--up: " + st.ParseError, hint: "is it the SQL of " + string(s.dialect()) + "? Name the database with --dsn"}
		}
		draft[i] = lint.Statement{Statement: st}
		writeStatement(&b, st.SQL)
	}
	b.WriteString("\n-- +goose Down\n")
	down := lint.DraftDown(lint.Play(s.dialect(), judged(before)), draft)
	switch {
	case down != "":
	case onlyRows(statements):
		down = nothingToUndo
	default:
		down = notKnown
	}
	b.WriteString(down)
	return b.String(), nil
}

// writeStatement ends a statement as goose reads it: one that holds a semicolon is marked.
func writeStatement(b *strings.Builder, sql string) {
	sql = strings.TrimSpace(sql)
	if strings.Contains(sql, ";") {
		b.WriteString("-- +goose StatementBegin\n" + sql + ";\n-- +goose StatementEnd\n")
		return
	}
	b.WriteString(sql + ";\n")
}

// judged hands migrations on to lint, which knows nothing of goose.
func judged(ms []*migrate.Migration) []*lint.Migration {
	places := func(in []migrate.Statement) []lint.Statement {
		out := make([]lint.Statement, len(in))
		for i, st := range in {
			out[i] = lint.Statement{Statement: st.Statement, File: st.File, Line: st.Line, Column: st.Column}
		}
		return out
	}
	out := make([]*lint.Migration, len(ms))
	for i, m := range ms {
		out[i] = &lint.Migration{Version: m.Version, File: m.File, Text: m.Text, Transactional: m.Transactional,
			HasDown: m.HasDown(), DownFile: m.DownFile, Up: places(m.Up), Down: places(m.Down), Notes: m.Notes}
	}
	return out
}
