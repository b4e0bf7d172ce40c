package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbrollback/dbrollback/internal/testdb"
)

// shop is a service, as a process of its own: it reads a column of its database at each request, and turns bad, in the way that
// its second argument says, when it cannot. Its address is written to the file of the third.
func shop() {
	dsn, way, file := os.Args[1], os.Args[2], os.Args[3]
	db, err := openDSN(dsn)
	if err != nil {
		panic(err)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var n int
		well := db.QueryRowContext(r.Context(), "SELECT count(score) FROM users").Scan(&n) == nil
		switch {
		case well:
			fmt.Fprint(w, `{"status": "ok"}`)
		case way == "error":
			http.Error(w, "the shop is closed", http.StatusInternalServerError)
		case way == "body":
			fmt.Fprint(w, `{"status": "degraded"}`)
		case way == "slow":
			select {
			case <-time.After(3 * time.Second):
			case <-r.Context().Done():
			}
		case way == "hang":
			<-r.Context().Done()
		}
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	if err := os.WriteFile(file+".new", []byte(listener.Addr().String()), 0o644); err != nil {
		panic(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		panic(err)
	}
	panic(http.Serve(listener, handler))
}

// startShop gives the service's address.
func startShop(t *testing.T, dsn, way string) string {
	t.Helper()
	program, err := exec.LookPath("shop")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "address")
	p := testdb.Start(t, testdb.Command{Program: program, Args: []string{dsn, way, file}})
	var address string
	eventually(t, func() bool {
		b, err := os.ReadFile(file)
		address = string(b)
		return err == nil
	}, func() string { return "the shop does not open: " + p.Stderr() })
	return address
}

// eventually waits for a condition.
func eventually(t *testing.T, condition func() bool, complaint func() string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !condition(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(complaint())
		}
	}
}

// says waits until a process has reported something.
func says(t *testing.T, p *testdb.Process, text string) {
	t.Helper()
	eventually(t, func() bool { return strings.Contains(p.Stderr(), text) }, func() string { return fmt.Sprintf("it does not say %q:\n%s", text, p.Stderr()) })
}

// wire is a way through the network that can be cut.
type wire struct {
	listener net.Listener
	mu       sync.Mutex
	cut      bool
	open     []net.Conn
}

// newWire leads to an address.
func newWire(t *testing.T, to string) *wire {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{listener: listener}
	t.Cleanup(func() {
		_ = listener.Close()
		w.Cut(true)
	})
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			var d net.Dialer
			far, err := d.DialContext(context.Background(), "tcp", to)
			w.mu.Lock()
			if err != nil || w.cut {
				_ = c.Close()
				if err == nil {
					_ = far.Close()
				}
			} else {
				w.open = append(w.open, c, far)
				go func() { _, _ = io.Copy(far, c); _ = far.Close() }()
				go func() { _, _ = io.Copy(c, far); _ = c.Close() }()
			}
			w.mu.Unlock()
		}
	}()
	return w
}

func (w *wire) Address() string { return w.listener.Addr().String() }

// Cut takes the network away, or gives it back.
func (w *wire) Cut(cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut = cut
	if cut {
		for _, c := range w.open {
			_ = c.Close()
		}
		w.open = nil
	}
}
