package effects

import (
	"fmt"
	"strings"
	"testing"
)

const annotated = `-- a migration
-- +dbrollback no-capture: test data
-- +goose Up
-- +dbrollback affects: public.Orders, "My Table"
DO $$
-- +dbrollback affects: not_this
BEGIN DELETE FROM orders; END $$;
SELECT '
-- +dbrollback affects: nor_this
';
CREATE TABLE a (id int);
UPDATE a SET id = 1; -- +dbrollback ignore: DS107 all of them
UPDATE b -- +dbrollback ignore: DS107 inside
   SET id = 1;

-- +goose StatementBegin
-- +dbrollback irreversible: gone for good
DROP TABLE x
-- +goose StatementEnd
-- +dbrollback ignore: DS102
DROP TABLE y;
-- +goose Down
-- +dbrollback affect: z
-- +dbrollback ignore DS102 x
-- dbrollback affects: t
/* +dbrollback affects: t */
-- +dbrollback affects: a b
-- +dbrollback affects: a, , b
-- +dbrollback irreversible:
SELECT 1;
-- +dbrollback affects: t
`

func TestAnnotations(t *testing.T) {
	got, err := Annotations(annotated)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, a := range got {
		lines = append(lines, fmt.Sprintf("%d:%d %s@%d %s %v %s|%s %s", a.Line, a.Column, a.Section, a.Statement, a.Kind, a.Tables, a.Code, a.Reason, a.Problem))
	}
	want := `2:1 @0 no-capture [] |test data 
4:1 up@5 affects [public.orders My Table] | 
12:22 up@12 ignore [] DS107|all of them 
13:10 up@13 ignore [] DS107|inside 
17:1 up@18 irreversible [] |gone for good 
20:1 up@21 ignore [] DS102| ignore wants a reason: -- +dbrollback ignore: DS102 <reason>
23:1 down@30  [] | unknown annotation "affect"; there are affects, irreversible, ignore and no-capture
24:1 down@30  [] | unknown annotation "ignore DS102 x"; there are affects, irreversible, ignore and no-capture
25:1 down@30  [] | not read: write -- +dbrollback with a plus
26:1 down@30  [] | annotations are written as -- +dbrollback, not in other kinds of comments
27:1 down@30 affects [] | affects: a comma is missing before "b"
28:1 down@30 affects [] | affects: "," is no table
29:1 down@30 irreversible [] | irreversible wants a reason: -- +dbrollback irreversible: <reason>
31:1 down@0 affects [t] | stands before no statement; above -- +goose Up it would hold for the whole file`
	if out := strings.Join(lines, "\n"); out != want {
		t.Errorf("got\n%s\nwant\n%s", out, want)
	}
	if !got[0].Applies("down", 30) || !got[1].Applies("up", 5) || got[1].Applies("up", 8) || got[1].Applies("down", 5) || got[5].Applies("up", 21) {
		t.Error("annotations apply elsewhere than they stand")
	}
}

func TestAnnotationsOfOtherDialects(t *testing.T) {
	text := "-- +goose Up\nINSERT INTO t VALUES ('it\\'s');\n-- +dbrollback affects: Orders, `my``t`, db.T2\nCALL p();\n"
	got, err := AnnotationsIn(MySQL, text)
	if err != nil || len(got) != 1 || got[0].Problem != "" || fmt.Sprint(got[0].Tables) != "[Orders my`t db.T2]" || !got[0].Applies("up", 4) {
		t.Errorf("got %+v, %v", got, err)
	}
	if _, err := Annotations("-- +dbrollback \xff"); err == nil {
		t.Error("invalid UTF-8 is taken")
	}
}
