package main

import (
	"time"

	"github.com/weft-fabric/weft/internal/human"
)

func humanBytes(n int64) string { return human.Bytes(n) }

func humanCores(millicores int64) string { return human.Cores(millicores) }

func humanDuration(d time.Duration) string { return human.Duration(d) }

func plural[T int | int64 | uint64](n T, thing string) string { return human.Plural(n, thing) }

func humanCount[T int | int64 | uint64](n T) string { return human.Count(n) }
