package main

import (
	"context"
	"io/fs"

	"github.com/dbrollback/dbrollback/internal/effects"
	"github.com/dbrollback/dbrollback/internal/folder"
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
func (s *session) draftMigration(ctx context.Context, files fs.FS, dialect effects.Dialect, up upScript) (text string, err error) {
	statements, err := effects.Parse(dialect, up.text)
	if err != nil {
		return "", &usageError{message: up.from + ": " + err.Error(), hint: "correct the SQL"}
	}
	before, err := migrate.Load(ctx, files, s.Dir, dialect)
	if err != nil {
		return "", err
	}
	draft := make([]lint.Statement, len(statements))
	single := true
	for i, st := range statements {
		if st.ParseError != "" {
			line, column := effects.Position(up.text, st.Offset+st.ErrorOffset)
			return "", &usageError{message: up.at(line, column) + st.ParseError, hint: "is it the SQL of " + string(dialect) + "? Name the database with --dsn, or its engine with --engine"}
		}
		if st.Transaction() {
			line, column := effects.Position(up.text, st.Offset)
			return "", &usageError{message: up.at(line, column) + "a migration must not control its own transaction", hint: "leave it out: each migration runs in one transaction"}
		}
		draft[i] = lint.Statement{Statement: st}
		single = single && !st.Autocommit
	}
	section, err := folder.Section(dialect, up.text)
	if err != nil {
		return "", err
	}
	if !single {
		text = "-- +goose NO TRANSACTION\n"
	}
	down := lint.DraftDown(lint.Play(dialect, judged(before)), draft)
	switch {
	case down != "":
	case onlyRows(statements):
		down = nothingToUndo
	default:
		down = notKnown
	}
	return text + "-- +goose Up\n" + section + "\n-- +goose Down\n" + down, nil
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
