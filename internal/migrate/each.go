package migrate

import (
	"context"
	"fmt"
	"io/fs"
	"iter"
	"runtime"
	"slices"
	"strings"

	"github.com/pressly/goose/v3"

	"github.com/dbrollback/dbrollback/internal/effects"
)

// List gives the migrations of a folder with no more than version, name and file: nothing is read.
func List(files fs.FS, dir string, dialect effects.Dialect) ([]*Migration, error) {
	s, err := newSource(files, dir, dialect)
	if err != nil {
		return nil, err
	}
	out := make([]*Migration, len(s.versions))
	for i, v := range s.versions {
		out[i] = &Migration{Version: v, Name: s.paths[v], File: s.file(v)}
	}
	return out, nil
}

// together is how many migrations Each hands over at a time: to wake somebody up for each of them costs more than some take to parse.
const together = 8

// Each is like Load, and holds only a few dozen migrations at a time. It ends with the first error.
func Each(ctx context.Context, files fs.FS, dir string, dialect effects.Dialect) iter.Seq2[*Migration, error] {
	type batch struct {
		read   []*unparsed
		failed error // what came behind those that were read
		parsed []*Migration
		err    error
		done   chan struct{}
	}
	return func(yield func(*Migration, error) bool) {
		s, err := newSource(files, dir, dialect)
		if err != nil {
			yield(nil, err)
			return
		}
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		processors := runtime.GOMAXPROCS(0)
		ahead := make(chan *batch, processors)
		go func() {
			defer close(ahead)
			jobs := make(chan *batch)
			defer close(jobs)
			for range processors { // they stay, because each has to grow a stack for the grammar
				go func() {
					for b := range jobs {
						for _, u := range b.read {
							m, err := s.interpret(u)
							if err != nil {
								b.err = err
								break
							}
							b.parsed = append(b.parsed, m)
						}
						if b.err == nil {
							b.err = b.failed
						}
						close(b.done)
					}
				}()
			}
			for versions := range slices.Chunk(s.versions, together) {
				b := &batch{done: make(chan struct{})}
				for _, v := range versions {
					u, err := s.read(ctx, v)
					if err != nil {
						b.failed = err
						break
					}
					b.read = append(b.read, u)
				}
				select {
				case ahead <- b:
				case <-ctx.Done():
					return
				}
				jobs <- b
				if b.failed != nil {
					return
				}
			}
		}()
		for b := range ahead {
			<-b.done
			for _, m := range b.parsed {
				if !yield(m, nil) {
					return
				}
			}
			if b.err != nil {
				yield(nil, b.err)
				return
			}
		}
	}
}

// goMigrations lists the files that goose takes for migrations in Go.
func goMigrations(files fs.FS) []string {
	all, _ := fs.Glob(files, "*.go") // the pattern is a good one
	return slices.DeleteFunc(all, func(name string) bool {
		_, err := goose.NumericComponent(name)
		return err != nil || strings.HasSuffix(name, "_test.go")
	})
}

func (s *source) compiled(code []string) error {
	which := s.path(code[0]) + " is a Go migration"
	if len(code) > 1 {
		which = fmt.Sprintf("%s and %d other files are Go migrations", s.path(code[0]), len(code)-1)
	}
	return fmt.Errorf("%s: only a program that compiles them in can run them; write them in SQL, or run this folder with goose", which)
}
