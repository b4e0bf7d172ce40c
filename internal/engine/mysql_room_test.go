package engine

import (
	"testing"

	"github.com/go-sql-driver/mysql"
)

// TestMySQLNoRoom: a full disk is told as one, whichever part of the server noticed it.
func TestMySQLNoRoom(t *testing.T) {
	for _, c := range []struct {
		number uint16
		text   string
		want   Class
	}{
		{1114, "The table 'big' is full", DiskFull},
		{3664, "Failed to set SDI 'shop.big' in tablespace 'innodb_system'.", DiskFull},
		{1005, `Can't create table "shop"."big" (errno: 135 "No more room in record file")`, DiskFull},
		{1030, "Got error 28 from storage engine", DiskFull},
		{1030, `Got error 28 "No space left on device" from storage engine InnoDB`, DiskFull},
		{1026, "Error writing file './shop/big.MYD' (Errcode: 28 - No space left on device)", DiskFull},
		{1005, `Can't create table "shop"."big" (errno: 150 "Foreign key constraint is incorrectly formed")`, Unknown},
		{1030, "Got error 1 from storage engine", Unknown},
		{1644, "error 135 is what the author of a trigger said", Unknown},
	} {
		e := &mysql.MySQLError{Number: c.number, SQLState: [5]byte{'H', 'Y', '0', '0', '0'}, Message: c.text}
		if got := mysqlError(e, e); got.Class != c.want || got.Class == DiskFull && got.Hint == "" {
			t.Errorf("%d %s: class %s, hint %q", c.number, c.text, got.Class, got.Hint)
		}
	}
}
