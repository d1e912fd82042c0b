package doctor

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/clipperregistry/runner/webhook/database"
)

// Disk is a file system as statfs(2) has it.
type Disk struct {
	Magic int64 // f_type
	Free  int64 // bytes for who is not root
	Total int64
}

func stat(dir string) (Disk, error) {
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		return Disk{}, err
	}
	return Disk{int64(s.Type), int64(s.Bavail) * s.Bsize, int64(s.Blocks) * s.Bsize}, nil
}

// places are file systems on which a database does not last, by their numbers
// in linux/magic.h and statfs(2).
var places = map[int64]struct {
	name  string
	level Level
	why   string
}{
	0x6969:     {"NFS (EFS is one)", Bad, network},
	0xff534d42: {"CIFS", Bad, network},
	0xfe534d42: {"SMB", Bad, network},
	0x517b:     {"SMB", Bad, network},
	0x01021997: {"9P", Bad, network},
	0x00c36400: {"CephFS", Bad, network},
	0x0bd00bd0: {"Lustre", Bad, network},
	0x47504653: {"GPFS", Bad, network},
	0x5346414f: {"AFS", Bad, network},
	0x65735546: {"FUSE", Warn, "whether locks and syncs mean there what they say is the program's behind it"},
	0x01021994: {"tmpfs", Warn, "it is gone when the machine or container ends, and deliveries of more than three days with it"},
	0x794c7630: {"overlayfs, as of a container", Warn, "it is gone with the container"},
}

const network = "SQLite's locks and its log need a local disk"

const (
	littleSpace = 100 << 20
	lowSpace    = 1 << 30
)

// database looks at where the service keeps what it remembers.
func (c Checkup) database(ctx context.Context) []Finding {
	name := c.Settings.Database
	if strings.HasPrefix(name, "postgres://") || strings.HasPrefix(name, "postgresql://") {
		return c.postgres(ctx, name)
	}
	path, err := filepath.Abs(name)
	if err != nil || name == "" {
		return one(Bad, "database", "there is none", "set CLIPPER_WEBHOOK_DATABASE")
	}
	dir := filepath.Dir(path)
	disk, err := c.Stat(dir)
	if err != nil {
		return one(Bad, "database", dir+": "+err.Error(), "make the directory")
	}
	found := judgeDisk(dir, disk)
	trial, err := os.CreateTemp(dir, ".clipper-doctor-")
	if err != nil {
		return append(found, Finding{Bad, "database", err.Error(), "let the service's user write to " + dir})
	}
	_ = trial.Close() // it is empty
	_ = os.Remove(trial.Name())
	switch _, err := os.Stat(path); {
	case errors.Is(err, fs.ErrNotExist):
		return append(found, Finding{OK, "database", path + " is not there yet; the service makes it", ""})
	case err != nil:
		return append(found, Finding{Bad, "database", err.Error(), ""})
	}
	if !isSQLite(path) {
		return append(found, Finding{Bad, "database", path + " is not a database", "name another file"})
	}
	return append(found, look(ctx, path, path)...)
}

// isSQLite reads the first bytes, which are those of
// https://www.sqlite.org/fileformat.html#magic_header_string; an empty file is
// a database without tables.
func isSQLite(path string) bool {
	f, err := os.Open(path)
	if err != nil {
		return true // who opens it next says why not
	}
	defer f.Close()
	const magic = "SQLite format 3\x00"
	head := make([]byte, len(magic))
	n, _ := io.ReadFull(f, head)
	return n == 0 || string(head[:n]) == magic
}

func judgeDisk(dir string, disk Disk) []Finding {
	var found []Finding
	if place, ok := places[disk.Magic&0xffffffff]; ok {
		found = append(found, Finding{place.level, "database", fmt.Sprintf("%s is on %s: %s", dir, place.name, place.why), "use a local disk that stays, or PostgreSQL"})
	}
	free := fmt.Sprintf("%.1f GiB", float64(disk.Free)/(1<<30))
	switch {
	case disk.Free < littleSpace:
		found = append(found, Finding{Bad, "space", fmt.Sprintf("%s: %s free", dir, free), "a burst of deliveries fills it: free some"})
	case disk.Free < lowSpace:
		found = append(found, Finding{Warn, "space", fmt.Sprintf("%s: %s free", dir, free), "bodies are kept for 8 days: have 1 GiB or more"})
	default:
		found = append(found, Finding{OK, "space", fmt.Sprintf("%s: %s free", dir, free), ""})
	}
	return found
}

func (c Checkup) postgres(ctx context.Context, address string) []Finding {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	return look(ctx, address, "PostgreSQL")
}

// look opens a database beside whoever has it.
func look(ctx context.Context, address, name string) []Finding {
	quiet := slog.New(slog.DiscardHandler)
	db, err := database.Open(ctx, address, database.Options{ReadOnly: true, Log: quiet})
	if errors.Is(err, database.ErrTables) {
		return one(Warn, "database", name+" answers, and its tables are not those of this version", "the service makes them when it starts")
	}
	if err != nil {
		seen := strings.Join(strings.Fields(err.Error()), " ")
		return one(Bad, "database", seen, "is it there, and may the service use it?")
	}
	defer db.Close()
	for _, err := range db.Deliveries(ctx, database.DeliveryFilter{Newest: true}) {
		if err != nil {
			return one(Bad, "database", err.Error(), "see whether it is whole: clipper-runner webhook db backup FILE reads all of it")
		}
		break
	}
	return one(OK, "database", name+" answers", "")
}
