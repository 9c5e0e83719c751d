package worker

import (
	"strings"
	"testing"
)

const panicStack = `goroutine 7 [running]:
runtime/debug.Stack()
	/go/src/runtime/debug/stack.go:26 +0x5e
github.com/weft-fabric/weft/worker.panicked({0x1, 0x2})
	/weft/worker/errors.go:70 +0x2e
panic({0x1, 0x2})
	/go/src/runtime/panic.go:792 +0x132
runtime.panicIndex()
	/go/src/runtime/panic.go:100 +0x1
main.price(...)
	/home/u/price.go:12
main.newService.func1({0x1, 0x2}, 0x3)
	/home/u/main.go:20 +0x11
github.com/weft-fabric/weft/worker.(*hooks).exec(0x1)
	/weft/worker/hooks.go:80 +0x1
created by github.com/weft-fabric/weft/worker.(*driver).run in goroutine 1
	/weft/worker/driver.go:9 +0x2
`

func TestUserStack(t *testing.T) {
	want := "goroutine 7 [running]:\nmain.price(...)\n\t/home/u/price.go:12\nmain.newService.func1({0x1, 0x2}, 0x3)\n\t/home/u/main.go:20 +0x11\n"
	if got := userStack(panicStack); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	weftOnly := strings.NewReplacer("main.", "github.com/weft-fabric/weft/worker.").Replace(panicStack)
	for _, whole := range []string{weftOnly, "", "no stack at all", "a\nb\nc"} {
		if got := userStack(whole); got != whole {
			t.Errorf("%q was cut to %q", whole, got)
		}
	}
}
