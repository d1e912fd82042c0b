package main

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

	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/serve"
)

// What these commands write, they write into the database beside its server,
// which finds it there: whoever may write to the database is the operator. So
// they work while no server does, and no server has an address at which it
// could be told what to do.

// look opens the database for reading, work for writing, both beside a server.
func (f databaseFlag) look(ctx context.Context) (*database.DB, error) {
	return openDatabase(ctx, f.Database, database.Options{ReadOnly: true})
}

func (f databaseFlag) work(ctx context.Context) (*database.DB, error) {
	return openDatabase(ctx, f.Database, database.Options{Beside: true})
}

func openDatabase(ctx context.Context, url string, o database.Options) (*database.DB, error) {
	if url == "" {
		return nil, fmt.Errorf("%w: the database (CLIPPER_WEBHOOK_DATABASE) is empty: name a file, or a postgres:// URL", runnerimage.ErrSettings)
	}
	o.Log = quiet()
	return database.Open(ctx, url, o)
}

// quiet is for a command, which tells its errors itself.
func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// endedWebhook gives a command the end that an error is to have: 87 where the
// command names what is not there or cannot be, and 1 where it could not be
// done now.
func endedWebhook(ctx context.Context, exit *int, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("%w: %w", context.Canceled, err)
	}
	for _, wrong := range []error{runnerimage.ErrSettings, serve.ErrSettings, fs.ErrNotExist, fs.ErrExist, database.ErrTables, database.ErrNotFound, database.ErrBackup, database.ErrNotEmpty} {
		if errors.Is(err, wrong) {
			return badArguments{hinted(err)}
		}
	}
	*exit = 1
	_, err = fmt.Fprintln(os.Stderr, "clipper-runner: error:", hinted(err))
	return err
}

// hinted adds what a person can do about an error.
func hinted(err error) error {
	for _, h := range []struct {
		err  error
		hint string
	}{
		{database.ErrInUse, "stop the server first (one that was killed counts for 20 s)"},
		{database.ErrTables, "a server of this version makes them, or brings them up to date; else use its version of this command"},
		{database.ErrNotEmpty, "name a new file or an empty database"},
		{database.ErrBackup, "as in pg_dump --format=custom --file=FILE URL"},
		{fs.ErrExist, "name a new file"},
		{fs.ErrNotExist, "say where the database is with --database or CLIPPER_WEBHOOK_DATABASE"},
		{fs.ErrPermission, "be the user whose file it is"},
	} {
		if errors.Is(err, h.err) {
			return fmt.Errorf("%w; %s", err, h.hint)
		}
	}
	if strings.Contains(err.Error(), "readonly database") {
		return fmt.Errorf("%w; be the user whose file it is", err)
	}
	return err
}

type webhookDB struct {
	Copy   dbCopy   `cmd:"" help:"Move to another database, from SQLite to PostgreSQL or back: webhook db copy clipper.db postgres://…"`
	Backup dbBackup `cmd:"" help:"Write a copy of the SQLite database while a server uses it: webhook db backup FILE"`
}

type dbCopy struct {
	From string `arg:"" help:"Database to copy, a file or postgres:// URL. No server may use it."`
	To   string `arg:"" help:"Database to copy to, new or empty. A password that the URL does not have is PGPASSWORD's, or in ~/.pgpass."`
}

func (c *dbCopy) Run(exit *int) error {
	ctx, stop := untilSignal()
	defer stop()
	copied, err := c.copy(ctx)
	if err != nil {
		return endedWebhook(ctx, exit, err)
	}
	fmt.Printf("copied %d deliveries and %d runs; start the server with CLIPPER_WEBHOOK_DATABASE of the copy\n", copied.Deliveries, copied.Runs)
	return nil
}

// copy opens both as a server does, so that there is none, and none comes.
func (c *dbCopy) copy(ctx context.Context) (copied database.Copied, err error) {
	if c.From == c.To {
		return copied, fmt.Errorf("%w: both are the same database", runnerimage.ErrSettings)
	}
	// It would be made: look whether it is there.
	before, err := databaseFlag{c.From}.look(ctx)
	if err != nil {
		return copied, err
	}
	if err := before.Close(); err != nil {
		return copied, err
	}
	from, err := openDatabase(ctx, c.From, database.Options{})
	if err != nil {
		return copied, err
	}
	defer func() { err = errors.Join(err, from.Close()) }()
	to, err := openDatabase(ctx, c.To, database.Options{})
	if err != nil {
		return copied, err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	return database.Copy(ctx, from, to)
}

type dbBackup struct {
	databaseFlag
	File string `arg:"" help:"New file, which no server may use: to restore, stop the server and put it in the database's place."`
}

func (c *dbBackup) Run(exit *int) error {
	ctx, stop := untilSignal()
	defer stop()
	size, err := c.backup(ctx)
	if err != nil {
		return endedWebhook(ctx, exit, err)
	}
	fmt.Printf("%s: %s\n", c.File, runnerimage.Size(size))
	return nil
}

func (c *dbBackup) backup(ctx context.Context) (size int64, err error) {
	file, err := filepath.Abs(c.File)
	if err != nil {
		return 0, err
	}
	db, err := c.look(ctx)
	if err != nil {
		return 0, err
	}
	defer db.Close()
	if err := db.Backup(ctx, file); err != nil {
		return 0, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
