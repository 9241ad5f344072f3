//go:build linux || darwin

package doctor

import "golang.org/x/sys/unix"

// Space is how many bytes a folder's disk has free for whoever asks.
func Space(dir string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil
}
