package main

import (
	"bytes"
	"image"
	"math"
	"testing"
)

func small() Picture {
	return Picture{Width: 50, Height: 30, CentreX: -0.5, Scale: 3, Iterations: 200}
}

func TestTilesCoverThePictureOnce(t *testing.T) {
	p := small()
	for _, side := range []int{1, 7, 16, 50, 64} {
		seen := make([]int, p.Width*p.Height)
		n := 0
		for tile := range p.Tiles(side) {
			n++
			for y := tile.Y; y < tile.Y+tile.H; y++ {
				for x := tile.X; x < tile.X+tile.W; x++ {
					seen[y*p.Width+x]++
				}
			}
		}
		for i, times := range seen {
			if times != 1 {
				t.Fatalf("side %d: pixel %d is in %d tiles", side, i, times)
			}
		}
		if n != p.Count(side) {
			t.Errorf("side %d: %d tiles, Count says %d", side, n, p.Count(side))
		}
	}
}

func TestTilesMakeTheSamePicture(t *testing.T) {
	p := small()
	draw := func(side int) *image.RGBA {
		img := image.NewRGBA(image.Rect(0, 0, p.Width, p.Height))
		for tile := range p.Tiles(side) {
			tile.Paste(img, tile.Render())
		}
		return img
	}
	if whole := draw(64); !bytes.Equal(whole.Pix, draw(7).Pix) {
		t.Error("the picture depends on how it is cut")
	} else if inside := whole.RGBAAt(25, 15); inside.R != 0 || inside.G != 0 || inside.B != 0 || inside.A != 255 {
		t.Errorf("the point -0.5 is inside, its colour is %v", inside)
	} else if outside := whole.RGBAAt(0, 0); outside == inside {
		t.Error("a corner has the colour of the inside")
	}
}

func TestEscape(t *testing.T) {
	for _, c := range [][2]float64{{0, 0}, {-1, 0}, {-2, 0}, {0.25, 0}, {0, 1}} {
		if got := escape(c[0], c[1], 1000); got != -1 {
			t.Errorf("%v is in the set, but escapes after %v steps", c, got)
		}
	}
	last := math.Inf(1)
	for _, c := range []float64{0.3, 0.5, 1, 2, 4} { // the farther outside, the sooner
		got := escape(c, 0, 1000)
		if got < 0 || got >= last {
			t.Errorf("%v escapes after %v steps, the point before it after %v", c, got, last)
		}
		last = got
	}
}

func TestTilesEndEarly(t *testing.T) {
	n := 0
	for range small().Tiles(10) {
		if n++; n == 2 {
			break
		}
	}
	if n != 2 {
		t.Errorf("%d tiles", n)
	}
}
