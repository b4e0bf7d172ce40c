package folder

import (
	"crypto/sha256"
	"io/fs"
	"testing/fstest"
)

// kept is how much text of a folder, in bytes, is held in memory. Hardly any folder has more; what is beyond it is read anew
// each time, so that memory does not grow with the folder.
const kept = 1 << 20

// shelf is a folder as it was when it was opened: a file that has changed since is refused, not mixed with the others.
type shelf struct {
	fstest.MapFS // the files; of those that are not kept, without their text
	held         int
	sums         map[string][sha256.Size]byte // of those that are not kept
	read         func(name string) ([]byte, error)
	changed      func(name string) error
}

func newShelf(r *reader, read func(name string) ([]byte, error)) *shelf {
	return &shelf{MapFS: fstest.MapFS{}, sums: map[string][sha256.Size]byte{}, read: read, changed: func(name string) error {
		return r.wrong(name, 1, 1, "it changed while it was being read", "run the command again")
	}}
}

// put adds a file.
func (s *shelf) put(name string, text []byte) {
	f := &fstest.MapFile{Mode: 0o444}
	s.MapFS[name] = f
	if s.held+len(text) <= kept {
		s.held += len(text)
		f.Data = text
		return
	}
	s.sums[name] = sha256.Sum256(text)
}

// Open opens a file.
func (s *shelf) Open(name string) (fs.File, error) {
	if _, ok := s.sums[name]; !ok {
		return s.MapFS.Open(name)
	}
	text, err := s.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return fstest.MapFS{name: {Data: text, Mode: 0o444}}.Open(name)
}

// ReadFile reads a file.
func (s *shelf) ReadFile(name string) ([]byte, error) {
	sum, ok := s.sums[name]
	if !ok {
		return s.MapFS.ReadFile(name)
	}
	text, err := s.read(name)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(text) != sum {
		return nil, s.changed(name)
	}
	return text, nil
}
