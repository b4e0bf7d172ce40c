package engine

import (
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"

	"github.com/zeebo/xxh3"
	"modernc.org/sqlite"
)

// registerFunctions adds to each connection of d:
//
//	dbrollback_hash(v, …)  16 bytes over the values, exact: types and lengths count, and so does
//	                       the sign of zero; text is taken whole, a NUL in it included
//	dbrollback_sum(blob)   aggregate: the sum of 16-byte values modulo 2^128, so that neither order
//	                       matters nor duplicates cancel; 16 zero bytes over no rows
//
// Both see values where SQLite has them (VolatileArgs), which saves a copy and, for text, is the only
// way to see what follows a NUL.
func registerFunctions(d *sqlite.Driver) error {
	err := d.RegisterFunction("dbrollback_hash", &sqlite.FunctionImpl{
		NArgs: -1, Deterministic: true, VolatileArgs: true,
		Scalar: func(_ *sqlite.FunctionContext, args []driver.Value) (driver.Value, error) { return hashValues(args) },
	})
	if err != nil {
		return err
	}
	return d.RegisterFunction("dbrollback_sum", &sqlite.FunctionImpl{
		NArgs: 1, Deterministic: true, VolatileArgs: true,
		MakeAggregate: func(sqlite.FunctionContext) (sqlite.AggregateFunction, error) { return &sum128{}, nil },
	})
}

func hashValues(args []driver.Value) (driver.Value, error) {
	var h xxh3.Hasher
	var head [9]byte // type, then length or value
	for _, a := range args {
		switch v := a.(type) {
		case nil:
			head[0] = 'n'
			_, _ = h.Write(head[:1])
		case int64:
			head[0] = 'i'
			binary.BigEndian.PutUint64(head[1:], uint64(v))
			_, _ = h.Write(head[:])
		case float64:
			head[0] = 'r'
			binary.BigEndian.PutUint64(head[1:], math.Float64bits(v))
			_, _ = h.Write(head[:])
		case string:
			head[0] = 't'
			binary.BigEndian.PutUint64(head[1:], uint64(len(v)))
			_, _ = h.Write(head[:])
			_, _ = h.WriteString(v)
		case []byte:
			head[0] = 'b'
			binary.BigEndian.PutUint64(head[1:], uint64(len(v)))
			_, _ = h.Write(head[:])
			_, _ = h.Write(v)
		default:
			return nil, fmt.Errorf("dbrollback_hash: value of type %T", a)
		}
	}
	sum := h.Sum128().Bytes()
	return sum[:], nil
}

// sum128 adds 128-bit numbers, big-endian, modulo 2^128.
type sum128 struct{ hi, lo uint64 }

var errSumArg = errors.New("dbrollback_sum: the argument is no 16-byte blob")

func (s *sum128) Step(_ *sqlite.FunctionContext, args []driver.Value) error {
	b, ok := args[0].([]byte)
	if !ok || len(b) != 16 {
		return errSumArg
	}
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, binary.BigEndian.Uint64(b[8:]), 0)
	s.hi, _ = bits.Add64(s.hi, binary.BigEndian.Uint64(b[:8]), carry)
	return nil
}

func (s *sum128) WindowInverse(_ *sqlite.FunctionContext, args []driver.Value) error {
	b, ok := args[0].([]byte)
	if !ok || len(b) != 16 {
		return errSumArg
	}
	var borrow uint64
	s.lo, borrow = bits.Sub64(s.lo, binary.BigEndian.Uint64(b[8:]), 0)
	s.hi, _ = bits.Sub64(s.hi, binary.BigEndian.Uint64(b[:8]), borrow)
	return nil
}

func (s *sum128) WindowValue(*sqlite.FunctionContext) (driver.Value, error) {
	out := make([]byte, 16)
	binary.BigEndian.PutUint64(out[:8], s.hi)
	binary.BigEndian.PutUint64(out[8:], s.lo)
	return out, nil
}

func (s *sum128) Final(*sqlite.FunctionContext) {}
