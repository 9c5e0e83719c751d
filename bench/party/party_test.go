package party

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// scriptedVariable makes this test program a
const scriptedVariable = "WEFT_PARTY_TEST"

func TestMain(m *testing.M) {
	if how := os.Getenv(scriptedVariable); how != "" {
		os.Exit(scriptedParty(how))
	}
	goleak.VerifyTestMain(m)
}

// scriptedParty is a party that doubles numbers, or misbehaves.
func scriptedParty(how string) int {
	switch how {
	case "silent":
		io.Copy(io.Discard, os.Stdin) //nolint:errcheck // it ends with the input
		return 0
	case "dies":
		fmt.Fprintln(os.Stderr, "no luck today")
		return 3
	}
	err := Obey(context.Background(), Answer{Endpoint: "here"}, func(ctx context.Context, o Order) (Answer, error) {
		if o.Do == "exit" {
			os.Exit(4)
		}
		if o.Do == "wait" {
			<-ctx.Done()
		}
		if o.Do != "double" {
			return Answer{}, fmt.Errorf("cannot %s", o.Do)
		}
		return Answer{Tasks: 2 * uint64(o.Count), Trips: []time.Duration{1, 2}}, nil
	})
	if err != nil {
		return 1
	}
	return 0
}

func startScripted(ctx context.Context, t *testing.T, how string) (*Process, error) {
	t.Helper()
	t.Setenv(scriptedVariable, how)
	return Start(ctx, "the party", os.Args[0])
}

func TestPartyObeys(t *testing.T) {
	p, err := startScripted(t.Context(), t, "obeys")
	if err != nil {
		t.Fatal(err)
	}
	if p.Ready.Endpoint != "here" {
		t.Errorf("ready with %+v", p.Ready)
	}
	for n := range 3 {
		a, err := p.Ask(t.Context(), Order{Do: "double", Count: n})
		if err != nil || a.Tasks != uint64(2*n) || len(a.Trips) != 2 {
			t.Errorf("double %d: %+v, %v", n, a, err)
		}
	}
	if _, err := p.Ask(t.Context(), Order{Do: "sing"}); err == nil || err.Error() != "the party: sing: cannot sing" {
		t.Errorf("sing: %v", err)
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", p.PID())); err != nil {
		t.Error(err)
	}
	if err := p.Stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if _, err := os.Stat(fmt.Sprintf("/proc/%d", p.PID())); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the process is still there: %v", err)
	}
}

func TestPartyThatDies(t *testing.T) {
	_, err := startScripted(t.Context(), t, "dies")
	if err == nil || !strings.Contains(err.Error(), "no luck today") || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("start: %v", err)
	}
	p, err := startScripted(t.Context(), t, "obeys")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Ask(t.Context(), Order{Do: "exit"}); err == nil || !strings.Contains(err.Error(), "has ended") {
		t.Errorf("an order that ends it: %v", err)
	}
	if err := p.Stop(); err == nil || !strings.Contains(err.Error(), "exit status 4") {
		t.Errorf("stop: %v", err)
	}
}

func TestPartyThatIsSilent(t *testing.T) {
	ctx, stop := context.WithCancelCause(t.Context())
	stop(errors.New("out of patience"))
	_, err := startScripted(ctx, t, "silent")
	if err == nil || !strings.Contains(err.Error(), "out of patience") {
		t.Errorf("start: %v", err)
	}
}

// One that does not answer an order is ended, and says where it was.
func TestPartyThatFallsSilent(t *testing.T) {
	p, err := startScripted(t.Context(), t, "obeys")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancelCause(t.Context())
	stop(errors.New("out of patience"))
	_, err = p.Ask(ctx, Order{Do: "wait"})
	if err == nil || !strings.Contains(err.Error(), "out of patience") || !strings.Contains(err.Error(), "goroutine ") {
		t.Errorf("an order that is not answered: %v", err)
	}
	if err := p.Stop(); err == nil {
		t.Error("it has ended well")
	}
}

func TestAskAll(t *testing.T) {
	var parties []*Process
	for range 3 {
		p, err := startScripted(t.Context(), t, "obeys")
		if err != nil {
			t.Fatal(err)
		}
		defer func() {
			if err := p.Stop(); err != nil {
				t.Error(err)
			}
		}()
		parties = append(parties, p)
	}
	answers, err := AskAll(t.Context(), parties, Order{Do: "double", Count: 4})
	if err != nil || len(answers) != 3 || answers[0].Tasks != 8 || answers[2].Tasks != 8 {
		t.Errorf("answers %+v, %v", answers, err)
	}
	answers, err = AskEach(t.Context(), parties, []Order{{Do: "double", Count: 1}, {Do: "double", Count: 2}, {Do: "double", Count: 3}})
	if err != nil || answers[0].Tasks != 2 || answers[1].Tasks != 4 || answers[2].Tasks != 6 {
		t.Errorf("answers %+v, %v", answers, err)
	}
	if _, err := AskAll(t.Context(), parties, Order{Do: "sing"}); err == nil {
		t.Error("no error of three that cannot")
	}
}

func TestObeyRefusesNonsense(t *testing.T) {
	var out strings.Builder
	err := obeyOn(t.Context(), strings.NewReader(`{"do":"x"} nonsense`), &out, Answer{}, nil)
	if err == nil || !strings.Contains(err.Error(), "read an order") {
		t.Errorf("error %v", err)
	}
	if want := "{}\n" + `{"error":"this party takes no orders"}` + "\n"; out.String() != want {
		t.Errorf("answers %q, want %q", out.String(), want)
	}
}

// An order under way ends with the input: whoever gave it is gone.
func TestObeyEndsWithTheInput(t *testing.T) {
	in, giver := io.Pipe()
	ended := make(chan error, 1)
	begun := make(chan struct{})
	go func() {
		ended <- obeyOn(t.Context(), in, io.Discard, Answer{}, func(ctx context.Context, _ Order) (Answer, error) {
			close(begun)
			<-ctx.Done()
			return Answer{}, ctx.Err()
		})
	}()
	if _, err := io.WriteString(giver, `{"do":"wait"}`); err != nil {
		t.Fatal(err)
	}
	<-begun
	if err := giver.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	var k tail
	if k.said() != "" {
		t.Errorf("of nothing: %q", k.said())
	}
	for n := range 10_000 {
		k.note(fmt.Sprintf("line %d", n))
	}
	said := k.said()
	if !strings.HasSuffix(said, "line 9999") || strings.Contains(said, "line 1\n") || len(said) > 2*tailSize {
		t.Errorf("kept %d bytes, ending with %q", len(said), said[len(said)-20:])
	}
}
