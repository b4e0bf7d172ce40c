package engine

import (
	"crypto/tls"
	"net"
	"strconv"
	"strings"
)

// Link is what a client of the server's replication protocol needs to reach the target. It carries the password, and is for that
// client alone: it prints as the host.
type Link struct {
	Host     string // or the socket
	Port     uint16 // 0 with a socket
	User     string
	Password string
	TLS      *tls.Config // nil: in the clear
}

// String gives the host.
func (l Link) String() string { return l.Host }

// GoString gives the host as well.
func (l Link) GoString() string { return l.Host }

// Link says how to reach the server of MySQL or MariaDB that this is.
func (db *DB) Link() Link { return db.link }

// mysqlLink takes an address apart.
func mysqlLink(target Target, pass string, secure *tls.Config) Link {
	l := Link{Host: target.Host, User: target.User, Password: pass, TLS: secure}
	if strings.HasPrefix(target.Host, "/") {
		return l
	}
	host, port, err := net.SplitHostPort(target.Host)
	if err != nil {
		return l
	}
	n, _ := strconv.ParseUint(port, 10, 16)
	l.Host, l.Port = host, uint16(n)
	if secure != nil && !secure.InsecureSkipVerify {
		l.TLS = secure.Clone()
		l.TLS.ServerName = host
	}
	return l
}
