package main

import "fmt"

// maxSide bounds pictures, so that a slip does not ask for all memory.
const maxSide = 1 << 15

// check names the first flag that cannot be.
func (d drawing) check() error {
	switch {
	case d.Width < 1 || d.Width > maxSide:
		return fmt.Errorf("-width: %d is not within 1 to %d", d.Width, maxSide)
	case d.Height < 1 || d.Height > maxSide:
		return fmt.Errorf("-height: %d is not within 1 to %d", d.Height, maxSide)
	case d.side < 1 || d.side > maxTile:
		return fmt.Errorf("-tile: %d is not within 1 to %d", d.side, maxTile)
	case d.Iterations < 1:
		return fmt.Errorf("-iterations: %d is not above 0", d.Iterations)
	case !(d.Scale > 0):
		return fmt.Errorf("-scale: %v is not above 0", d.Scale)
	case d.instances < 0:
		return fmt.Errorf("-instances: %d is negative", d.instances)
	}
	return nil
}

// maxTile bounds the pixels of a result.
const maxTile = 1024

// check refuses a tile that an instance should not try: a task may come from anybody.
func (t Tile) check() error {
	if t.W < 1 || t.W > maxTile || t.H < 1 || t.H > maxTile || t.Picture.Width < 1 {
		return fmt.Errorf("tile: %d x %d pixels of a picture %d wide: want 1 to %d each way", t.W, t.H, t.Picture.Width, maxTile)
	}
	return nil
}
