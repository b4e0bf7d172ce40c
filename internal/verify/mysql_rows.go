package verify

import (
	"context"
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/dbrollback/dbrollback/internal/engine"
)

// rowHash is SHA-256 cut to 128 bits: it is faster than MD5 there, which MySQL 9.6 took out besides. CAST AS
// BINARY is what keeps character sets and collations out of it.
func (mysql) rowHash(exprs []string) string {
	return "UNHEX(LEFT(" + mysqlHash(exprs) + ", 32))"
}

// mysqlHash is the hash of a row in hexadecimal. The length before each value says where it ends, and N is no
// length.
func mysqlHash(exprs []string) string {
	values := make([]string, len(exprs))
	for i, e := range exprs {
		values[i] = "IFNULL(CONCAT(LENGTH(" + e + "), ':', CAST(" + e + " AS BINARY)), 'N')"
	}
	return "SHA2(CONCAT(" + strings.Join(values, ", ") + "), 256)"
}

// hashExpr is the column itself where its text, read as bytes, says all that there is to say.
//
// The text of FLOAT is rounded, and of DOUBLE(10,2), too: times 1e0 gives all digits that the number needs, and
// keeps the sign of 0; MySQL cuts that text off after 22 signs, so that what is missing follows; the half is taken where to read
// the text again might give more than there can be. TIMESTAMP is printed in the session's time zone, in which an hour may be two. The empty
// text can be a label of ENUM, or what stands there for no label; as a label of SET it hides among others. A long value is hashed by
// itself, because CONCAT gives NULL for more than max_allowed_packet.
func (mysql) hashExpr(db *engine.DB, c engine.Column, qualifier string) string {
	expr := db.Ident(c.Name)
	if qualifier != "" {
		expr = qualifier + "." + expr
	}
	kind, _, _ := strings.Cut(strings.ToLower(c.Type), "(")
	kind, _, _ = strings.Cut(kind, " ")
	switch kind {
	case "float", "double", "real":
		if db.Kind == engine.MySQL {
			return fmt.Sprintf("CONCAT(ABS(%[1]s) < 1e300, %[2]s, '/', %[2]s - CONCAT(%[2]s) * 1e0)", expr, fmt.Sprintf("(%[1]s * IF(ABS(%[1]s) < 1e300, 1e0, 5e-1))", expr))
		}
		return expr + " * 1e0"
	case "timestamp":
		return "UNIX_TIMESTAMP(" + expr + ")"
	case "enum":
		return "CONCAT(" + expr + " <> 0, CAST(" + expr + " AS BINARY))"
	case "set":
		return "CONCAT(" + expr + " + 0, ':', CAST(" + expr + " AS BINARY))"
	case "text", "mediumtext", "longtext", "blob", "mediumblob", "longblob", "json", "vector", "xmltype",
		"geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon", "geometrycollection", "geomcollection":
		return "SHA2(" + expr + ", 256)"
	}
	return expr
}

// mysqlMark is more than the halves of the hashes of all rows that there can be come to.
const mysqlMark = "1000000000000000000000000000000"

// sum adds up each half of each row's hash; DECIMAL holds the sum of as many 64-bit numbers as there can be
// rows. Each h is a hash made once more: the servers put its expression wherever it is named. So the rows that have one are counted along with
// the first half of them, which all together stay below the mark.
func (mysql) sum(ctx context.Context, q engine.Querier, from string, exprs []string) (Checksum, error) {
	var c Checksum
	if len(exprs) == 0 {
		err := q.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+from).Scan(&c.Rows)
		return c, err
	}
	var high, low string
	err := q.QueryRowContext(ctx, `SELECT COUNT(*), COALESCE(SUM(CAST(CONV(LEFT(h, 16), 16, 10) AS UNSIGNED) + `+mysqlMark+`), 0),
		COALESCE(SUM(CAST(CONV(SUBSTR(h, 17, 16), 16, 10) AS UNSIGNED)), 0)
		FROM (SELECT `+mysqlHash(exprs)+` AS h FROM `+from+`) AS hashes`).Scan(&c.Rows, &high, &low)
	if err != nil {
		return c, err
	}
	hashed := int64(0)
	if at := len(high) - len(mysqlMark) + 1; at > 0 {
		if hashed, err = strconv.ParseInt(high[:at], 10, 64); err != nil {
			return c, fmt.Errorf("the server's sum %q is no number", high)
		}
		high = high[at:]
	}
	if hashed != c.Rows { // a text longer than max_allowed_packet
		return c, fmt.Errorf("the server has no hash for %d rows: raise its max_allowed_packet above the length of the longest row", c.Rows-hashed)
	}
	for _, half := range []string{high, low} {
		n, ok := new(big.Int).SetString(half, 10)
		if !ok {
			return c, fmt.Errorf("the server's sum %q is no number", half)
		}
		n.Mod(n, new(big.Int).Lsh(big.NewInt(1), 64)) // never negative
		c.Sum += fmt.Sprintf("%016x", n.Uint64())
	}
	return c, nil
}

func (v mysql) sampleExpr(db *engine.DB, c engine.Column) string {
	return "COALESCE(CONCAT('=', HEX(CAST(" + v.hashExpr(db, c, "") + " AS BINARY))), 'null')"
}
