package browser

import (
	"bytes"
	"cmp"
	"context"
	"image"
	"image/color"
	"image/png"
	"maps"
	"os"
	"slices"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// mostPicture is how many bytes a picture may have: it comes with every clone.
const mostPicture = 150 << 10

// Picture writes what is seen into a file, in a window so high.
func (b *Tab) Picture(file string, height int64) {
	b.t.Helper()
	var seen []byte
	b.Do("take a picture",
		emulation.SetDeviceMetricsOverride(1280, height, 1, false),
		chromedp.ActionFunc(func(ctx context.Context) (err error) {
			seen, err = page.CaptureScreenshot().Do(ctx)
			return err
		}),
		emulation.ClearDeviceMetricsOverride())
	picture, err := png.Decode(bytes.NewReader(seen))
	if err != nil {
		b.t.Fatal(err)
	}
	var small bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&small, reduced(picture)); err != nil {
		b.t.Fatal(err)
	}
	if small.Len() > mostPicture {
		b.t.Errorf("%s has %d bytes", file, small.Len())
	}
	if err := os.WriteFile(file, small.Bytes(), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// reduced is a picture in 256 colours: half are those that it has most of, half
// stand for others like them, so that rare ones keep their hue.
func reduced(picture image.Image) image.Image {
	pixels := map[color.Color]int{}
	bounds := picture.Bounds()
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			pixels[picture.At(x, y)]++
		}
	}
	colours := slices.SortedFunc(maps.Keys(pixels), func(a, b color.Color) int { return cmp.Compare(pixels[b], pixels[a]) })
	var palette color.Palette
	alike := map[[3]uint32]bool{}
	for i, c := range colours {
		r, g, b, _ := c.RGBA()
		like := [3]uint32{r >> 12, g >> 12, b >> 12}
		if i < 128 || !alike[like] && len(palette) < 256 {
			palette = append(palette, c)
		}
		alike[like] = true
	}
	out := image.NewPaletted(bounds, palette)
	nearest := map[color.Color]uint8{}
	for _, c := range colours {
		nearest[c] = uint8(palette.Index(c))
	}
	for y := bounds.Min.Y; y < bounds.Max.Y; y++ {
		for x := bounds.Min.X; x < bounds.Max.X; x++ {
			out.SetColorIndex(x, y, nearest[picture.At(x, y)])
		}
	}
	return out
}
