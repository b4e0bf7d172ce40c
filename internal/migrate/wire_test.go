package migrate_test

import (
	"encoding/binary"
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
)

// wire stands between a client and a MySQL or MariaDB server, sees each command, and can cut the client off around one of them.
// What the server was told it carries out, as it does when a client dies.
type wire struct {
	server   string
	listener net.Listener
	mu       sync.Mutex
	see      func(query string) cut
	harm     func() // done as the client is cut off; may be nil
	ends     []io.Closer
	dead     bool
}

// cut is when a client is cut off.
type cut int

const (
	goOn         cut = iota
	beforeIt         // the server never gets the command
	afterSending     // the server gets it, the client hears nothing
	afterAnswer      // the server has carried it out, the client hears nothing
)

// newWire gives the DSN to use instead of dsn. see is called with every query.
func newWire(t *testing.T, dsn string, see func(query string) cut) (*wire, string) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{server: u.Host, listener: l, see: see}
	t.Cleanup(w.close)
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go w.serve(c)
		}
	}()
	u.Host = l.Addr().String()
	return w, u.String()
}

// close ends everything; nobody gets through any more.
func (w *wire) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.dead = true
	_ = w.listener.Close()
	for _, c := range w.ends {
		_ = c.Close()
	}
}

func (w *wire) harmed() {
	if w.harm != nil {
		w.harm()
	}
}

// pair notes the two ends of a connection; false when it is too late.
func (w *wire) pair(ends ...io.Closer) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends = append(w.ends, ends...)
	return !w.dead
}

// look asks what is to become of a query. Where that fails the test, which ends its goroutine, nobody is left to wait for an answer.
func (w *wire) look(query string) cut {
	failed := true
	w.mu.Lock()
	defer func() {
		w.mu.Unlock()
		if failed {
			w.close()
		}
	}()
	what := w.see(query)
	failed = false
	return what
}

func (w *wire) serve(client net.Conn) {
	server, err := net.Dial("tcp", w.server)
	if err != nil {
		_ = client.Close()
		return
	}
	if !w.pair(client, server) {
		_ = client.Close()
		_ = server.Close()
		return
	}
	var mu sync.Mutex
	mute := false // the next thing that the server says is not passed on
	go func() {
		b := make([]byte, 1<<16)
		for {
			n, err := server.Read(b)
			mu.Lock()
			silent := mute
			mu.Unlock()
			if silent || err != nil {
				if silent {
					w.harmed()
					w.close()
				}
				_ = client.Close()
				return
			}
			if _, err := client.Write(b[:n]); err != nil {
				return
			}
		}
	}()
	for {
		packet, err := readPacket(client)
		if err != nil {
			_ = server.Close()
			return
		}
		what := goOn
		if query, ok := queryOf(packet); ok {
			what = w.look(query)
		}
		if what == beforeIt {
			w.harmed()
			w.close()
			return
		}
		if what == afterAnswer {
			mu.Lock()
			mute = true
			mu.Unlock()
		}
		if _, err := server.Write(packet); err != nil {
			return
		}
		if what == afterSending {
			w.harmed()
			// The server must have read it: what is still under way when its connection breaks is lost.
			_ = server.(*net.TCPConn).CloseWrite()
			w.close()
			return
		}
	}
}

// readPacket reads one packet with its head.
func readPacket(r io.Reader) ([]byte, error) {
	head := make([]byte, 4)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	size := int(binary.LittleEndian.Uint32(append(head[:3:3], 0)))
	packet := make([]byte, 4+size)
	copy(packet, head)
	_, err := io.ReadFull(r, packet[4:])
	return packet, err
}

// queryOf is the text of a query; the first packet of a command has the number 0.
func queryOf(packet []byte) (string, bool) {
	const comQuery = 3
	if len(packet) < 5 || packet[3] != 0 || packet[4] != comQuery {
		return "", false
	}
	return string(packet[5:]), true
}
