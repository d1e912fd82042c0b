package publish

import (
	"context"
	"fmt"
)

// Report says what was published. Its JSON is for machines.
type Report struct {
	Source    string `json:"source"`
	Target    string `json:"target"`
	Digest    string `json:"digest"`
	MediaType string `json:"media_type"`
	// Previous is the version that the fetches are told from, "" if there is
	// none.
	Previous string  `json:"previous,omitempty"`
	Images   []Image `json:"images"`
	// Sent counts the bytes of blobs that the target did not have.
	Sent int64 `json:"sent"`
	// Notes say what else a person should know.
	Notes []string `json:"notes,omitempty"`
}

// Image is a published image of one platform.
type Image struct {
	Platform string  `json:"platform"`
	Digest   string  `json:"digest"`
	Layers   []Layer `json:"layers"`
	// Before and After are the sizes of all layers in the source and in the
	// target. In a docker-archive layers are seldom compressed.
	Before int64 `json:"before"`
	After  int64 `json:"after"`
	// Fetch is what a client of the previous version fetches of this one, nil
	// where there is none for the platform.
	Fetch *Fetch `json:"fetch,omitempty"`
}

// Layer is a published layer.
type Layer struct {
	DiffID string `json:"diff_id"`
	// Source is the digest of the source's blob; a docker-archive's layers go
	// by their diff IDs.
	Source string `json:"source"`
	Digest string `json:"digest"`
	Action Action `json:"action"`
	Before int64  `json:"before"`
	After  int64  `json:"after"`
	Fetch  *Fetch `json:"fetch,omitempty"`
}

// Fetch is what has to be fetched: how many chunks, and how many bytes of the
// blob they and the table of contents are. A layer without a table is
// fetched whole, as no chunk.
type Fetch struct {
	Chunks int   `json:"chunks"`
	Bytes  int64 `json:"bytes"`
}

func newLayer(l layer, o *outcome) Layer {
	return Layer{
		DiffID: l.diffID.String(), Source: l.desc.Digest.String(), Digest: o.desc.Digest.String(),
		Action: o.action, Before: o.before, After: o.desc.Size,
	}
}

// report tells what was published: tree from the source, by the rewriter.
func (p *publisher) report(ctx context.Context, src Source, tree *node, r *rewriter) *Report {
	root := r.docs[len(r.docs)-1]
	report := &Report{
		Source: src.String(), Target: p.target.String(), Digest: root.digest().String(), MediaType: string(root.mediaType),
		Images: []Image{}, Sent: p.sent,
	}
	if p.previous != nil {
		report.Previous = p.previous.origin.ref.String()
	}
	for _, n := range tree.images() {
		told := newImage(n, r)
		if before := p.previous.image(n.image.platform); before != nil {
			fetches, err := p.fetches(ctx, n.image, before.image, r.layers)
			if err != nil {
				report.Notes = append(report.Notes, fmt.Sprintf("what a client of the previous version fetches for %s is not known: %v", told.Platform, err))
			} else {
				told.setFetches(fetches)
			}
		}
		for _, l := range n.image.layers {
			switch made := r.layers[l.key()]; {
			case made.action == Foreign:
				report.Notes = append(report.Notes, fmt.Sprintf("layer %s is not to be distributed and stays as it is", l.desc.Digest))
			case made.noTOC != nil:
				report.Notes = append(report.Notes, fmt.Sprintf("layer %s is always fetched whole: %v", made.desc.Digest, made.noTOC))
			}
		}
		report.Images = append(report.Images, told)
	}
	return report
}

func newImage(n *node, r *rewriter) Image {
	told := Image{Platform: n.image.platform.String(), Digest: r.made[n].digest().String(), Layers: []Layer{}}
	for _, l := range n.image.layers {
		layer := newLayer(l, r.layers[l.key()])
		told.Layers = append(told.Layers, layer)
		told.Before += layer.Before
		told.After += layer.After
	}
	return told
}

func (i *Image) setFetches(list []Fetch) {
	i.Fetch = new(Fetch)
	for at, fetch := range list {
		i.Layers[at].Fetch = &fetch
		i.Fetch.Chunks += fetch.Chunks
		i.Fetch.Bytes += fetch.Bytes
	}
}
