//go:build !cgo

package effects

import (
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
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
// start. Interpreted it is there in a fraction of that, and a migration's statements are few; only
// when there turns out to be much text is the compiler worth its time. The package has no switch for
// it, so its module is borrowed and driven here.

//go:linkname pgModule github.com/wasilibs/go-pgquery/internal/wasm.LibPGQuery
var pgModule []byte

// pgInterpreted is how many bytes are interpreted before the module is compiled after all: about
// what the interpreter gets through in the time that compiling takes.
const pgInterpreted = 96 << 10

// pgInstance is one instance of the module; it runs one call at a time.
type pgInstance struct {
	module   api.Module
	jumps    *pgJumps
	compiled bool
}

// pgEngine is the module made ready to run.
type pgEngine struct {
	runtime wazero.Runtime
	code    wazero.CompiledModule
	jumps   *pgJumps
}

var (
	pgLock      sync.Mutex
	pgShared    *pgInstance
	pgRead      int // bytes parsed so far
	pgInterpret = sync.OnceValues(func() (pgEngine, error) { return newPgEngine(wazero.NewRuntimeConfigInterpreter()) })
	pgCompile   = sync.OnceValues(func() (pgEngine, error) { return newPgEngine(wazero.NewRuntimeConfig()) })
)

func newPgEngine(config wazero.RuntimeConfig) (pgEngine, error) {
	ctx := experimental.WithCompilationWorkers(context.Background(), runtime.GOMAXPROCS(0))
	r := wazero.NewRuntimeWithConfig(ctx, config.
		WithCoreFeatures(api.CoreFeaturesV2|experimental.CoreFeaturesThreads).
		WithDebugInfoEnabled(false))
	wasi_snapshot_preview1.MustInstantiate(ctx, r)
	jumps := &pgJumps{}
	if err := jumps.host(ctx, r); err != nil {
		return pgEngine{}, fmt.Errorf("load the PostgreSQL grammar: %w", err)
	}
	code, err := r.CompileModule(ctx, pgModule)
	if err != nil {
		return pgEngine{}, fmt.Errorf("load the PostgreSQL grammar: %w", err)
	}
	return pgEngine{runtime: r, code: code, jumps: jumps}, nil
}

func newPgInstance(compiled bool) (*pgInstance, error) {
	ready := pgInterpret
	if compiled {
		ready = pgCompile
	}
	engine, err := ready()
	if err != nil {
		return nil, err
	}
	module, err := engine.runtime.InstantiateModule(context.Background(), engine.code,
		wazero.NewModuleConfig().WithName("").WithSysNanotime().WithStartFunctions("_initialize"))
	if err != nil {
		return nil, fmt.Errorf("start the PostgreSQL grammar: %w", err)
	}
	p := &pgInstance{module: module, jumps: engine.jumps, compiled: compiled}
	if _, err := p.call("pg_query_init"); err != nil {
		return nil, err
	}
	return p, nil
}

// pgParse runs the server's grammar, compiled to WebAssembly.
func pgParse(sql string) (*pg.ParseResult, *pgError) {
	pgLock.Lock()
	defer pgLock.Unlock()
	pgRead += len(sql)
	if compile := pgRead > pgInterpreted; pgShared == nil || compile && !pgShared.compiled {
		p, err := newPgInstance(compile)
		if err != nil {
			return nil, &pgError{message: err.Error()}
		}
		pgDiscard()
		pgShared = p
	}
	tree, rejected, err := pgShared.parse(sql)
	if err != nil {
		// The module's memory is in an unknown state (its stack ran over, say): start afresh next time.
		pgDiscard()
		return nil, &pgError{message: err.Error()}
	}
	return tree, rejected
}

// pgDiscard gives the memory of the instance back.
func pgDiscard() {
	if pgShared != nil {
		_ = pgShared.module.Close(context.Background())
		pgShared = nil
	}
}

func (p *pgInstance) call(name string, args ...uint64) (uint32, error) {
	results, err := p.module.ExportedFunction(name).Call(context.Background(), args...)
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
	memory := p.module.Memory()
	text, err := p.call("malloc", uint64(len(sql)+1))
	if err != nil {
		return nil, nil, err
	}
	result, err := p.call("malloc", 16)
	if err != nil {
		return nil, nil, err
	}
	if !memory.WriteString(text, sql) || !memory.WriteByte(text+uint32(len(sql)), 0) {
		return nil, nil, fmt.Errorf("PostgreSQL grammar: no memory for %d bytes", len(sql))
	}
	if err := p.jumps.run(p.module, func() error {
		_, err := p.call("pg_query_parse_protobuf", uint64(result), uint64(text))
		return err
	}); err != nil {
		return nil, nil, err
	}
	tree, rejected, err := p.result(memory, result)
	for _, free := range []struct {
		name    string
		address uint32
	}{{"pg_query_free_protobuf_parse_result", result}, {"free", result}, {"free", text}} {
		if _, e := p.call(free.name, uint64(free.address)); e != nil && err == nil {
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
