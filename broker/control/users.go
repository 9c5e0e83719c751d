package control

import (
	"fmt"
	"slices"
	"strings"

	"github.com/weft-fabric/weft/broker/catalogue"
	"github.com/weft-fabric/weft/protocol"
)

// namedUsers is how many of the sessions that stand in the way are named.
const namedUsers = 3

// usedBy says which open sessions a version of a service has, and what to do about them; "" when it has none.
func usedBy(t *managers, e *catalogue.Entry) string {
	var open []*sess
	for m := range t.of(e) {
		for _, s := range m.sessions.All() {
			open = append(open, s)
		}
	}
	if len(open) == 0 {
		return ""
	}
	slices.SortFunc(open, func(a, b *sess) int { return int(a.number) - int(b.number) })
	var named []string
	for _, s := range open[:min(len(open), namedUsers)] {
		named = append(named, fmt.Sprintf("%d of %s", s.number, s.client.name()))
	}
	if more := len(open) - namedUsers; more > 0 {
		named = append(named, fmt.Sprintf("%d more", more))
	}
	return fmt.Sprintf("open sessions (%s); close them first: weft session close %d", strings.Join(named, ", "), open[0].number)
}

// alsoUsed adds to the refusal of other content for a version that is registered which sessions that has.
func alsoUsed(t *managers, err error, s *protocol.Service) error {
	taken := protocol.AsError(err, "register")
	e, notFound := t.c.catalogue.Get(s.Name, s.WithDefaults().Version)
	if taken.Code != protocol.CodeAlreadyExists || notFound != nil {
		return err
	}
	if used := usedBy(t, e); used != "" {
		return protocol.Errorf(taken.Code, taken.Op, "%s; it has %s", taken.Msg, used)
	}
	return err
}
