// Command mandelbrot draws the Mandelbrot set in a fabric: the picture is cut into tiles, instances of the service
// compute them, the client puts them together.
//
//	mandelbrot serve    an instance of the service; an agent starts it
//	mandelbrot draw     the client
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

// serviceName is the name in service.yaml.
const serviceName = "mandelbrot"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mandelbrot:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "serve" {
		return serve(ctx)
	}
	if len(args) == 0 || args[0] != "draw" {
		return fmt.Errorf("want %q or %q; see examples/mandelbrot/README.md", "serve", "draw")
	}
	d := drawing{Picture: Picture{CentreX: -0.7436439, CentreY: 0.13155, Scale: 0.002}}
	flags := flag.NewFlagSet("mandelbrot draw", flag.ContinueOnError)
	flags.StringVar(&d.broker, "broker", endpoint(), "control endpoints of the broker")
	flags.StringVar(&d.file, "out", "mandelbrot.png", "file to write the picture to")
	flags.IntVar(&d.Width, "width", 1280, "pixels")
	flags.IntVar(&d.Height, "height", 960, "pixels")
	flags.Float64Var(&d.CentreX, "x", d.CentreX, "centre, real part")
	flags.Float64Var(&d.CentreY, "y", d.CentreY, "centre, imaginary part")
	flags.Float64Var(&d.Scale, "scale", d.Scale, "width in units of the plane")
	flags.IntVar(&d.Iterations, "iterations", 5000, "steps after which a point counts as inside")
	flags.IntVar(&d.side, "tile", 64, "side of a tile in pixels")
	flags.IntVar(&d.instances, "instances", 0, "instances of the service to ask for; 0: as service.yaml says")
	flags.BoolVar(&d.serial, "serial", false, "draw once more without the fabric, and compare")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if err := d.check(); err != nil {
		return err
	}
	return d.draw(ctx)
}

// endpoint is the broker's, as the environment variable says, or where a broker listens on this machine by default.
func endpoint() string {
	if broker := os.Getenv("WEFT_BROKER"); broker != "" {
		return broker
	}
	return "tcp://127.0.0.1:7700"
}
