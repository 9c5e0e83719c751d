// Command montecarlo prices an option in a fabric: instances of the service simulate paths of the market, the client
// adds up what they find until the price is known as exactly as it was asked for.
//
//	montecarlo serve    an instance of the service; an agent starts it
//	montecarlo price    the client
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
)

// serviceName is the name in service.yaml.
const serviceName = "montecarlo"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "montecarlo:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) > 0 && args[0] == "serve" {
		return serve(ctx)
	}
	if len(args) == 0 || args[0] != "price" {
		return fmt.Errorf("want %q or %q; see examples/montecarlo/README.md", "serve", "price")
	}
	var p pricing
	c := &p.contract
	flags := flag.NewFlagSet("montecarlo price", flag.ContinueOnError)
	flags.StringVar(&p.broker, "broker", endpoint(), "control endpoints of the broker")
	flags.StringVar(&c.Kind, "option", european, "european, or asian: on the mean of the fixings")
	flags.BoolVar(&c.Put, "put", false, "the right to sell instead of the right to buy")
	flags.Float64Var(&c.Spot, "spot", 100, "price of the share today")
	flags.Float64Var(&c.Strike, "strike", 100, "price at which it may be bought or sold")
	flags.Float64Var(&c.Rate, "rate", 0.05, "interest a year; 0.05 is 5 %")
	flags.Float64Var(&c.Dividend, "dividend", 0, "dividends a year, as -rate")
	flags.Float64Var(&c.Volatility, "volatility", 0.2, "standard deviation of a year's return")
	flags.Float64Var(&c.Years, "years", 1, "time until the option ends")
	flags.IntVar(&c.Fixings, "fixings", 50, "of an asian option: how often the price is looked at")
	flags.Float64Var(&p.precision, "precision", 0.005, "half the width that the 95 % interval is to have")
	flags.Int64Var(&p.most, "max-paths", 1_000_000_000, "paths after which to give up")
	flags.IntVar(&p.batch, "batch", 100_000, "paths of one task")
	flags.Uint64Var(&p.seed, "seed", 1, "the same seed gives the same price, however many instances there are")
	flags.IntVar(&p.instances, "instances", 0, "instances of the service to ask for; 0: as service.yaml says")
	flags.BoolVar(&p.serial, "serial", false, "compute once more without the fabric, and compare")
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if err := p.check(); err != nil {
		return err
	}
	return p.run(ctx)
}

// endpoint is the broker's, as the environment variable says, or where a broker listens on this machine by default.
func endpoint() string {
	if broker := os.Getenv("WEFT_BROKER"); broker != "" {
		return broker
	}
	return "tcp://127.0.0.1:7700"
}
