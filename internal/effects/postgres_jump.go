//go:build !cgo

package effects

import (
	"bytes"
	"context"
	"fmt"

	"github.com/tetratelabs/wazero"
	"github.com/tetratelabs/wazero/api"
)

// pgJumps gives the module what C needs for setjmp and longjmp, which is how the server's code
// reports an error. WebAssembly cannot jump out of a function, so the jump is replayed: the call is
// ended, run again from the same memory, which makes it come by the same setjmp with the same local
// variables, and there the memory becomes what it was at the jump and setjmp returns for the second
// time. The grammar is deterministic and sets its first setjmp early, so a replay costs little.
type pgJumps struct {
	start  []byte // the memory when the call began
	reset  uint64 // the stack pointer when the call began
	count  int    // setjmps passed so far in this run
	next   int    // jumps replayed so far in this run
	jumps  []pgJump
	jumped bool  // this run ended in a new jump
	failed error // why a jump cannot be replayed
}

// pgJump is one longjmp.
type pgJump struct {
	target int    // the setjmp that it goes to, by number
	count  int    // setjmps passed when it happened
	value  uint64 // what setjmp returns
	memory []byte // the memory when it happened
}

// pgReplays is more than the server nests handlers of errors.
const pgReplays = 32

// pgJumped ends a call that is to be replayed.
type pgJumped struct{}

func (pgJumped) Error() string { return "longjmp" }

// run calls a function of the module until it ends without a new jump.
func (j *pgJumps) run(module api.Module, call func() error) error {
	memory := module.Memory()
	start, _ := memory.Read(0, memory.Size())
	pointer := module.ExportedGlobal("__stack_pointer").(api.MutableGlobal)
	*j = pgJumps{start: append(j.start[:0], start...), reset: pointer.Get()}
	for range pgReplays {
		err := call()
		if j.failed != nil {
			return j.failed
		}
		if !j.jumped {
			return err
		}
		if !memory.Write(0, j.start) {
			return fmt.Errorf("the memory shrank")
		}
		pointer.Set(j.reset)
		j.count, j.next, j.jumped = 0, 0, false
	}
	return fmt.Errorf("more than %d jumps", pgReplays)
}

// setjmp is stack_checkpoint(snapshot, result): it numbers the place, and stands for a jump to it
// when one is due.
func (j *pgJumps) setjmp(_ context.Context, module api.Module, stack []uint64) {
	snapshot, result := uint32(stack[0]), uint32(stack[1])
	stack[0] = 0
	memory := module.Memory()
	value := uint64(0)
	id := j.count
	j.count++
	if j.next < len(j.jumps) && j.jumps[j.next].target == id {
		jump := j.jumps[j.next]
		j.next++
		j.count = jump.count
		value = jump.value
		// The C stack below this function is what it is now, all else what it was at the jump.
		from := uint32(module.ExportedGlobal("__stack_pointer").Get())
		to := uint32(module.ExportedGlobal("__heap_base").Get())
		view, ok := memory.Read(from, to-from)
		frames := bytes.Clone(view)
		if !ok || !memory.Write(0, jump.memory) || !memory.Write(from, frames) {
			j.failed = fmt.Errorf("setjmp out of memory")
			panic(pgJumped{})
		}
	}
	if !memory.WriteUint64Le(snapshot, uint64(id)) || !memory.WriteUint64Le(result, value) {
		j.failed = fmt.Errorf("setjmp out of memory")
		panic(pgJumped{})
	}
}

// longjmp is stack_restore(snapshot, value).
func (j *pgJumps) longjmp(_ context.Context, module api.Module, stack []uint64) {
	memory := module.Memory()
	id, ok := memory.ReadUint64Le(uint32(stack[0]))
	if !ok || id >= uint64(j.count) || j.next < len(j.jumps) {
		j.failed = fmt.Errorf("longjmp to nowhere")
		panic(pgJumped{})
	}
	view, _ := memory.Read(0, memory.Size())
	// Jumps that happened after the place was passed are undone by this one.
	keep := 0
	for keep < len(j.jumps) && j.jumps[keep].count <= int(id) {
		keep++
	}
	j.jumps = append(j.jumps[:keep:keep], pgJump{target: int(id), count: j.count, value: stack[1], memory: bytes.Clone(view)})
	j.jumped = true
	panic(pgJumped{})
}

// host makes the functions that the module imports. All but these two and proc_id are for threads
// and signals, of which there are none.
func (j *pgJumps) host(ctx context.Context, r wazero.Runtime) error {
	const i32, i64 = api.ValueTypeI32, api.ValueTypeI64
	never := func(name string) api.GoModuleFunc {
		return func(context.Context, api.Module, []uint64) { panic(fmt.Errorf("%s is not there", name)) }
	}
	process := func(_ context.Context, module api.Module, stack []uint64) {
		module.Memory().WriteUint32Le(uint32(stack[0]), 1)
		stack[0] = 0
	}
	builder := r.NewHostModuleBuilder("wasix_32v1")
	for _, f := range []struct {
		name string
		call api.GoModuleFunc
		in   []api.ValueType
		out  []api.ValueType
	}{
		{"stack_checkpoint", j.setjmp, []api.ValueType{i32, i32}, []api.ValueType{i32}},
		{"stack_restore", j.longjmp, []api.ValueType{i32, i64}, nil},
		{"proc_id", process, []api.ValueType{i32}, []api.ValueType{i32}},
		{"callback_signal", never("callback_signal"), []api.ValueType{i32, i32}, nil},
		{"futex_wait", never("futex_wait"), []api.ValueType{i32, i32, i32, i32}, []api.ValueType{i32}},
		{"futex_wake", never("futex_wake"), []api.ValueType{i32, i32}, []api.ValueType{i32}},
		{"futex_wake_all", never("futex_wake_all"), []api.ValueType{i32, i32}, []api.ValueType{i32}},
		{"thread_exit", never("thread_exit"), []api.ValueType{i32}, nil},
		{"thread_signal", never("thread_signal"), []api.ValueType{i32, i32}, []api.ValueType{i32}},
	} {
		builder.NewFunctionBuilder().WithGoModuleFunction(f.call, f.in, f.out).Export(f.name)
	}
	_, err := builder.Instantiate(ctx)
	return err
}
