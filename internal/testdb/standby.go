package testdb

import (
	"os"
	"path/filepath"
	"strconv"
	"testing"
)

// Standby starts a replica that a private PostgreSQL server streams to, which is stopped for a moment to copy it. It goes with the test; DSN is that of the
// same database on it.
func (s *Server) Standby(t testing.TB) *Server {
	t.Helper()
	s.Stop()
	p := s.program
	p.template = s.Dir
	r, err := prepare(p, append([]string{"-c", "primary_conninfo=host=127.0.0.1 user=postgres port=" + strconv.Itoa(s.Port)}, s.settings...))
	if err != nil {
		t.Fatalf("testdb: %v", err)
	}
	r.own(t)
	sign := filepath.Join(r.Dir, "standby.signal")
	if err := os.WriteFile(sign, nil, 0o600); err != nil {
		t.Fatalf("testdb: %v", err)
	}
	if p.as != (account{}) {
		if err := os.Chown(sign, p.as.uid, p.as.gid); err != nil {
			t.Fatalf("testdb: %v", err)
		}
	}
	s.Restart()
	if err := r.start(); err != nil {
		t.Fatalf("testdb: %v", err)
	}
	r.DSN = withPort(t, s.DSN, r.Port)
	return r
}
