package effects

import (
	"errors"
	"sync"
	"testing"
)

func TestParseRefusesWhatIsNoText(t *testing.T) {
	for text, want := range map[string]Error{
		"SELECT 1;\nDROP\x00 TABLE a;":  {Offset: 14, Line: 2, Column: 5},
		"SELECT 'ä';\n  SELECT '\xff';": {Offset: 23, Line: 2, Column: 11},
		"\xc3":                          {Offset: 0, Line: 1, Column: 1},
	} {
		for _, d := range []Dialect{Postgres, SQLite, MySQL, MariaDB} {
			_, err := Parse(d, text)
			var e *Error
			if !errors.As(err, &e) || e.Offset != want.Offset || e.Line != want.Line || e.Column != want.Column || e.Message == "" {
				t.Errorf("%s %q: %+v, want %+v", d, text, err, want)
			}
		}
	}
	if _, err := Parse("oracle", "SELECT 1"); err == nil {
		t.Error("an unknown dialect is parsed")
	}
}

// Half an option of a column leaves the statement opaque; one that is read for ever hangs whoever looks at the file.
func TestParseHalfAnOption(t *testing.T) {
	for _, d := range []Dialect{MySQL, MariaDB} {
		for _, text := range []string{"CREATE TABLE t (a text CHARACTER utf8mb4, b int)", "ALTER TABLE t MODIFY a varchar(9) NOT NULL CHARACTER utf8mb4", "ALTER TABLE t ADD a text COLLATE"} {
			if got, err := Parse(d, text); err != nil || len(got) != 1 || !got[0].Opaque() || got[0].ParseError == "" {
				t.Errorf("%s %q: %+v, %v", d, text, got, err)
			}
		}
	}
}

func TestParseOfNothing(t *testing.T) {
	for _, d := range []Dialect{Postgres, SQLite, MySQL, MariaDB} {
		for _, text := range []string{"", " \n", ";", "-- x", "/* x */ ; ;"} {
			if got, err := Parse(d, text); err != nil || len(got) != 0 {
				t.Errorf("%s %q: %v, %v", d, text, got, err)
			}
		}
	}
}

// TestParseInParallel: one grammar serves many callers.
func TestParseInParallel(t *testing.T) {
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 5 {
				for text, kind := range map[string]Kind{"DROP TABLE a": DropTable, "DROP TABLE a b": Opaque, "DELETE FROM a": Delete} {
					got, err := Parse(Postgres, text)
					if err != nil || len(got) != 1 || got[0].Effects[0].Kind != kind {
						t.Errorf("%q: %+v, %v", text, got, err)
					}
				}
			}
		})
	}
	wg.Wait()
}

func TestStatementMethods(t *testing.T) {
	for text, want := range map[string]struct {
		loss                                 Loss
		opaque, external, changes, autocomit bool
	}{
		"SELECT 1":                                           {},
		"CREATE TABLE t (a int)":                             {changes: true},
		"CREATE OR REPLACE VIEW v AS SELECT 1":               {loss: LossDefinition, changes: true},
		"DROP INDEX i":                                       {loss: LossDefinition, changes: true},
		"DROP TYPE x CASCADE":                                {loss: LossData, changes: true},
		"WITH d AS (DELETE FROM t RETURNING 1) SELECT 1":     {loss: LossData, changes: true},
		"NOTIFY x":                                           {external: true},
		"DO $$BEGIN END$$":                                   {loss: LossUnknown, opaque: true, changes: true},
		"CREATE INDEX CONCURRENTLY i ON t (a)":               {changes: true, autocomit: true},
		"SELECT nextval('s')":                                {changes: true},
		"COPY t FROM '/x'":                                   {external: true, changes: true},
		"MERGE INTO t USING u ON a WHEN MATCHED THEN DELETE": {loss: LossData, changes: true},
	} {
		got, err := Parse(Postgres, text)
		if err != nil || len(got) != 1 {
			t.Fatalf("%q: %v, %v", text, got, err)
		}
		s := got[0]
		if s.Loss() != want.loss || s.Destroys() != (want.loss != LossNone) || s.DestroysData() != (want.loss >= LossData) ||
			s.Opaque() != want.opaque || s.External() != want.external || s.Changes() != want.changes || s.Autocommit != want.autocomit {
			t.Errorf("%q: loss %s, opaque %v, external %v, changes %v, autocommit %v", text, s.Loss(), s.Opaque(), s.External(), s.Changes(), s.Autocommit)
		}
	}
	if !DropTable.Destroys() || Insert.Destroys() {
		t.Error("kinds do not know what they destroy")
	}
}
