package archtest_test

import (
	"strings"
	"testing"

	"github.com/weft-fabric/weft/internal/archtest"
)

func TestCheckPurity(t *testing.T) {
	for _, test := range []struct {
		name, body string
		want       []string
	}{
		{"a function of its arguments", `
import (
	"maps"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"time"
)
type clock struct{}
func (clock) Now() {}
func f(now time.Time, m map[int]int, rng *rand.Rand) []int {
	var time clock
	time.Now()
	_ = now.Add(1)
	_ = rng.IntN(3)
	_ = rand.New(rand.NewPCG(1, 2))
	_ = runtime.GOARCH
	_ = netip.Addr{}
	for range []int{1} {}
	for range 3 {}
	for range slices.Values([]int{1}) {}
	sum := 0
	for _, v := range m { // order does not matter: it is a sum
		sum += v
	}
	// order does not matter: it is a sum
	for _, v := range m {
		sum += v
	}
	other := maps.Collect(maps.All(m))
	_ = other
	return slices.Sorted(maps.Keys(m))
}
`, nil},
		{"goroutines and channels", `
func f(c chan int) {
	go f(nil)
	select {}
	c <- 1
	<-c
}
`, []string{
			"p/p.go:3: has a channel", "p/p.go:4: starts a goroutine", "p/p.go:5: selects",
			"p/p.go:6: sends", "p/p.go:7: receives",
		}},
		{"clocks, by any name", `
import t "time"
func f() {
	_ = t.Now()
	_ = t.Since(t.Time{})
	after := t.After
	_ = after
	t.Sleep(1)
	t.NewTimer(1)
	t.Tick(1)
}
`, []string{
			"p/p.go:5: uses time.Now: the clock", "p/p.go:6: uses time.Since", "p/p.go:7: uses time.After",
			"p/p.go:9: uses time.Sleep", "p/p.go:10: uses time.NewTimer", "p/p.go:11: uses time.Tick",
		}},
		{"chance", `
import (
	"crypto/rand"
	"hash/maphash"
	m "math/rand/v2"
)
func f() {
	_ = m.IntN(3)
	_ = rand.Text()
	_ = maphash.MakeSeed()
}
`, []string{
			"p/p.go:4: pure package p imports crypto/rand: chance",
			"p/p.go:5: pure package p imports hash/maphash: chance",
			"p/p.go:9: uses math/rand/v2.IntN: the global source",
		}},
		{"input and output", `
import (
	"fmt"
	"net"
	"net/textproto"
	"os"
	"os/exec"
	"syscall"
)
var _ textproto.Conn
var _ net.Addr
var _ exec.Cmd
var _ = os.Args
var _ syscall.Errno
func f() { fmt.Println(); println(); _ = fmt.Sprintln() }
`, []string{
			"p/p.go:5: pure package p imports net: it does input or output",
			"p/p.go:6: pure package p imports net/textproto: it does",
			"p/p.go:7: pure package p imports os: it does",
			"p/p.go:8: pure package p imports os/exec: it does",
			"p/p.go:9: pure package p imports syscall: it does",
			"p/p.go:16: println writes", "p/p.go:16: uses fmt.Println: it does",
		}},
		{"locks", `
import ("sync"; "sync/atomic")
var _ sync.Mutex
var _ atomic.Bool
`, []string{
			"p/p.go:3: pure package p imports sync/atomic: a core belongs", "p/p.go:3: pure package p imports sync: a core belongs",
		}},
		{"the machine", `
import ("runtime"; "runtime/debug")
func f() { runtime.Gosched(); debug.FreeOSMemory() }
`, []string{
			"p/p.go:3: pure package p imports runtime/debug: what it does",
			"p/p.go:4: uses runtime.Gosched: what it does or says",
		}},
		{"loops over maps", `
import ("maps"; "slices")
type table map[string]int
type numbers interface{ ~map[int]int }
func f[M ~map[int]int, N numbers](m table, g M, n N) {
	for range m {}
	for range g {} // order does not matter:
	for range n {}
	for range maps.Keys(m) {}
	_ = slices.Collect(maps.Values(m))
	for range m {} // order does not matter: nothing is done
	for range m {}
}
`, []string{
			"p/p.go:7: ranges over a map", "p/p.go:8: ranges over a map", "p/p.go:9: ranges over a map",
			"p/p.go:10: uses maps.Keys: its order", "p/p.go:11: uses maps.Values: its order",
			"p/p.go:13: ranges over a map",
		}},
		{"outside modules", `
import "example.org/lib"
var _ = lib.X
`, []string{
			"p/p.go:3: does not type-check",
			"p/p.go:3: pure package p imports example.org/lib: what another module does inside is not known",
		}},
		{"what does not type-check is not known to be pure", `
var x = missing
`, []string{"p/p.go:3: does not type-check, so that its purity is not known: undefined: missing"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			tr := tree(t, "-- p/p.go --\npackage p\n"+test.body)
			imports, err := archtest.Exports(tr.Fset, ".", "crypto/rand", "fmt", "hash/maphash", "maps", "math/rand/v2",
				"net/textproto", "net/netip", "os/exec", "runtime/debug", "slices", "sync/atomic", "syscall", "time")
			if err != nil {
				t.Fatal(err)
			}
			wantFindings(t, archtest.CheckPurity(tr, tr.Find("p"), archtest.WeftPurity(), imports), test.want...)
		})
	}
}

// TestCheckPurityReadsOneBuild has two files of which only one belongs to a build,
// and a test, which may do as it likes.
func TestCheckPurityReadsOneBuild(t *testing.T) {
	tr := tree(t, `
-- p/p_plan9.go --
package p
const x = 1
-- p/p.go --
//go:build !plan9

package p

const x = 2
-- p/p_test.go --
package p

import "os"

var _ = os.Args
`)
	imports, err := archtest.Exports(tr.Fset, ".", "fmt")
	if err != nil {
		t.Fatal(err)
	}
	wantFindings(t, archtest.CheckPurity(tr, tr.Find("p"), archtest.WeftPurity(), imports))
}

func TestOutsideModulesByPermission(t *testing.T) {
	tr := tree(t, "-- p/p.go --\npackage p\nimport _ \"example.org/lib/v2/part\"\n")
	imports, err := archtest.Exports(tr.Fset, ".", "fmt")
	if err != nil {
		t.Fatal(err)
	}
	rules := archtest.Purity{Outside: map[string][]string{"p": {"example.org/lib"}}}
	for _, line := range lines(archtest.CheckPurity(tr, tr.Find("p"), rules, imports)) {
		if strings.Contains(line, "another module") {
			t.Error(line)
		}
	}
}

func TestExportsSaysWhatDoesNotBuild(t *testing.T) {
	_, err := archtest.Exports(tree(t, "").Fset, ".", "./testdata/needs-cgo")
	if err == nil || !strings.Contains(err.Error(), "CGO_ENABLED=0") || !strings.Contains(err.Error(), "needs-cgo") {
		t.Errorf("err = %v, want one that names the package", err)
	}
}
