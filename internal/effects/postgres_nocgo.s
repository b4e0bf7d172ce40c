//go:build !cgo

// Lets the package declare functions without a body (see postgres_nocgo.go).
