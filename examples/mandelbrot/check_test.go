package main

import (
	"image"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestCheckDrawing(t *testing.T) {
	good := drawing{Picture: small(), side: 64}
	if err := good.check(); err != nil {
		t.Fatal(err)
	}
	for flag, spoil := range map[string]func(*drawing){
		"-width":      func(d *drawing) { d.Width = 0 },
		"-height":     func(d *drawing) { d.Height = maxSide + 1 },
		"-tile":       func(d *drawing) { d.side = 0 },
		"-iterations": func(d *drawing) { d.Iterations = -1 },
		"-scale":      func(d *drawing) { d.Scale = 0 },
		"-instances":  func(d *drawing) { d.instances = -1 },
	} {
		d := good
		spoil(&d)
		if err := d.check(); err == nil || !strings.HasPrefix(err.Error(), flag+":") {
			t.Errorf("%s: error %v", flag, err)
		}
	}
}

func TestCheckTile(t *testing.T) {
	good := Tile{Picture: small(), W: 1, H: maxTile}
	if err := good.check(); err != nil {
		t.Error(err)
	}
	for _, bad := range []Tile{{}, {Picture: small(), W: 1}, {Picture: small(), W: maxTile + 1, H: 1}, {W: 1, H: 1}} {
		if bad.check() == nil {
			t.Errorf("%+v: no error", bad)
		}
	}
}

func TestWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "folder", "a.png")
	p := small()
	img := image.NewRGBA(image.Rect(0, 0, p.Width, p.Height))
	for tile := range p.Tiles(16) {
		tile.Paste(img, tile.Render())
	}
	if err := write(file, img); err != nil {
		t.Fatal(err)
	}
	in, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	back, err := png.Decode(in)
	if err != nil || back.Bounds() != img.Bounds() {
		t.Fatalf("read back: %v, %v", back, err)
	}
	for _, at := range []image.Point{{0, 0}, {25, 15}, {49, 29}} {
		if r, g, b, _ := back.At(at.X, at.Y).RGBA(); func() bool { wr, wg, wb, _ := img.At(at.X, at.Y).RGBA(); return r != wr || g != wg || b != wb }() {
			t.Errorf("pixel %v was written wrongly", at)
		}
	}
	if err := write(filepath.Join(file, "below-a-file"), img); err == nil {
		t.Error("no error for a folder that is a file")
	}
}

func TestRunRefuses(t *testing.T) {
	for _, args := range [][]string{nil, {"paint"}, {"draw", "-tile", "0"}, {"draw", "-broker", "udp://nowhere"}} {
		if err := run(t.Context(), args); err == nil {
			t.Errorf("run(%q): no error", args)
		}
	}
}
