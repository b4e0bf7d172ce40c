package effects

import "testing"

func TestLocate(t *testing.T) {
	file := "-- +goose Up\r\n-- DROP TABLE a;\r\n\r\n  DROP TABLE a;\r\nUPDATE ä\r\n  SET b = 1; -- why\r\nDROP TABLE a;\r\n" +
		"-- +goose ENVSUB ON\r\nCREATE ROLE ${NAME} LOGIN\r\n  PASSWORD '$PW';\r\nSELECT 3;\r\n"
	after := 0
	for _, c := range []struct {
		stmt         string
		line, column int
	}{
		{"DROP TABLE a;", 4, 3},
		{"UPDATE ä\n  SET b = 1; -- why", 5, 1},
		{"DROP TABLE a;", 7, 1},
		{"CREATE ROLE bob LOGIN\n  PASSWORD 'secret';", 9, 1},
		{"SELECT 3;", 11, 1},
	} {
		start, end := Locate(file, c.stmt, after)
		line, column := Position(file, start)
		if line != c.line || column != c.column || end <= start {
			t.Errorf("%q: at %d:%d (%d to %d), want %d:%d", c.stmt, line, column, start, end, c.line, c.column)
		}
		after = end
	}
	if start, end := Locate(file, "SELECT 4;", after); start != -1 || end != -1 {
		t.Errorf("found what is not there at %d to %d", start, end)
	}
	start, _ := Locate(file, "UPDATE ä\n  SET b = 1; -- why", 0)
	if line, column := NewLines(file).PositionIn(start, NewLines("UPDATE ä\n  SET b = 1;"), 12); line != 6 || column != 3 {
		t.Errorf("SET at %d:%d", line, column)
	}
	if line, column := NewLines(file).PositionIn(start, NewLines("UPDATE ä\n  SET b = 1;"), 9); line != 5 || column != 9 {
		t.Errorf("end of the first line at %d:%d", line, column)
	}
}

// Between StatementBegin and StatementEnd goose keeps the comments, also one at the top: a whole script of another tool stands there.
func TestLocateBehindAComment(t *testing.T) {
	file := "-- +goose Up\n-- why\n-- +goose StatementBegin\n-- why\nSELECT 1;\nSELECT 2;\n-- +goose StatementEnd\n" +
		"-- +goose Down\n-- +goose StatementBegin\n  -- why\nSELECT 3;\n-- +goose StatementEnd\n"
	start, end := Locate(file, "-- why\nSELECT 1;\nSELECT 2;", 0)
	if line, _ := Position(file, start); line != 4 {
		t.Errorf("Up at line %d", line)
	}
	start, _ = Locate(file, "-- why\nSELECT 3;", end)
	if line, column := Position(file, start); line != 10 || column != 3 {
		t.Errorf("Down at %d:%d", line, column)
	}
}

func TestLocateWithoutAMatch(t *testing.T) {
	// Whatever has become of the text, the next line of code is the best that can be said.
	start, _ := Locate("-- +goose Up\n\n-- x\nSELECT 1;\n", "something else", 0)
	if line, _ := Position("-- +goose Up\n\n-- x\nSELECT 1;\n", start); line != 4 {
		t.Errorf("line %d", line)
	}
}

func TestPositionIsWithinTheText(t *testing.T) {
	for _, offset := range []int{-1, 0, 3, 4, 99} {
		line, column := Position("ä\nb", offset)
		if l, c := NewLines("ä\nb").Position(offset); l != line || c != column {
			t.Errorf("offset %d: %d:%d by lines, %d:%d", offset, l, c, line, column)
		}
		if line < 1 || line > 2 || column < 1 || column > 2 {
			t.Errorf("offset %d: %d:%d", offset, line, column)
		}
	}
}
