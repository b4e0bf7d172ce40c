package lint

import (
	"io"
	"testing"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// FuzzLint: whatever effects can read, no rule, draft or report panics, and a history judged twice gives the
// same findings.
func FuzzLint(f *testing.F) {
	for _, seed := range [][3]string{
		{"CREATE TABLE t (a int PRIMARY KEY, b text DEFAULT 'x');", "ALTER TABLE t RENAME TO u; ALTER TABLE u DROP COLUMN b;", "ALTER TABLE u ADD b text; ALTER TABLE u RENAME TO t;"},
		{"CREATE TYPE e AS ENUM ('a'); CREATE TABLE t (e e);", "ALTER TYPE e ADD VALUE 'b' BEFORE 'a'; DROP TYPE e CASCADE;", "DO $$ BEGIN EXECUTE 'DROP ' || 'x'; END $$;"},
		{"CREATE SCHEMA s; CREATE TABLE s.t (a int); CREATE INDEX i ON s.t (lower(a));", "ALTER TABLE s.t SET SCHEMA public; DROP SCHEMA s CASCADE;", "ALTER INDEX i RENAME TO j;"},
		{"CREATE TABLE t (a int, CHECK (a > 0), UNIQUE (a));", "ALTER TABLE t RENAME a TO b; ALTER TABLE t DROP CONSTRAINT t_a_key CASCADE;", "SELECT f(); COMMENT ON TABLE t IS NULL;"},
		{"CREATE TABLE t (a INTEGER PRIMARY KEY);", "CREATE TABLE n (a); DROP TABLE t; ALTER TABLE n RENAME TO t;", "PRAGMA foreign_keys = 0;"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, before, up, down string) {
		for _, d := range []effects.Dialect{effects.Postgres, effects.SQLite, effects.MySQL} {
			ms := fuzzed(d, before, up, down)
			if ms == nil {
				return
			}
			r := Run(ms, Options{Engine: d, NoCapture: true})
			if again := Run(ms, Options{Engine: d, NoCapture: true}); print(again.Findings) != print(r.Findings) {
				t.Errorf("judged twice:%s\nand%s", print(r.Findings), print(again.Findings))
			}
			for _, format := range Formats {
				if err := Write(io.Discard, r, format, "", true); err != nil {
					t.Error(err)
				}
			}
			DraftDown(Play(d, ms[:1]), ms[1].Up)
		}
	})
}

func fuzzed(d effects.Dialect, before, up, down string) []*Migration {
	var out []*Migration
	for i, texts := range [][2]string{{before, ""}, {up, down}} {
		m := &Migration{Version: int64(i), Text: texts[0], File: texts[0], Transactional: true, HasDown: i > 0}
		for j, into := range []*[]Statement{&m.Up, &m.Down} {
			parsed, err := effects.Parse(d, texts[j])
			if err != nil {
				return nil
			}
			for _, st := range parsed {
				line, column := effects.Position(texts[j], st.Offset)
				*into = append(*into, Statement{Statement: st, Line: line, Column: column})
			}
		}
		notes, err := effects.AnnotationsIn(d, texts[0])
		if err != nil {
			return nil
		}
		m.Notes = notes
		out = append(out, m)
	}
	return out
}
