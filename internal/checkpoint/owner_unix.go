//go:build unix

package checkpoint

import (
	"io/fs"
	"os"
	"syscall"
)

func owner(info fs.FileInfo) (uid, gid int) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid), int(st.Gid)
	}
	return -1, -1
}

// syncFolder makes what happened in a folder last.
func syncFolder(root *os.Root, name string) error {
	d, err := root.Open(name)
	if err != nil {
		return plainly(err)
	}
	defer func() { _ = d.Close() }()
	return plainly(d.Sync())
}
