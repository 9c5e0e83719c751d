package main

import (
	"image"
	"image/color"
	"iter"
	"math"
)

// Picture says what is to be drawn: the part of the complex plane around a centre, Width pixels wide and Height high.
type Picture struct {
	Width, Height    int
	CentreX, CentreY float64
	Scale            float64 // units of the plane across the width
	Iterations       int     // after which a point counts as inside
}

// Tile is a task: a rectangle of a picture.
type Tile struct {
	Picture    Picture
	X, Y, W, H int
}

// Tiles cuts the picture into squares of a side, smaller at the right and lower edges.
func (p Picture) Tiles(side int) iter.Seq[Tile] {
	return func(yield func(Tile) bool) {
		for y := 0; y < p.Height; y += side {
			for x := 0; x < p.Width; x += side {
				if !yield(Tile{p, x, y, min(side, p.Width-x), min(side, p.Height-y)}) {
					return
				}
			}
		}
	}
}

// Count is how many tiles of a side the picture has.
func (p Picture) Count(side int) int {
	return ((p.Width + side - 1) / side) * ((p.Height + side - 1) / side)
}

// samples is how many points are computed each way for one pixel, whose colour is their mean.
const samples = 3

// Render computes the red, green and blue of each pixel of the tile, row by row. This is the work that the fabric
// spreads: nothing but arithmetic, and much more of it in some tiles than in others.
func (t Tile) Render() []byte {
	p := t.Picture
	step := p.Scale / float64(p.Width*samples)
	left := p.CentreX - p.Scale/2
	top := p.CentreY - step*float64(p.Height*samples)/2
	pixels := make([]byte, 0, 3*t.W*t.H)
	for y := t.Y; y < t.Y+t.H; y++ {
		for x := t.X; x < t.X+t.W; x++ {
			var red, green, blue int
			for i := range samples * samples {
				cr := left + step*float64(x*samples+i%samples)
				ci := top + step*float64(y*samples+i/samples)
				c := shade(escape(cr, ci, p.Iterations))
				red, green, blue = red+int(c.R), green+int(c.G), blue+int(c.B)
			}
			const n = samples * samples
			pixels = append(pixels, byte(red/n), byte(green/n), byte(blue/n))
		}
	}
	return pixels
}

// escape iterates z = z*z + c until it leaves the circle of radius 16. It gives the number of steps, made smooth by how
// far the last one went, and -1 for a point that stays inside.
func escape(cr, ci float64, iterations int) float64 {
	var zr, zi float64
	for n := range iterations {
		zr2, zi2 := zr*zr, zi*zi
		if zr2+zi2 > 256 {
			return float64(n) + 1 - math.Log2(math.Log2(zr2+zi2)/2)
		}
		zr, zi = zr2-zi2+cr, 2*zr*zi+ci
	}
	return -1
}

// shade gives the colour of a point: black inside, outside a cycle of hues that slows down with the steps.
func shade(steps float64) color.RGBA {
	if steps < 0 {
		return color.RGBA{A: 255}
	}
	at := math.Sqrt(max(steps, 0))
	wave := func(phase float64) uint8 { return uint8(127.5 * (1 + math.Sin(at+phase))) }
	return color.RGBA{R: wave(4.2), G: wave(3.4), B: wave(2.6), A: 255}
}

// Paste puts the pixels of a rendered tile into the image.
func (t Tile) Paste(img *image.RGBA, pixels []byte) {
	for y := range t.H {
		for x := range t.W {
			rgb := pixels[3*(y*t.W+x):]
			img.SetRGBA(t.X+x, t.Y+y, color.RGBA{R: rgb[0], G: rgb[1], B: rgb[2], A: 255})
		}
	}
}
