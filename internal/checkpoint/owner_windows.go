package checkpoint

import (
	"io/fs"
	"os"
)

// Windows has no numbers for owners, and no way to sync a folder: NTFS writes the names of files through its journal.
func owner(fs.FileInfo) (uid, gid int) { return -1, -1 }

func syncFolder(*os.Root, string) error { return nil }
