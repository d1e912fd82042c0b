package database

import (
	"context"
	"encoding/json"
	"fmt"
	"time"
)

// Schedule is the next time of a rule that runs by the clock. Rules are of the
// default branch; Data is what the caller needs to decide when it is due.
type Schedule struct {
	RuleKey      string
	App          int64
	Installation int64
	Repository   int64
	Due          time.Time
	Data         json.RawMessage
}

func scanSchedule(r row) (s Schedule, err error) {
	var due int64
	var data []byte
	err = r.Scan(&s.RuleKey, &s.App, &s.Installation, &s.Repository, &due, &data)
	s.Due, s.Data = at(due), data
	return s, err
}

// Plan makes these the schedules of a repository and forgets the others. One
// that is there with the same data keeps its time: that the configuration was
// read again makes nothing due. So does one whose time has come, whatever its
// data: what follows from that is not done yet.
func (db *DB) Plan(ctx context.Context, app, repository int64, schedules []Schedule) error {
	err := db.engine.write(ctx, func(ctx context.Context, tx tx) error {
		have, err := all(ctx, tx, scanSchedule, `
			SELECT rule_key, app, installation, repository, due, data FROM schedules WHERE app = $1 AND repository = $2`, app, repository)
		if err != nil {
			return err
		}
		gone := map[string]bool{}
		for _, s := range have {
			gone[s.RuleKey] = true
		}
		for _, s := range schedules {
			delete(gone, s.RuleKey)
			_, err := tx.exec(ctx, `
				INSERT INTO schedules (rule_key, app, installation, repository, due, data) VALUES ($1, $2, $3, $4, $5, $6)
				ON CONFLICT (rule_key) DO UPDATE SET installation = excluded.installation, data = excluded.data,
					due = CASE WHEN schedules.due <= $7 THEN schedules.due ELSE excluded.due END
				WHERE schedules.data <> excluded.data OR schedules.installation <> excluded.installation`,
				s.RuleKey, app, s.Installation, repository, ms(s.Due), blob(s.Data), ms(db.now()))
			if err != nil {
				return err
			}
		}
		for key := range gone {
			if _, err := tx.exec(ctx, `DELETE FROM schedules WHERE rule_key = $1`, key); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("plan the schedules of repository %d: %w", repository, err)
	}
	return nil
}

// DueSchedules are those whose time has come, the longest overdue first, at
// most so many.
func (db *DB) DueSchedules(ctx context.Context, limit int) ([]Schedule, error) {
	var due []Schedule
	err := db.engine.read(ctx, func(ctx context.Context, q querier) (err error) {
		due, err = all(ctx, q, scanSchedule, `
			SELECT rule_key, app, installation, repository, due, data FROM schedules WHERE due <= $1 ORDER BY due LIMIT $2`, ms(db.now()), limit)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("due schedules: %w", err)
	}
	return due, nil
}

// Tick stores the next time of a schedule that was due, and the runs that
// follow from that it was; of a run that is there already, nothing. It fails
// with ErrMoved if another replica was faster.
func (db *DB) Tick(ctx context.Context, s Schedule, next time.Time, runs ...NewRun) error {
	err := db.engine.write(ctx, func(ctx context.Context, tx tx) error {
		n, err := tx.exec(ctx, `UPDATE schedules SET due = $3 WHERE rule_key = $1 AND due = $2`, s.RuleKey, ms(s.Due), ms(next))
		if err != nil {
			return err
		}
		if n == 0 {
			return ErrMoved
		}
		_, err = db.insertRuns(ctx, tx, runs)
		return err
	})
	if err != nil {
		return fmt.Errorf("tick of schedule %s: %w", s.RuleKey, err)
	}
	return nil
}
