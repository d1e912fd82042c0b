// Package browser is Debian's chromium for tests: in goes the address of a
// page, out comes what a person would notice on it. It is used with the
// keyboard alone, and complains of what people with screen readers, or without a
// mouse, would stumble over.
package browser

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// Tab is a page in the browser. What it waits for and does not get fails its
// test.
type Tab struct {
	t    *testing.T
	root string
	ctx  context.Context // the browser's, which chromedp keeps there

	mu         sync.Mutex
	complaints []string
}

// lifetime is how long a test with a browser may take, patience how long a page may
// take to show something: programs are pulled and run behind it.
const (
	lifetime = 20 * time.Minute
	patience = 5 * time.Minute
)

// Open starts a browser with a profile of its own, which ends with the test.
// root is the module's directory.
func Open(t *testing.T, root string) *Tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath("/usr/bin/chromium"), chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.WindowSize(1280, 860))
	// The test's own context ends before what cleans up behind it begins.
	allocator, stop := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(stop)
	ctx, cancel := chromedp.NewContext(allocator)
	t.Cleanup(cancel)
	ctx, done := context.WithTimeout(ctx, lifetime)
	t.Cleanup(done)
	b := &Tab{t: t, root: root, ctx: ctx}
	chromedp.ListenTarget(ctx, func(event any) {
		b.mu.Lock()
		defer b.mu.Unlock()
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			b.complaints = append(b.complaints, e.ExceptionDetails.Error())
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError {
				b.complaints = append(b.complaints, e.Entry.Text)
			}
		}
	})
	b.Do("start", log.Enable(), runtime.Enable())
	return b
}

// Do has the browser do something; what names it if it fails.
func (b *Tab) Do(what string, actions ...chromedp.Action) {
	b.t.Helper()
	if err := chromedp.Run(b.ctx, actions...); err != nil {
		var text string
		_ = chromedp.Run(b.ctx, chromedp.Evaluate(`location.href + "\n" + document.body.innerText`, &text)) // only to tell
		b.t.Fatalf("%s: %v\n%s", what, err, text)
	}
}

// Go opens a page.
func (b *Tab) Go(url string) {
	b.t.Helper()
	b.Do("open "+url, chromedp.Navigate(url))
}

// Shows waits until an element has a text.
func (b *Tab) Shows(selector, text string) {
	b.t.Helper()
	script := fmt.Sprintf(`[...document.querySelectorAll(%q)].some((e) => e.textContent.includes(%q))`, selector, text)
	deadline, cancel := context.WithTimeout(b.ctx, patience)
	defer cancel()
	for there := false; !there; {
		// Between two pages there is none, which is no error.
		if err := chromedp.Run(deadline, chromedp.Evaluate(script, &there), chromedp.Sleep(20*time.Millisecond)); err != nil && deadline.Err() != nil {
			b.Do(fmt.Sprintf("wait for %q in %s", text, selector), chromedp.ActionFunc(func(context.Context) error { return err }))
		}
	}
}

// Text is what an element has for people to read.
func (b *Tab) Text(selector string) string {
	b.t.Helper()
	var text string
	b.Do("read "+selector, chromedp.Evaluate(fmt.Sprintf(`document.querySelector(%q).innerText`, selector), &text))
	return text
}

// mostTabs is how many stops the keyboard may take to get somewhere.
const mostTabs = 80

// Press goes to an element by the Tab key, and presses Enter there.
func (b *Tab) Press(selector string) {
	b.t.Helper()
	for range mostTabs {
		b.Do("tab", chromedp.KeyEvent(kb.Tab))
		var there, seen bool
		b.Do("look at the focus",
			chromedp.Evaluate(fmt.Sprintf(`document.activeElement.matches(%q)`, selector), &there),
			chromedp.Evaluate(`document.activeElement === document.body || getComputedStyle(document.activeElement).outlineStyle !== "none"`, &seen))
		if !seen {
			b.t.Errorf("on the way to %s the focus cannot be seen", selector)
		}
		if there {
			b.Do("press "+selector, chromedp.KeyEvent(kb.Enter))
			return
		}
	}
	b.t.Fatalf("the keyboard does not reach %s", selector)
}

// Check has axe-core look at the page in light and in dark.
func (b *Tab) Check(name string) {
	b.t.Helper()
	axe, err := os.ReadFile(filepath.Join(b.root, ".setup/npm/node_modules/axe-core/axe.min.js"))
	if err != nil {
		b.t.Fatalf("the set-up has not been made: %v", err)
	}
	for _, scheme := range []string{"dark", "light"} {
		var found string
		b.Do("look at "+name,
			emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}, {Name: "prefers-reduced-motion", Value: "reduce"}}),
			chromedp.Evaluate(string(axe)+"; true", nil),
			chromedp.Evaluate(`axe.run().then((r) => JSON.stringify(r.violations.map((v) => v.id + ": " + v.help + " " + v.nodes.map((n) => n.html + " " + n.failureSummary).join("; "))))`, &found,
				func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
		var violations []string
		if err := json.Unmarshal([]byte(found), &violations); err != nil {
			b.t.Fatal(err)
		}
		for _, v := range violations {
			b.t.Errorf("%s, %s: %s", name, scheme, v)
		}
	}
}

// Scripts says whether pages may run theirs, from the next page on.
func (b *Tab) Scripts(run bool) {
	b.t.Helper()
	b.Do("turn scripts on or off", emulation.SetScriptExecutionDisabled(!run))
}

// Complaints are errors that the browser has told its console.
func (b *Tab) Complaints() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.complaints...)
}
