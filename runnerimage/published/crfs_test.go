package published_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/clipperregistry/runner/runnerimage/published"
	. "github.com/clipperregistry/runner/test/tarball"
)

func digestOf(s string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(s))) }

// chunked puts a TOC of zstd:chunked behind content.
func chunked(content []byte, json string) blob {
	packed := pack(json)
	b := slices.Concat(content, []byte("frame\x00of"), packed)
	return newBlob(b, map[string]string{
		"io.github.containers.zstd-chunked.manifest-checksum": digestOf(string(packed)),
		"io.github.containers.zstd-chunked.manifest-position": fmt.Sprintf("%d:%d:%d:1", len(content)+8, len(packed), len(json)),
	})
}

var packer, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))

func pack(s string) []byte { return packer.EncodeAll([]byte(s), nil) }

// A TOC for content of frames at 10 that hold "hello " and "world".
var (
	hello, world = Zstd([]byte("hello ")), Zstd([]byte("world"))
	greeting     = slices.Concat(make([]byte, 10), hello, world)
	second, end  = 10 + len(hello), 10 + len(hello) + len(world)
)

// greet is the TOC with one file in two chunks, edited.
func greet(edits ...string) string {
	json := fmt.Sprintf(`{"version":1,"entries":[{"type":"dir","name":"d/"},`+
		`{"type":"reg","name":"a","size":11,"modtime":"2001-02-03T04:05:06Z","digest":"%s","offset":10,"endOffset":%d,"chunkSize":6,"chunkDigest":"%s"},`+
		`{"type":"chunk","name":"a","offset":%d,"chunkOffset":6,"chunkSize":5,"chunkDigest":"%s"}]}`,
		digestOf("hello world"), end, digestOf("hello "), second, digestOf("world"))
	for i := 0; i < len(edits); i += 2 {
		if !strings.Contains(json, edits[i]) {
			panic(edits[i] + " is not in " + json)
		}
		json = strings.Replace(json, edits[i], edits[i+1], 1)
	}
	return json
}

func TestCRFSVariants(t *testing.T) {
	for name, json := range map[string]string{
		"as it is":                greet(),
		"no end":                  greet(fmt.Sprintf(`,"endOffset":%d`, end), ""),
		"no size of the last":     greet(`"chunkOffset":6,"chunkSize":5`, `"chunkOffset":6`),
		"more fields":             greet(`"name":"a"`, `"name":"a","new":{"x":[1]}`, `"version":1`, `"new":[{}],"version":1`),
		"other case":              greet(`"type":"reg"`, `"Type":"reg"`),
		"a zone":                  greet("04:05:06Z", "05:05:06+01:00"),
		"version at the end":      greet(`"version":1,`, "", `]}`, `],"version":1}`),
		"spaces":                  " " + greet(`,`, " ,\n\t") + "\n",
		"a file without an entry": greet(`"name":"a"`, `"name":".wh..wh.plnk"`),
		"a whiteout with content": greet(`"name":"a"`, `"name":".wh.a"`),
		"one chunk":               greet(`,"chunkSize":6`, "", digestOf("hello "), digestOf("hello world"), fmt.Sprintf(`{"type":"chunk","name":"a","offset":%d,"chunkOffset":6,"chunkSize":5,"chunkDigest":"%s"}`, second, digestOf("world")), `{"type":"dir","name":"b"}`),
		"the file's digest alone": greet(`,"chunkSize":6,"chunkDigest":"`+digestOf("hello ")+`"`, "", fmt.Sprintf(`{"type":"chunk","name":"a","offset":%d,"chunkOffset":6,"chunkSize":5,"chunkDigest":"%s"}`, second, digestOf("world")), `{"type":"dir","name":"b"}`),
	} {
		t.Run(name, func(t *testing.T) {
			b := chunked(greeting, json)
			l := b.open(t)
			want := "hello world"
			if strings.Contains(json, `".wh`) {
				want = ""
			}
			if got := b.content(t, l); string(got) != want {
				t.Errorf("%q, want %q", got, want)
			}
		})
	}
	for _, empty := range []string{`{"version":1,"entries":[]}`, `{"version":1,"entries":null}`, `{"version":1}`} {
		if n := chunked(nil, empty).open(t).Table().Len(); n != 0 {
			t.Errorf("%s: %d entries", empty, n)
		}
	}
}

func TestCRFSRefused(t *testing.T) {
	first, last := `"offset":10`, fmt.Sprintf(`"offset":%d`, second)
	for name, tt := range map[string]struct{ json, reason string }{
		"nothing":             {"", "EOF"},
		"null":                {"null", "should be"},
		"list":                {"[]", "should be"},
		"cut":                 {greet("]}", ""), "EOF"},
		"cut in an entry":     {greet()[:200], "EOF"},
		"two documents":       {greet() + "{}", "behind its end"},
		"no version":          {greet(`"version":1,`, ""), "version 0"},
		"other version":       {greet(`"version":1`, `"version":2`), "version 2"},
		"entries twice":       {greet(`"version":1`, `"version":1,"entries":[]`), "twice"},
		"entries an object":   {`{"version":1,"entries":{}}`, "not a list"},
		"entry no object":     {`{"version":1,"entries":[1]}`, "unmarshal"},
		"deep":                {`{"version":1,"x":` + strings.Repeat("[", 1<<20), "depth"},
		"large value":         {`{"version":1,"x":"` + strings.Repeat("x", 3<<20) + `"}`, "larger"},
		"large space":         {`{` + strings.Repeat(" ", 3<<20) + `"version":1}`, "larger"},
		"large entry":         {greet(`"name":"a"`, `"name":"a","new":"`+strings.Repeat("x", 3<<20)+`"`), "larger"},
		"type":                {greet(`"dir"`, `"socket"`), "unknown type"},
		"time":                {greet("2001-02-03", "2001-02-30"), "out of range"},
		"owner":               {greet(`"type":"dir"`, `"type":"dir","uid":-1`), "owner"},
		"large owner":         {greet(`"type":"dir"`, `"type":"dir","uid":1e30`), "unmarshal"},
		"device":              {greet(`"type":"dir"`, `"type":"char","devMajor":-1`), "device"},
		"hard link":           {greet(`"type":"dir"`, `"type":"hardlink"`), "hard link"},
		"name":                {greet(`"d/"`, `"`+strings.Repeat("x", 256)+`"`), "256"},
		"name with NUL":       {greet(`"d/"`, `"\u0000"`), "NUL"},
		"attribute":           {greet(`"type":"dir"`, `"type":"dir","xattrs":{"user.a":"?"}`), "base64"},
		"negative size":       {greet(`"size":11`, `"size":-11`), "size -11"},
		"small size":          {greet(`"size":11`, `"size":10`), "a chunk of 5"},
		"large size":          {greet(`"size":11`, `"size":12`), "have 11 bytes, not 12"},
		"large size, then":    {greet(`"size":11`, `"size":12`, "]}", `,{"type":"dir","name":"x"}]}`), "have 11 bytes, not 12"},
		"larger than a layer": {greet(`"size":11`, `"size":9223372036854775807`), "files of more"},
		"chunk too small":     {greet(`"chunkSize":6`, `"chunkSize":-6`), "a chunk of -6"},
		"gap":                 {greet(`"chunkOffset":6`, `"chunkOffset":7`), "at 7"},
		"overlap":             {greet(`"chunkOffset":6`, `"chunkOffset":5`), "at 5"},
		"chunk of nothing":    {greet(`"type":"reg"`, `"type":"chunk"`), "a chunk of 6"},
		"chunk of a link":     {greet(`"type":"reg"`, `"type":"symlink","linkName":"x"`), "a chunk of 5"},
		"chunk too many":      {greet("]}", `,{"type":"chunk","name":"a","offset":99,"chunkOffset":11}]}`), "a chunk of 0"},
		"chunk too large":     {greet(`"size":11`, `"size":16777217`, `"chunkSize":6`, `"chunkSize":16777217`), "more than"},
		"no digest":           {greet(digestOf("world"), ""), "SHA-256"},
		"no digest at all":    {greet(digestOf("hello world"), "", digestOf("hello "), "", `"chunkSize":6`, `"chunkSize":11`), "SHA-256"},
		"file's digest":       {greet(digestOf("hello "), ""), "SHA-256"},
		"other digest":        {greet(digestOf("world"), "md5:"+strings.Repeat("0", 64)), "SHA-256"},
		"negative offset":     {greet(first, `"offset":-10`), "content at -10"},
		"offset behind end":   {greet(last, `"offset":9999`), "offset 9999"},
		"offset not in order": {greet(first, `"offset":0`, last, first, `"offset":0`, last), "read already"},
		"one span twice":      {greet(last, first), "read already"},
		"large skip":          {greet(first, first+`,"innerOffset":16777217`), "content at"},
		"negative skip":       {greet(first, first+`,"innerOffset":-1`), "content at"},
		"end behind end":      {greet(`"endOffset":`, `"endOffset":9`), "offset 9"},
		"end before start":    {greet(fmt.Sprintf(`"endOffset":%d`, end), `"endOffset":1`), "offset 1"},
		"end at start":        {greet(fmt.Sprintf(`"endOffset":%d`, end), fmt.Sprintf(`"endOffset":%d`, second)), "0 bytes of the blob"},
		"span too large":      {greet(`"type":"reg"`, `"type":"reg"`), ""},
		"chunk type":          {greet(`"chunkOffset":6`, `"chunkOffset":6,"chunkType":"ones"`), "unknown type of chunk"},
		"hole with content":   {greet(`"chunkOffset":6`, `"chunkOffset":6,"chunkType":"zeros"`), "not that of zeros"},
		"hole within a span":  {greet(last, first+`,"innerOffset":6`, `"chunkOffset":6`, `"chunkOffset":6,"chunkType":"zeros"`), "within a span"},
	} {
		t.Run(name, func(t *testing.T) {
			content := greeting
			if name == "span too large" {
				content = append(bytes.Clone(greeting), make([]byte, 33<<20)...)
				tt.json = strings.Replace(tt.json, fmt.Sprintf(`"endOffset":%d`, end), fmt.Sprintf(`"endOffset":%d`, end+33<<20), 1)
				tt.reason = "bytes of the blob for a chunk"
			}
			chunked(content, tt.json).refused(t, tt.reason)
		})
	}
}

// checkFuzzed proves that a TOC is either of no use or a table whose chunks
// can be read, to content or an ErrFormat.
func checkFuzzed(t *testing.T, b blob) {
	l, err := published.Open(b.desc, b.read)
	if err != nil {
		if !errors.Is(err, published.ErrFormat) {
			t.Fatal(err)
		}
		return
	}
	var end int64
	for i, c := range l.Table().Chunks() {
		if c.Length > 0 {
			if c.Offset < end && i > 0 && c.Offset != l.Table().Chunks()[i-1].Offset {
				t.Fatalf("chunk %d at %d, where spans go to %d", i, c.Offset, end)
			}
			end = c.Offset + c.Length
		}
		if i > 100 {
			break
		}
		if content, err := l.Content(nil, i, b.bytes[c.Offset:][:c.Length]); err != nil && !errors.Is(err, published.ErrFormat) {
			t.Fatal(err)
		} else if err == nil && int64(len(content)) != c.Size {
			t.Fatalf("chunk %d: %d bytes, want %d", i, len(content), c.Size)
		}
	}
}

func FuzzZstdChunkedTOC(f *testing.F) {
	f.Add(greet())
	f.Add(greet(`"type":"dir"`, `"type":"char","devMajor":1,"mode":511,"xattrs":{"user.a":"eA=="}`))
	f.Add(greet(`"chunkOffset":6`, `"chunkOffset":6,"chunkType":"zeros"`, digestOf("world"), digestOf("\x00\x00\x00\x00\x00")))
	f.Add(greet(fmt.Sprintf(`"offset":%d`, second), `"offset":10,"innerOffset":6`))
	f.Fuzz(func(t *testing.T, json string) {
		checkFuzzed(t, chunked(greeting, json))
	})
}

func FuzzEStargzTOC(f *testing.F) {
	archive := Unended(Dir("d"), File("a", "hello world"), Dir("e"))
	head, tail := Gzip(archive[:1024]), Gzip(archive[1024:])
	json := fmt.Sprintf(`{"version":1,"entries":[{"type":"reg","name":"a","size":11,"offset":%d,"chunkDigest":"%s"}]}`, len(head), digestOf("hello world"))
	f.Add(json, slices.Concat(head, tail))
	f.Add(strings.Replace(json, `"size"`, `"innerOffset":3,"size"`, 1), slices.Concat(head, Gzip(archive)))
	f.Add(`{"version":1}`, Gzip(Build(Dir("d"))))
	f.Fuzz(func(t *testing.T, json string, content []byte) {
		checkFuzzed(t, stargz(content, json, ""))
	})
}
