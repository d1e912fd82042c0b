package webhook_test

import (
	"encoding/json"
	"testing"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
)

// TestParseHead reads heads around what could be taken for a member's end.
func TestParseHead(t *testing.T) {
	all := webhook.Head{Action: "opened", Installation: 1, Repository: 2, FullName: "acme/app", Sender: "mona"}
	for name, tt := range map[string]struct {
		body string
		want webhook.Head
	}{
		"all":     {`{"action":"opened","installation":{"id":1},"repository":{"id":2,"full_name":"acme/app"},"sender":{"login":"mona"}}`, all},
		"spaced":  {" {\n\t\"action\" : \"opened\" , \"installation\" : { \"id\" : 1 } , \"repository\":{\"id\":2,\"full_name\":\"acme/app\"},\r\n\"sender\":{\"login\":\"mona\"} } ", all},
		"strings": {`{"a":"}\",{\\","b":["]",{"c":"\\\""}],"action":"opened","installation":{"x":"}","id":1},"n":-1.5e3,"t":true,"z":null,"repository":{"id":2,"full_name":"acme/app"},"sender":{"login":"mona"}}`, all},
		"nested":  {`{"check_run":{"action":"x","installation":{"id":9},"sender":{"login":"eve"}},"sender":{"login":"mona"}}`, webhook.Head{Sender: "mona"}},
		"escaped": {`{"\u0061ction":"opened"}`, webhook.Head{Action: "opened"}},
		"twice":   {`{"action":"closed","action":"opened"}`, webhook.Head{Action: "opened"}},
		"types":   {`{"action":5,"installation":"1","sender":{"login":"mona"}}`, webhook.Head{Sender: "mona"}},
		"broken":  {`{"sender":{"login":"mona"},"action":"open`, webhook.Head{Sender: "mona"}},
		"torn":    {`{"sender":{"login":"mona"`, webhook.Head{}},
		"inside":  {`{"action":"opened","sender":{"login"}}`, webhook.Head{}},
		"array":   {`[{"action":"opened"}]`, webhook.Head{}},
		"nothing": {``, webhook.Head{}},
		"empty":   {`{}`, webhook.Head{}},
	} {
		if got := webhook.ParseHead([]byte(tt.body)); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}

// FuzzParseHead holds heads against those that are read with all around them.
func FuzzParseHead(f *testing.F) {
	for i, ex := range fakehub.Examples(f) {
		if i%20 == 0 && len(ex.Body) < 9000 {
			f.Add(ex.Body)
		}
	}
	f.Add([]byte(`{"a\"}":[{"b":"\\"}],"action":"x","sender":{"login":"\u0041"}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		got := webhook.ParseHead(body)
		if !json.Valid(body) {
			return
		}
		var want webhook.Head
		var whole struct {
			Action       json.RawMessage
			Installation struct{ ID json.RawMessage }
			Sender       struct{ Login json.RawMessage }
		}
		if json.Unmarshal(body, &whole) != nil { // another type somewhere
			return
		}
		_ = json.Unmarshal(whole.Action, &want.Action)
		_ = json.Unmarshal(whole.Installation.ID, &want.Installation)
		_ = json.Unmarshal(whole.Sender.Login, &want.Sender)
		if got.Action != want.Action || got.Installation != want.Installation || got.Sender != want.Sender {
			t.Errorf("%+v, want %+v", got, want)
		}
	})
}
