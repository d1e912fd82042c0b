package bench

import (
	"archive/tar"
	"fmt"
	"io"
	"math/rand/v2"

	"github.com/clipperregistry/runner/test/stack"
)

// generated is a layer that write writes, as often as it is opened.
func generated(write func(*tar.Writer) error) stack.Layer {
	return stack.Layer{Open: func() (io.ReadCloser, error) {
		r, w := io.Pipe()
		go func() {
			out := tar.NewWriter(w)
			err := write(out)
			if err == nil {
				err = out.Close()
			}
			w.CloseWithError(err)
		}()
		return r, nil
	}}
}

// manyFiles is a layer of 500,000 entries.
func manyFiles() stack.Layer {
	const dirs, files = 5000, 99
	return generated(func(out *tar.Writer) error {
		for d := range dirs {
			dir := fmt.Sprintf("srv/%02d/%02d", d/100, d%100)
			if err := addDirs(out, dir); err != nil {
				return err
			}
			for f := range files {
				content := fmt.Appendf(nil, "file %d of directory %d\n", f, d)
				if err := addFile(out, fmt.Sprintf("%s/%02d", dir, f), content); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// weights are four layers of two files each, 2 GiB together, which nothing
// makes smaller: a model's.
func weights() (layers []stack.Layer) {
	const perLayer, pieces = 2, 256 // of 1 MiB
	for layer := range 4 {
		layers = append(layers, generated(func(out *tar.Writer) error {
			dir := fmt.Sprintf("models/%d", layer)
			if err := addDirs(out, "models", dir); err != nil {
				return err
			}
			piece := make([]byte, 1<<20)
			for file := range perLayer {
				header := &tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("%s/%d.safetensors", dir, file), Mode: 0o644, Size: pieces << 20}
				if err := out.WriteHeader(header); err != nil {
					return err
				}
				random := rand.NewChaCha8([32]byte{byte(layer), byte(file)})
				for range pieces {
					_, _ = random.Read(piece) // never fails
					if _, err := out.Write(piece); err != nil {
						return err
					}
				}
			}
			return nil
		}))
	}
	return layers
}

// halves is a layer of 1000 files of 1 MB, which gzip makes about half as
// large. The one of the number changed is another one.
func halves(changed int) stack.Layer {
	const files = 1000
	return generated(func(out *tar.Writer) error {
		if err := addDirs(out, "srv", "srv/data"); err != nil {
			return err
		}
		content := make([]byte, 1_000_000)
		for n := range files {
			seed := [32]byte{byte(n), byte(n >> 8)}
			if n == changed {
				seed[2] = 1
			}
			_, _ = rand.NewChaCha8(seed).Read(content) // never fails
			for i := range content {
				content[i] &= 0x0f
			}
			if err := addFile(out, fmt.Sprintf("srv/data/%03d", n), content); err != nil {
				return err
			}
		}
		return nil
	})
}

func addDirs(out *tar.Writer, names ...string) error {
	for _, name := range names {
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755}); err != nil {
			return err
		}
	}
	return nil
}

func addFile(out *tar.Writer, name string, content []byte) error {
	if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
		return err
	}
	_, err := out.Write(content)
	return err
}
