package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
	"unicode"

	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/webhook/database"
)

// listFlags are those of lists, which have the newest first.
type listFlags struct {
	databaseFlag
	JSON       bool   `help:"Print one JSON object a line: all of them, unless --limit says how many."`
	Limit      int    `placeholder:"N" help:"How many at most, the newest; default: 50, and all with --json."`
	Since      string `placeholder:"TIME" help:"Those since then, as in 90m, 2026-01-02 or 2026-01-02T15:04:05Z."`
	Repository string `placeholder:"NAME|ID" help:"Those of this repository: owner/name, as it was called then, or its ID."`
	App        int64  `placeholder:"ID" help:"Those of this GitHub App."`
}

// someRows is how many rows a table has, unless --limit says otherwise.
const someRows = 50

func (f *listFlags) limit() (int, error) {
	switch {
	case f.Limit < 0:
		return 0, fmt.Errorf("%w: --limit %d is less than none", runnerimage.ErrSettings, f.Limit)
	case f.Limit == 0 && !f.JSON:
		return someRows, nil
	}
	return f.Limit, nil // 0 is all
}

// since is zero for always.
func (f *listFlags) since(now time.Time) (time.Time, error) {
	if f.Since == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(f.Since); err == nil && ago > 0 {
		return now.Add(-ago), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, f.Since); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("%w: --since %s is no time as in 90m, 2026-01-02 or 2026-01-02T15:04:05Z", runnerimage.ErrSettings, f.Since)
}

// begin opens the database of a list, which begins at a time and has at most so
// many rows.
func (f *listFlags) begin(ctx context.Context) (db *database.DB, since time.Time, limit int, err error) {
	if limit, err = f.limit(); err != nil {
		return nil, since, 0, err
	}
	if since, err = f.since(time.Now()); err != nil {
		return nil, since, 0, err
	}
	db, err = f.look(ctx)
	return db, since, limit, err
}

// repository is what --repository says: an ID, or else a name.
func (f *listFlags) repository() (ids []int64, name string) {
	if id, err := strconv.ParseInt(f.Repository, 10, 64); err == nil {
		return []int64{id}, ""
	}
	return nil, f.Repository
}

// rowsAtOnce is how many rows of a table are aligned with each other, so that
// one of any length takes no more memory.
const rowsAtOnce = 200

// errMore says that a list has more than were wanted.
var errMore = errors.New("there are more")

// printList prints rows as they come, at most so many, 0 for all: with --json
// as the objects that they are, else as a table of their columns. It holds no
// more of them than are printed at once.
func printList[T any](out io.Writer, rows iter.Seq2[T, error], asJSON bool, limit int, header string, columns func(T) string) (err error) {
	w := bufio.NewWriterSize(out, 64<<10)
	defer func() { err = errors.Join(err, w.Flush()) }()
	object := json.NewEncoder(w)
	object.SetEscapeHTML(false)
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	n := 0
	for row, err := range rows {
		switch {
		case err != nil:
			return errors.Join(err, table.Flush())
		case n == limit && limit > 0:
			return errors.Join(table.Flush(), errMore)
		case asJSON:
			if err := object.Encode(row); err != nil {
				return err
			}
			n++
			continue
		case n == 0:
			fmt.Fprintln(table, header)
		}
		fmt.Fprintln(table, columns(row))
		if n++; n%rowsAtOnce == 0 {
			if err := table.Flush(); err != nil {
				return err
			}
		}
	}
	return table.Flush()
}

// printed tells what a list on standard output leaves unsaid.
func (f *listFlags) printed(err error) error {
	if !errors.Is(err, errMore) {
		return err
	}
	if f.Limit == 0 {
		_, err = fmt.Fprintln(os.Stderr, "there are more: --limit N shows N, --json all")
		return err
	}
	return nil
}

// sequences are what colours a terminal's text and moves its cursor.
var sequences = regexp.MustCompile(`\x1b\[[0-?]*[ -/]*[@-~]`)

// shown is a stranger's text for a terminal: nothing in it moves the cursor,
// begins a line or a column, or turns text around.
func shown(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return ' '
		case !unicode.IsGraphic(r):
			return -1
		}
		return r
	}, sequences.ReplaceAllString(s, ""))
}

// cut is a text of at most so many characters.
func cut(s string, most int) string {
	if runes := []rune(s); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return s
}

// seconds is a time in a list.
func seconds(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.DateTime)
}

// printFields prints names and values, those that there are.
func printFields(out io.Writer, fields [][2]string) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	for _, f := range fields {
		if f[1] != "" {
			fmt.Fprintf(w, "%s\t%s\n", f[0], shown(f[1]))
		}
	}
	return w.Flush()
}
