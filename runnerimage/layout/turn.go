package layout

import (
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"time"
)

// The file holds
//
//	phase "\n" message "\x00"
//
// and what follows the NUL byte counts for nothing: a status that was longer,
// and a writer that was killed before it had cut the file.

// Turn is the right to lay the image out. It ends with its process.
type Turn struct {
	// Before is the status that was found: never Running.
	Before Status
	file   *os.File
}

// Take waits until nobody else has the Turn and takes it. Whoever looks from
// now on sees Running.
func Take(ctx context.Context, path string) (*Turn, error) {
	f, err := open(path, os.O_RDWR|os.O_CREATE)
	if err != nil {
		return nil, err
	}
	t := &Turn{file: f}
	if err = t.lock(ctx); err == nil {
		// Every user of the container may look, whatever the umask.
		err = f.Chmod(0o644)
	}
	if err == nil {
		t.Before, err = read(f)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	if t.Before.Phase == Running {
		t.Before.Phase = Interrupted
	}
	return t, nil
}

func (t *Turn) lock(ctx context.Context) error {
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	for {
		err := flock(t.file, syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return err
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Begin says that the image is being laid out from now on.
func (t *Turn) Begin(image string) error { return t.write(Status{Running, image}) }

// End says how it ended and gives the Turn up.
func (t *Turn) End(s Status) error {
	return errors.Join(t.write(s), t.file.Close())
}

// Release gives the Turn up and lets the status be what it was.
func (t *Turn) Release() error { return t.file.Close() }

func (t *Turn) write(s Status) error {
	message := strings.ReplaceAll(s.Message, "\x00", "")
	data := []byte(string(s.Phase) + "\n" + message)
	data = append(data[:min(len(data), maxFile-1)], 0)
	if _, err := t.file.WriteAt(data, 0); err != nil {
		return err
	}
	return t.file.Truncate(int64(len(data)))
}

// read reads the status in the file; None of one that is empty.
func read(f *os.File) (Status, error) {
	data := make([]byte, maxFile)
	n, err := f.ReadAt(data, 0)
	if err != nil && err != io.EOF {
		return Status{}, err
	}
	content, _, whole := strings.Cut(string(data[:n]), "\x00")
	if !whole {
		return Status{Phase: None}, nil
	}
	phase, message, _ := strings.Cut(content, "\n")
	switch p := Phase(phase); p {
	case None, Running, Done, NeedsToken, Failed:
		return Status{p, message}, nil
	}
	return Status{}, errors.New(f.Name() + " is not of this runner: start a new container")
}
