package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"time"

	"github.com/weft-fabric/weft/client"
	"github.com/weft-fabric/weft/internal/progress"
)

// drawing is what the client is to do.
type drawing struct {
	Picture
	broker, file    string
	side, instances int
	serial          bool
}

// draw draws the picture in the fabric and writes it to the file.
func (d drawing) draw(ctx context.Context) (err error) {
	// 1. Connect, and open a session with the service.
	c, err := client.Dial(ctx, d.broker)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	s, err := c.OpenSession(ctx, serviceName, client.WithInstances(d.instances, d.instances), client.OnWaiting(3*time.Second, waiting))
	if err != nil {
		return err
	}

	// 2. Send the tiles, and put each into the picture when its pixels come.
	begin := time.Now()
	img := image.NewRGBA(image.Rect(0, 0, d.Width, d.Height))
	bar := progress.New(os.Stderr, "tiles", d.Count(d.side))
	defer bar.Finish()
	processes := map[int]int{}
	method := client.Method[Tile, Rendered]{}
	for r, err := range method.Map(ctx, s, d.Tiles(d.side)) {
		if err != nil {
			return fmt.Errorf("draw: %w", err)
		}
		r.Tile.Paste(img, r.Pixels)
		processes[r.Process]++
		bar.Add(1)
	}
	elapsed := time.Since(begin)

	// 3. Close the session in order, write the file, and tell.
	if err := s.Close(ctx); err != nil {
		return err
	}
	if err := write(d.file, img); err != nil {
		return err
	}
	tiles := d.Count(d.side)
	fmt.Printf("%s: %d x %d pixels\n", d.file, d.Width, d.Height)
	fmt.Printf("%d tasks by %d instances in %.2f s: %.0f tasks/s\n", tiles, len(processes), elapsed.Seconds(), float64(tiles)/elapsed.Seconds())
	if !d.serial {
		return nil
	}
	return d.compare(img, elapsed)
}

// compare draws the same picture in one process and thread.
func (d drawing) compare(img *image.RGBA, elapsed time.Duration) error {
	begin := time.Now()
	serial := image.NewRGBA(img.Rect)
	for tile := range d.Tiles(d.side) {
		tile.Paste(serial, tile.Render())
	}
	alone := time.Since(begin)
	fmt.Printf("serial run: %.2f s, speed-up %.2f\n", alone.Seconds(), alone.Seconds()/elapsed.Seconds())
	if !bytes.Equal(img.Pix, serial.Pix) {
		return errors.New("the picture differs from the serial one")
	}
	fmt.Println("equal to the serial picture")
	return nil
}

// write writes the picture as PNG, making its folder if need be.
func write(file string, img image.Image) (err error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("folder of the picture: %w", err)
	}
	out, err := os.Create(file)
	if err != nil {
		return fmt.Errorf("picture: %w", err)
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	return png.Encode(out, img)
}

// waiting says why there are no results yet.
func waiting(reason string) { fmt.Fprintln(os.Stderr, "waiting:", reason) }
