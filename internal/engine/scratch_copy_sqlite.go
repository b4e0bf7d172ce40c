package engine

import (
	"context"
	"errors"
	"fmt"
	"time"

	"modernc.org/sqlite"
)

// backupWait is how long a copy waits for a program that writes.
const backupWait = 30 * time.Second

// copyOf copies page by page, as of one moment, while others read and write.
func (f *scratchFolder) copyOf(ctx context.Context, name, dsn string, _ func(string)) (how string, err error) {
	db, err := Open(ctx, dsn, Options{MustExist: true})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	c, err := db.Conn(ctx)
	if err != nil {
		return "", err
	}
	defer func() { _ = c.Close() }()
	return "backup", c.Raw(func(driver any) error {
		source, ok := driver.(interface {
			NewBackup(to string) (*sqlite.Backup, error)
		})
		if !ok {
			return fmt.Errorf("%T cannot make a backup", driver)
		}
		deadline := time.Now().Add(backupWait)
		for {
			err := backup(source.NewBackup(f.file(name)))
			if e, locked := AsError(err); err == nil || !locked || e.Class != LockTimeout || time.Now().After(deadline) {
				return err
			}
			timer := time.NewTimer(20 * time.Millisecond)
			select {
			case <-ctx.Done():
				timer.Stop()
				return ctx.Err()
			case <-timer.C:
			}
		}
	})
}

// backup copies all pages at once: step by step, a writer in between would make it begin again.
func backup(b *sqlite.Backup, err error) error {
	if err != nil {
		return err
	}
	_, err = b.Step(-1)
	return errors.Join(err, b.Finish())
}
