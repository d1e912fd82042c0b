package publish

import (
	"bytes"
	"maps"
	"strings"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/published"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// annotationReference binds an attestation's entry in an index to the image's
// by its digest.
const annotationReference = "vnd.docker.reference.digest"

// ociTypes are the media types that Docker's become. The contents are the
// same.
var ociTypes = map[types.MediaType]types.MediaType{
	types.DockerManifestList:    types.OCIImageIndex,
	types.DockerManifestSchema2: types.OCIManifestSchema1,
	types.DockerConfigJSON:      types.OCIConfigJSON,
	types.DockerForeignLayer:    types.OCIRestrictedLayer,
}

func ociType(mediaType types.MediaType) types.MediaType {
	if is, ok := ociTypes[mediaType]; ok {
		return is
	}
	return mediaType
}

// stale are the beginnings of the annotations that describe the inside of a
// blob which was converted: who believed them would look for another blob's
// table of contents.
var stale = []string{
	published.Annotation,
	"io.github.containers.zstd-chunked.",
	"io.containers.zstd-chunked.",
	"io.containers.estargz.",
	"containerd.io/snapshot/stargz/",
	"containerd.io/snapshot/nydus-",
	"com.amazon.soci.",
}

// rewriter makes the documents to push, in the order in which they can be:
// what another one refers to comes before it.
type rewriter struct {
	layers  map[layerKey]*outcome
	renamed map[oci.Digest]oci.Digest
	made    map[*node]document
	docs    []document // all that was made, n's last
}

func newRewriter(layers map[layerKey]*outcome) *rewriter {
	return &rewriter{layers: layers, renamed: map[oci.Digest]oci.Digest{}, made: map[*node]document{}}
}

// rewrite makes the new document of n and of all beneath. A document in which
// nothing changes keeps its bytes.
func (r *rewriter) rewrite(n *node) (document, error) {
	doc := n.doc
	var err error
	switch {
	case n.fields == nil: // a blob in an index
		return doc, nil
	case n.image != nil:
		doc, err = r.manifest(n)
	case n.doc.mediaType.IsIndex():
		doc, err = r.index(n)
	}
	if err != nil {
		return document{}, err
	}
	r.made[n] = doc
	r.docs = append(r.docs, doc)
	return doc, nil
}

func (r *rewriter) manifest(n *node) (document, error) {
	changed := ociType(n.doc.mediaType) != n.doc.mediaType || ociType(n.image.config.MediaType) != n.image.config.MediaType
	objects := make([]object, len(n.image.objects))
	for i, l := range n.image.layers {
		objects[i] = n.image.objects[i]
		made := r.layers[l.key()]
		switch made.action {
		case Copied:
			continue
		case Foreign:
			changed = changed || ociType(l.desc.MediaType) != l.desc.MediaType
			objects[i].set("mediaType", ociType(l.desc.MediaType))
			continue
		}
		changed = true
		objects[i].redirect(made.desc)
		if err := objects[i].annotate(func(annotations map[string]string) {
			for name := range annotations {
				for _, prefix := range stale {
					if strings.HasPrefix(name, prefix) {
						delete(annotations, name)
					}
				}
			}
			maps.Copy(annotations, made.desc.Annotations)
		}); err != nil {
			return document{}, err
		}
	}
	if !changed {
		return n.doc, nil
	}
	var config object
	if err := n.fields.get("config", &config); err != nil {
		return document{}, err
	}
	config.set("mediaType", types.OCIConfigJSON)
	n.fields.set("config", config)
	n.fields.set("layers", objects)
	return seal(n.fields, types.OCIManifestSchema1), nil
}

func (r *rewriter) index(n *node) (document, error) {
	docs := make([]document, len(n.children))
	for i, child := range n.children {
		var err error
		if docs[i], err = r.rewrite(child); err != nil {
			return document{}, err
		}
		if !bytes.Equal(docs[i].raw, child.doc.raw) {
			r.renamed[n.entries[i].Digest] = docs[i].digest()
		}
	}
	changed := n.restricted || ociType(n.doc.mediaType) != n.doc.mediaType
	for i, o := range n.objects {
		entry := n.entries[i]
		if _, ok := r.renamed[entry.Digest]; ok {
			changed = true
			doc := docs[i]
			// Platform and the like are the image's and stay.
			o.redirect(oci.Descriptor{MediaType: doc.mediaType, Digest: doc.digest(), Size: int64(len(doc.raw))})
		}
		referred, err := oci.ParseDigest(entry.Annotations[annotationReference])
		if now, ok := r.renamed[referred]; err == nil && ok {
			changed = true
			if err := o.annotate(func(annotations map[string]string) { annotations[annotationReference] = now.String() }); err != nil {
				return document{}, err
			}
		}
	}
	if !changed {
		return n.doc, nil
	}
	n.fields.set("manifests", n.objects)
	return seal(n.fields, types.OCIImageIndex), nil
}

// seal writes the fields down as a document of the type.
func seal(fields object, mediaType types.MediaType) document {
	fields.set("mediaType", mediaType)
	return document{encode(fields), mediaType}
}
