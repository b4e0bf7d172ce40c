//go:build !cgo

package effects

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	_ "unsafe" // for go:linkname

	pg "github.com/pganalyze/pg_query_go/v6"
	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
	"github.com/tetratelabs/wazero/experimental"
	"github.com/tetratelabs/wazero/imports/wasi_snapshot_preview1"
	_ "github.com/wasilibs/go-pgquery/parser" // links the module
	"google.golang.org/protobuf/proto"
)

// The server's grammar, compiled to WebAssembly, is part of wasilibs/go-pgquery, which always
// compiles the module to machine code: two seconds and 270 MB before the first statement, at every
// start. Interpreted it is there in a fraction of that, and a migration's statements are few. The
// package has no switch for it, so the module and the two functions that it needs are borrowed.

//go:linkname pgModule github.com/wasilibs/go-pgquery/internal/wasm.LibPGQuery
var pgModule []byte

//go:linkname pgHostFunctions github.com/wasilibs/go-pgquery/internal/wasix32v1.MustInstantiate
func pgHostFunctions(ctx context.Context, r wazero.Runtime)

//go:linkname pgContext github.com/wasilibs/go-pgquery/internal/wasix32v1.BackgroundContext
func pgContext() context.Context

// pgInstance is one instance of the module; it runs one call at a time.
type pgInstance struct {
	module api.Module
}

var (
	pgLock    sync.Mutex
	pgRuntime = sync.OnceValues(pgCompile)
	pgShared  *pgInstance
)

type pgCompiled struct {
	runtime wazero.Runtime
	code    wazero.CompiledModule
}

func pgCompile() (pgCompiled, error) {
	ctx := context.Background()
	runtime := wazero.NewRuntimeWithConfig(ctx, wazero.NewRuntimeConfigInterpreter().
		WithCoreFeatures(api.CoreFeaturesV2|experimental.CoreFeaturesThreads).
		WithDebugInfoEnabled(false))
	wasi_snapshot_preview1.MustInstantiate(ctx, runtime)
	pgHostFunctions(ctx, runtime)
	code, err := runtime.CompileModule(ctx, pgModule)
	if err != nil {
		return pgCompiled{}, fmt.Errorf("load the PostgreSQL grammar: %w", err)
	}
	return pgCompiled{runtime: runtime, code: code}, nil
}

func newPgInstance() (*pgInstance, error) {
	c, err := pgRuntime()
	if err != nil {
		return nil, err
	}
	module, err := c.runtime.InstantiateModule(context.Background(), c.code,
		wazero.NewModuleConfig().WithName("").WithSysNanotime().WithStartFunctions("_initialize"))
	if err != nil {
		return nil, fmt.Errorf("start the PostgreSQL grammar: %w", err)
	}
	p := &pgInstance{module: module}
	if _, err := p.call(pgContext(), "pg_query_init"); err != nil {
		return nil, err
	}
	return p, nil
}

// pgParse runs the server's grammar, compiled to WebAssembly.
func pgParse(sql string) (*pg.ParseResult, *pgError) {
	pgLock.Lock()
	defer pgLock.Unlock()
	if pgShared == nil {
		p, err := newPgInstance()
		if err != nil {
			return nil, &pgError{message: err.Error()}
		}
		pgShared = p
	}
	tree, rejected, err := pgShared.parse(sql)
	if err != nil {
		// The module's memory is in an unknown state (its stack ran over, say): start afresh next time.
		_ = pgShared.module.Close(context.Background())
		pgShared = nil
		return nil, &pgError{message: err.Error()}
	}
	return tree, rejected
}

func (p *pgInstance) call(ctx context.Context, name string, args ...uint64) (uint32, error) {
	results, err := p.module.ExportedFunction(name).Call(ctx, args...)
	if err != nil {
		return 0, fmt.Errorf("PostgreSQL grammar: %s: %w", name, err)
	}
	if len(results) == 0 {
		return 0, nil
	}
	return uint32(results[0]), nil
}

// parse hands the text over in the module's memory, as C would.
func (p *pgInstance) parse(sql string) (*pg.ParseResult, *pgError, error) {
	ctx := pgContext()
	memory := p.module.Memory()
	text, err := p.call(ctx, "malloc", uint64(len(sql)+1))
	if err != nil {
		return nil, nil, err
	}
	result, err := p.call(ctx, "malloc", 16)
	if err != nil {
		return nil, nil, err
	}
	if !memory.WriteString(text, sql) || !memory.WriteByte(text+uint32(len(sql)), 0) {
		return nil, nil, fmt.Errorf("PostgreSQL grammar: no memory for %d bytes", len(sql))
	}
	if _, err := p.call(ctx, "pg_query_parse_protobuf", uint64(result), uint64(text)); err != nil {
		return nil, nil, err
	}
	tree, rejected, err := p.result(memory, result)
	for _, free := range []struct {
		name    string
		address uint32
	}{{"pg_query_free_protobuf_parse_result", result}, {"free", result}, {"free", text}} {
		if _, e := p.call(ctx, free.name, uint64(free.address)); e != nil && err == nil {
			err = e
		}
	}
	return tree, rejected, err
}

// result reads a PgQueryProtobufParseResult: length and address of the tree, the standard error, the error.
func (p *pgInstance) result(memory api.Memory, address uint32) (*pg.ParseResult, *pgError, error) {
	head, ok := memory.Read(address, 16)
	if !ok {
		return nil, nil, fmt.Errorf("PostgreSQL grammar: result out of memory")
	}
	length, data, failure := binary.LittleEndian.Uint32(head), binary.LittleEndian.Uint32(head[4:]), binary.LittleEndian.Uint32(head[12:])
	if failure != 0 {
		message, _ := memory.ReadUint32Le(failure)
		position, _ := memory.ReadUint32Le(failure + 16)
		return nil, &pgError{message: cString(memory, message), position: int(int32(position))}, nil
	}
	buf, ok := memory.Read(data, length)
	if !ok {
		return nil, nil, fmt.Errorf("PostgreSQL grammar: tree out of memory")
	}
	tree := &pg.ParseResult{}
	if err := proto.Unmarshal(buf, tree); err != nil {
		return nil, nil, fmt.Errorf("PostgreSQL grammar: %w", err)
	}
	return tree, nil, nil
}

func cString(memory api.Memory, address uint32) string {
	end := address
	for {
		b, ok := memory.ReadByte(end)
		if !ok || b == 0 {
			break
		}
		end++
	}
	buf, _ := memory.Read(address, end-address)
	return string(buf)
}
