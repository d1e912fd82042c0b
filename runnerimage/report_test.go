package runnerimage

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/pull"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/clipperregistry/runner/runnerimage/rootfs"
)

func TestReady(t *testing.T) {
	image := &registry.Image{Manifest: &oci.Manifest{Layers: []oci.Descriptor{{Size: 2_500_000}}}}
	pulled, written := pull.Stats{Fetched: 2_500_123, Reused: 7}, rootfs.Stats{Entries: 3, Bytes: 999}
	for _, test := range []struct {
		format LogFormat
		check  func(line string) bool
	}{
		{LogQuiet, func(line string) bool { return line == "" }},
		{LogText, func(line string) bool {
			return strings.HasPrefix(line, "clipper-runner: ready in ") && strings.Contains(line, "3 entries, 2.5 MB pulled, 7 B reused, 999 B written")
		}},
		{LogJSON, func(line string) bool {
			var s Summary
			err := json.Unmarshal([]byte(line), &s)
			_, total := s.Milliseconds[PhaseTotal]
			return err == nil && s.Message == "ready" && s.Entries == 3 && s.BytesPulled == 2_500_123 && s.BytesReused == 7 && s.BytesWritten == 999 && total
		}},
	} {
		var log bytes.Buffer
		r := newReport(Config{Settings: Settings{Log: test.format}, Log: &log})
		r.phase(PhaseResolve)()
		r.count(image, pulled, written)
		r.ready(image)
		if !test.check(log.String()) {
			t.Errorf("%s: %q", test.format, log.String())
		}
	}
}

func TestFail(t *testing.T) {
	err := fmt.Errorf("pull x: %w", registry.ErrNotFound)
	var log bytes.Buffer
	if code := Fail(&log, LogText, err); code != ExitNotFound || !strings.Contains(log.String(), "exit code 82") || strings.Count(log.String(), "\n") != 1 {
		t.Errorf("%d %q", code, &log)
	}
	log.Reset()
	var line struct {
		Level string `json:"level"`
		Code  int    `json:"exit_code"`
	}
	if code := Fail(&log, LogJSON, errors.New("unknown")); code != ExitInternal {
		t.Errorf("exit code %d", code)
	}
	if err := json.Unmarshal(log.Bytes(), &line); err != nil || line.Level != "error" || line.Code != ExitInternal {
		t.Errorf("%q: %v", log.String(), err)
	}
}
